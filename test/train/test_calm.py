"""What is calm, learned of calm episodes: the scale of surprise."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.appraisal import PixelErrors, appraise, cells_of, features, pixel_errors
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.train.calm import (
    SLACK,
    learn_calm,
    learn_whole,
    logistic,
    pixel_errors_of,
    scale_of,
    turned,
)
from wam_ros.train.rollouts import CALM

PANDA = load_embodiment("panda")
PERIOD_NS = 100_000_000
FRONT = PANDA.cameras[0]


def picture(rng):
    """Two views of a table with boxes on it, and of two fingers that are always there."""
    frames = np.full((2, 64, 64, 3), 150, np.uint8)
    for view in range(2):
        for _ in range(4):
            y, x = rng.integers(8, 40, 2)
            frames[view, y : y + 8, x : x + 8] = rng.integers(0, 255, 3)
        frames[view, 48:, 4:16] = frames[view, 48:, 48:60] = 40
    return frames


def episode(rng, success=True, kind=CALM, steps=7):
    """Everything comes as imagined, but for noise and, now and then, a box that does not."""
    still = picture(rng)
    frames = [still]
    imagined = [np.zeros_like(still)]
    for _ in range(steps - 1):
        imagined.append(still)
        frames.append(np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8))
    y, x = rng.integers(8, 40, 2)
    frames[-1][:, y : y + 4, x : x + 4] = 255
    errors = np.full((steps, 2, 8, 8), np.nan)
    errors[1:] = rng.uniform(0.5, 1.0, (steps - 1, 2, 8, 8))
    return {
        "seed": np.array(7),
        "kind": np.array(kind),
        "success": np.array(success),
        "frames": np.array(frames),
        "imagined": np.array(imagined),
        "due": np.arange(steps) > 0,
        "latent_errors": errors,
    }


@pytest.fixture(scope="module")
def learned():
    rng = np.random.default_rng(0)
    episodes = [episode(rng) for _ in range(6)]
    others = [episode(rng, success=False), episode(rng, kind="x")]
    for other in others:
        other["latent_errors"] *= 100
    return learn_calm([*episodes, *others], PANDA, pictures=8)


def surprise(calm, imagined, before, seen):
    fine = pixel_errors(imagined, before, seen, calm.grid)
    glance = cells_of(fine)[1]
    cells = np.stack([glance, np.full_like(glance, np.nan)])
    return appraise(calm, PixelErrors(cells, fine), None)[0]


def test_calm_is_calm_and_what_somebody_did_is_not(learned):
    rng = np.random.default_rng(1)
    for _ in range(3):
        still = picture(rng)
        noisy = np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8)
        assert max(surprise(learned, still, still, noisy)) < 1
        moved = noisy.copy()
        moved[0, 20:30, 20:30] = (255, 0, 255)
        of_views = surprise(learned, still, still, moved)
        assert of_views[0] > 1 > of_views[1], "a view of its own"
        spun = np.stack([turned(noisy[0], FRONT, np.array([0.0, 0, 1]), 0.3), noisy[1]])
        assert surprise(learned, still, still, spun)[0] > 1
        assert surprise(learned, still, still, noisy // 20)[1] > 1, "covered"
    assert (learned.latent < 20).all(), "episodes that failed or were disturbed do not count"


def test_too_few_episodes_or_such_without_pictures_are_refused():
    rng = np.random.default_rng(2)
    some = [episode(rng, steps=3) for _ in range(3)]
    with pytest.raises(WamError, match="3 calm episodes succeeded, at least 5"):
        learn_calm(some, PANDA)
    old = dict(some[0])
    del old["frames"]
    with pytest.raises(WamError, match="episode 7 has no pictures"):
        learn_calm([old] * 5, PANDA)


def test_no_calm_episode_leaves_what_is_learned_of_the_others():
    errors = []
    for k in range(10):
        one = np.full((6, 2, 2, 8, 8), 0.01)
        one[0] = np.nan
        one[1:5, :, 0, 3, 3] = 0.1 + 0.01 * k
        one[2, 0, 1, 5, 5] = 7.0
        errors.append(one)
    scale = scale_of(errors)
    assert 0.19 * SLACK < scale[1, 0, 3, 3] < 0.3 * SLACK, "a little more than the most of all"
    assert scale[1, 0, 0, 0] < 0.1 * SLACK, "a cell of its own"
    assert scale[1, 1] == pytest.approx(0.04 * SLACK), "a view and a way of its own"
    assert scale[0, 1, 5, 5] > 7.0


def test_what_is_not_known_of_a_step_is_not_learned_from():
    rng = np.random.default_rng(3)
    given = episode(rng)
    given["due"][5] = False
    cells, fine = pixel_errors_of(given, PERIOD_NS)
    unknown = np.isnan(cells[:, 0]).all((1, 2, 3))
    assert np.flatnonzero(unknown).tolist() == [0, 5]
    assert len(fine) == len(cells) - 2


def test_a_view_as_a_whole_is_0_where_calm_is_usual_and_1_at_its_end():
    rng = np.random.default_rng(4)
    shape = (20, 2, 1, 4, 4)
    calm = [rng.normal(size=shape) for _ in range(10)]
    turned_ones = [rng.normal(size=shape) for _ in range(10)]
    for one in turned_ones:
        one[:, 1, 0, 3] += 4.0
    weights, bias = learn_whole(calm, turned_ones)
    values = np.concatenate([(e * weights[0]).sum((1, 2, 3, 4)) + bias[0] for e in calm])
    assert np.median(values) == pytest.approx(0.0, abs=0.1)
    assert 0.6 < values.max() < 1.2
    found = np.concatenate([(e * weights[0]).sum((1, 2, 3, 4)) + bias[0] for e in turned_ones])
    assert (found > 1).mean() > 0.8
    assert np.abs(weights[0, 1, 3]).min() > np.abs(weights[0, 0]).max(), "by what tells them apart"


def test_logistic_regression_weighs_both_kinds_alike_whatever_their_numbers():
    rng = np.random.default_rng(5)
    no = rng.normal(-1, 1, (2000, 1))
    yes = rng.normal(1, 1, (100, 1))
    weight, bias = logistic(no, yes)
    assert 1.4 < weight < 2.2, "of two normal distributions 2 mean / variance, less the ridge"
    assert bias == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize("angle", [0.2, -0.3])
def test_a_camera_that_turns_about_its_own_axis_sees_the_picture_turned(angle):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[10:14, 30:34] = 255
    seen = turned(frame, FRONT, np.array([0.0, 0.0, 1.0]), angle)
    rows, columns = np.nonzero(seen[..., 0])
    at = np.array([columns.mean() - 31.5, rows.mean() - 31.5])
    assert np.hypot(*at) == pytest.approx(20.0, abs=1.0)
    assert abs(np.arctan2(at[0], -at[1])) == pytest.approx(abs(angle), abs=0.04)


def test_a_camera_that_looks_to_the_side_sees_what_was_in_the_middle_at_the_other():
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[30:34, 30:34] = 255
    seen = turned(frame, FRONT, np.array([0.0, 1.0, 0.0]), 0.25)
    columns = np.nonzero(seen[..., 0])[1]
    focal = 32 / np.tan(np.deg2rad(FRONT.mount.fov) / 2)
    assert abs(columns.mean() - 31.5) == pytest.approx(focal * np.tan(0.25), abs=1.0)
    unknown = dataclasses.replace(FRONT, mount=None)
    assert turned(frame, unknown, np.array([0.0, 1.0, 0.0]), 0.25).shape == frame.shape


def test_features_know_no_error_that_is_too_small_to_be_seen():
    assert features(np.array(0.0)) == pytest.approx(features(np.array(1e-5)), abs=0.01)
