"""A chunk that cannot be read is refused, whatever is wrong with it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import ControlMode, Decision, Reason
from wam_ros.safety.message import Stream

from .conftest import judge


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
        ({"step_period_ns": 0}, Reason.SCHEMA),
        ({"step_period_ns": -100_000_000}, Reason.SCHEMA),
        ({"step_period_ns": 1}, Reason.SCHEMA),
        ({"step_period_ns": 10**30}, Reason.SCHEMA),
        ({"step_period_ns": float("nan")}, Reason.SCHEMA),
        ({"step_period_ns": "soon"}, Reason.SCHEMA),
        ({"anchor_ns": None}, Reason.SCHEMA),
    ],
)
def test_a_chunk_that_cannot_be_read_is_refused(panda, home, good, change, reason):
    assert judge(panda, home, dataclasses.replace(good, **change)).reasons == reason


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
