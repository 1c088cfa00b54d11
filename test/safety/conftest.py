"""The Panda on its table and its filter, built once."""

from testing.fixtures import holding, home, model, panda, robots

__all__ = ["holding", "home", "model", "panda", "robots"]
