"""The latest value wins, from any thread."""

import threading

from wam_ros.runtime.slot import LatestSlot


def test_the_newest_value_is_taken_once():
    slot: LatestSlot[int] = LatestSlot()
    assert slot.take() is None
    assert slot.put(1) is False
    assert slot.put(2) is True
    assert slot.take() == 2
    assert slot.take() is None
    assert slot.replaced == 1


def test_every_value_is_either_taken_or_counted_as_replaced():
    slot: LatestSlot[int] = LatestSlot()
    writers = [
        threading.Thread(target=lambda: [slot.put(i + 1) for i in range(2000)]) for _ in range(3)
    ]
    for w in writers:
        w.start()
    taken = 0
    while any(w.is_alive() for w in writers):
        taken += slot.take() is not None
    taken += slot.take() is not None
    assert taken + slot.replaced == 6000
