"""The clocks of a recording, driven by hand."""

from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.types import NS
from wam_ros.ros.recorder_node.clock import ClockWatch, RecordingClock

MS = NS // 1000


def test_a_clock_that_is_set_is_found_by_how_much_it_jumped():
    watch = ClockWatch(0.2, simulated=False)
    assert watch.jump_s(100 * NS, 5 * NS) == 0.0, "nothing to compare with"
    assert watch.jump_s(101 * NS, 6 * NS) == 0.0
    assert watch.jump_s(98 * NS, 7 * NS) == -4.0
    assert watch.jump_s(99 * NS, 8 * NS) == 0.0, "it is said once"
    assert watch.jump_s(109 * NS, 9 * NS) == 9.0
    # what a time server corrects bit by bit is no jump, however long it goes on
    assert not any(watch.jump_s(109 * NS + k * 1001 * MS, 9 * NS + k * NS) for k in range(1, 1000))


def test_a_simulated_clock_may_stand_and_run_but_not_go_back():
    watch = ClockWatch(0.2, simulated=True)
    told = [(0, 0), (50 * NS, NS), (50 * NS, 9 * NS), (49900 * MS, 9 * NS), (2 * NS, 10 * NS)]
    assert [watch.jump_s(*pair) for pair in told] == [0, 0, 0, 0, -47.9]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**12), 10**12)), max_size=30))
def test_what_was_heard_later_is_never_recorded_as_earlier(polls):
    """(time between two polls, by how much the system clock is set meanwhile)."""
    steady, system = 10**9, 10**18
    clock = RecordingClock(system, steady)
    last = 0
    for pause, jump in polls:
        steady += pause
        system += pause + jump
        heard = clock.heard_ns(system - min(pause, 7), system, steady)
        assert last <= heard <= clock.now_ns(steady)
        clock.taken(steady)
        last = clock.now_ns(steady)


def test_when_a_message_came_is_kept_to_the_nanosecond_while_the_clock_runs_on():
    clock = RecordingClock(10**18, 10**9)
    assert clock.heard_ns(10**18 + 3, 10**18 + 20, 10**9 + 20) == 10**18 + 3
