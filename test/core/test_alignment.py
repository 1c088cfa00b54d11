"""Streams on their own rhythm into observations, with the clock as an argument."""

import weakref

import numpy as np
import pytest

from wam_ros.core.alignment import JOINTS, ObservationAligner
from wam_ros.core.errors import WamError
from wam_ros.core.types import JointState

MS = 1_000_000
T0 = 1_000_000 * MS


def aligner(**kwargs) -> ObservationAligner:
    settings = {
        "frame_period_ns": 100 * MS,
        "max_age_ns": 250 * MS,
        "patience_ns": 30 * MS,
        **kwargs,
    }
    return ObservationAligner(("front", "wrist"), ("a", "b"), **settings)


def frame(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value % 256, np.uint8)


def joints(stamp_ms: float, position: float = 0.0) -> JointState:
    one = np.array([1.0, 2.0])
    return JointState(
        T0 + int(stamp_ms * MS), ("a", "b"), position * one, one.copy(), np.full(2, np.nan)
    )


def feed(a: ObservationAligner, front: float, wrist: float, joint: float) -> None:
    a.add_frame("front", T0 + int(front * MS), frame(int(front)))
    a.add_frame("wrist", T0 + int(wrist * MS), frame(int(wrist)))
    a.add_joints(joints(joint))


def feed_frames(a: ObservationAligner, at: float) -> None:
    for view in ("front", "wrist"):
        a.add_frame(view, T0 + int(at * MS), frame(0))


def run(
    a: ObservationAligner, streams: dict[str, list[float]], until_ms: int, delay_ms: float = 0.0
):
    """Play stamped streams, each sample arriving `delay_ms` late; poll every 5 ms."""
    events = sorted((t + delay_ms, name, t) for name, stamps in streams.items() for t in stamps)
    observations = []
    for now in range(0, until_ms, 5):
        while events and events[0][0] <= now:
            _, name, t = events.pop(0)
            if name == JOINTS:
                a.add_joints(joints(t, position=t))
            else:
                a.add_frame(name, T0 + int(t * MS), frame(int(t)))
        if (o := a.poll(T0 + now * MS)) is not None:
            observations.append((now, o))
    return observations


def every(period_ms: float, until_ms: float, phase_ms: float = 0.0) -> list[float]:
    return [phase_ms + k * period_ms for k in range(int((until_ms - phase_ms) / period_ms) + 1)]


def test_simultaneous_frames_become_one_observation_of_their_stamp():
    a = aligner()
    feed(a, 100, 100, 100)
    o = a.poll(T0 + 101 * MS)
    assert o.stamp_ns == T0 + 100 * MS
    assert o.age_ns == 0
    assert o.view_names == ("front", "wrist")
    assert o.frame_stamps_ns == (o.stamp_ns, o.stamp_ns)
    assert (o.frames == 100).all()
    assert a.poll(T0 + 102 * MS) is None


def test_each_view_gives_its_newest_frame_not_newer_than_the_instant():
    a = aligner()
    for t in (60, 90, 120):
        a.add_frame("front", T0 + t * MS, frame(t))
    a.add_frame("wrist", T0 + 100 * MS, frame(100))
    a.add_joints(joints(130))
    a.add_joints(joints(140))
    assert a.poll(T0 + 125 * MS) is None  # joints do not reach back to the instant
    b = aligner()
    b.add_joints(joints(80))
    for t in (60, 90, 120):
        b.add_frame("front", T0 + t * MS, frame(t))
    b.add_frame("wrist", T0 + 100 * MS, frame(100))
    b.add_joints(joints(130))
    o = b.poll(T0 + 131 * MS)
    assert o.stamp_ns == T0 + 100 * MS
    assert o.frame_stamps_ns == (T0 + 90 * MS, T0 + 100 * MS)
    assert o.frames[0, 0, 0, 0] == 90
    assert o.frames[1, 0, 0, 0] == 100
    assert o.age_ns == 20 * MS


