"""The Panda on its table, built once."""

from testing.fixtures import holding, home, model, robots

__all__ = ["holding", "home", "model", "robots"]
