import pytest

from wam_ros.demo.rate import RateMeter

MS = 1_000_000


def test_rate_counts_only_the_time_that_runs():
    meter = RateMeter()
    for t in (0, 100, 200, 300):
        meter.on_event(t * MS)
    meter.pause()
    for t in (90_000, 90_100):
        meter.on_event(t * MS)
    assert meter.rate_hz == pytest.approx(10.0)
    assert RateMeter().rate_hz == 0.0
