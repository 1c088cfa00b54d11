"""The Panda on its table, built once; chunks that a good policy would send."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import ActionChunk
from wam_ros.safety.bounds import Commanded
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.model import SafetyModel, load_safety_model
from wam_ros.safety.params import SafetyParams

START = 10**18  # ns, when the answer's trajectory begins
AGE = 110_000_000  # ns, how old a chunk is then


@pytest.fixture(scope="session")
def model() -> SafetyModel:
    return load_safety_model(load_embodiment("panda"))


@pytest.fixture(scope="session")
def panda(model: SafetyModel) -> SafetyFilter:
    return SafetyFilter(model, SafetyParams())


@pytest.fixture
def home(model: SafetyModel) -> np.ndarray:
    return np.array(model.embodiment.home)


def at_rest(q: np.ndarray) -> Commanded:
    return Commanded(np.array(q, dtype=float), np.zeros(len(q)), np.zeros(len(q)))


def make_chunk(names: tuple[str, ...], q: np.ndarray, period: float = 0.1, age: int = AGE, **more) -> ActionChunk:
    more.setdefault("seq", 1)
    return ActionChunk(START - age, round(period * 1e9), tuple(names), np.asarray(q, dtype=float), **more)
