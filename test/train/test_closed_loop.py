"""The loop in simulated time: late answers, and what becomes of a delay that no chunk can
bridge.
"""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput
from wam_ros.core.types import ChunkingMode, Conditioning, MotionTable
from wam_ros.sim.world import World
from wam_ros.train import closed_loop
from wam_ros.train.closed_loop import ClosedLoop, Delay
from wam_ros.train.rollouts import CALM, episode_of

PANDA = load_embodiment("panda")


class Wave:
    """Moves the first joint along a line from where it is seen; every chunk has another slope."""

    name, checkpoint_hash = "wave", "0" * 16

    def __init__(self, abilities=None):
        self.abilities, self.requests = abilities or Abilities(), []

    def reset(self, instruction):
        self.requests.clear()

    def predict(self, observation, request):
        self.requests.append(request)
        if not request.predict:
            return None
        q = np.tile(observation.joints.positions, (PANDA.action_horizon, 1))
        q[:, 0] += (0.01 if len(self.requests) % 2 else 0.03) * np.arange(
            1, PANDA.action_horizon + 1
        )
        offset = round(1e9 * PANDA.action_horizon * PANDA.step_period_s)
        return PolicyOutput(
            q,
            observation.frames[None],
            (offset,),
            Conditioning.REAL,
            1,
            guided=request.plan is not None,
        )


@pytest.fixture(scope="module")
def world():
    world = World(PANDA)
    yield world
    world.close()


@pytest.fixture
def blind(monkeypatch):
    """No pictures are drawn: the policy of this file does not look. How often it could have."""
    frames = np.zeros((2, PANDA.image_height, PANDA.image_width, 3), np.uint8)
    looks = []
    monkeypatch.setattr(closed_loop, "observe", lambda *_: looks.append(1) or frames)
    return looks


def run(world, delay, steps=40, abilities=None, chunking="auto", sparse=False, **kwargs):
    world.reset(0)
    policy = Wave(abilities)
    loop = ClosedLoop(policy, world, chunking, 4, Delay(delay, **kwargs), sparse=sparse)
    chunks, states = [], []
    sample = loop.timeline.sample
    loop.timeline.sample = lambda now: states.append(sample(now)) or states[-1]
    loop.moved = []
    for k in range(steps):
        chunks += loop.step()
        loop.moved += [k] * loop.moving
    path = MotionTable.of([s for s in states if s is not None]).arrays
    return loop, policy, chunks, path


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_delay_that_a_chunk_bridges_never_stops_the_arm(world, blind, delay):
    loop, policy, chunks, _ = run(world, delay, abilities=Abilities(guided=True))
    assert {c.chunking_mode for c in chunks[1:]} == {ChunkingMode.GUIDED}
    assert loop.moved == list(range(delay, 40))
    assert all(r.committed == delay for r in policy.requests[1:])
    assert loop.session.underruns == 0


@pytest.mark.parametrize("delay", [6, 10])
def test_a_delay_that_no_chunk_bridges_is_said_and_ends_in_execute_stop_think(world, blind, delay):
    loop, _, chunks, (q, dq, _) = run(world, delay, steps=60, abilities=Abilities(guided=True))
    assert str(loop.scheduler.timing).startswith(f"mode=SYNC d={delay} > H-s")
    assert {c.chunking_mode for c in chunks[1:]} == {ChunkingMode.SYNCHRONOUS}
    stopped = np.abs(dq[:, 0]) < 1e-6
    # it stands while it thinks, and moves in between
    assert stopped.mean() > 0.3 and (~stopped).any()
    period = 0.01
    # no jump anywhere
    assert np.abs(np.diff(q[:, 0])).max() < 1.5 * np.abs(dq[:, 0]).max() * period + 1e-9
    assert np.abs(np.diff(dq[:, 0])).max() < 0.1


@pytest.mark.parametrize(
    ("delay", "stride", "jitter", "looks"),
    [
        (1, 4, 0, 10),
        (3, 0, 0, 10),
        (1, 3, 0, 40),  # frames between two questions are wanted
        (1, 4, 2, 40),  # when the model is asked depends on what comes
        (6, 4, 0, 40),
    ],
)
def test_looking_only_where_the_model_is_asked_changes_nothing_but_what_it_costs(
    world, blind, delay, stride, jitter, looks
):
    abilities = Abilities(guided=True, frame_stride=stride)
    found = []
    for sparse in (False, True):
        blind.clear()
        _, policy, chunks, path = run(
            world, delay, abilities=abilities, sparse=sparse, jitter=jitter
        )
        found.append(([(r.step, r.predict) for r in policy.requests], len(chunks), path))
    assert len(blind) == looks
    (asked, taken, path), (asked_sparse, taken_sparse, path_sparse) = found
    assert asked and asked == asked_sparse and taken == taken_sparse
    for one, other in zip(path, path_sparse, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_on_the_way_are_remembered_by_executed_steps(world, blind):
    _, policy, _, _ = run(world, 6, abilities=Abilities(frame_stride=4))
    steps = [(r.step, r.predict) for r in policy.requests]
    assert (0, True) in steps and (8, True) in steps
    looks = [s for s, predict in steps if predict]
    notes = [s for s, predict in steps if not predict]
    assert notes and all((looks[-1] - n) % 4 == 0 for n in notes)


def test_of_several_candidates_the_one_of_the_highest_value_moves_the_arm(world, blind):
    class Fan(Wave):
        """Every candidate has another slope; the first one stands still."""

        def predict(self, observation, request):
            first = super().predict(observation, request)
            slope = 0.01 * np.arange(1, PANDA.action_horizon + 1)
            chunks = [first.positions * 0 + observation.joints.positions for _ in range(4)]
            for k, q in enumerate(chunks):
                q[:, 0] += k * slope
            outputs = [dataclasses.replace(first, positions=q) for q in chunks]
            assert request.candidates == len(outputs)
            return dataclasses.replace(outputs[0], others=tuple(outputs[1:]))

    def moved(value):
        world.reset(0)
        fan = Fan(Abilities(candidates=8))
        loop = ClosedLoop(fan, world, "replace", 4, Delay(0), candidates=4, value=value)
        chunk = loop.step()[0]
        return chunk.positions[-1, 0] - chunk.positions[0, 0], chunk.value

    assert moved(None)[0] == 0
    slope, worth = moved(lambda some: np.array([0.0, 5.0, 2.0, 1.0]))
    assert slope == pytest.approx(0.07) and worth == 5.0


def test_late_and_jittery_answers_come_in_order(world, blind):
    _, _, chunks, _ = run(world, 1, jitter=2)
    assert [c.seq for c in chunks] == list(range(len(chunks)))


def test_a_mode_the_model_cannot_do_is_refused(world):
    with pytest.raises(WamError, match="choices: auto"):
        run(world, 1, chunking="prefix")


def test_an_episode_begins_with_its_mishap_and_leaves_the_world_as_it_was(world, blind):
    before = world.model.cam_quat.copy()

    def fail_in_the_middle():
        with episode_of(Wave(), world, 3, "camera turned", every=4) as loop:
            while not loop.disturbed:
                loop.step()
            assert not np.array_equal(world.model.cam_quat, before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert np.array_equal(world.model.cam_quat, before)
    with episode_of(Wave(), world, 4, CALM) as loop:
        assert (loop.mishap, loop.disturbed, world.seed) == (None, False, 4)
