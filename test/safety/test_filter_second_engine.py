"""What must hold for every chunk, on every robot, as a second engine sees it."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

pytest.importorskip("mujoco")

from testing.properties import ROBOTS, Case, Robot, attack
from testing.recheck import recheck
from testing.tools import make_chunk
from wam_ros.core.types import Decision, KinematicState, MotionTable, SafeTrajectory


@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_leaves_that_should_not(judged, name):
    tally = attack(judged(name), range(25 if name == "bimanual" else 50))
    assert tally.violations == []
    assert {"pass", "scaled", "truncated", "brake", "reject"} <= set(tally.decisions), (
        "every kind of answer occurred"
    )


@pytest.mark.long
@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_leaves_that_should_not_in_a_hundred_thousand_chunks(judged, name):
    tally = attack(judged(name), range(10**6, 10**6 + 12_000))
    assert tally.chunks >= 25_000
    assert tally.violations == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: dataclasses.replace(t, q=t.q + np.linspace(0, 3, len(t.t))[:, None]),
        lambda t: dataclasses.replace(
            t, dq=np.where(np.arange(len(t.t))[:, None] == len(t.t) - 1, 1e-3, t.dq)
        ),
        lambda t: dataclasses.replace(
            t, ddq=np.where(np.arange(len(t.t))[:, None] == 1, 500.0, t.ddq)
        ),
        lambda t: dataclasses.replace(t, q=t.q + 1e-6),
        lambda t: dataclasses.replace(t, q=t.q * np.nan),
        lambda t: dataclasses.replace(t, t=t.t * 0.5),
        lambda t: dataclasses.replace(t, joint_names=t.joint_names[::-1]),
        lambda t: dataclasses.replace(t, t=t.t[:1], q=t.q[:1], dq=t.dq[:1], ddq=t.ddq[:1]),
        # in motion at its end
        lambda t: dataclasses.replace(t, t=t.t[:9], q=t.q[:9], dq=t.dq[:9], ddq=t.ddq[:9]),
    ],
)
def test_a_second_look_refuses_a_damaged_answer(judged, damage):
    """Filtering twice changes nothing; what was changed in between does not pass."""
    found = (c for c in judged("panda").emitted(range(50)) if len(c[1].verdict.trajectory.t) > 20)
    used, case = next(c for c in found if c[1].floor is not None)
    for floor in (None, case.floor):
        assert recheck(used, case.verdict.trajectory, case.start, floor) is None
        assert recheck(used, damage(case.verdict.trajectory), case.start, floor) is not None


@pytest.mark.parametrize("name", ROBOTS)
def test_an_answer_sent_back_as_a_chunk_is_followed(judged, name):
    """At the steps of the chunk: what was accepted at its own pace, sent again from the same state,
    is accepted.
    """
    robot, seen = judged(name), 0
    for used, case in itertools.islice(robot.emitted(range(0, 400)), 60):
        t = case.verdict.trajectory
        rows = np.arange(10, len(t.t), 10)
        if case.verdict.decision != Decision.PASS or len(rows) < 4 or used is not robot.filters[0]:
            continue
        again = make_chunk(
            t.joint_names, t.q[rows], period=0.1, age=0, now=case.start_ns, velocities=t.dq[rows]
        )
        verdict = used.filter(again, case.start, case.start_ns, floor=case.floor)
        assert verdict.decision in (Decision.PASS, Decision.SCALED), verdict.sentence
        seen += 1
    assert seen >= 3


def stops_inside(robot: Robot, seeds: range) -> int:
    """For every accepted trajectory: a stop from one of its steps, its own proof, and MuJoCo
    following it.
    """
    count = 0
    for used, case in robot.emitted(seeds):
        t = case.verdict.trajectory
        if case.verdict.decision not in (Decision.PASS, Decision.SCALED, Decision.TRUNCATED):
            continue
        rng = np.random.default_rng(count)
        due = (
            case.chunk.anchor_ns - case.start_ns
        ) / 1e9 + case.chunk.step_period_ns / 1e9 * np.arange(1, case.verdict.steps_accepted + 1)
        rows = np.ceil(due[due > 0] * case.verdict.scale / used.params.sample_s - 1e-6).astype(int)
        if case.chunk.step_period_ns * case.verdict.scale < used.params.stop_spacing_s * 1e9:
            rows = rows[-1:]  # closer steps share one stop
        row = int(rng.choice(rows))
        state = KinematicState(t.q[row], t.dq[row], t.ddq[row])
        stop = used.stop(state, case.start_ns, case.verdict.floor)
        assert stop is not None
        again = Case(
            case.chunk, state, case.start_ns, case.verdict.floor, dataclasses.replace(case.verdict)
        )
        again.verdict = dataclasses.replace(case.verdict, trajectory=stop)
        assert robot.faults(used, again) == []
        count += 1
        if count % 4 == 0:
            error, effort = robot.engine.replay(joined(t, row, stop))
            assert error < 0.02, "the arm follows with its motors' limits on"
            assert effort < 1.0, "and no motor comes to its limit"
    return count


def joined(head: SafeTrajectory, row: int, stop: SafeTrajectory) -> SafeTrajectory:
    motion = MotionTable.joined([head[:row], stop])
    return SafeTrajectory(
        *motion.arrays,
        start_ns=0,
        joint_names=head.joint_names,
        t=np.arange(len(motion)) * head.t[1],
    )


@pytest.mark.parametrize("name", ROBOTS)
def test_a_stop_from_any_step_stays_inside_its_proof_in_the_second_engine(judged, name):
    assert stops_inside(judged(name), range(50_000, 50_020)) >= 8


@pytest.mark.long
@pytest.mark.parametrize("name", ROBOTS)
def test_many_stops_stay_inside_their_proofs_in_the_second_engine(judged, name):
    assert stops_inside(judged(name), range(60_000, 60_600)) >= 400
