"""Surprise: one meaning, in units of calm."""

import math

import numpy as np
import pytest

from wam_ros.core.appraisal import (
    Appraisal,
    Calm,
    LastingErrors,
    PixelErrors,
    PixelWatch,
    appraise,
    cells_of,
    pixel_errors,
    place_errors,
)
from wam_ros.core.errors import WamError

SIZE = (1, 64, 64, 3)
GRID = (8, 8)
MS = 1_000_000


def scene(row, column, size=6):
    """A red block on a grey table."""
    frame = np.full(SIZE, 120, np.uint8)
    frame[0, row : row + size, column : column + size] = (220, 20, 20)
    return frame


def cells(imagined, before, seen):
    """(8, 8) errors of the only view: of what was imagined alone, and explained by neither."""
    return cells_of(pixel_errors(imagined, before, seen, GRID))[:, 0]


def calm_of(pixel=1.0, latent=1.0, weight=0.0, bias=0.0, views=2, grid=GRID):
    rows, columns = grid
    return Calm(
        pixel=np.full((2, views, rows, columns), pixel),
        latent=np.full((2, views, rows, columns), latent),
        weights=np.full((views, 2, 2 * rows, 2 * columns), weight),
        bias=np.full(views, bias),
    )


def errors_of(fine, lasting=np.nan):
    """`PixelErrors` of fine errors (2, V, 16, 16)."""
    glance = cells_of(fine)[1]
    return PixelErrors(np.stack([glance, np.full_like(glance, lasting)]), fine)


def test_what_came_true_to_the_pixel_is_no_error():
    assert cells(scene(20, 20), scene(20, 20), scene(20, 20)).max() == 0


def test_an_edge_that_is_off_by_two_pixels_is_no_error_a_block_elsewhere_is():
    assert cells(scene(20, 20), None, scene(22, 22))[0].max() == 0
    moved = cells(scene(20, 20), None, scene(44, 44))[0]
    left = np.s_[2:4, 2:4]  # the cells that it left, and those that it came to
    came = np.s_[5:7, 5:7]
    assert moved[left].max() > 0.01 and moved[came].max() > 0.01
    moved[left] = moved[came] = 0
    assert moved.max() == 0
    gone = cells(scene(20, 20), None, np.full(SIZE, 120, np.uint8))[0]
    assert gone.max() > 0.01, "what is not there any more counts as much as what has come"


def test_what_the_frame_before_explains_was_only_imagined_wrong():
    alone, neither = cells(scene(44, 44), scene(20, 20), scene(24, 24))
    assert alone.max() > 0.01 and neither.max() == 0, "four pixels since the frame before"
    assert cells(scene(20, 20), scene(44, 44), scene(22, 22))[1].max() == 0, "it came as imagined"
    assert cells(scene(20, 20), scene(20, 20), scene(44, 44))[1].max() > 0.01, "somebody moved it"
    assert np.isnan(cells(scene(20, 20), None, scene(20, 20))[1]).all(), "nothing is known"


def test_only_near_a_motion_that_was_imagined_may_a_thing_move_by_itself():
    still = scene(20, 20)
    assert cells(still, still, scene(22, 22))[1].max() == 0
    pushed = cells(still, still, scene(24, 24))[1]
    assert pushed.max() > 0.01, "four pixels: somebody pushed it"
    passing = still.copy()
    passing[0, 26:34, 20:28] = (250, 250, 250)  # a hand, imagined to come beside it
    assert cells(passing, still, scene(24, 24))[1].max() == 0


def test_what_comes_in_from_outside_is_no_surprise_until_it_is_well_inside():
    nothing = np.full(SIZE, 120, np.uint8)
    assert cells(nothing, nothing, scene(0, 30, size=4))[1].max() == 0
    assert cells(nothing, nothing, scene(0, 30, size=8))[1].max() > 0.01


@pytest.mark.parametrize("reach", [1, 2])
def test_places_are_held_against_all_places_within_reach_both_ways(reach):
    rng = np.random.default_rng(reach)
    a, b = rng.random((2, 1, 5, 6, 3))
    where = [(y, x) for y in range(5) for x in range(6)]

    def least(p, q):
        return np.array(
            [
                min(
                    ((p[0, y, x] - q[0, v, u]) ** 2).mean()
                    for v, u in where
                    if max(abs(v - y), abs(u - x)) <= reach
                )
                for y, x in where
            ]
        )

    wanted = np.maximum(least(a, b), least(b, a)).reshape(1, 5, 6)
    assert place_errors(a, b, reach) == pytest.approx(wanted)


