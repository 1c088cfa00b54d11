"""A message says how many steps it has, whatever came as its positions."""

import dataclasses

import numpy as np
import pytest

from testing.tools import START, at_rest
from wam_ros.safety.message import Message


@pytest.mark.parametrize(
    ("positions", "n"),
    [
        (np.zeros((5, 8)), 5),
        (np.zeros((0, 8)), 0),
        (np.zeros(3), 3),
        (np.float64(1.0), 0),
        ([[0.0] * 8] * 5, 0),
        (None, 0),
    ],
)
def test_a_message_has_as_many_steps_as_its_array_has_rows_and_none_where_it_is_no_array(
    good, panda, home, positions, n
):
    chunk = dataclasses.replace(good, positions=positions)
    message = Message(
        chunk,
        now_ns=START,
        start_ns=START,
        embodiment=panda.model.embodiment,
        params=panda.params,
    )
    assert message.n_steps == n
    assert panda.filter(chunk, at_rest(home), START).steps_total == n
