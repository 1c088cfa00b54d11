import dataclasses

import numpy as np
import pytest

from wam_ros.core.embodiment import Calibration, Camera, Mount
from wam_ros.core.errors import WamError
from wam_ros.core.frustum import picture_corners, pinhole

K = np.array([[100.0, 0.0, 60.0], [0.0, 120.0, 50.0], [0.0, 0.0, 1.0]])
SIZE = (128, 96)
AHEAD = Camera("front", "t", mount=Mount("hand", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))


def test_the_corners_are_seen_in_the_corners_of_the_picture():
    centre, *corners = picture_corners(AHEAD, K, SIZE, 0.2)
    np.testing.assert_allclose(centre, 0.0)
    seen = [(K @ p / p[2])[:2] for p in corners]
    np.testing.assert_allclose(seen, [(0, 0), (128, 0), (128, 96), (0, 96)], atol=1e-9)
    assert np.linalg.norm(corners[3] - corners[0]) == pytest.approx(0.2)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_part_that_is_cut_out_and_turned_hangs_upright(rotation):
    shaped = dataclasses.replace(AHEAD, crop=(10, 20, 40, 30), rotation=rotation)
    corners = picture_corners(shaped, K, SIZE, 0.2)[1:]
    seen = np.array([(K @ p / p[2])[:2] for p in corners])
    # which pixel of the source lies in which corner of the turned picture, by numpy
    marked = np.zeros((30, 40), int)
    marked[0, 0], marked[0, -1], marked[-1, -1], marked[-1, 0] = 1, 2, 3, 4
    turned = np.rot90(marked, -rotation // 90)
    source = {1: (10, 20), 2: (50, 20), 3: (50, 50), 4: (10, 50)}
    wanted = [turned[0, 0], turned[0, -1], turned[-1, -1], turned[-1, 0]]
    np.testing.assert_allclose(seen, [source[w] for w in wanted], atol=1e-9)


def test_it_hangs_where_the_camera_is_mounted():
    # looks along the link's x axis, its right is the link's -y, its down the link's -z
    mount = Mount("hand", (1.0, 2.0, 3.0), (-np.pi / 2, 0.0, -np.pi / 2))
    middle = K.copy()
    middle[:2, 2] = 64, 48
    corners = picture_corners(dataclasses.replace(AHEAD, mount=mount), middle, SIZE, 0.2)
    np.testing.assert_allclose(corners[0], (1.0, 2.0, 3.0))
    upper_left, _, lower_right, _ = corners[1:] - corners[0]
    assert upper_left[0] == pytest.approx(lower_right[0]) and upper_left[0] > 0
    assert upper_left[1] > 0 > lower_right[1]
    assert upper_left[2] > 0 > lower_right[2]


def test_what_is_no_calibration_is_named():
    for k, size in ((np.zeros((3, 3)), SIZE), (K * np.nan, SIZE), (K, (0, 96))):
        with pytest.raises(WamError, match="'front'"):
            picture_corners(AHEAD, k, size, 0.2)
    with pytest.raises(WamError, match="no mount"):
        picture_corners(dataclasses.replace(AHEAD, mount=None), K, SIZE, 0.2)


def test_a_calibration_counts_before_a_field_of_view():
    assert pinhole(AHEAD) is None, "a field of view without a size tells no pixels"
    mount = Mount("hand", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), fov=90.0, size=(128, 96))
    k, size = pinhole(dataclasses.replace(AHEAD, mount=mount))
    assert size == (128, 96)
    np.testing.assert_allclose(k, [[48, 0, 64], [0, 48, 48], [0, 0, 1]])
    lens = Calibration(SIZE, (100.0, 120.0), (60.0, 50.0))
    k, size = pinhole(dataclasses.replace(AHEAD, mount=mount, calibration=lens))
    assert size == SIZE
    np.testing.assert_allclose(k, K)
