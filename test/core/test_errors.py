"""A wrong name is answered with the choices and the closest one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import UnknownNameError, WamError, require_known, require_within

CHOICES = ["panda", "ur5", "so100"]


@given(st.text())
def test_only_a_choice_is_returned(name):
    if name in CHOICES:
        assert require_known("robot", name, CHOICES) == name
    else:
        with pytest.raises(UnknownNameError) as caught:
            require_known("robot", name, iter(CHOICES))
        assert str(caught.value).endswith("Choices: panda, so100, ur5")


@pytest.mark.parametrize(
    ("name", "hint"), [("pandda", "panda"), ("so101", "so100"), ("5ur", "ur5")]
)
def test_a_slip_is_recognised(name, hint):
    with pytest.raises(
        WamError, match=f"^unknown robot '{name}'. Did you mean '{hint}'[?] Choices"
    ):
        require_known("robot", name, CHOICES)


def test_a_foreign_name_gets_no_hint_and_a_long_one_is_cut():
    with pytest.raises(WamError) as caught:
        require_known("robot", "z" * 10_000, [])
    assert str(caught.value) == f"unknown robot '{'z' * 80}'. Choices: none"


@pytest.mark.parametrize("value", [1, 1.5, 2])
def test_a_value_within_its_bounds_passes(value):
    require_within("--speed", value, 1, 2)


@pytest.mark.parametrize(
    ("value", "high", "words"),
    [
        (0, 2, "between 1 and 2, found 0"),
        (3, 2, "between 1 and 2, found 3"),
        (0, float("inf"), "at least 1, found 0"),
    ],
)
def test_a_value_out_of_its_bounds_is_named_with_them(value, high, words):
    with pytest.raises(WamError, match=f"^--speed must be {words}$"):
        require_within("--speed", value, 1, high)


def test_nan_is_within_no_bounds():
    with pytest.raises(WamError, match="found nan"):
        require_within("--speed", float("nan"), -1e9)
