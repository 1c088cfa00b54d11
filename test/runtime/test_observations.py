"""What waits for the thread that runs the policy."""

from wam_ros.core.policy import Request
from wam_ros.runtime.observations import NOTES, ObservationQueue

from .rig import MS, T0, observation

LOOK = Request(0)
NOTE = Request(0, predict=False)


def taken(queue):
    return [((seen.stamp_ns - T0) // MS, request.predict) for seen, request in queue.take()]


def test_only_the_newest_observation_is_predicted_from_and_the_others_are_counted():
    queue = ObservationQueue()
    for ms in (0, 100, 200):
        queue.put(observation(ms), LOOK)
    assert (taken(queue), queue.replaced) == ([(200, True)], 2)
    assert taken(queue) == []


def test_frames_to_remember_come_in_the_order_they_were_seen_with_the_look_among_them():
    queue = ObservationQueue()
    queue.put(observation(100), NOTE)
    queue.put(observation(200), LOOK)
    queue.put(observation(300), NOTE)
    assert taken(queue) == [(100, False), (200, True), (300, False)]
    assert queue.replaced == 0


def test_of_too_many_frames_to_remember_the_oldest_are_dropped():
    queue = ObservationQueue()
    for k in range(NOTES + 3):
        queue.put(observation(k), NOTE)
    assert [ms for ms, _ in taken(queue)] == list(range(3, NOTES + 3))