def test_joints_are_interpolated_to_the_instant():
    a = aligner()
    a.add_joints(joints(90, position=1.0))
    a.add_frame("front", T0 + 100 * MS, frame(0))
    a.add_frame("wrist", T0 + 100 * MS, frame(0))
    assert a.poll(T0 + 101 * MS) is None  # waits for a state on the other side
    a.add_joints(joints(130, position=5.0))
    state = a.poll(T0 + 102 * MS).joints
    assert state.stamp_ns == T0 + 100 * MS
    assert state.positions == pytest.approx([2.0, 4.0])
    assert np.isnan(state.efforts).all()


def test_joints_that_end_shortly_before_the_instant_are_carried_there_by_their_velocities():
    a = aligner(carry_ns=12 * MS)
    a.add_joints(joints(80, position=-1.0))
    a.add_joints(joints(90, position=1.0))
    feed_frames(a, 100)
    state = a.poll(T0 + 101 * MS).joints  # at once: nothing is waited for
    assert state.stamp_ns == T0 + 100 * MS
    assert state.positions == pytest.approx([1.0 + 0.01 * 1.0, 2.0 + 0.01 * 2.0])  # rad + s rad/s
    assert state.velocities == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize("why", ["too old", "a velocity is unknown"])
def test_joints_that_cannot_be_carried_are_waited_for(why):
    a = aligner(carry_ns=12 * MS)
    state = joints(87 if why == "too old" else 90, position=1.0)
    if why == "a velocity is unknown":
        state.velocities[1] = np.nan
    a.add_joints(state)
    feed_frames(a, 100)
    assert a.poll(T0 + 101 * MS) is None
    assert a.poll(T0 + 131 * MS).joints is state


def test_without_a_later_state_the_one_before_is_taken_after_the_patience():
    a = aligner()
    feed(a, 100, 100, 90)
    assert a.poll(T0 + 129 * MS) is None
    o = a.poll(T0 + 130 * MS)
    assert o.joints.stamp_ns == T0 + 90 * MS
    assert o.age_ns == 10 * MS


@pytest.mark.parametrize("period", [100.0, 50.0, 33.333, 16.667, 99.9, 100.2])
def test_cameras_at_a_multiple_of_the_rate_give_the_rate(period):
    streams = {v: every(period, 5000) for v in ("front", "wrist")} | {JOINTS: every(10, 5000)}
    gaps = np.diff([o.stamp_ns for _, o in run(aligner(), streams, 5000)]) / MS
    assert len(gaps) >= 47
    assert gaps.min() >= 99
    assert gaps.max() <= 101


def test_jitter_does_not_raise_the_rate():
    rng = np.random.default_rng(1)
    stamps = [t + rng.uniform(-12, 12) for t in every(50, 60_000)]
    streams = {"front": stamps, "wrist": stamps, JOINTS: every(10, 60_000)}
    gaps = np.diff([o.stamp_ns for _, o in run(aligner(), streams, 60_000)]) / MS
    assert gaps.mean() == pytest.approx(100, abs=1.0)
    assert gaps.min() >= 60


def test_the_rate_follows_cameras_that_are_slightly_off():
    for period in (98.0, 103.0):
        streams = {v: every(period, 30_000) for v in ("front", "wrist")} | {
            JOINTS: every(10, 30_000)
        }
        gaps = np.diff([o.stamp_ns for _, o in run(aligner(), streams, 30_000)]) / MS
        assert gaps.min() == pytest.approx(period)
        assert gaps.max() == pytest.approx(period)


def test_after_a_pause_the_rate_is_kept_without_catching_up():
    times = [*every(20, 1000), *every(20, 4000, 2530)]
    streams = {"front": times, "wrist": times, JOINTS: every(10, 4000)}
    stamps = np.array([o.stamp_ns - T0 for _, o in run(aligner(), streams, 4000)]) / MS
    assert np.diff(stamps[stamps > 2000]).min() >= 99


