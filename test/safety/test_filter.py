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
from testing.proof import offences
from testing.tools import AGE, START, at_rest, inverse_kinematics, make_chunk, tool_pose
from wam_ros.core.embodiment import Load
from wam_ros.core.types import Commanded, Decision, Reason
from wam_ros.robot.model import build_safety_model, load_safety_model
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding
from wam_ros.safety.machine.playback import sample_trajectory
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.params import SafetyParams


def steps(home: np.ndarray, rate: np.ndarray, n: int = 8, first: float = 0.0) -> np.ndarray:
    """(n, A) from home at a rate per step."""
    return home + np.outer(np.arange(1, n + 1) + first, rate)


def moving(home: np.ndarray, rate: np.ndarray) -> Commanded:
    """At home, moving at a rate per step of 0.1 s."""
    return Commanded(np.array(home), np.array(rate) / 0.1, np.zeros(8))


def joint(k: int, value: float) -> np.ndarray:
    return np.eye(8)[k] * value


def sound(panda: SafetyFilter, verdict, start: Commanded) -> None:
    """Whatever was decided, what leaves is proven."""
    if verdict.trajectory is not None:
        assert offences(panda.model, panda.params, verdict.trajectory, start) == []


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
    rate = joint(0, 0.02)
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


def test_a_chunk_that_is_too_fast_is_slowed_for_all_joints(panda, home):
    rate = joint(0, 0.25) + joint(6, 0.05)  # 2.5 rad/s where 1.96 rad/s are allowed
    chunk = make_chunk(panda.model.joint_names, steps(home, rate, first=-1.1))
    start = moving(home, 0.6 * rate)
    verdict = panda.filter(chunk, start, START)
    assert verdict.decision == Decision.SCALED
    assert 1.27 < verdict.scale < 1.6
    assert verdict.reasons & Reason.VELOCITY
    assert verdict.first.joint == "panda_joint1"
    assert verdict.first.unit == "rad/s"
    accepted = round(verdict.accepted_s / 0.01)
    cruise = verdict.trajectory.dq[accepted - 10]
    assert cruise[6] / cruise[0] == pytest.approx(0.2, abs=0.01), "the path is kept"
    sound(panda, verdict, start)


def test_a_step_a_little_outside_is_moved_to_the_limit_for_the_record(panda, home):
    q = np.tile(home, (8, 1))
    q[3, 7] = 0.0415
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.PASS
    assert verdict.reasons == Reason.POSITION
    assert "panda_finger_joint1 moved by 0.0015 m" in verdict.sentence
    assert verdict.trajectory.q[:, 7].max() <= 0.04


def test_a_step_far_outside_is_cut_and_named(panda, home):
    q = np.tile(home, (8, 1))
    q[5, 7] = 0.06
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.steps_accepted <= 5
    assert verdict.reasons & Reason.POSITION
    assert verdict.first.joint == "panda_finger_joint1"
    assert verdict.first.allowed == pytest.approx(0.04)
    assert len(verdict.refused) == 8 - verdict.steps_accepted


def test_a_joint_that_runs_into_its_limit_is_cut_where_it_can_still_stop(panda, home):
    q0 = home + joint(1, 1.0)  # joint 2: 0.7 rad, limit 1.7628 rad
    model = panda.model
    free = load_safety_model(model.embodiment, "empty")
    rate = joint(0, 0.15)
    q0 = home + joint(0, 2.0)  # limit 2.8973 rad, margin 0.02 rad
    verdict = SafetyFilter(free).filter(
        make_chunk(free.joint_names, steps(q0, rate)), moving(q0, rate), START
    )
    assert verdict.decision == Decision.TRUNCATED
    end = verdict.trajectory.q[-1, 0]
    assert 2.6 < end < 2.8773
    assert verdict.reasons & Reason.POSITION


