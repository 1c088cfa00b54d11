"""The DreamZero family ("World Action Models are Zero-shot Policies", arXiv 2602.15922).

Future frames and actions are denoised together, block by block.
"""