def test_cameras_out_of_phase_wait_no_longer_than_the_patience():
    streams = {"front": every(100, 3000), "wrist": every(100, 3000, 50), JOINTS: every(10, 3000)}
    seen = run(aligner(), streams, 3000)
    assert len(seen) >= 28
    assert max(now * MS + T0 - o.stamp_ns for now, o in seen[1:]) <= 35 * MS
    assert max(o.age_ns for _, o in seen) <= 50 * MS


def test_a_slow_view_is_reused_only_while_it_is_fresh_enough():
    streams = {"front": every(100, 3000), "wrist": every(200, 1000), JOINTS: every(10, 3000)}
    seen = run(aligner(), streams, 3000)
    assert len(seen) >= 11
    assert seen[-1][1].stamp_ns == T0 + 1200 * MS
    assert max(o.age_ns for _, o in seen) <= 250 * MS


def test_the_stream_that_holds_back_is_named():
    a = aligner()
    a.add_frame("front", T0, frame(0))
    faults = a.faults(T0 + 800 * MS)
    assert [(f.stream, f.kind) for f in faults] == [
        ("front", "stale"),
        ("wrist", "missing"),
        (JOINTS, "missing"),
    ]
    assert str(faults[0]) == "newest is 0.80 s old"
    assert str(faults[1]) == "nothing has arrived"


def test_an_unstamped_camera_is_said_to_be_so():
    a = aligner()
    a.add_frame("front", 0, frame(0))
    assert str(a.faults(1_700_000_000_000 * MS)[0]) == "stamped 0"


def test_stamps_since_boot_are_said_to_be_of_another_clock():
    a = aligner()
    a.add_frame("front", 5_000_000 * MS, frame(0))
    said = str(a.faults(1_700_000_000_000 * MS)[0])
    assert said == "stamped 5000 s by another clock, since its start perhaps"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_joint_whose_position_is_no_number_is_named(value):
    a = aligner()
    with pytest.raises(WamError, match=f"position of '{a.joint_names[0]}' is {value}"):
        a.add_joints(joints(0, value))


def test_a_camera_ahead_of_the_clock_is_refused_by_name():
    a = aligner()
    feed(a, 100, 100, 100)
    a.add_frame("wrist", T0 + 900 * MS, frame(9))
    assert a.poll(T0 + 130 * MS) is None
    assert [(f.stream, f.kind) for f in a.faults(T0 + 130 * MS)] == [("wrist", "ahead")]


def test_a_complete_set_that_arrives_too_late_is_not_an_observation():
    a = aligner()
    feed(a, 100, 100, 100)
    assert a.poll(T0 + 400 * MS) is None


def test_dead_joints_stop_observations():
    streams = {v: every(100, 2000) for v in ("front", "wrist")} | {JOINTS: every(10, 1000)}
    seen = run(aligner(), streams, 2000)
    assert seen[-1][1].stamp_ns <= T0 + 1250 * MS


def test_a_clock_set_back_flushes_and_starts_again():
    a = aligner()
    feed(a, 5000, 5000, 5000)
    assert a.poll(T0 + 5000 * MS) is not None
    assert a.poll(T0) is None
    assert a.flushes == 1
    feed(a, 10, 10, 10)
    assert a.poll(T0 + 10 * MS).stamp_ns == T0 + 10 * MS


def test_stamps_that_fall_far_back_flush_even_when_the_clock_does_not():
    a = aligner()
    feed(a, 5000, 5000, 5000)
    feed(a, 100, 100, 100)
    assert a.flushes == 1
    assert a.poll(T0 + 101 * MS).stamp_ns == T0 + 100 * MS


