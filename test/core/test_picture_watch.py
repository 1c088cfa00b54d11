"""Pictures that come on time and show that something is wrong."""

import numpy as np
import pytest

from wam_ros.core.picture_watch import STAMPS, PictureWatch
from wam_ros.core.types import NS

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
STILL = np.zeros(3)


def watch(height=64, width=64, shaped=False):
    return PictureWatch(height=height, width=width, rate_hz=10.0, shaped=shaped)


def seen(rgb=PICTURE, size=(48, 64), **kwargs):
    w = watch(**kwargs)
    w.saw(size, rgb, STILL)
    return w.faults()


def test_a_good_picture_is_no_fault():
    assert seen() == {}


def test_a_covered_lens_is_black_and_one_without_colours_is_named():
    assert seen(PICTURE // 20) == {"black": "is black"}
    assert seen(PICTURE[..., :1].repeat(3, 2)) == {"grey": "has no colours"}


@pytest.mark.parametrize(
    ("size", "kwargs", "portrait"),
    [
        ((64, 48), {}, True),
        ((48, 64), {}, False),
        ((64, 48), {"shaped": True}, False),
        ((64, 48), {"height": 64, "width": 32}, False),
    ],
)
def test_a_portrait_picture_is_named_unless_it_is_meant(size, kwargs, portrait):
    assert ("portrait" in seen(size=size, **kwargs)) == portrait


def test_a_camera_that_turned_is_named():
    w = watch(shaped=True)
    w.saw((48, 64), PICTURE, STILL)
    w.saw((64, 48), PICTURE + 1, STILL)
    assert w.faults() == {"size": "changed from 64 x 48 to 48 x 64"}


def test_a_picture_that_stays_while_the_arm_moves_is_frozen_and_one_at_rest_is_not():
    w = watch()
    for moved in (0.0, 0.0, 0.04):
        w.saw((48, 64), PICTURE, STILL + moved)
        assert w.faults() == {}
    w.saw((48, 64), PICTURE, np.array([0.0, 0.0, 0.3]))
    assert w.faults() == {"frozen": "is frozen: it stayed as it was while a joint moved 0.30"}
    w.saw((48, 64), PICTURE + 1, np.array([0.0, 0.0, 0.3]))
    assert w.faults() == {}


@pytest.mark.parametrize(("hz", "slow"), [(30, False), (10, False), (9, False), (6, True)])
def test_a_camera_slower_than_the_model_is_named_with_its_rate(hz, slow):
    w = watch()
    for k in range(STAMPS):
        assert w.faults() == {}
        w.arrived(NS + k * NS // hz)
    assert w.faults() == ({"slow": "comes at 6.0 Hz, the model wants 10"} if slow else {})


def test_a_pause_or_a_clock_that_fell_back_is_no_rate():
    w = watch()
    for k in range(STAMPS):
        w.arrived(k * NS // 6)
    w.arrived(60 * NS)
    assert w.faults() == {}
