import dataclasses

import numpy as np
import pytest

from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    ChunkingMode,
    Decision,
    Forwarding,
    ImaginedFuture,
    JointState,
    Observation,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.view.model import ViewModel

VIEWS = ("front", "wrist")
JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))
FRAMES = np.zeros((2, 8, 8, 3), np.uint8)


def status(t_s, chunks, session=bytes(16)):
    return WamStatus(
        round(t_s * NS), session, "tiny", "grab the blue block", ChunkingMode.REPLACE, chunks=chunks
    )


def test_the_rate_is_the_chunks_between_two_statuses_of_one_session():
    model = ViewModel()
    model.on_status(status(1.0, 100))
    assert model.chunk_rate_hz == 0.0
    model.on_status(status(1.5, 104))
    assert model.chunk_rate_hz == pytest.approx(8.0)
    model.on_status(status(2.0, 104))
    assert model.chunk_rate_hz == 0.0
    model.on_status(status(2.5, 2, session=bytes([1] * 16)))
    assert model.chunk_rate_hz == 0.0
    # the same instant twice divides by nothing
    model.on_status(status(2.5, 9, session=bytes([1] * 16)))
    assert model.chunk_rate_hz == 0.0


def test_the_board_has_a_column_per_imagined_instant():
    model = ViewModel()
    assert model.board(32) is None
    model.observation = Observation(0, VIEWS, FRAMES, (0, 0), JOINTS)
    alone = model.board(32)
    model.imagined = ImaginedFuture(
        chunk_seq=1,
        view_names=VIEWS,
        frames=np.stack([FRAMES] * 2),
        instants_ns=(NS, 2 * NS),
        joint_names=("j",),
        joint_path=np.zeros((8, 1)),
    )
    assert model.board(32).shape[1] == alone.shape[1] + 2 * 38


def test_a_dry_run_shows_where_the_chunk_would_go_by_joint_name():
    chunk = ActionChunk(0, NS, ("b", "a"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    model = ViewModel(report=SafetyReport(0, 0, SafetyState.SHADOW, Decision.PASS))
    assert model.proposal(("a", "b")) is None
    model.on_chunk(chunk)
    assert model.proposal(("a", "b")).tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert model.proposal(("a", "c")) is None
    for stamp_ns, shown in ((2 * NS, True), (2 * NS + 1, False)):
        model.observation = Observation(stamp_ns, VIEWS, FRAMES, (0, 0), JOINTS)
        assert (model.proposal(("a", "b")) is not None) == shown, "what is over is no proposal"
    model.observation, model.report = None, SafetyReport(0, 0, SafetyState.ARMED, Decision.PASS)
    assert model.proposal(("a", "b")) is None, "armed, only the proven motion counts"


def test_imagined_frames_whose_instants_are_over_are_not_shown_any_more():
    grey = np.full((2, 8, 8, 3), 77, np.uint8)
    model = ViewModel(
        imagined=ImaginedFuture(
            chunk_seq=1,
            view_names=VIEWS,
            frames=grey[None],
            instants_ns=(NS,),
            joint_names=("j",),
            joint_path=np.zeros((8, 1)),
        )
    )
    for stamp_ns, shown in ((NS, True), (NS + 1, False)):
        model.observation = Observation(stamp_ns, VIEWS, FRAMES, (0, 0), JOINTS)
        assert (model.board(32) == 77).all(axis=2).any() == shown


def test_how_far_ahead_is_told_by_the_frames_own_chunk(monkeypatch):
    labels = []
    monkeypatch.setattr(
        "wam_ros.view.model.compose_board",
        lambda columns, *_: labels.append([c.label for c in columns]),
    )
    model = ViewModel(Observation(0, VIEWS, FRAMES, (0, 0), JOINTS))
    model.imagined = ImaginedFuture(
        chunk_seq=1,
        view_names=VIEWS,
        frames=FRAMES[None],
        instants_ns=(NS,),
        joint_names=("j",),
        joint_path=np.zeros((8, 1)),
    )
    chunk = ActionChunk(NS * 6 // 10, NS // 10, ("j",), np.zeros((8, 1)), seq=2)
    model.on_chunk(chunk)
    model.board(32)
    model.on_chunk(dataclasses.replace(chunk, seq=1))
    model.board(32)
    assert labels == [["camera, now", "imagined"], ["camera, now", "imagined for +0.4 s"]]


def test_the_instruction_is_the_one_that_is_followed():
    model = ViewModel()
    assert ("following", "no instruction") in model.lines()
    model.on_status(status(1.0, 1))
    model.answer = "instruct: unknown words"
    lines = dict(model.lines())
    assert lines["following"] == "grab the blue block"
    assert lines["answer"] == "instruct: unknown words"


def test_the_bridge_has_a_line():
    model = ViewModel()
    assert "nothing heard" in dict(model.lines())["bridge"]
    model.bridge = BridgeState(Forwarding.PAUSED, "the bridge is paused")
    assert dict(model.lines())["bridge"] == "the bridge is paused"


@pytest.mark.parametrize("state", SafetyState)
def test_a_plan_is_shown_only_while_the_arm_follows_one(state):
    model = ViewModel(report=SafetyReport(0, 0, state, Decision.PASS))
    assert model.plan_shown == (state in (SafetyState.ARMED, SafetyState.BRAKING))
