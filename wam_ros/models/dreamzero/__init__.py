"""The DreamZero family: future frames and actions denoised together, block by block."""
