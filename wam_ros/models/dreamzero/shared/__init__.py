"""Parts that the small and the released models have in common."""
