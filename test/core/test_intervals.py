import pytest

from wam_ros.core.intervals import wilson_interval


def test_interval_has_known_values_and_contains_the_rate():
    assert wilson_interval(45, 50) == pytest.approx((0.7864, 0.9565), abs=1e-4)
    assert wilson_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson_interval(0, 50)[0] == 0.0
    assert wilson_interval(50, 50)[1] == 1.0
    for k in range(21):
        low, high = wilson_interval(k, 20)
        assert low <= k / 20 <= high


def test_nothing_is_known_without_trials():
    assert wilson_interval(0, 0) == (0.0, 1.0)