def test_a_sample_slightly_out_of_order_is_left_out():
    a = aligner()
    feed(a, 100, 100, 100)
    a.add_frame("front", T0 + 60 * MS, frame(60))
    assert a.flushes == 0
    assert a.poll(T0 + 101 * MS).frame_stamps_ns[0] == T0 + 100 * MS


def decoding_aligner() -> tuple[ObservationAligner, list[int]]:
    """Takes numbers for frames; the list tells which were decoded."""
    decoded: list[int] = []

    def decode(value: int) -> np.ndarray:
        decoded.append(value)
        return frame(value)

    return aligner(decode=decode), decoded


def test_only_frames_that_are_used_are_decoded():
    a, decoded = decoding_aligner()
    a.add_joints(joints(0))
    for t in range(0, 95, 5):
        a.add_frame("front", T0 + t * MS, t)
    a.add_frame("wrist", T0 + 90 * MS, 7)
    a.add_joints(joints(95))
    assert (a.poll(T0 + 95 * MS).frames[0] == 90).all()
    assert decoded == [90, 7]


def test_frames_are_decoded_while_the_joints_are_awaited_and_only_once():
    a, decoded = decoding_aligner()
    a.add_joints(joints(0))
    a.add_frame("front", T0 + 90 * MS, 1)
    a.add_frame("wrist", T0 + 90 * MS, 2)
    assert a.poll(T0 + 91 * MS) is None
    assert decoded == [1, 2]
    a.add_joints(joints(95))
    assert (a.poll(T0 + 95 * MS).frames[:, 0, 0, 0] == [1, 2]).all()
    assert decoded == [1, 2]


def test_a_frame_is_decoded_while_a_later_view_is_awaited_and_only_once():
    a, decoded = decoding_aligner()
    a.add_joints(joints(0))
    a.add_joints(joints(100))
    for view, value in (("front", 1), ("wrist", 2)):
        a.add_frame(view, T0 + 90 * MS, value)
    assert a.poll(T0 + 100 * MS) is not None
    a.add_frame("front", T0 + 120 * MS, 3)  # before the next instant is due
    assert a.poll(T0 + 121 * MS) is None
    a.add_frame("front", T0 + 190 * MS, 4)
    assert a.poll(T0 + 191 * MS) is None
    assert decoded == [1, 2, 4]
    a.add_frame("wrist", T0 + 190 * MS, 5)
    a.add_joints(joints(200))
    assert (a.poll(T0 + 200 * MS).frames[:, 0, 0, 0] == [4, 5]).all()
    assert decoded == [1, 2, 4, 5]


def test_a_frame_that_cannot_be_decoded_is_reported_and_the_next_instant_works():
    def decode(value: int) -> np.ndarray:
        if value == 1:
            raise WamError("odd encoding")
        return frame(value)

    a = aligner(decode=decode)
    for t, value in ((100, 1), (200, 2)):
        for view in ("front", "wrist"):
            a.add_frame(view, T0 + t * MS, value)
        a.add_joints(joints(t))
        if value == 1:
            with pytest.raises(WamError, match="odd encoding"):
                a.poll(T0 + t * MS)
        else:
            assert a.poll(T0 + t * MS).stamp_ns == T0 + 200 * MS


def test_a_view_that_never_comes_does_not_pile_up_the_others():
    a = aligner()
    images = []
    for k in range(200):
        image = frame(k)
        images.append(weakref.ref(image))
        a.add_frame("front", T0 + k * 10 * MS, image)
        assert a.poll(T0 + k * 10 * MS) is None
    assert 0 < sum(image() is not None for image in images) < 60


def test_names_that_do_not_belong_are_refused():
    with pytest.raises(WamError, match="Did you mean 'front'"):
        aligner().add_frame("fron", T0, frame(0))
    with pytest.raises(WamError, match="expected joints a, b, found b, a"):
        aligner().add_joints(JointState(T0, ("b", "a"), np.zeros(2), np.zeros(2), np.zeros(2)))
