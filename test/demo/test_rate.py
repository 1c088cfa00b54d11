import pytest

from wam_ros.demo.rate import RateMeter, SpeedMeter

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


def test_speed_is_simulated_time_over_the_time_that_passed_and_pauses_do_not_count():
    meter = SpeedMeter()
    assert meter.speed == 0.0
    meter.on_pace(1000 * MS, 0)
    meter.on_pace(1200 * MS, 400 * MS)
    meter.pause()
    meter.on_pace(9000 * MS, 60_000 * MS)
    meter.on_pace(9200 * MS, 60_400 * MS)
    assert meter.speed == pytest.approx(0.5)
