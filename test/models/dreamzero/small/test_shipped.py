"""The weights that come with the package: same answers in both arithmetics, and they do the
task.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.small.config import load_model_config  # noqa: E402
from wam_ros.models.dreamzero.small.load import load_checkpoint  # noqa: E402
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy  # noqa: E402
from wam_ros.sim.world import World  # noqa: E402
from wam_ros.train.closed_loop import make_observation  # noqa: E402
from wam_ros.train.evaluate import Eval  # noqa: E402
from wam_ros.train.judging import run_episode  # noqa: E402
from wam_ros.train.record import observe  # noqa: E402

EMBODIMENT = load_embodiment("panda")


@pytest.fixture(scope="module")
def world():
    world = World(EMBODIMENT)
    yield world
    world.close()


def test_half_precision_moves_no_target_by_more_than_the_task_tolerates(world):
    config = load_model_config("tiny")
    policy = load_policy("tiny", "", EMBODIMENT)
    exact = DreamZeroPolicy(
        config, EMBODIMENT, load_checkpoint(_weights(), config), config.denoising_steps
    )
    for seed in (910_000, 910_001):
        instruction = world.reset(seed)
        observation = make_observation(EMBODIMENT, 0, observe(world, EMBODIMENT), world.q)
        chunks = []
        for p in (policy, exact):
            p.reset(instruction)
            chunks.append(p.predict(observation).positions)
        # rad or m; the demonstrations move ten times that
        assert np.abs(chunks[0] - chunks[1]).max() < 0.02


def test_another_word_sends_the_arm_elsewhere(world):
    policy = load_policy("tiny", "", EMBODIMENT)
    world.reset(910_002)
    observation = make_observation(EMBODIMENT, 0, observe(world, EMBODIMENT), world.q)
    ends = []
    for colour in ("red", "green", "blue"):
        policy.reset(f"pick up the {colour} block")
        ends.append(policy.predict(observation).positions[-1, :7])
    gaps = [np.abs(a - b).max() for i, a in enumerate(ends) for b in ends[:i]]
    assert min(gaps) > 0.01


def test_the_named_block_is_lifted_and_never_another(world):
    policy = load_policy("tiny", "", EMBODIMENT)
    rows = [
        run_episode(policy, world, seed, Eval(max_steps=80)) for seed in range(920_000, 920_010)
    ]
    assert sum(r["success"] for r in rows) >= 7
    assert not any(r["wrong"] for r in rows)


def _weights():
    from wam_ros.core.resources import share_dir

    return share_dir() / "weights" / "tiny.safetensors"
