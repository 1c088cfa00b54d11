"""A released DROID checkpoint drives the shipped DROID robot: name, folder, nothing else."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from testing.policies import served  # noqa: E402
from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.policy import Request  # noqa: E402
from wam_ros.core.types import NS, JointState, Observation  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released.views import crop_box  # noqa: E402
from wam_ros.models.proposals.policy import ProposalsPolicy  # noqa: E402
from wam_ros.wire.contract import load_contract, positions_of, request_of  # noqa: E402

from .test_released import released  # noqa: E402, F401

COLOURS = {"exterior_1": (200, 30, 30), "exterior_2": (30, 200, 30), "wrist": (30, 30, 200)}


@pytest.fixture(scope="module")
def robot():
    return load_embodiment("droid")


@pytest.fixture(scope="module")
def policy(released, robot):  # noqa: F811
    return load_policy(released[0], str(released[1]), robot)


def observe(robot, gripper=0.04):
    frames = np.stack(
        [np.broadcast_to(np.uint8(COLOURS[v]), (180, 320, 3)) for v in robot.view_names]
    )
    q = np.array(robot.home)
    q[-1] = gripper
    stamps = (NS,) * len(robot.view_names)
    return Observation(
        NS, robot.view_names, frames, stamps, JointState(NS, robot.joint_names, q, q * 0, q * 0)
    )


def test_three_views_lie_where_training_had_them(policy, robot):
    """Wrist above, stretched to the whole width; left and right exterior below."""
    canvas = policy.robot.canvas(observe(robot))
    assert canvas.shape == (352, 640, 3)
    for name, part in (
        ("wrist", canvas[:176]),
        ("exterior_1", canvas[176:, :320]),
        ("exterior_2", canvas[176:, 320:]),
    ):
        assert (part == COLOURS[name]).all(), name


def test_the_state_is_seven_joints_and_a_gripper_that_is_1_when_closed(policy, robot):
    for opening, column in ((0.04, 0.0), (0.02, 0.5), (0.0, 1.0)):
        columns = policy.robot.columns(observe(robot, opening))
        np.testing.assert_allclose(columns, [*robot.home[:7], column])


def test_arm_targets_are_relative_to_the_sent_state_and_the_gripper_is_absolute(policy, robot):
    """Statistics of the tiny checkpoint: +-1 rad for the arm's differences, 0 to 1 for the
    gripper's column.
    """
    columns = policy.robot.columns(observe(robot, 0.01))
    action = np.zeros((24, 32))
    action[:, :7], action[:, 7] = 0.1, 0.25
    found = policy.robot.positions(action, columns)
    np.testing.assert_allclose(found[:, :7], np.tile(np.array(robot.home[:7]) + 0.1, (24, 1)))
    np.testing.assert_allclose(found[:, 7], 0.04 - 0.04 * 0.625)


def test_a_chunk_is_24_targets_at_15_hz_and_eight_frames_of_every_camera(policy, robot):
    policy.reset("pick up the red cup")
    observation = observe(robot)
    output = policy.predict(observation)
    assert output.positions.shape == (24, 8) and np.isfinite(output.positions).all()
    assert output.frames.shape == (8, 3, 180, 320, 3)
    assert output.frame_offsets_ns[-1] == pytest.approx(24 / 15 * NS, abs=10)
    top, left, h, w = crop_box(180, 320, policy.robot.contract.crop)
    seen = (slice(None), slice(top, top + h), slice(left, left + w))
    for view in range(3):
        assert (output.frames[:, view][seen] != observation.frames[view][seen[1:]]).any()


def test_told_its_actions_it_imagines_what_follows_from_them_and_each_time_from_the_same_frame(
    policy, robot
):
    policy.reset("pick up the red cup")
    observation = observe(robot)
    still = np.tile(observation.joints.positions, (24, 1))
    ahead = still + np.linspace(0, 0.3, 24)[:, None] * np.array([1.0] * 7 + [0.0])

    def imagined(plan):
        output = policy.predict(observation, Request(0, plan=plan, committed=len(plan)))
        np.testing.assert_allclose(output.positions[: len(plan)], plan[:24], atol=1e-5)
        return output.frames

    first = imagined(still)
    assert (first != imagined(ahead)).any()
    assert (first == imagined(still)).all()
    assert (first != imagined(still[:8])).any()  # the other rows are its own
    assert (imagined(np.vstack([still, ahead])) == first).all()  # what is longer than a block
    policy.predict(observation, Request(0))
    for step in range(3, 24, 3):
        policy.predict(observation, Request(step, predict=False))
    # the first at the end of a block that it could go on from
    at = [policy.predict(observation, Request(24, plan=still, committed=24)) for _ in range(2)]
    assert (at[0].frames == at[1].frames).all()
    beyond = np.tile(observation.joints.positions, (24, 1))
    beyond[:, 0] += 5.0  # at the end of the statistics, as in training
    at_the_end = policy.predict(observation, Request(0, plan=beyond, committed=24)).positions
    np.testing.assert_allclose(at_the_end[:, 0], observation.joints.positions[0] + 1.0, atol=1e-5)


def test_it_predicts_what_follows_from_proposals_of_another_policy(policy, robot):
    class Proposer:
        name = "proposer"
        checkpoint_hash = ""
        turn = 0

        def reset(self, instruction):
            pass

        def predict(self, seen):
            self.turn += 1
            rows = np.tile(seen.joints.positions, (24, 1))
            rows[:, 0] += 0.1 * self.turn * np.linspace(0, 1, 24)
            return dataclasses.replace(plain, positions=rows)

    policy.reset("pick up the red cup")
    plain = policy.predict(observe(robot), Request(0))
    pair = ProposalsPolicy("pair", Proposer(), policy)
    pair.reset("pick up the red cup")
    output = pair.predict(observe(robot), Request(0, candidates=3))
    futures = [output, *output.others]
    assert [round(f.positions[-1, 0] - robot.home[0], 3) for f in futures] == [0.1, 0.2, 0.3]
    assert len({f.frames.tobytes() for f in futures}) == 3


def test_behind_wam_serve_it_answers_ours_bit_for_bit_and_roboarena_s_clients(
    policy, robot, monkeypatch
):
    words = "pick up the cup"
    seen = observe(robot)
    taken = []  # frames that each chunk continues
    chunk = policy.rollout.chunk

    def counted(frames, *more):
        taken.append(frames.shape[1])
        return chunk(frames, *more)

    def run(asked):
        asked.reset(words)
        requests = [Request(step, predict=step % 24 == 0) for step in range(0, 25, 3)]
        answers = [asked.predict(seen, request) for request in requests]
        return [output for output in answers if output is not None]

    monkeypatch.setattr(policy.rollout, "chunk", counted)
    here = run(policy)
    contract = load_contract("roboarena", robot)
    with served(policy, [contract], robot=robot, idle_s=0.0) as (_, port):
        there = run(load_policy(f"ws://127.0.0.1:{port}", "", robot))
        for got, expected in zip(there, here, strict=True):
            assert got.positions.tobytes() == expected.positions.tobytes()
            assert got.frames.tobytes() == expected.frames.tobytes()
        theirs = load_policy(f"roboarena@ws://127.0.0.1:{port}", "", robot)
        theirs.reset(words)
        np.testing.assert_allclose(theirs.predict(seen).positions, here[0].positions, atol=1e-6)
        # the four frames of its client are not the nine of a block: the window begins anew
        message = request_of(contract, seen, words, theirs._session)
        message |= {key: np.stack([message[key]] * 4) for key in contract.images}
        rows = positions_of(contract, theirs._link.ask(message, 60.0), seen, robot)
        np.testing.assert_allclose(rows, here[0].positions, atol=1e-6)
    assert taken == [1, 9, 1, 9, 1, 1]
