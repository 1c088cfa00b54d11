"""The released checkpoints of DreamZero."""
