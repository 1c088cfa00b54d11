"""The Panda on its table and its filter, built once."""

from testing.fixtures import home, model, panda

__all__ = ["home", "model", "panda"]
