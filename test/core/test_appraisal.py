"""Surprise: one meaning, in units of calm."""

import math

import numpy as np
import pytest

from wam_ros.core.appraisal import Appraisal, Calm, LastingErrors, appraise, pixel_errors
from wam_ros.core.errors import WamError

SIZE = (1, 64, 64, 3)


def scene(row, column, size=6):
    """A red block on a grey table."""
    frame = np.full(SIZE, 120, np.uint8)
    frame[0, row : row + size, column : column + size] = (220, 20, 20)
    return frame


def test_what_came_true_to_the_pixel_is_no_error():
    assert pixel_errors(scene(20, 20), scene(20, 20), 8, 8).max() == 0


def test_an_edge_that_is_off_by_two_pixels_is_no_error_a_block_elsewhere_is():
    assert pixel_errors(scene(20, 20), scene(22, 22), 8, 8).max() == 0
    moved = pixel_errors(scene(20, 20), scene(44, 44), 8, 8)[0]
    left = np.s_[2:4, 2:4]  # the cells that it left, and those that it came to
    came = np.s_[5:7, 5:7]
    assert moved[left].max() > 0.01 and moved[came].max() > 0.01
    moved[left] = moved[came] = 0
    assert moved.max() == 0
    gone = pixel_errors(scene(20, 20), np.full(SIZE, 120, np.uint8), 8, 8)
    assert gone.max() > 0.01, "what is not there any more counts as much as what has come"


def test_frames_that_cannot_be_cut_into_cells_are_refused():
    with pytest.raises(WamError, match="60x64"):
        pixel_errors(np.zeros((1, 60, 64, 3), np.uint8), np.zeros((1, 60, 64, 3), np.uint8), 8, 8)


def test_a_look_shows_what_every_glance_of_it_shows_and_needs_its_time():
    lasting = LastingErrors()
    ms = 1_000_000
    rows = [np.array([[[v, 1.0]]]) for v in (4.0, 2.0, 3.0, 5.0, 6.0)]
    found = [lasting.take(100 * k * ms, row) for k, row in enumerate(rows)]
    assert all(np.array_equal(f[0], row) for f, row in zip(found, rows, strict=True))
    assert [f[1, 0, 0, 0] for f in found[3:]] == [2.0, 2.0]
    assert all(np.isnan(f[1]).all() for f in found[:3])
    assert lasting.take(450 * ms, None) is None, "nothing was imagined for it"
    assert np.array_equal(lasting.take(400 * ms, rows[0]), found[4], equal_nan=True), "once more"
    assert np.isnan(lasting.take(2000 * ms, rows[0])[1]).all(), "too long ago"
    lasting.clear()
    assert np.isnan(lasting.take(2100 * ms, rows[0])[1]).all()


def test_surprise_is_the_largest_cell_in_units_of_what_calm_runs_show_there():
    calm = Calm(np.full((2, 2, 8, 8), 0.5), np.full((2, 2, 8, 8), 4.0))
    calm.pixel[1] = 0.1
    pixel = np.zeros((2, 2, 8, 8))
    pixel[0, 1, 3, 4] = 0.3
    pixel[1, 1, 3, 4] = 0.2
    latent = np.full((2, 2, 8, 8), 1.0)
    latent[1] = np.nan
    of_pixels, of_latents, heat = appraise(calm, pixel, latent)
    assert of_pixels == (0.0, 2.0) and of_latents == (0.25, 0.25)
    assert heat[1, 3, 4] == 2.0 and heat[0, 0, 0] == 0.25
    assert Appraisal(0, ("a", "b"), pixel=of_pixels, latent=of_latents).surprise == 2.0


def test_without_calm_runs_or_without_anything_imagined_it_is_not_known():
    errors = np.ones((2, 2, 8, 8))
    assert appraise(None, errors, errors)[:2] == ((), ())
    calm = Calm(errors, errors)
    assert appraise(calm, None, None)[:2] == ((), ())
    assert appraise(calm, np.ones((2, 3, 8, 8)), None)[:2] == ((), ()), "other views"
    assert math.isnan(Appraisal(0, ("a", "b")).surprise)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_calm_runs_that_cannot_be_divided_by_are_refused(bad):
    scale = np.ones((2, 1, 2, 2))
    scale[0, 0, 0, 0] = bad
    with pytest.raises(WamError, match="pixel"):
        Calm(scale, np.ones((2, 1, 2, 2)))
    with pytest.raises(WamError, match="one size"):
        Calm(np.ones((2, 1, 2, 2)), np.ones((2, 2, 2, 2)))
    with pytest.raises(WamError, match="pixel"):
        Calm(np.ones((1, 2, 2)), np.ones((1, 2, 2)))
