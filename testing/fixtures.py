"""The Panda on its table and its filter, each built once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.filter import SafetyFilter


@pytest.fixture(scope="session")
def model() -> SafetyModel:
    return load_safety_model(load_embodiment("panda"))


@pytest.fixture(scope="session")
def home(model: SafetyModel) -> np.ndarray:
    q = np.array(model.embodiment.home)
    q.flags.writeable = False
    return q


@pytest.fixture(scope="session")
def robots() -> Callable[[str], SafetyModel]:
    """Loads a shipped robot by name, each once."""
    return functools.cache(lambda name: load_safety_model(load_embodiment(name)))


@pytest.fixture(scope="session")
def panda(model: SafetyModel) -> SafetyFilter:
    return SafetyFilter(model)


@pytest.fixture
def holding(model: SafetyModel) -> Iterator[Callable[[Load], None]]:
    """Gives the Panda a load called `it`, for the length of a test."""
    fixed = dict(model.obstacles)
    yield lambda load: model.set_obstacles({}, {"it": load})
    model.set_obstacles(fixed, {})
