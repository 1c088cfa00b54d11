"""What tests and benchmarks share: small robots, a machine on a clock, fixtures. Nothing of it is
installed.
"""
