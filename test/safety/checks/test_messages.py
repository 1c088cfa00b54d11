"""Nothing about a chunk is believed: whatever is wrong with it, it is refused with the reason and
nothing moves.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import Commanded, ControlMode, Decision, Reason
from wam_ros.safety.message import Stream
from wam_ros.safety.verdict import Verdict


def judge(panda, home, chunk, **more) -> Verdict:
    verdict = panda.filter(chunk, at_rest(home), START, **more)
    assert verdict.decision == Decision.REJECT
    assert verdict.trajectory is None
    assert verdict.sentence.startswith("refused: ")
    assert len(verdict.sentence) < 400
    return verdict


@pytest.fixture
def good(panda, home):
    return make_chunk(
        panda.model.joint_names, np.tile(home, (8, 1)), session_id=b"a" * 16, seq=5, epoch=2
    )


def with_value(chunk, step: int, joint: int, value: float):
    q = chunk.positions.copy()
    q[step, joint] = value
    return dataclasses.replace(chunk, positions=q)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_no_position_is_refused_with_its_place(panda, home, good, value):
    verdict = judge(panda, home, with_value(good, 3, 2, value))
    assert verdict.reasons == Reason.NONFINITE
    assert (verdict.first.joint, verdict.first.step) == ("panda_joint3", 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 2}, Reason.SCHEMA),
        ({"control_mode": ControlMode.UNKNOWN}, Reason.SCHEMA),
        ({"embodiment": "ur5e"}, Reason.SCHEMA),
        ({"joint_names": ("a", "b")}, Reason.SCHEMA),
        ({"joint_names": ()}, Reason.SCHEMA),
        ({"joint_names": ("x" * 10_000,) * 10_000}, Reason.SHAPE),
        ({"joint_names": None}, Reason.SCHEMA),
        ({"positions": np.zeros((0, 8))}, Reason.SHAPE),
        ({"positions": np.zeros((8, 7))}, Reason.SHAPE),
        ({"positions": np.zeros((8, 9))}, Reason.SHAPE),
        ({"positions": np.zeros(64)}, Reason.SHAPE),
        ({"positions": np.zeros((100_000, 8))}, Reason.SHAPE),
        ({"positions": np.zeros((8, 8), dtype=complex)}, Reason.SHAPE),
        ({"positions": np.full((8, 8), None)}, Reason.SHAPE),
        ({"positions": "eight"}, Reason.SHAPE),
        ({"positions": None}, Reason.SHAPE),
        ({"velocities": np.zeros((7, 8))}, Reason.SHAPE),
        ({"velocities": np.full((8, 8), np.nan)}, Reason.NONFINITE),
        ({"step_period_ns": 0}, Reason.SCHEMA),
        ({"step_period_ns": -100_000_000}, Reason.SCHEMA),
        ({"step_period_ns": 1}, Reason.SCHEMA),
        ({"step_period_ns": 10**30}, Reason.SCHEMA),
        ({"step_period_ns": float("nan")}, Reason.SCHEMA),
        ({"step_period_ns": "soon"}, Reason.SCHEMA),
        ({"anchor_ns": START - 10 * 10**9}, Reason.STALE),
        ({"anchor_ns": START + 10**9}, Reason.FUTURE),
        ({"anchor_ns": START - 800_000_001}, Reason.STALE),
        ({"anchor_ns": None}, Reason.SCHEMA),
        ({"observation_ns": START - 10 * 10**9}, Reason.CAMERA_STALE),
        ({"observation_ns": START + 10 * 10**9}, Reason.CAMERA_STALE),
    ],
)
def test_a_chunk_that_cannot_be_read_is_refused(panda, home, good, change, reason):
    assert judge(panda, home, dataclasses.replace(good, **change)).reasons == reason


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (Stream(b"b" * 16, 0, 0), Reason.SESSION),
        (Stream(b"a" * 16, 3, 0), Reason.REORDER),
        (Stream(b"a" * 16, 2, 5), Reason.REORDER),
        (Stream(b"a" * 16, 2, 6), Reason.REORDER),
    ],
)
def test_a_chunk_out_of_order_is_refused(panda, home, good, stream, reason):
    assert judge(panda, home, good, stream=stream).reasons == reason


@pytest.mark.parametrize("stream", [None, Stream(b"a" * 16, 2, 4), Stream(b"a" * 16, 1, 99)])
def test_the_next_chunk_of_a_session_is_taken(panda, home, good, stream):
    assert panda.filter(good, at_rest(home), START, stream=stream).decision == Decision.PASS


def test_a_chunk_that_spans_minutes_is_refused_before_its_check_keeps_the_emergency_stop_waiting(
    panda, home, good
):
    q = np.tile(home, (400, 1)) + np.outer(np.arange(400), np.eye(8)[0] * 1e-4)
    long = dataclasses.replace(good, positions=q, step_period_ns=110_000_000)
    verdict = judge(panda, home, long)
    assert verdict.reasons == Reason.SCHEMA
    assert "400 steps span 44.0 s, allowed 12.0 s" in verdict.sentence
    short = dataclasses.replace(long, step_period_ns=25_000_000)
    assert panda.filter(short, at_rest(home), START).decision == Decision.PASS


def test_rows_of_exact_zeros_are_what_a_missing_key_becomes(panda, home, good):
    q = good.positions.copy()
    q[5, :7] = 0.0
    verdict = judge(panda, home, dataclasses.replace(good, positions=q))
    assert verdict.reasons == Reason.SCHEMA
    assert verdict.first.step == 5


def test_a_jump_is_refused_with_joint_and_size(panda, home, good):
    q = good.positions + np.r_[0, 0, 0, 0, 1.2, 0, 0, 0]
    verdict = judge(panda, home, dataclasses.replace(good, positions=q))
    assert verdict.reasons == Reason.DISCONTINUITY
    assert verdict.first.joint == "panda_joint5"
    assert verdict.first.measured == pytest.approx(1.2)
    assert verdict.first.unit == "rad"


def test_a_commanded_state_that_is_not_finite_is_refused(panda, home, good):
    for broken in (
        Commanded(home * np.nan, home * 0, home * 0),
        Commanded(home, home * 0, home + np.inf),
    ):
        verdict = panda.filter(good, broken, START)
        assert verdict.decision == Decision.REJECT
        assert panda.stop(broken, START) is None


def test_joints_in_any_order_give_the_same_answer(panda, home, good):
    rng = np.random.default_rng(1)
    q = home + np.cumsum(rng.normal(size=(8, 8)) * np.r_[np.full(7, 0.02), 0], axis=0)
    answers = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(8) if seed else np.arange(8)
        names = tuple(panda.model.joint_names[k] for k in order)
        answers.append(panda.filter(make_chunk(names, q[:, order]), at_rest(home), START))
    for other in answers[1:]:
        assert other.decision == answers[0].decision
        assert np.array_equal(other.trajectory.q, answers[0].trajectory.q)
        assert other.trajectory.joint_names == panda.model.joint_names


JUNK = st.one_of(
    st.none(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.lists(st.text(max_size=5), max_size=5),
    st.builds(lambda n, v: np.full(n, v), st.integers(0, 9), st.floats(allow_nan=True)),
    st.builds(
        lambda n, m, v: np.full((n, m), v),
        st.integers(0, 9),
        st.integers(0, 9),
        st.floats(allow_nan=True),
    ),
    st.builds(lambda v: np.full((8, 8), v), st.floats(allow_nan=True)),
)
FIELDS = [
    "anchor_ns",
    "step_period_ns",
    "joint_names",
    "positions",
    "velocities",
    "session_id",
    "seq",
    "epoch",
]
FIELDS += ["embodiment", "observation_ns", "control_mode", "schema_version"]


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JUNK, min_size=1, max_size=3))
def test_junk_in_any_field_never_raises(panda, home, changes):
    chunk = make_chunk(panda.model.joint_names, np.tile(home, (8, 1)), session_id=b"a" * 16, seq=5)
    verdict = panda.filter(
        dataclasses.replace(chunk, **changes), at_rest(home), START, stream=Stream(b"a" * 16, 0, 1)
    )
    assert isinstance(verdict.decision, Decision)
    if verdict.trajectory is not None:
        assert np.isfinite(verdict.trajectory.q).all()
