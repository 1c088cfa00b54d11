import numpy as np
import pytest

from wam_ros.core.types import (
    NS,
    ActionChunk,
    Decision,
    ImaginedFuture,
    JointState,
    Observation,
    SafetyReport,
    SafetyState,
)
from wam_ros.view.model import ViewModel

VIEWS = ("front", "wrist")
JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))


def chunk(seq, instruction="pick up the red block"):
    return ActionChunk(
        seq * NS // 10,
        NS // 10,
        ("j",),
        np.zeros((8, 1)),
        seq=seq,
        instruction=instruction,
        observation_ns=seq * NS // 10,
    )


def test_the_rate_is_that_of_the_last_chunks_and_falls_to_zero_with_them():
    model = ViewModel()
    assert model.chunk_rate_hz(0) == 0.0
    for k in range(100):
        model.on_chunk(chunk(k), k * NS // 8)
    now_ns = 99 * NS // 8
    assert model.chunk_rate_hz(now_ns) == pytest.approx(8.0)
    assert model.chunk_rate_hz(now_ns + 3 * NS) == 0.0


def test_the_board_has_a_column_per_imagined_instant():
    model = ViewModel()
    assert model.board(32) is None
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    model.observation = Observation(0, VIEWS, frames, (0, 0), JOINTS)
    alone = model.board(32)
    model.imagined = ImaginedFuture(1, VIEWS, np.stack([frames] * 2), (NS, 2 * NS), ("j",), np.zeros((8, 1)))
    model.on_chunk(chunk(1), NS)
    assert model.board(32).shape[1] == alone.shape[1] + 2 * 38


def test_the_instruction_is_the_one_that_is_followed():
    model = ViewModel()
    assert ("following", "no instruction") in model.lines(0)
    model.on_chunk(chunk(1, "grab the blue block"), 0)
    model.answer = "instruct: unknown words"
    lines = dict(model.lines(0))
    assert lines["following"] == "grab the blue block"
    assert lines["answer"] == "instruct: unknown words"


@pytest.mark.parametrize("state", SafetyState)
def test_a_plan_is_shown_only_while_the_arm_follows_one(state):
    model = ViewModel(report=SafetyReport(0, 0, state, Decision.PASS))
    assert model.plan_shown == (state in (SafetyState.ARMED, SafetyState.BRAKING))
