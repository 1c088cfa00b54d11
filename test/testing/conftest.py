"""The Panda on its table and its filter, built once."""

from testing.fixtures import home, judged, model, panda

__all__ = ["home", "judged", "model", "panda"]
