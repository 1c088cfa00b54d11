import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, Reason, SafetyReport, SafetyState
from wam_ros.demo.args import COLOURS
from wam_ros.demo.episodes import Episode, SimEpisode, colour_in, other_colour, require_colour

SEED = 1000


def sim(t, seed=SEED, success=False, wrong=False, outcome="", nudged=False, **violations):
    return SimEpisode(
        stamp_ns=0,
        seed=seed,
        instruction="pick up the red block",
        t_s=t,
        success=success,
        wrong=wrong,
        outcome=outcome,
        nudged=nudged,
        violations=violations,
    )


def report(state, decision=Decision.UNKNOWN, seq=0, reasons=Reason.NONE, sentence=""):
    return SafetyReport(0, seq, state, decision, reasons, sentence=sentence)


def episode():
    return Episode(SEED, "pick up the red block", time_limit_s=8.0, step_period_s=0.1)


def test_success_ends_it_with_time_from_arming_and_model_steps():
    e = episode()
    e.on_sim(sim(0.7))
    for _ in range(21):
        e.on_chunk()
    e.on_sim(sim(1.5))
    assert e.outcome() is None
    e.on_sim(sim(2.9, success=True, nudged=True, velocity=2))
    r = e.result()
    assert (r.outcome, r.success, r.wrong, r.nudged) == ("success", True, False, True)
    assert (r.duration_s, r.steps, r.chunks) == (pytest.approx(2.2), 22, 21)
    assert r.violations == {"velocity": 2}


@pytest.mark.parametrize("outcome", ["wrong object", "no grasp", "dropped", "timeout"])
def test_what_is_not_done_in_its_time_is_what_the_simulator_calls_it(outcome):
    e = episode()
    e.on_sim(sim(0.5, wrong=True, outcome=outcome))
    assert e.outcome() is None  # it may be done yet
    e.on_sim(sim(8.5, wrong=True, outcome=outcome))
    r = e.result()
    assert (r.outcome, r.success, r.wrong) == (outcome, False, True)


def test_time_runs_from_arming_and_ends_it():
    e = episode()
    e.on_sim(sim(3.0))
    e.on_sim(sim(10.9))
    assert e.outcome() is None
    e.on_sim(sim(11.0, outcome="timeout"))
    assert e.result().outcome == "timeout"


def test_states_of_the_scene_before_do_not_count():
    e = episode()
    e.on_sim(sim(50.0, seed=SEED - 1, success=True))
    assert e.outcome() is None
    assert e.elapsed_s == 0.0


def test_every_chunk_is_counted_once_by_decision_although_heartbeats_repeat_it():
    e = episode()
    for seq, decision in (
        (1, Decision.PASS),
        (2, Decision.SCALED),
        (2, Decision.SCALED),
        (3, Decision.PASS),
    ):
        e.on_report(report(SafetyState.ARMED, decision, seq))
    e.on_report(report(SafetyState.ARMED, Decision.UNKNOWN, 4))
    assert e.result().decisions == {"pass": 2, "scaled": 1}


def test_a_stop_is_counted_when_the_armed_state_is_left_with_its_reasons():
    e = episode()
    e.on_report(report(SafetyState.HOLD))
    e.on_report(report(SafetyState.ARMED))
    e.on_report(report(SafetyState.BRAKING, reasons=Reason.STALE | Reason.JERK))
    e.on_report(report(SafetyState.HOLD, reasons=Reason.STALE))
    e.on_report(report(SafetyState.ARMED))
    e.on_report(report(SafetyState.BRAKING))
    assert e.result().stops == {"jerk": 1, "stale": 1, "unnamed": 1}


@pytest.mark.parametrize("state", [SafetyState.FAULT, SafetyState.ESTOP])
def test_a_latched_stop_ends_it_with_the_sentence(state):
    e = episode()
    e.on_sim(sim(0.5))
    e.on_report(report(SafetyState.ARMED))
    e.on_report(report(state, reasons=Reason.WATCHDOG, sentence="joint states are 0.4 s old"))
    r = e.result()
    assert (r.outcome, r.note) == ("stopped", "joint states are 0.4 s old")


def test_colour_of_an_instruction():
    assert colour_in("Please pick the GREEN cube.") == "green"
    assert colour_in("pick up the block") == ""
    assert colour_in("the red or the blue one") == ""
    assert colour_in("a reddish block") == ""
    with pytest.raises(WamError, match="red, green, blue"):
        require_colour("pick up the block")


def test_swapping_never_keeps_the_colour_and_reaches_both_others():
    for colour in COLOURS:
        assert {other_colour(colour, seed) for seed in range(10)} == set(COLOURS) - {colour}


def test_the_colours_are_those_of_the_simulated_table():
    task = pytest.importorskip("wam_ros.sim.tasks.pick_block")
    assert tuple(task.COLOURS) == COLOURS