def downwards(model, home, tip: float, speed: float, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Start pose with the finger tips `tip` m above the table, and n steps straight down at `speed`
    m per step.
    """
    pose = tool_pose(model, home)
    below = 0.0584 + 0.0538 - 0.1034
    first = np.array([0.5, 0.0, tip + below])
    q0 = inverse_kinematics(model, home, first, pose.rotation)
    rows, q = [], q0
    for k in range(1, n + 1):
        q = inverse_kinematics(model, q, first - [0, 0, k * speed], pose.rotation)
        rows.append(q)
    return q0, np.array(rows)


def test_the_table_is_never_touched(panda, home):
    q0, rows = downwards(panda.model, home, tip=0.10, speed=0.025)
    verdict = panda.filter(make_chunk(panda.model.joint_names, rows), at_rest(q0), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.ENV_COLLISION
    assert "of table" in verdict.first.words
    least = min(
        panda.model.distances(q)[panda.model.pairs.world].min() for q in verdict.trajectory.q[::2]
    )
    assert 0.004 <= least < 0.06, "and comes down as far as it can still stop"
    assert "table" in verdict.sentence
    sound(panda, verdict, at_rest(q0))


def test_a_stream_that_presses_down_stays_above_the_table_and_can_leave_again(panda, home):
    q0, rows = downwards(panda.model, home, tip=0.03, speed=0.012)
    state, now = at_rest(q0), START
    names = panda.model.joint_names
    for seq in range(12):
        verdict = panda.filter(make_chunk(names, rows, age=0, now=now, seq=seq), state, now)
        sound(panda, verdict, state)
        now += 100_000_000
        if verdict.trajectory is not None:
            state = sample_trajectory(verdict.trajectory, now)
    assert verdict.decision in (Decision.TRUNCATED, Decision.BRAKE, Decision.REJECT)
    state = at_rest(verdict.trajectory.q[-1])
    table = panda.model.distances(state.q)[panda.model.pairs.world].min()
    assert 0.005 <= table < 0.02, (
        "a millimetre more than the clearance, to have room for the way back"
    )
    up = state.q + np.outer(np.linspace(0.1, 1, 8), q0 - state.q)
    verdict = panda.filter(make_chunk(names, up, now=now), state, now)
    assert verdict.decision == Decision.PASS


def test_a_step_without_a_proven_stop_is_the_end_even_if_later_ones_have_one(
    panda, home, monkeypatch
):
    plan = panda._stops.prove

    def without_the_third(states, bounds, rows=None):
        answers = plan(states, bounds, rows)
        if rows is not None:
            answers[2] = Finding(Reason.ENV_COLLISION, "a body in the way")
        return answers

    monkeypatch.setattr(panda._stops, "prove", without_the_third)
    chunk = make_chunk(panda.model.joint_names, steps(home, joint(0, 0.01)), age=0)
    verdict = panda.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.steps_accepted == 2
    assert verdict.reasons == Reason.NO_BRAKE | Reason.ENV_COLLISION
    assert verdict.first.step == 2
    sound(panda, verdict, at_rest(home))


def test_from_inside_a_clearance_the_way_out_is_open_but_not_one_chunk_after_another_deeper(
    panda, home
):
    """Each chunk may come a tenth of a millimetre nearer on its way out; the next one no nearer
    than that.
    """
    model, params = panda.model, panda.params
    pair = model.pairs.names.index(("panda_leftfinger", "table"))
    q0, rows = downwards(model, home, tip=0.003, speed=0.00009)
    first = make_bounds(model, params, at_rest(q0))
    assert first.distances.clearance[pair] == pytest.approx(0.0029, abs=1e-5)
    assert first.distances.rest[pair] == pytest.approx(0.003, abs=1e-5), (
        "and must come to rest no nearer than it began"
    )
    nearer = make_bounds(model, params, at_rest(rows[0]), first.floor)
    assert nearer.distances.clearance[pair] == first.distances.clearance[pair]
    assert make_bounds(model, params, at_rest(rows[0])).distances.clearance[pair] < 0.00285
    up = inverse_kinematics(
        model,
        q0,
        tool_pose(model, q0).translation + np.r_[0, 0, 0.1],
        tool_pose(model, q0).rotation,
    )
    free = make_bounds(model, params, at_rest(up), nearer.floor)
    assert free.distances.clearance[pair] == pytest.approx(0.004 + params.distance_error_m), (
        "once away it is whole again"
    )


def test_margins_are_shares_of_the_limits(panda, home):
    params = SafetyParams(
        velocity_fraction=0.5, acceleration_fraction=0.6, jerk_fraction=0.7, torque_fraction=0.8
    )
    bounds, limits = make_bounds(panda.model, params, at_rest(home)), panda.model.limits
    assert np.allclose(bounds.joints.velocity, 0.5 * limits.velocity)
    assert np.allclose(bounds.joints.acceleration, 0.6 * limits.acceleration)
    assert np.allclose(bounds.joints.jerk, 0.7 * limits.jerk)
    assert np.allclose(bounds.efforts.limits, 0.8 * limits.effort)


def test_a_robot_that_bears_little_jerk_gets_little(home):
    gentle = dataclasses.replace(load_panda(), max_jerk=(60.0,) * 7 + (4.0,))
    panda = SafetyFilter(load_safety_model(gentle))
    reasons, slowed = Reason.NONE, 0
    for rate in (joint(0, 0.01), joint(0, 0.03) + joint(3, 0.03), joint(0, 0.08)):
        verdict = panda.filter(
            make_chunk(panda.model.joint_names, steps(home, rate)), at_rest(home), START
        )
        assert verdict.trajectory is not None
        sound(panda, verdict, at_rest(home))
        reasons |= verdict.reasons
        slowed += verdict.decision == Decision.SCALED
    assert reasons & Reason.JERK
    assert slowed > 0


def test_links_are_kept_apart(panda, home):
    """Folding the elbow brings the hand to the base."""
    rate = joint(3, -0.09) + joint(1, -0.03)
    start = home + joint(3, -0.2) + joint(5, -1.0)
    q, state, now, reasons = start, at_rest(start), START, Reason.NONE
    for seq in range(8):
        verdict = panda.filter(
            make_chunk(panda.model.joint_names, steps(q, rate), age=0, now=now, seq=seq), state, now
        )
        sound(panda, verdict, state)
        reasons |= verdict.reasons
        if verdict.trajectory is None:
            break
        now += 400_000_000
        state = sample_trajectory(verdict.trajectory, now)
        q = state.q
    assert reasons & (Reason.SELF_COLLISION | Reason.POSITION)


def test_payload_counts(home):
    stone = {"stone": Load("panda_hand_tcp", 15.0)}
    heavy = SafetyFilter(build_safety_model(dataclasses.replace(load_panda(), loads=stone)))
    chunk = make_chunk(heavy.model.joint_names, np.tile(home, (8, 1)))
    verdict = heavy.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.BRAKE
    assert verdict.reasons & Reason.TORQUE
    assert verdict.reasons & Reason.NO_BRAKE
    assert verdict.trajectory is None, "not even standing still is proven, so nothing is emitted"


def load_panda():
    from wam_ros.core.embodiment import load_embodiment

    return load_embodiment("panda")


def test_the_tool_keeps_its_speed_limit_by_slowing(panda, home):
    slow = SafetyFilter(panda.model, SafetyParams(tcp_speed=0.25))
    rate = joint(0, 0.1)  # 1 rad/s at 0.46 m
    chunk = make_chunk(panda.model.joint_names, steps(home, rate, first=-1.1))
    verdict = slow.filter(chunk, moving(home, 0.3 * rate), START)
    assert verdict.decision == Decision.SCALED
    assert verdict.reasons == Reason.TCP_SPEED
    trajectory = verdict.trajectory
    _, velocity = panda.model.tool_motion(trajectory.q, trajectory.dq)
    assert np.linalg.norm(velocity, axis=1).max() <= 0.25


def test_the_tool_stays_in_its_workspace_and_may_return_to_it(panda, home):
    tool = tool_pose(panda.model, home).translation
    box = (-1.0, -1.0, 0.0, 1.0, tool[1] + 0.05, 1.0)
    fenced = SafetyFilter(panda.model, SafetyParams(workspace=box))
    rate = joint(0, 0.04)
    verdict = fenced.filter(
        make_chunk(panda.model.joint_names, steps(home, rate)), moving(home, rate), START
    )
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.WORKSPACE
    position, _ = panda.model.tool_motion(verdict.trajectory.q, verdict.trajectory.dq)
    assert position[:, 1].max() <= tool[1] + 0.05
    outside = home + joint(0, 0.3)
    back = fenced.filter(
        make_chunk(panda.model.joint_names, steps(outside, -rate)), at_rest(outside), START
    )
    assert back.decision == Decision.PASS
    further = fenced.filter(
        make_chunk(panda.model.joint_names, steps(outside, rate)), at_rest(outside), START
    )
    assert further.decision == Decision.BRAKE


def test_a_singularity_is_not_entered_but_may_be_left(panda, home):
    careful = SafetyFilter(panda.model, SafetyParams(singularity=0.08))
    stretch = joint(3, 0.08)  # straightens the elbow
    verdicts, q = [], home + joint(3, 1.3) + joint(1, 0.3)
    for direction in (1, -1):
        chunk = make_chunk(panda.model.joint_names, steps(q, direction * stretch))
        verdicts.append(careful.filter(chunk, at_rest(q), START))
    assert verdicts[0].reasons & Reason.SINGULARITY
    assert verdicts[0].decision in (Decision.TRUNCATED, Decision.BRAKE)
    assert verdicts[1].decision == Decision.PASS


def test_where_no_stop_can_be_proven_nothing_is_emitted(panda, home):
    fast = Commanded(home + joint(0, 2.8), joint(0, 1.9), np.zeros(8))
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, np.tile(fast.q, (8, 1))), fast, START
    )
    assert verdict.decision == Decision.BRAKE
    assert verdict.reasons & Reason.NO_BRAKE
    assert verdict.trajectory is None
    assert panda.stop(fast, START) is None


def test_a_start_inside_a_margin_may_leave_it_but_not_go_deeper(panda, home):
    q0 = home + joint(0, 2.89)  # hard limit 2.8973, margin 0.02
    outward, inward = joint(0, 0.002), joint(0, -0.01)
    names = panda.model.joint_names
    assert (
        panda.filter(make_chunk(names, steps(q0, inward)), at_rest(q0), START).decision
        == Decision.PASS
    )
    verdict = panda.filter(make_chunk(names, steps(q0, 8 * outward)), at_rest(q0), START)
    assert verdict.trajectory is None or verdict.trajectory.q[:, 0].max() <= q0[0] + 1e-9


def test_least_scale_slows_a_chunk_that_would_pass(panda, home):
    chunk = make_chunk(panda.model.joint_names, steps(home, joint(0, 0.02)))
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
    sound(panda, verdict, start)
    if verdict.trajectory is None or verdict.decision == Decision.BRAKE:
        return
    (at_ns, state), *_ = moving_states(verdict.trajectory, rng, 1)
    path = random_path(panda.model, rng, state.q, 8)
    second = panda.filter(
        make_chunk(panda.model.joint_names, path, now=at_ns), state, at_ns, floor=verdict.floor
    )
    sound(panda, second, state)


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
        state = Commanded(t.q[row], t.dq[row], t.ddq[row])
        stop = panda.stop(state, START, verdict.floor)
        assert stop is not None
        sound(panda, dataclasses.replace(verdict, trajectory=stop), state)


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

    monkeypatch.setattr(panda.model, "torque", broken)
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, np.tile(home, (8, 1))), at_rest(home), START
    )
    assert verdict.decision == Decision.REJECT
    assert "boom" in verdict.sentence
