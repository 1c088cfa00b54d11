"""Parameters that make no sense are refused, and those that guard much less are told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.safety.params import DISTANCE, PATIENCE, SafetyParams


def test_parameters_that_guard_much_less_are_told_and_others_are_not():
    assert SafetyParams().weakened() == []
    assert (
        SafetyParams(
            joint_timeout_s=0.05, tracking_rad=0.01, self_clearance_m=0.1, tcp_speed=0.1
        ).weakened()
        == []
    )
    for name in (*PATIENCE, *DISTANCE):
        field = next(f for f in dataclasses.fields(SafetyParams) if f.name == name)
        worst = field.metadata["low" if name in DISTANCE else "high"]
        (words,) = SafetyParams(**{name: type(field.default)(worst)}).weakened()
        assert words.startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"workspace": (0.0, 0.0, 0.0, 1.0, 1.0)}, "six numbers"),
        ({"workspace": (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)}, "below"),
        ({"planes": (1.0, 0.0, 0.0)}, "four numbers"),
        ({"planes": (0.0, 0.0, 0.0, 1.0)}, "not zero"),
        ({"planes": (np.nan, 0.0, 1.0, 1.0)}, "planes"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(bad, word):
    with pytest.raises(WamError, match=word):
        SafetyParams(**bad)


NUMBERS = [
    field for field in dataclasses.fields(SafetyParams) if not isinstance(field.default, tuple)
]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
def test_a_number_outside_its_bounds_is_refused_with_its_name_unit_and_bounds(field):
    low, high = field.metadata["low"], field.metadata["high"]
    for value in (low - 1e-9 * max(1.0, abs(low)), high + 1e-6 * high, np.nan, np.inf, -np.inf):
        with pytest.raises(WamError) as error:
            SafetyParams(**{field.name: value})
        words = str(error.value)
        assert f"safety parameter {field.name} is {value}" in words
        assert f"{field.metadata['unit']}, must be within [{low}, {high}]" in words


@pytest.mark.parametrize("field", dataclasses.fields(SafetyParams), ids=lambda field: field.name)
def test_what_is_shipped_is_within_its_bounds_and_says_what_it_means(field):
    assert field.metadata["doc"]
    assert field.metadata["unit"]
    assert field.metadata["low"] < field.metadata["high"]


def test_the_margin_of_a_joint_is_that_of_its_kind():
    params = SafetyParams(position_margin_rad=0.3, position_margin_m=0.05)
    assert (params.margin(sliding=False), params.margin(sliding=True)) == (0.3, 0.05)
