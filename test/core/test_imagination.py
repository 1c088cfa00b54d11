import numpy as np
import pytest

from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.types import NS, ImaginedFuture, JointState, Observation

VIEWS = ("front", "wrist")
STEP = NS // 10
JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))


def frames(front, wrist):
    return np.stack([np.full((4, 4, 3), front, np.uint8), np.full((4, 4, 3), wrist, np.uint8)])


def observation(k, front, wrist, late_ns=0):
    return Observation(k * STEP + late_ns, VIEWS, frames(front, wrist), (0, 0), JOINTS)


def future(seq, k, *pairs):
    """Imagined from observation k for +0.4 s and +0.8 s."""
    stack = np.stack([frames(*p) for p in pairs])
    return ImaginedFuture(
        chunk_seq=seq,
        view_names=VIEWS,
        frames=stack,
        instants_ns=tuple((k + 4 * (i + 1)) * STEP for i in range(len(pairs))),
        joint_names=("j",),
        joint_path=stack,
    )


def run(tracker, order="chunk first"):
    """The scene brightens from 100 to 140 (front) and darkens from 100 to 90 (wrist); the model
    guessed 130 and 90.
    """
    tracker.on_observation(observation(0, 100, 100))
    steps = [
        lambda: tracker.on_chunk(7, 0, 0),
        lambda: tracker.on_imagined(future(7, 0, (130, 90), (200, 200))),
    ]
    for step in steps if order == "chunk first" else steps[::-1]:
        step()
    return tracker.on_observation(observation(4, 140, 90))


@pytest.mark.parametrize("order", ["chunk first", "frames first"])
def test_errors_are_the_known_ones_in_either_order_of_arrival(order):
    tracker = ImaginationTracker()
    (match,) = run(tracker, order)
    assert (match.horizon_s, match.imagined[0, 0, 0, 0], match.seen[0, 0, 0, 0]) == (0.4, 130, 100)
    front = tracker.summary()["front"]["+0.4 s"]
    assert front["n"] == 1
    assert front["psnr_db"] == pytest.approx(20 * np.log10(255 / 10))
    assert front["copy_last_psnr_db"] == pytest.approx(20 * np.log10(255 / 40))
    assert front["gain_db"] == pytest.approx(20 * np.log10(4))
    assert tracker.summary()["wrist"]["+0.4 s"]["psnr_db"] == 99.0  # guessed exactly


def test_psnr_is_of_the_mean_error_and_not_the_mean_of_psnrs():
    tracker = ImaginationTracker()
    tracker.on_observation(observation(0, 100, 100))
    tracker.on_chunk(1, 0, 0)
    tracker.on_imagined(future(1, 0, (100, 100)))
    tracker.on_observation(observation(1, 100, 100))
    tracker.on_chunk(2, STEP, STEP)
    tracker.on_imagined(future(2, 1, (100, 100)))
    tracker.on_observation(observation(4, 110, 100))
    tracker.on_observation(observation(5, 130, 100))
    found = tracker.summary()["front"]["+0.4 s"]
    assert found["n"] == 2
    assert found["psnr_db"] == pytest.approx(10 * np.log10(255**2 / ((10**2 + 30**2) / 2)))


def test_an_instant_is_matched_within_half_a_frame_and_not_beyond():
    for late_ns, n in ((49_000_000, 1), (51_000_000, 0)):
        tracker = ImaginationTracker()
        tracker.on_observation(observation(0, 100, 100))
        tracker.on_chunk(7, 0, 0)
        tracker.on_imagined(future(7, 0, (130, 90)))
        assert len(tracker.on_observation(observation(4, 140, 90, late_ns))) == n


def test_nothing_imagined_before_a_jump_of_the_scene_is_compared():
    tracker = ImaginationTracker()
    tracker.on_observation(observation(0, 100, 100))
    tracker.on_chunk(7, 0, 0)
    tracker.on_imagined(future(7, 0, (130, 90)))
    tracker.clear_pending()
    assert tracker.on_observation(observation(4, 140, 90)) == []
    assert tracker.summary() == {}


def test_frames_of_another_size_or_other_views_are_left_out():
    tracker = ImaginationTracker()
    tracker.on_observation(observation(0, 100, 100))
    tracker.on_chunk(7, 0, 0)
    wrong = np.zeros((1, 2, 8, 8, 3), np.uint8)
    tracker.on_imagined(
        ImaginedFuture(
            chunk_seq=7,
            view_names=VIEWS,
            frames=wrong,
            instants_ns=(4 * STEP,),
            joint_names=("j",),
            joint_path=np.zeros((1, 1)),
        )
    )
    right = np.zeros((1, 2, 4, 4, 3), np.uint8)
    tracker.on_imagined(
        ImaginedFuture(
            chunk_seq=7,
            view_names=VIEWS[::-1],
            frames=right,
            instants_ns=(4 * STEP,),
            joint_names=("j",),
            joint_path=np.zeros((1, 1)),
        )
    )
    assert tracker.on_observation(observation(4, 140, 90)) == []


def test_a_chunk_that_begins_later_than_its_observation_counts_from_its_beginning():
    tracker = ImaginationTracker()
    tracker.on_observation(observation(0, 100, 100))
    tracker.on_chunk(7, 0, 3 * STEP)
    tracker.on_imagined(future(7, 3, (130, 90)))
    (match,) = tracker.on_observation(observation(7, 140, 90))
    assert (match.horizon_s, match.seen[0, 0, 0, 0], tracker.horizons_s) == (0.4, 100, (0.4,))
