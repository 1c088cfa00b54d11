"""What the filter does with chunks that can be read: known answers, then properties of everything
that leaves.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.hostile import moving_states, random_path, random_pose
from testing.proof import require_sound
from testing.shipped import shipped
from testing.tools import (
    AGE,
    START,
    at_rest,
    inverse_kinematics,
    make_chunk,
    moving,
    one_joint,
    steps,
    tool_pose,
)
from wam_ros.core.types import Decision, KinematicState, Reason
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.playback import sample_trajectory


def test_standing_still_passes(panda, home):
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, np.tile(home, (8, 1))), at_rest(home), START
    )
    assert verdict.decision == Decision.PASS
    assert verdict.reasons == Reason.NONE
    assert (verdict.steps_accepted, verdict.steps_total) == (8, 8)
    assert np.allclose(verdict.trajectory.q, home, atol=2e-6)
    assert verdict.trajectory.start_ns == START


def test_steps_already_due_are_skipped(panda, home):
    rate = one_joint(0, 0.02)
    chunk = make_chunk(panda.model.joint_names, steps(home, rate, first=-3.5), age=350_000_000)
    verdict = panda.filter(chunk, moving(home, rate), START)
    assert verdict.decision == Decision.PASS
    assert verdict.accepted_s == pytest.approx(0.45)
    assert np.allclose(verdict.trajectory.q[45], home + 4.5 * rate, atol=2e-6)


def test_one_step_that_is_hardly_still_due_is_a_stop(panda, home):
    chunk = make_chunk(panda.model.joint_names, home[None], age=97_000_000)
    verdict = panda.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.PASS
    assert verdict.trajectory.duration_s < 0.05


def test_where_no_stop_can_be_proven_nothing_is_emitted(panda, home):
    fast = KinematicState(home + one_joint(0, 2.8), one_joint(0, 1.9), np.zeros(8))
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, np.tile(fast.q, (8, 1))), fast, START
    )
    assert verdict.decision == Decision.BRAKE
    assert verdict.reasons & Reason.NO_BRAKE
    assert verdict.trajectory is None
    assert panda.stop(fast, START) is None


def test_least_scale_slows_a_chunk_that_would_pass(panda, home):
    chunk = make_chunk(panda.model.joint_names, steps(home, one_joint(0, 0.02)))
    verdict = panda.filter(chunk, at_rest(home), START, least_scale=2.0)
    assert verdict.decision == Decision.SCALED
    assert verdict.scale == 2.0


def test_the_answer_to_an_answer_is_the_same(panda, home):
    rng = np.random.default_rng(2)
    q = home + np.cumsum(rng.normal(size=(8, 8)) * np.r_[np.full(7, 0.01), 0], axis=0)
    first = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    t = first.trajectory
    again = make_chunk(t.joint_names, t.q, period=0.01, age=10_000_000, velocities=t.dq)
    second = panda.filter(again, at_rest(home), START)
    assert second.decision == Decision.PASS
    n = len(t.t)
    assert np.abs(second.trajectory.q[:n] - t.q).max() < 1e-3
    assert np.abs(second.trajectory.q[n:] - t.q[-1]).max(initial=0) < 1e-3


def expert_chunks(model, home, noise: float, seed: int):
    """A grasp as a policy sees it: 2.5 cm per step over the block, down to 1.5 cm, fingers closing,
    up again.
    """
    rng = np.random.default_rng(seed)
    pose = tool_pose(model, home)
    below = 0.0584 + 0.0538 - 0.1034
    corners = [
        pose.translation,
        [0.52, 0.1, 0.15],
        [0.52, 0.1, 0.015 + below],
        [0.52, 0.1, 0.015 + below],
        [0.52, 0.1, 0.2],
    ]
    tool, fingers, rate, place = [np.array(corners[0])], [0.04], np.zeros(3), np.array(corners[0])
    for leg, goal in enumerate(corners[1:]):
        for _ in range(40):
            if leg == 2:
                fingers.append(max(0.012, fingers[-1] - 0.01))
                tool.append(place.copy())
                if fingers[-1] <= 0.012:
                    break
                continue
            error = np.array(goal) - place
            wanted = error * min(1.0, 0.025 / (np.linalg.norm(error) + 1e-9), 0.5)
            change = wanted - rate
            rate = rate + change * min(1.0, 0.012 / (np.linalg.norm(change) + 1e-9))
            place = place + rate
            place[2] = max(place[2], 0.015 + below)
            tool.append(place.copy())
            fingers.append(fingers[-1])
            if np.linalg.norm(np.array(goal) - place) < 0.004:
                break
    q = [home]
    for p in tool[1:]:
        q.append(inverse_kinematics(model, q[-1], p, pose.rotation))
    path = np.array(q)
    path[:, 7] = fingers
    for k in range(len(path) - 8):
        rows = path[k + 1 : k + 9] + rng.normal(size=(8, 8)) * np.r_[np.full(7, noise), noise / 5]
        yield rows, path


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_a_good_policy_is_never_slowed_or_cut(panda, home, noise):
    """Ten chunks a second, each replacing the former one, 50 to 130 ms old, with a few millimetres
    of noise.
    """
    rng = np.random.default_rng(5)
    state, last, now = at_rest(home), None, START
    path = home[None]
    for k, (rows, path) in enumerate(expert_chunks(panda.model, home, noise, 3)):  # noqa: B007
        age = round(rng.uniform(0.05, 0.13) * 1e9)
        now = START + k * 100_000_000 + age
        if last is not None:
            state = sample_trajectory(last, now)
        verdict = panda.filter(
            make_chunk(panda.model.joint_names, rows, age=age, now=now, seq=k), state, now
        )
        assert verdict.decision == Decision.PASS, (k, verdict.sentence)
        last = verdict.trajectory
    assert np.abs(last.q[-1] - path[-1]).max() < 0.03
    assert np.abs(last.q[:, 7]).max() <= 0.04


SEEDS = st.integers(0, 10**9)


def any_verdict(panda, seed: int):
    rng = np.random.default_rng(seed)
    start = at_rest(random_pose(panda.model, rng))
    n, period = int(rng.choice([1, 2, 8, 24])), float(rng.choice([0.02, 0.066, 0.1, 0.25]))
    age = round(rng.uniform(-0.05, n * period * 0.9) * 1e9)
    path = random_path(panda.model, rng, start.q, n)
    chunk = make_chunk(panda.model.joint_names, path, period, age)
    return rng, start, chunk, panda.filter(chunk, start, START)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_nothing_leaves_that_breaks_a_limit_comes_near_or_does_not_end_at_rest(panda, seed):
    rng, start, _, verdict = any_verdict(panda, seed)
    assert not verdict.reasons & Reason.WATCHDOG, verdict.sentence
    require_sound(panda, verdict, start)
    if verdict.trajectory is None or verdict.decision == Decision.BRAKE:
        return
    (at_ns, state), *_ = moving_states(verdict.trajectory, rng, 1)
    path = random_path(panda.model, rng, state.q, 8)
    second = panda.filter(
        make_chunk(panda.model.joint_names, path, now=at_ns), state, at_ns, floor=verdict.floor
    )
    require_sound(panda, second, state)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_stop_from_any_accepted_step_is_proven(panda, seed):
    _, _, chunk, verdict = any_verdict(panda, seed)
    if verdict.decision not in (Decision.PASS, Decision.SCALED, Decision.TRUNCATED):
        return
    due = (chunk.anchor_ns - START) / 1e9 + chunk.step_period_ns / 1e9 * np.arange(
        1, verdict.steps_accepted + 1
    )
    rows = np.ceil(due[due > 0] * verdict.scale / panda.params.sample_s - 1e-6).astype(int)
    apart = chunk.step_period_ns * verdict.scale >= panda.params.stop_spacing_s * 1e9
    for row in rows if apart else rows[-1:]:
        t = verdict.trajectory
        state = KinematicState(t.q[row], t.dq[row], t.ddq[row])
        stop = panda.stop(state, START, verdict.floor)
        assert stop is not None
        require_sound(panda, dataclasses.replace(verdict, trajectory=stop), state)


REFUSING = ["position", "workspace", "singularity", "self_collision", "environment"]


SLOWING = ["velocity", "acceleration", "jerk", "tcp_speed", "torque"]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, left_out=st.sets(st.sampled_from(REFUSING), min_size=1))
def test_a_check_more_never_lowers_the_severity(panda, seed, left_out):
    _, start, chunk, verdict = any_verdict(panda, seed)
    fewer = SafetyFilter(panda.model, panda.params, tuple(n for n in CHECKS if n not in left_out))
    assert fewer.filter(chunk, start, START).decision <= verdict.decision


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, left_out=st.sets(st.sampled_from(SLOWING), min_size=1))
def test_what_passes_all_checks_passes_fewer(panda, seed, left_out):
    """Severity itself is not monotone in the checks that slow: a slower chunk is easier to stop."""
    _, start, chunk, verdict = any_verdict(panda, seed)
    if verdict.decision == Decision.PASS:
        fewer = SafetyFilter(
            panda.model, panda.params, tuple(n for n in CHECKS if n not in left_out)
        )
        assert fewer.filter(chunk, start, START).decision == Decision.PASS


def test_the_time_a_chunk_takes_is_told(panda, home):
    clock = iter((10.0, 10.25))
    timed = SafetyFilter(panda.model, stopwatch=lambda: next(clock))
    chunk = make_chunk(panda.model.joint_names, np.tile(home, (8, 1)), age=AGE)
    assert timed.filter(chunk, at_rest(home), START).compute_s == 0.25


def test_a_fault_of_a_check_refuses_the_chunk(panda, home, monkeypatch):
    def broken(*_):
        raise FloatingPointError("boom")

    monkeypatch.setattr(panda.model, "free_torque", broken)
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, np.tile(home, (8, 1))), at_rest(home), START
    )
    assert verdict.decision == Decision.REJECT
    assert "boom" in verdict.sentence


def test_a_commanded_state_that_is_not_finite_is_refused(panda, home, good):
    for broken in (
        KinematicState(home * np.nan, home * 0, home * 0),
        KinematicState(home, home * 0, home + np.inf),
    ):
        verdict = panda.filter(good, broken, START)
        assert verdict.decision == Decision.REJECT
        assert panda.stop(broken, START) is None


def test_joints_in_any_order_give_the_same_answer(panda, home, good):
    rng = np.random.default_rng(1)
    q = home + np.cumsum(rng.normal(size=(8, 8)) * np.r_[np.full(7, 0.02), 0], axis=0)
    answers = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(8) if seed else np.arange(8)
        names = tuple(panda.model.joint_names[k] for k in order)
        answers.append(panda.filter(make_chunk(names, q[:, order]), at_rest(home), START))
    for other in answers[1:]:
        assert other.decision == answers[0].decision
        assert np.array_equal(other.trajectory.q, answers[0].trajectory.q)
        assert other.trajectory.joint_names == panda.model.joint_names


ROBOTS = shipped()


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_stands_and_moves_from_home(robots, name):
    model = robots(name)
    home = np.array(model.embodiment.home)
    safety = SafetyFilter(model)
    for path in (np.tile(home, (8, 1)), steps(home, 0.02 * np.eye(len(home))[0])):
        verdict = safety.filter(make_chunk(model.joint_names, path, age=0), at_rest(home), START)
        assert verdict.decision == Decision.PASS, verdict.sentence


def test_surroundings_that_take_long_to_look_at_are_told_with_the_number(panda):
    shown = iter([0.0, 0.001, 0.0, 0.5])
    safety = SafetyFilter(panda.model, stopwatch=lambda: next(shown))
    assert safety.why_not_in_time() == ""
    words = safety.why_not_in_time()
    assert "500 ms" in words
    assert f"{len(panda.model.pairs.names)} pairs" in words