def test_frames_that_cannot_be_cut_into_cells_are_refused():
    odd = np.zeros((1, 60, 64, 3), np.uint8)
    with pytest.raises(WamError, match="60x64"):
        pixel_errors(odd, odd, odd, GRID)


def test_a_frame_explains_the_next_one_only():
    watch = PixelWatch(100 * MS)
    still, moved = scene(20, 20), scene(44, 44)
    assert watch.take(0, still, None, GRID) is None, "nothing was imagined for it"
    first = watch.take(100 * MS, moved, still, GRID)
    assert first.cells[0].max() > 0.01
    assert watch.take(100 * MS, still, still, GRID) is first, "an observation counts once"
    assert watch.take(200 * MS, moved, still, GRID).cells[0].max() == 0, "it lies there now"
    assert np.isnan(watch.take(400 * MS, moved, still, GRID).cells[0]).all(), "a frame is missing"
    lasting = watch.take(500 * MS, moved, still, GRID).cells[1]
    assert lasting.max() > 0.01, "in a look it is still not where it was imagined"
    assert watch.take(600 * MS, moved[:, :32], still, GRID) is None, "of another size"
    watch.clear()
    assert np.isnan(watch.take(700 * MS, still, still, GRID).cells).all()


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
    calm = calm_of(pixel=0.5, latent=4.0)
    calm.pixel[1] = 0.1
    fine = np.zeros((2, 2, 16, 16))
    pixel = errors_of(fine)
    pixel.cells[0, 1, 3, 4] = 0.3
    pixel.cells[1, 1, 3, 4] = 0.2
    latent = np.full((2, 2, 8, 8), 1.0)
    latent[1] = np.nan
    of_pixels, of_latents, heat = appraise(calm, pixel, latent)
    assert of_pixels == (0.0, 2.0) and of_latents == (0.25, 0.25)
    assert heat[1, 3, 4] == 2.0 and heat[0, 0, 0] == 0.25
    assert Appraisal(0, ("a", "b"), pixel=of_pixels, latent=of_latents).surprise == 2.0


def test_a_view_is_a_surprise_as_a_whole_where_no_cell_is_one():
    calm = calm_of(pixel=100.0, weight=0.01, bias=30.0)
    fine = np.zeros((2, 2, 16, 16))
    none = appraise(calm, errors_of(fine), None)[0]
    fine[:, 1] = 0.1
    of_pixels = appraise(calm, errors_of(fine), None)[0]
    assert none[0] == of_pixels[0] == pytest.approx(30 + 5.12 * np.log(3e-3))
    assert of_pixels[1] == pytest.approx(30 + 5.12 * np.log(0.103))
    calm = calm_of(pixel=100.0, weight=-0.01, bias=-30.0)
    assert appraise(calm, errors_of(fine), None)[0][0] == 0.0, "calmer than calm"
    unknown = errors_of(np.full((2, 2, 16, 16), np.nan), lasting=50.0)
    assert appraise(calm, unknown, None)[0] == (0.5, 0.5), "without a frame before"


def test_without_calm_runs_or_without_anything_imagined_it_is_not_known():
    errors = np.ones((2, 2, 8, 8))
    pixel = errors_of(np.ones((2, 2, 16, 16)))
    assert appraise(None, pixel, errors)[:2] == ((), ())
    calm = calm_of()
    assert appraise(calm, None, None)[:2] == ((), ())
    assert appraise(calm, errors_of(np.ones((2, 3, 16, 16))), None)[:2] == ((), ()), "other views"
    assert math.isnan(Appraisal(0, ("a", "b")).surprise)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_calm_runs_that_cannot_be_divided_by_are_refused(bad):
    scale = np.ones((2, 1, 2, 2))
    good = vars(calm_of(views=1, grid=(2, 2)))
    scale[0, 0, 0, 0] = bad
    with pytest.raises(WamError, match="pixel"):
        Calm(**{**good, "pixel": scale})
    with pytest.raises(WamError, match="one size"):
        Calm(**{**good, "latent": np.ones((2, 2, 2, 2))})
    with pytest.raises(WamError, match="pixel"):
        Calm(**{**good, "pixel": np.ones((1, 2, 2))})


def test_weights_of_other_views_or_that_are_no_numbers_are_refused():
    good = vars(calm_of(views=1, grid=(2, 2)))
    with pytest.raises(WamError, match="'weights' must be finite numbers"):
        Calm(**{**good, "weights": np.zeros((2, 2, 4, 4))})
    with pytest.raises(WamError, match="'bias' must be finite numbers"):
        Calm(**{**good, "bias": np.array([np.nan])})
