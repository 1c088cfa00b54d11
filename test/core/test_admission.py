"""What the bridge admits is one value on both sides, and where it is not, both say the same."""

from __future__ import annotations

import dataclasses
import math

import pytest

from wam_ros.core.admission import SHIPPED, Admission, why_not_agreed
from wam_ros.core.errors import WamError

FIELDS = [f.name for f in dataclasses.fields(Admission)]


@pytest.mark.parametrize("name", FIELDS)
def test_a_difference_in_any_value_is_told_with_both_and_the_parameter(name):
    low = next(f for f in dataclasses.fields(Admission) if f.name == name).metadata["low"]
    words = why_not_agreed(dataclasses.replace(SHIPPED, **{name: low}), SHIPPED)
    shipped = getattr(SHIPPED, name)
    assert f"{name} is {low:g} s in bridge_node and {shipped:g} s in safety_node" in words
    assert not any(other in words for other in FIELDS if other not in ("seam_s", name))


def test_all_differences_are_told_at_once_and_equal_ones_are_none():
    other = Admission(deadline_s=0.2, heartbeat_s=1.0)
    words = why_not_agreed(other, SHIPPED)
    assert "deadline_s is 0.2 s" in words and "heartbeat_s is 1 s" in words
    assert why_not_agreed(other, Admission(deadline_s=0.2, heartbeat_s=1.0)) == ""


@pytest.mark.parametrize("silent", ["bridge_node", "safety_node"])
def test_who_does_not_say_it_is_named(silent):
    words = why_not_agreed(
        None if silent == "bridge_node" else SHIPPED,
        None if silent == "safety_node" else SHIPPED,
    )
    assert words.startswith(f"{silent} does not tell") and all(name in words for name in FIELDS)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0, 3600.0])
def test_a_value_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(WamError, match=f"'{name}' is {value} s, must be within"):
        Admission(**{name: value})
