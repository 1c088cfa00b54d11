"""What a check says: the worst joint or pair of a sample, in words and units; what is no number is
bad.
"""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.core.types import Reason
from wam_ros.safety.finding import TOLERANCE, Measure, measure_peaks, measure_ratios

JOINTS = ("shoulder", "slide")
UNITS = ("rad/s", "m/s")
LIMITS = np.array([2.0, 0.5])


def peaks(*rows) -> Measure:
    """Of intervals with these peaks (2,) each, all of them inside one piece."""
    return measure_peaks(
        reason=Reason.VELOCITY,
        peaks=np.array(rows, dtype=float),
        inside=np.ones(len(rows), bool),
        limits=LIMITS,
        joints=JOINTS,
        units=UNITS,
    )


def test_a_sample_answers_for_the_interval_that_ends_at_it_with_its_worst_joint():
    measure = peaks((1.0, 0.1), (1.0, 0.6))
    assert list(measure.bad) == [False, False, True]
    assert list(measure.subject[1:]) == [0, 1]
    assert measure.measured[1:] == pytest.approx([1.0, 0.6])
    assert measure.allowed[1:] == pytest.approx([2.0, 0.5])
    assert [measure.unit(k) for k in (1, 2)] == list(UNITS)


def test_exactly_the_limit_and_rounding_are_not_beyond_it():
    assert not peaks((2.0, 0.5)).bad.any()
    assert not peaks((2.0 * (1 + TOLERANCE / 2), 0.5)).bad.any()
    assert peaks((2.0 * (1 + 3 * TOLERANCE), 0.5)).bad.any()


def test_what_lies_between_two_pieces_is_no_motion():
    measure = measure_peaks(
        reason=Reason.VELOCITY,
        peaks=np.array([[1.0, 0.1], [9.0, 9.0]]),
        inside=np.array([True, False]),
        limits=LIMITS,
        joints=JOINTS,
        units=UNITS,
    )
    assert not measure.bad.any()


def test_what_is_no_number_is_bad():
    assert peaks((np.nan, 0.1)).bad[1]
    ratio = np.array([[0.5, np.nan]])
    assert measure_ratios(
        reason=Reason.TORQUE, ratio=ratio, limits=LIMITS, joints=JOINTS, units=UNITS
    ).bad[0]


def test_the_words_name_the_joint_what_it_did_when_and_what_was_allowed():
    found = peaks((1.0, 0.6)).describe(1, "in its stop", step=4)
    assert found.words == "slide velocity 0.6 m/s in its stop, allowed 0.5 m/s"
    assert (found.reason, found.joint, found.step) == (Reason.VELOCITY, "slide", 4)
    assert (found.measured, found.allowed, found.unit) == (pytest.approx(0.6), 0.5, "m/s")


def test_two_bodies_are_both_named_with_their_distance():
    measure = Measure(
        reason=Reason.ENV_COLLISION,
        ratio=np.array([2.0]),
        measured=np.array([0.0123]),
        allowed=np.array([0.03]),
        subject=np.array([1]),
        units=("m",),
        pairs=(("hand", "table"), ("elbow", "wall")),
    )
    found = measure.describe(0, "at step 2", 2)
    assert found.words == "elbow comes within 0.0123 m of wall at step 2, allowed 0.0300 m"
    assert found.joint == ""


def test_what_is_neither_a_joint_nor_a_pair_is_a_tool():
    measure = Measure(
        reason=Reason.TCP_SPEED,
        ratio=np.array([2.0]),
        measured=np.array([1.5]),
        allowed=np.array([1.0]),
        subject=np.array([0]),
        units=("m/s",),
    )
    assert (
        measure.describe(0, "at step 0").words == "tool tcp speed 1.5 m/s at step 0, allowed 1 m/s"
    )


@pytest.mark.parametrize(("sample", "step"), [(0, 0), (5, 0), (6, 1), (10, 1), (11, 2), (99, 2)])
def test_a_sample_is_told_as_the_step_that_it_leads_to(sample, step):
    measure = peaks(*np.ones((99, 2)))
    found = measure.describe_step(sample, np.array([5, 10, 15]))
    assert found.step == step
    assert f"at step {step}" in found.words


def test_without_steps_it_is_the_first():
    assert peaks((1.0, 0.1)).describe_step(1, np.zeros(0, int)).step == 0
