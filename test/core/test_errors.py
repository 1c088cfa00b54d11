"""A wrong name is answered with the choices and the closest one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import UnknownNameError, WamError, require_known

CHOICES = ["panda", "ur5", "so100"]


@given(st.text())
def test_only_a_choice_is_returned(name):
    if name in CHOICES:
        assert require_known("robot", name, CHOICES) == name
    else:
        with pytest.raises(UnknownNameError) as caught:
            require_known("robot", name, iter(CHOICES))
        assert str(caught.value).endswith("Choices: panda, so100, ur5")


@pytest.mark.parametrize(("name", "hint"), [("pandda", "Did you mean 'panda'?"), ("so101", "Did you mean 'so100'?")])
def test_a_slip_is_recognised(name, hint):
    with pytest.raises(WamError, match=f"^unknown robot '{name}'. {hint.replace('?', '[?]')} Choices"):
        require_known("robot", name, CHOICES)


def test_a_foreign_name_gets_no_hint_and_a_long_one_is_cut():
    with pytest.raises(WamError) as caught:
        require_known("robot", "z" * 10_000, [])
    assert str(caught.value) == f"unknown robot '{'z' * 80}'. Choices: none"
