"""What tests and benchmarks share: small robots, a machine on a clock, hostile chunks, and judges
that look at what is emitted by other formulas and with another engine. Nothing of it is installed.
"""
