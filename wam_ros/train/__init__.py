"""Demonstrations to weights, and what the weights are worth."""
