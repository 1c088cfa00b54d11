"""The shipped robots, built once."""

from testing.fixtures import robots

__all__ = ["robots"]
