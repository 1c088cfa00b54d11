import dataclasses
import math

import numpy as np
import pytest

from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    Candidates,
    ChunkingMode,
    Decision,
    Forwarding,
    ImaginedFuture,
    JointState,
    Observation,
    SafeTrajectory,
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


def test_what_was_not_chosen_is_shown_beside_its_own_chunk_until_it_is_over():
    model = ViewModel(("j", "k"))
    second = NS
    q = np.array([[0.1, 0.2], [0.3, 0.4]])
    model.candidates = Candidates(second, NS // 10, ("k", "j"), (q, q))
    assert model.not_chosen(second) == [], "no chunk"
    model.on_chunk(ActionChunk(second, NS // 10, ("j", "k"), q))
    assert model.not_chosen(second) == [], "nothing is executed"
    model.on_report(SafetyReport(0, 0, SafetyState.ARMED, Decision.PASS))
    shown = model.not_chosen(second)
    assert len(shown) == 2 and np.array_equal(shown[0], q[:, ::-1])
    assert model.head(second)["not_chosen"][0] is not None
    assert model.not_chosen(second + NS // 5 + 1) == [], "its time is over"
    model.on_chunk(ActionChunk(second + 1, NS // 10, ("j", "k"), q))
    assert model.not_chosen(second) == [], "the newest chunk was alone"
    model.candidates = Candidates(second + 1, NS // 10, ("k", "other"), (q,))
    assert model.not_chosen(second) == [], "of another robot"


def imagined(instants_s, seq=1, value=77):
    n = len(instants_s)
    return ImaginedFuture(
        chunk_seq=seq,
        view_names=VIEWS,
        frames=np.full((n, *FRAMES.shape), value, np.uint8),
        instants_ns=tuple(round(t * NS) for t in instants_s),
        joint_names=("j",),
        joint_path=np.zeros((8, 1)),
        surprise=0.25,
    )


def seen(t_s):
    return Observation(round(t_s * NS), VIEWS, FRAMES, (0, 0), JOINTS)


def kinds(model):
    return [(c.kind, round(c.ahead_s, 3)) for c in model.columns()]


def test_frames_are_observed_and_imagined_for_the_next_seconds():
    model = ViewModel()
    assert model.columns() == []
    model.on_observation(seen(0.0))
    assert kinds(model) == [("observed", 0.0)]
    model.on_imagined(imagined([0.4, 0.8]))
    assert kinds(model) == [("observed", 0.0), ("imagined", 0.4), ("imagined", 0.8)]


def test_imagined_frames_whose_instants_are_over_are_not_shown_any_more():
    model = ViewModel()
    model.on_observation(seen(0.0))
    model.on_imagined(imagined([0.4, 0.8]))
    for t_s, left in ((0.4, [0.0, 0.4]), (0.6, [0.2]), (0.9, [])):
        model.on_observation(seen(t_s))
        assert [ahead for kind, ahead in kinds(model) if kind == "imagined"] == left


def test_what_had_been_imagined_for_now_is_shown_when_its_instant_comes():
    model = ViewModel()
    model.on_observation(seen(0.0))
    model.on_imagined(imagined([0.4, 0.8], seq=1, value=11))
    model.on_observation(seen(0.1))
    assert [kind for kind, _ in kinds(model)] == ["observed", "imagined", "imagined"]
    model.on_observation(seen(0.41))
    assert kinds(model)[1] == ("expected", 0.4)
    assert (model.columns()[1].frames == 11).all()
    model.on_observation(seen(0.6))
    assert "expected" not in dict(kinds(model)), "none was imagined for this instant"


def test_with_a_new_instruction_what_was_imagined_for_the_old_one_is_void():
    chunk = ActionChunk(0, NS // 10, ("j",), np.zeros((8, 1)), epoch=1)
    for epoch, session, left in ((1, bytes(16), 2), (2, bytes(16), 1), (9, bytes([1] * 16), 2)):
        model = ViewModel()
        model.on_observation(seen(0.0))
        model.on_chunk(chunk)
        model.on_imagined(imagined([0.4]))
        model.on_chunk(dataclasses.replace(chunk, epoch=epoch, session_id=session))
        assert len(model.columns()) == left, "the way home is of another session and tells nothing"
        model.on_observation(seen(0.4))
        assert ("expected" in dict(kinds(model))) == (left == 2)


def test_how_long_ago_it_was_imagined_is_told_by_the_frames_own_chunk():
    for seq, ago in ((1, 0.3), (2, 0.4)):
        model = ViewModel()
        model.on_observation(seen(0.0))
        model.chunk = ActionChunk(NS // 10, NS // 10, ("j",), np.zeros((8, 1)), seq=1)
        model.on_imagined(imagined([0.4], seq=seq))
        model.on_observation(seen(0.4))
        assert kinds(model) == [
            ("observed", 0.0),
            ("expected", ago),
            ("imagined", 0.0),
        ]


def test_a_clock_that_is_set_back_voids_what_was_imagined():
    model = ViewModel()
    model.on_observation(seen(10.0))
    model.on_imagined(imagined([10.4]))
    model.on_observation(seen(1.0))
    model.on_observation(seen(10.4))
    assert "expected" not in dict(kinds(model))


def test_a_dry_run_shows_where_the_chunk_would_go_by_joint_name():
    chunk = ActionChunk(0, NS, ("b", "a"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    model = ViewModel(("a", "b"), report=SafetyReport(0, 0, SafetyState.SHADOW, Decision.PASS))
    assert model.plan(0) is None
    model.chunk = chunk
    t, q = model.plan(NS // 2)
    assert q.tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert t.tolist() == [0.5, 1.5]
    for stamp_ns, shown in ((2 * NS, True), (2 * NS + 1, False)):
        model.observation = Observation(stamp_ns, VIEWS, FRAMES, (0, 0), JOINTS)
        assert (model.plan(0) is not None) == shown, "what is over is no proposal"
    model.observation, model.report = None, SafetyReport(0, 0, SafetyState.ARMED, Decision.PASS)
    assert model.plan(0) is None, "armed, only the proven motion counts"


def test_a_dry_run_of_other_joints_shows_nothing():
    model = ViewModel(("a", "c"), report=SafetyReport(0, 0, SafetyState.SHADOW, Decision.PASS))
    model.chunk = ActionChunk(0, NS, ("b", "a"), np.zeros((2, 2)))
    assert model.plan(0) is None


def trajectory(n=200, names=("b", "a")):
    t = np.linspace(0, 2, n)
    q = np.stack([t, 10 * t], axis=1)
    return SafeTrajectory(
        q, np.zeros_like(q), np.zeros_like(q), start_ns=NS, joint_names=names, t=t
    )


def test_the_proven_motion_is_thinned_and_keeps_its_beginning_and_its_end_at_rest():
    model = ViewModel(("a", "b"), report=SafetyReport(0, 0, SafetyState.ARMED, Decision.PASS))
    model.trajectory = trajectory()
    t, q = model.plan(2 * NS)
    assert 10 < len(t) == len(q) <= 24
    assert (t[0], t[-1]) == (-1.0, 1.0)
    assert q[0].tolist() == [0.0, 0.0]
    assert q[-1].tolist() == [20.0, 2.0]
    model.trajectory = trajectory(names=("x", "y"))
    assert model.plan(0) is None


def test_the_last_chunk_is_the_last_that_was_judged():
    model = ViewModel()
    cut = SafetyReport(0, 1, SafetyState.ARMED, Decision.TRUNCATED, steps_accepted=3, steps_total=8)
    model.on_report(cut)
    model.on_report(SafetyReport(NS // 2, 1, SafetyState.ARMED, Decision.UNKNOWN))
    assert dict(model.lines())["last chunk"] == "truncated, 3 of 8 steps"
    assert model.figures()["decision"] == "truncated"
    model.on_report(SafetyReport(2 * NS, 1, SafetyState.HOLD, Decision.UNKNOWN))
    assert dict(model.lines())["last chunk"] == "truncated, 3 of 8 steps"
    assert model.figures()["decision"] == "unknown", "it is not of this moment"
    assert math.isnan(model.figures()["distance_m"])


def test_the_figures_of_a_moment_are_those_of_the_loop():
    model = ViewModel()
    assert math.isnan(model.figures()["surprise"])
    model.on_imagined(imagined([0.4]))
    model.on_status(dataclasses.replace(status(1.0, 1), latency_last_s=0.08))
    model.on_report(
        SafetyReport(0, 1, SafetyState.BRAKING, Decision.SCALED, scale=1.5, nearest_distance=0.03)
    )
    assert model.figures() == {
        "surprise": 0.25,
        "distance_m": 0.03,
        "scale": 1.5,
        "latency_s": 0.08,
        "decision": "scaled",
        "safety": "braking",
    }


def test_what_safety_drew_is_shown_while_something_is_planned():
    model = ViewModel(("a", "b"))
    model.paths = [{"name": "accepted"}]
    model.surroundings = [{"name": "box"}]
    model.trajectory = trajectory()
    for state, shown in ((SafetyState.ARMED, True), (SafetyState.HOLD, False)):
        model.report = SafetyReport(0, 0, state, Decision.PASS)
        head = model.head(NS)
        assert head["paths"] == ([{"name": "accepted"}] if shown else [])
        assert head["surroundings"] == [{"name": "box"}]


def test_the_words_that_the_model_knows_are_told_and_have_a_bound():
    model = ViewModel()
    assert model.head(0)["vocabulary"] == []
    words = ("pick", "red", "blue", "x" * 1000, *(f"word{k}" for k in range(500)))
    told = dataclasses.replace(status(1.0, 1), vocabulary=words, choose_one=("red", "blue"))
    model.on_status(told)
    found = model.head(0)["vocabulary"]
    assert found[:3] == [("pick", False), ("red", True), ("blue", True)]
    assert len(found) <= 100
    assert len(found[3][0]) < 50


def test_a_moment_tells_the_age_of_its_frames():
    model = ViewModel()
    assert model.head(0)["age_s"] is None
    model.on_observation(seen(1.0))
    assert model.head(3 * NS)["age_s"] == 2.0


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
