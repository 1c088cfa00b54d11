"""What makes a candidate better: known answers, and the choice among candidates."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wam_ros.core.appraisal import Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import Conditioning
from wam_ros.runtime.prediction import best, why_not_good_enough
from wam_ros.runtime.values import VALUES, load_goal, make_value


def candidate(level=0, bend=0.0, others=()):
    q = np.arange(4.0)[:, None] + bend * np.array([0, 1, 0, 1.0])[:, None]
    frames = np.full((2, 1, 2, 2, 3), level, np.uint8)
    return PolicyOutput(q, frames, (1, 2), Conditioning.REAL, 1, others=others)


def test_the_calmest_chunk_is_the_straight_one():
    scores = make_value("smoothness")([candidate(bend=0.1), candidate(), candidate(bend=0.2)])
    assert scores.argmax() == 1 and scores[1] == pytest.approx(0, abs=1e-12)


def test_the_goal_is_compared_with_the_farthest_imagined_frame():
    goal = np.full((1, 2, 2, 3), 51, np.uint8)
    scores = make_value("goal_image", goal)([candidate(0), candidate(51), candidate(102)])
    np.testing.assert_allclose(scores, [-0.04, 0, -0.04])


def test_a_chunk_that_ends_done_is_better_than_one_that_ends_failed_and_unknown_is_no_value():
    ends = [Outlook(done_ahead=0.1, failed_ahead=0.7), Outlook(done_ahead=0.9, failed_ahead=0.2)]
    chunks = [replace(candidate(), outlook=o) for o in (*ends, Outlook())]
    scores = make_value("outlook")(chunks)
    np.testing.assert_allclose(scores, [-0.6, 0.7, np.nan])
    chosen, value = best(replace(chunks[2], others=tuple(chunks[:2])), make_value("outlook"))
    assert chosen.outlook == ends[1] and value == pytest.approx(0.7)


@pytest.mark.parametrize("unknown", [math.nan, -math.inf])
def test_a_future_of_unknown_or_too_low_value_is_not_good_enough(unknown):
    several = candidate(others=(candidate(), candidate()))
    why = why_not_good_enough
    assert "none of 3 imagined futures is good enough" in why(several, unknown, 0.5)
    assert "the best has 0.4, 0.5 is the least" in why(candidate(), 0.4, 0.5)
    assert why(several, 0.5, 0.5) == ""
    assert why(several, unknown, -math.inf) == ""
    assert why(None, unknown, 0.5) == ""


def test_an_odd_one_out_is_not_the_consensus():
    scores = make_value("consensus")([candidate(250), candidate(10), candidate(12)])
    assert scores.argmin() == 0


@pytest.mark.parametrize("name", [n for n in VALUES if n not in ("goal_image", "outlook")])
def test_equal_candidates_are_equally_good(name):
    assert np.ptp(make_value(name)([candidate()] * 3)) == 0


def test_the_best_candidate_is_taken_with_its_value_and_the_others_behind_it():
    output = candidate(bend=0.3, others=(candidate(bend=0.1), candidate(bend=0.2)))
    chosen, value = best(output, make_value("smoothness"))
    assert chosen.positions is output.others[0].positions and value == pytest.approx(-0.04 / 1)
    first, second = chosen.others
    assert first.positions is output.positions
    assert second.positions is output.others[1].positions
    assert all(c.others == () for c in chosen.others)
    unscored, nothing = best(output, None)
    assert unscored is output and math.isnan(nothing)


def test_a_value_that_is_not_a_number_is_never_the_best():
    output = candidate(others=(candidate(),))
    assert best(output, lambda c: np.array([np.nan, -5.0]))[1] == -5.0


@pytest.mark.parametrize(
    ("name", "goal", "why"),
    [("goal_image", None, "goal image"), ("smothness", None, "Did you mean 'smoothness'")],
)
def test_values_are_refused_by_name(name, goal, why):
    with pytest.raises(WamError, match=why):
        make_value(name, goal)


def test_a_goal_of_another_shape_is_refused():
    with pytest.raises(WamError, match="goal image is"):
        make_value("goal_image", np.zeros((2, 4, 4, 3), np.uint8))([candidate()])


@pytest.mark.parametrize("content", [b"", b"not numpy", None])
def test_a_file_that_is_no_goal_image_is_refused(tmp_path, content):
    path = tmp_path / "goal.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WamError, match="goal image"):
        load_goal(str(path))
    np.save(tmp_path / "other.npy", np.zeros((4, 4)))
    with pytest.raises(WamError, match="no goal image"):
        load_goal(str(tmp_path / "other.npy"))


def test_a_goal_image_comes_back_as_it_was_saved(tmp_path):
    goal = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    np.save(tmp_path / "goal.npy", goal)
    np.testing.assert_array_equal(load_goal(str(tmp_path / "goal.npy")), goal)
    assert load_goal("") is None
