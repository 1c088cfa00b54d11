"""Numpy-only types and rules shared by every layer."""
