"""The checks, one per file. A message check reads a chunk as it came; a motion check measures a sampled motion."""
