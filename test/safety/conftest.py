"""The Panda on its table and its filter, built once."""

from testing.fixtures import good, holding, home, judged, model, panda, rig, robots

__all__ = ["good", "holding", "home", "judged", "model", "panda", "rig", "robots"]
