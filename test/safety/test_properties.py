"""What must hold for every chunk, on every robot, as a second engine sees it; and that its judges
can see.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys

import numpy as np
import pytest

pytest.importorskip("mujoco")

from benchmark import safety_properties
from benchmark.hostile import random_pose
from benchmark.proof import offences
from benchmark.safety_properties import ROBOTS, START, Case, Robot, attack
from testing.tools import at_rest, make_chunk
from wam_ros.core.types import Commanded, Decision, SafeTrajectory
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter


@pytest.fixture(scope="module")
def robots():
    made: dict[str, Robot] = {}
    return lambda name: made.setdefault(name, Robot(name))


@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_leaves_that_should_not(robots, name):
    tally = attack(robots(name), range(25 if name == "bimanual" else 50))
    assert tally.violations == []
    assert {"pass", "scaled", "truncated", "brake", "reject"} <= set(tally.decisions), (
        "every kind of answer occurred"
    )


@pytest.mark.long
@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_leaves_that_should_not_in_a_hundred_thousand_chunks(robots, name):
    tally = attack(robots(name), range(10**6, 10**6 + 12_000))
    assert tally.chunks >= 25_000
    assert tally.violations == []


def without(robot: Robot, *names: str) -> SafetyFilter:
    return SafetyFilter(
        robot.model, robot.filters[0].params, tuple(n for n in CHECKS if n not in names)
    )


def all_faults(robot: Robot, used: SafetyFilter, seeds: range) -> str:
    """Words for everything that the judges find when `used` takes the place of the filter."""
    kept, robot.filters = robot.filters, (used, used)
    words = []
    try:
        for seed in seeds:
            for _, case in robot.chain(seed):
                words += robot.faults(used, case)
    finally:
        robot.filters = kept
    return "\n".join(words)


def test_the_judges_see_bodies_that_come_too_near(robots):
    robot = robots("panda")
    assert "too near (second engine)" in all_faults(
        robot, without(robot, "self_collision", "environment"), range(40)
    )


@pytest.mark.parametrize(
    ("narrow", "seen"),
    [
        ({"velocity_fraction": 0.05}, " velocity "),
        ({"acceleration_fraction": 0.05}, " acceleration "),
        ({"jerk_fraction": 0.05}, " jerk "),
        ({"torque_fraction": 0.05}, " effort "),
        ({"position_margin_rad": 1.0}, "leaves its range"),
    ],
)
def test_the_judges_see_what_is_beyond_a_limit(robots, narrow, seen):
    robot = robots("panda")
    params = dataclasses.replace(robot.filters[0].params, **narrow)
    words = [
        w
        for _, case in itertools.islice(emitted(robot, range(100)), 40)
        for w in offences(robot.model, params, case.verdict.trajectory, case.start, distances=False)
    ]
    assert seen in "\n".join(words)


def test_the_judges_see_too_much_torque(robots):
    robot = robots("so101")
    model = robot.model
    weak = dataclasses.replace(model.limits, effort=model.limits.effort * 0.05)
    kept, model.limits = model.limits, weak
    try:
        assert "effort (second engine)" in all_faults(robot, without(robot, "torque"), range(5))
    finally:
        model.limits = kept


def test_the_judges_see_a_tool_outside_or_too_fast(robots):
    robot = robots("panda")
    free = SafetyFilter(
        robot.model,
        robot.filters[1].params,
        tuple(n for n in CHECKS if n not in ("workspace", "tcp_speed")),
    )
    words = all_faults(robot, free, range(40))
    assert "m outside" in words
    assert "m/s, allowed 0.3 m/s" in words


def emitted(robot: Robot, seeds: range):
    for seed in seeds:
        for used, case in robot.chain(seed):
            if case.verdict.trajectory is not None:
                yield used, case


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
def test_a_second_look_refuses_a_damaged_answer(robots, damage):
    """Filtering twice changes nothing; what was changed in between does not pass."""
    found = (c for c in emitted(robots("panda"), range(50)) if len(c[1].verdict.trajectory.t) > 20)
    used, case = next(c for c in found if c[1].floor is not None)
    for floor in (None, case.floor):
        assert used.recheck(case.verdict.trajectory, case.start, floor) is None
        assert used.recheck(damage(case.verdict.trajectory), case.start, floor) is not None


@pytest.mark.parametrize("name", ROBOTS)
def test_an_answer_sent_back_as_a_chunk_is_followed(robots, name):
    """At the steps of the chunk: what was accepted at its own pace, sent again from the same state,
    is accepted.
    """
    robot, seen = robots(name), 0
    for used, case in itertools.islice(emitted(robot, range(0, 400)), 60):
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


def test_another_order_of_joints_is_noticed_where_it_matters(robots):
    """The judge of the joint order can see: permuting the values alone changes the answer."""
    robot = robots("panda")
    home = np.array(robot.model.embodiment.home)
    q = home + np.outer(np.arange(1, 9), np.r_[0.02, np.zeros(7)])
    used = robot.filters[0]
    case = Case(make_chunk(robot.model.joint_names, q), at_rest(home), START, None, None)
    case.verdict = used.filter(case.chunk, case.start, START)
    assert robot.deeper_faults(used, case, np.random.default_rng(0)) == []
    wrong = dataclasses.replace(case.chunk, positions=case.chunk.positions[:, ::-1])
    case.verdict = used.filter(wrong, case.start, START)
    assert robot.deeper_faults(used, case, np.random.default_rng(0)) != []


def test_the_command_writes_what_ran_and_goes_on_where_it_was(tmp_path, monkeypatch):
    out = tmp_path / "out.json"

    def ran(*more: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["x", "--robots", "so101", "--json", str(out), *more])
        safety_properties.main()
        return json.loads(out.read_text())["robots"]["so101"]

    first = ran("--chunks", "8")
    assert first["chunks"] >= 8
    assert first["violations"] == []
    assert ran("--chunks", "8") == first, "nothing was left to do"
    assert ran("--chunks", str(first["chunks"] + 1))["units"] == 2
    assert ran("--chunks", "8", "--seed", "7")["units"] == 1, "other seeds begin anew"


def stops_inside(robot: Robot, seeds: range) -> int:
    """For every accepted trajectory: a stop from one of its steps, its own proof, and MuJoCo
    following it.
    """
    count = 0
    for used, case in emitted(robot, seeds):
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
        state = Commanded(t.q[row], t.dq[row], t.ddq[row])
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
    parts = {
        k: np.concatenate((getattr(head, k)[:row], getattr(stop, k))) for k in ("q", "dq", "ddq")
    }
    return SafeTrajectory(0, head.joint_names, np.arange(len(parts["q"])) * head.t[1], **parts)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_stop_from_any_step_stays_inside_its_proof_in_the_second_engine(robots, name):
    assert stops_inside(robots(name), range(50_000, 50_020)) >= 8


@pytest.mark.long
@pytest.mark.parametrize("name", ROBOTS)
def test_many_stops_stay_inside_their_proofs_in_the_second_engine(robots, name):
    assert stops_inside(robots(name), range(60_000, 60_600)) >= 400


def test_a_weak_motor_is_noticed_in_the_replay(robots):
    robot = robots("so101")
    _, case = next(emitted(robot, range(3, 60)))
    used = robot.filters[0]
    q0 = random_pose(robot.model, np.random.default_rng(3))
    rate = robot.model.limits.velocity * 0.06
    chunk = make_chunk(
        robot.model.joint_names,
        q0 + np.outer(np.arange(1, 9), rate * 0.1),
        age=0,
        now=case.start_ns,
    )
    verdict = used.filter(chunk, at_rest(q0), case.start_ns)
    _, strong = robot.engine.replay(verdict.trajectory)
    _, weak = robot.engine.replay(verdict.trajectory, strength=0.02)
    assert strong < 1.0 <= weak
