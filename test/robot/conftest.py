"""The Panda on its table, built once."""

from testing.fixtures import home, model

__all__ = ["home", "model"]
