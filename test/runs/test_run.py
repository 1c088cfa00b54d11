"""Episodes are cut where the arm is armed and held, and what stopped it is kept."""

from dataclasses import replace

import numpy as np

from wam_ros.core.types import NS, Decision, Reason, SafetyReport, SafetyState
from wam_ros.runs.run import Episode, Episodes, Run, Stop, worst_moments


def report(ms, state, decision=Decision.UNKNOWN, seq=0, **fields):
    return SafetyReport(ms * 1_000_000, seq, state, decision, **fields)


def cut(*reports):
    episodes = Episodes()
    for r in reports:
        episodes.on_report(r, "do it")
    return episodes.close()


def test_an_episode_lasts_from_arming_until_it_is_held():
    first, second = cut(
        report(0, SafetyState.HOLD),
        report(1000, SafetyState.ARMED),
        report(1500, SafetyState.ARMED, Decision.PASS, 1),
        report(1600, SafetyState.BRAKING),
        report(1700, SafetyState.ARMED, Decision.PASS, 2),
        report(3000, SafetyState.HOLD, sentence="disarmed"),
        report(4000, SafetyState.ARMED, Decision.REJECT, 3),
    )
    assert (first.began_ns, first.ended_ns) == (NS, 3 * NS)
    assert (first.chunks, first.decisions) == (2, {"pass": 2})
    assert first.ended == "disarmed"
    assert [s.state for s in first.stops] == [SafetyState.BRAKING, SafetyState.HOLD]
    assert all(s.wanted for s in first.stops), "nothing was wrong"
    assert (second.ended, second.decisions) == ("", {"reject": 1})


def test_a_verdict_that_is_told_twice_is_one():
    verdict = report(10, SafetyState.ARMED, Decision.PASS, 4)
    (episode,) = cut(verdict, verdict, replace(verdict, stamp_ns=20_000_000))
    assert episode.decisions == {"pass": 2}


def test_a_stop_for_a_reason_is_not_wanted():
    (episode,) = cut(
        report(0, SafetyState.ARMED),
        report(9, SafetyState.BRAKING, reasons=Reason.WATCHDOG, sentence="no chunk for 0.5 s"),
        report(19, SafetyState.FAULT, reasons=Reason.WATCHDOG, sentence="fault"),
    )
    assert [(s.wanted, s.sentence) for s in episode.stops] == [(False, "no chunk for 0.5 s")]
    assert episode.ended == "fault"


def test_how_a_task_ended_belongs_to_the_newest_episode():
    episodes = Episodes()
    episodes.on_task("no task of this run")
    for k, state in enumerate((SafetyState.ARMED, SafetyState.HOLD, SafetyState.ARMED)):
        episodes.on_report(report(k, state), "do it")
        if k == 1:
            episodes.on_task("succeeded: it is done")
    first, second = episodes.close()
    assert (first.task, second.task) == ("succeeded: it is done", "")


def run_with(**fields):
    return Run("x", began_ns=0, ended_ns=60 * NS, **fields)


def test_the_worst_moments_are_stops_then_errors_that_lie_apart():
    stops = [
        Stop(NS * at, SafetyState.BRAKING, Reason.WATCHDOG, "late") for at in (10, 11, 20, 30, 40)
    ] + [Stop(50 * NS, SafetyState.ESTOP, Reason.ESTOP, "pressed")]
    errors = np.array([[5.0, 0.1, 0], [5.5, 0.2, 0], [8.0, 0.05, 0], [9.0, np.nan, 0]])
    run = run_with(episodes=[Episode(0, 60 * NS, stops=stops)], errors=errors)
    assert worst_moments(run) == [
        (round(5.5 * NS), "imagination error 0.2000"),
        (8 * NS, "imagination error 0.0500"),
        (10 * NS, "stopped: late"),
        (20 * NS, "stopped: late"),
        (50 * NS, "stopped: pressed"),
    ]


def test_what_a_person_moves_between_episodes_is_nobodys_error():
    errors = np.array([[5.0, 0.1, 0], [15.0, 0.9, 0]])
    run = run_with(episodes=[Episode(0, 10 * NS)], errors=errors)
    assert worst_moments(run) == [(5 * NS, "imagination error 0.1000")]
    assert worst_moments(run_with(errors=errors))[-1][1] == "imagination error 0.9000"
