"""The shipped robots, built once; a cache of meshes that no other test has filled."""

import pytest

from testing.fixtures import holding, home, model, robots

__all__ = ["holding", "home", "model", "robots"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Folder of the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
