"""The Panda on its table and its filter, each built once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from testing.rig import Rig
from testing.tools import make_chunk
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.types import ActionChunk
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.filter import SafetyFilter

if TYPE_CHECKING:
    from testing.properties import Robot


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
def judged() -> Callable[[str], Robot]:
    """Gives a robot by name with its filters and who judges them, each once."""
    pytest.importorskip("mujoco")
    from testing.properties import Robot

    return functools.cache(Robot)


@pytest.fixture(scope="session")
def panda(model: SafetyModel) -> SafetyFilter:
    return SafetyFilter(model)


@pytest.fixture
def good(panda: SafetyFilter, home: np.ndarray) -> ActionChunk:
    """A chunk that stands still, of a session."""
    return make_chunk(
        panda.model.joint_names, np.tile(home, (8, 1)), session_id=b"a" * 16, seq=5, epoch=2
    )


@pytest.fixture
def holding(model: SafetyModel) -> Iterator[Callable[[Load], None]]:
    """Gives the Panda a load called `it`, for the length of a test."""
    fixed = dict(model.obstacles)
    yield lambda load: model.set_obstacles({}, {"it": load})
    model.set_obstacles(fixed, {})


@pytest.fixture
def rig(panda: SafetyFilter, home: np.ndarray) -> Iterator[Rig]:
    """The machine of the Panda; what stands around it is the table again afterwards."""
    obstacles = dict(panda.model.obstacles)
    yield Rig(panda, home)
    panda.model.set_obstacles(obstacles, {})
