"""Resize, tile and compare: known answers and the properties training relies on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import WamError
from wam_ros.core.images import mse, psnr_db, resize, tile, untile


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_whole_factor_averages_its_block_and_rounds_half_up():
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2, 0] = [[0, 1], [1, 0]]  # mean 0.5
    image[:, 2:, 1] = [[10, 20], [30, 41]]  # mean 25.25
    assert resize(image, 1, 2).tolist() == [[[1, 0, 0], [0, 25, 0]]]


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 255),
)
def test_a_plain_image_stays_plain_at_every_size(h, w, height, width, value):
    out = resize(np.full((h, w, 3), value, np.uint8), height, width)
    assert out.shape == (height, width, 3)
    assert (out == value).all()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_mirroring_before_or_after_is_the_same(h, w, height, width):
    image = noise(h, w, 3, seed=h * 31 + w)
    mirrored = resize(image[::-1, ::-1], height, width)[::-1, ::-1]
    # half-way values round up
    assert np.abs(mirrored.astype(int) - resize(image, height, width)).max() <= 1


def test_many_frames_at_once_give_what_each_gives_alone():
    frames = noise(2, 3, 50, 70, 3)
    for height, width in ((25, 35), (64, 64)):
        alone = np.stack([[resize(f, height, width) for f in row] for row in frames])
        assert np.array_equal(resize(frames, height, width), alone)


def test_shrinking_by_a_broken_factor_does_not_alias():
    stripes = np.zeros((48, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    out = resize(stripes, 32, 39)
    assert np.abs(out[:, 1:-1].astype(float) - 127.5).max() < 16


def test_a_ramp_is_kept_when_enlarged():
    ramp = np.repeat(np.arange(0, 240, 8, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(
        4, axis=0
    )
    out = resize(ramp, 4, 75).astype(float)
    expected = ((np.arange(75) + 0.5) * 30 / 75 - 0.5) * 8
    assert np.abs(out[0, 3:-3, 0] - expected[3:-3]).max() <= 0.51


def test_the_result_is_contiguous_and_never_shares_memory():
    image = noise(8, 8, 3)
    assert not np.shares_memory(resize(image, 8, 8), image)
    assert all(resize(image, *size).flags.c_contiguous for size in ((8, 8), (4, 4), (5, 7)))
    assert np.array_equal(resize(image, 8, 8), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), "u1"),
    ],
)
def test_what_is_not_an_rgb_image_is_refused(image):
    with pytest.raises(WamError, match="uint8 image"):
        resize(image, 2, 2)


def test_a_size_of_zero_is_refused():
    with pytest.raises(WamError, match="0x4"):
        resize(noise(4, 4, 3), 0, 4)


def test_tiles_lie_side_by_side_and_come_back():
    frames = noise(3, 5, 7, 3)
    tiled = tile(frames)
    assert tiled.shape == (5, 21, 3)
    assert np.array_equal(tiled[:, 7:14], frames[1])
    assert np.array_equal(untile(tiled, 3), frames)


def test_tiles_that_do_not_divide_are_refused():
    with pytest.raises(WamError, match="does not divide into 2"):
        untile(noise(5, 7, 3), 2)


def test_mean_squared_error_and_psnr_of_known_pictures():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert mse(black, white) == 1.0
    assert psnr_db(1.0) == 0.0
    assert psnr_db(0.0) == 99.0
    assert psnr_db(mse(black, np.full((4, 4, 3), 51, np.uint8))) == pytest.approx(20 * np.log10(5))


def test_mean_squared_error_is_that_of_whole_numbers():
    a, b = noise(31, 17, 3), noise(31, 17, 3)[::-1]
    apart = [int(x) - int(y) for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    assert mse(a, b) == pytest.approx(sum(d * d for d in apart) / len(apart) / 255**2, rel=1e-14)
    assert mse(a, b) == mse(b, a)


def test_comparing_different_shapes_is_refused():
    with pytest.raises(WamError, match="of one shape"):
        mse(noise(4, 4, 3), noise(4, 5, 3))
