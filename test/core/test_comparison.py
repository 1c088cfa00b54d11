"""Imagined against observed frames."""

import numpy as np
import pytest

from wam_ros.core.comparison import ImaginationMonitor

STEP = 100_000_000


def frames(value: int, *lead: int) -> np.ndarray:
    return np.full((*lead, 2, 4, 4, 3), value, np.uint8)


def test_nothing_is_compared_before_its_instant():
    monitor = ImaginationMonitor(STEP // 2)
    monitor.expect(0, frames(0), [4 * STEP], frames(51, 1))
    assert monitor.observe(3 * STEP, frames(0)) == []


def test_the_error_is_that_against_the_frame_of_the_instant_and_counted_once():
    monitor = ImaginationMonitor(STEP // 2)
    monitor.expect(0, frames(0), [4 * STEP, 8 * STEP], np.stack([frames(102), frames(0)]))
    (found,) = monitor.observe(4 * STEP + STEP // 4, frames(153))
    assert found.mse == pytest.approx(0.04)
    assert found.copy_mse == pytest.approx(0.36)
    assert (found.instant_ns, found.horizon_ns) == (4 * STEP, 4 * STEP)
    assert monitor.observe(4 * STEP + STEP // 3, frames(51)) == []
    (late,) = monitor.observe(8 * STEP, frames(0))
    assert late.horizon_ns == 8 * STEP
    assert late.mse == 0.0


def test_the_latest_imagination_of_an_instant_comes_first():
    monitor = ImaginationMonitor(STEP // 2)
    monitor.expect(0, frames(0), [8 * STEP], frames(255, 1))
    monitor.expect(4 * STEP, frames(0), [8 * STEP], frames(0, 1))
    first, second = monitor.observe(8 * STEP, frames(0))
    assert (first.horizon_ns, first.mse) == (4 * STEP, 0.0)
    assert (second.horizon_ns, second.mse) == (8 * STEP, 1.0)


def test_an_instant_nobody_observed_is_dropped():
    monitor = ImaginationMonitor(STEP // 2)
    monitor.expect(0, frames(0), [STEP], frames(255, 1))
    assert monitor.observe(3 * STEP, frames(0)) == []
    assert monitor.observe(STEP, frames(0)) == []


def test_cleared_is_forgotten():
    monitor = ImaginationMonitor(STEP // 2)
    monitor.expect(0, frames(0), [STEP], frames(255, 1))
    monitor.clear()
    assert monitor.observe(STEP, frames(0)) == []
