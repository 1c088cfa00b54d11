import pytest

from wam_ros.core.lockstep import RING, Lockstep, Pace, Progress
from wam_ros.core.types import NS

NOW, SHOWN = 100 * NS, 100 * NS
# of a loop that has dealt with everything: images, observation, chunk 6, trajectory, command
SETTLED = {
    "camera_node": Progress("camera_node", heard=SHOWN, said=SHOWN),
    "inference_node": Progress("inference_node", heard=SHOWN, said=7),
    "safety_node": Progress("safety_node", at_ns=NOW, heard=7, said=NOW + 80),
    "bridge_node": Progress("bridge_node", at_ns=NOW, heard=NOW + 80, said=NOW + 80),
}


def loop(**changed):
    """A loop that has spoken for a while, then told what is changed."""
    lockstep = Lockstep()
    for name in RING:
        lockstep.hear(Progress(name), 0)
    lockstep.shown_ns = SHOWN
    for name in RING:
        lockstep.hear(changed.get(name, SETTLED[name]), 0)
    return lockstep


def awaited(lockstep, commanded=NOW + 80):
    return lockstep.awaited(NOW, commanded)


def test_a_world_that_everybody_has_heard_may_go_on():
    assert awaited(loop()) == []
    assert awaited(Lockstep()) == [], "where nobody has spoken nobody is waited for"


@pytest.mark.parametrize(
    ("late", "waits"),
    [
        (Progress("camera_node", heard=SHOWN - NS, said=SHOWN - NS), ["camera_node"]),
        (Progress("inference_node", heard=SHOWN - NS, said=7), ["inference_node"]),
        (Progress("safety_node", at_ns=NOW, heard=6, said=NOW + 80), ["safety_node"]),
        (Progress("safety_node", at_ns=NOW - 1, heard=7, said=NOW + 80), ["safety_node"]),
        (Progress("bridge_node", at_ns=NOW, heard=NOW, said=NOW + 80), ["bridge_node"]),
        (Progress("bridge_node", at_ns=NOW - 1, heard=NOW + 80, said=NOW + 80), ["bridge_node"]),
    ],
    ids=lambda v: v.node if isinstance(v, Progress) else "",
)
def test_whoever_has_not_dealt_with_what_was_said_is_waited_for_by_name(late, waits):
    lockstep = loop(**{late.node: late})
    # who has heard less is followed by one who has heard what it said before
    assert waits[0] in awaited(lockstep)
    lockstep.hear(SETTLED[late.node], 0)
    assert awaited(lockstep) == []


def test_a_command_on_its_way_to_the_world_is_waited_for():
    assert awaited(loop(), commanded=NOW) == ["bridge_node"]


def test_a_node_counts_from_its_first_word_and_what_was_said_before_is_not_waited_for():
    lockstep = Lockstep()
    lockstep.shown_ns = SHOWN - NS
    lockstep.hear(Progress("camera_node"), 0)
    assert lockstep.awaited(NOW, 0) == []
    lockstep.shown_ns = SHOWN
    assert lockstep.awaited(NOW, 0) == ["camera_node"]
    lockstep.hear(SETTLED["camera_node"], 0)
    lockstep.hear(Progress("inference_node"), 0)
    assert lockstep.awaited(NOW, 0) == []
    lockstep.shown_ns = SHOWN + NS
    lockstep.hear(Progress("camera_node", heard=SHOWN + NS, said=SHOWN + NS), 0)
    assert lockstep.awaited(NOW, 0) == ["inference_node"]


def test_who_leaves_and_who_falls_silent_is_not_waited_for():
    late = Progress("camera_node", heard=1, said=1)
    lockstep = loop(camera_node=late)
    lockstep.hear(Progress("camera_node", leaves=True), 0)
    assert "camera_node" not in awaited(lockstep)
    lockstep = loop(camera_node=late)
    assert lockstep.drop_silent(NS) == []
    for name in RING[1:]:
        lockstep.hear(SETTLED[name], 3 * NS)
    assert lockstep.drop_silent(3 * NS) == ["camera_node"]
    assert "camera_node" not in awaited(lockstep)


def test_what_was_lost_on_the_way_is_given_up_and_the_next_is_waited_for_again():
    lockstep = loop(safety_node=Progress("safety_node", at_ns=NOW, heard=6, said=NOW + 80))
    assert awaited(lockstep) == ["safety_node"]
    lockstep.give_up(NOW)
    assert awaited(lockstep) == []
    lockstep.hear(Progress("inference_node", heard=SHOWN, said=8), 0)
    assert awaited(lockstep) == ["safety_node"]


def test_who_never_hears_the_clock_holds_the_world_at_each_instant_but_not_for_ever():
    lockstep = loop(bridge_node=Progress("bridge_node", at_ns=1, heard=NOW + 80, said=NOW + 80))
    assert awaited(lockstep) == ["bridge_node"]
    lockstep.give_up(NOW)
    assert awaited(lockstep) == []
    assert "bridge_node" in lockstep.awaited(NOW + 20, NOW + 80)


def test_an_answer_that_is_due_holds_the_world_at_its_instant_and_not_before():
    answers = Progress("inference_node", heard=SHOWN, said=7, until_ns=NOW + 200)
    lockstep = loop(inference_node=answers)
    assert lockstep.due(NOW + 199) == []
    assert lockstep.due(NOW + 200) == ["inference_node"]
    lockstep.hear(SETTLED["inference_node"], 0)
    assert lockstep.due(NOW + 10**12) == []


def test_strangers_hold_nothing_up():
    lockstep = loop()
    lockstep.hear(Progress("evil_node", until_ns=1), 0)
    assert lockstep.due(NOW) == []
    assert awaited(lockstep) == []


def test_the_pace_in_words_names_a_busy_machine_and_who_is_awaited():
    def words(**given):
        told = {"now_ns": 0, "settled": False, "standing": False, "speed": 1.0, "asked": 1.0}
        return Pace(**(told | given)).words

    assert words() == "1.0 x real time"
    assert words(speed=0.41) == "0.4 x real time: this machine is busy"
    assert words(speed=0.3, asked=0.3) == "0.3 x real time"
    assert words(standing=True) == "standing"
    assert words(awaited=("inference_node",)) == "waiting for inference_node"
