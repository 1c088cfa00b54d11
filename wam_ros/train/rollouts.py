"""Episodes of a model in the simulator, with what it imagined and what was true, a file each: what
`wam calibrate model` learns from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.files import whole_file
from wam_ros.core.policy import Policy
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.sim.grasping import PANDA
from wam_ros.sim.mishaps import AWAY, FAILURES, Mishap, set_scene
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.world import World
from wam_ros.train.closed_loop import ClosedLoop, Delay
from wam_ros.train.record import observe

STEPS = 64  # control steps of an episode at most
AFTER = 8  # of them after success
CALM = "calm"
SCATTERS = 200  # tries of finding places for blocks
GONE = 0.35  # share of the blocks of a still life that are taken away
EARLIEST_S = 0.4  # of a mishap
LATEST_S = 2.4


def kind_of(index: int) -> str:
    """What happens in an episode: every other one is calm."""
    return CALM if index % 2 == 0 else FAILURES[index // 2 % len(FAILURES)]


def make_mishap(kind: str, world: World, seed: int) -> Mishap | None:
    """The mishap of an episode, at a time of the seed's; None for a calm one."""
    rng = np.random.default_rng([seed, 2])
    at_s = float(rng.uniform(EARLIEST_S, LATEST_S))
    return None if kind == CALM else Mishap(kind, world, at_s, rng)


@contextlib.contextmanager
def episode_of(
    policy: Policy, world: World, seed: int, kind: str, every: int = 1
) -> Iterator[ClosedLoop]:
    """A loop at the beginning of the episode of a seed, in which something of a kind goes wrong or
    nothing; at the end the world is put right.

    Args:
        every: control steps between two predictions.
    """
    policy.reset(world.reset(seed))
    mishap = make_mishap(kind, world, seed)
    try:
        yield ClosedLoop(
            policy=policy,
            world=world,
            chunking="auto",
            every=every,
            delay=Delay(1),
            seed=seed,
            mishap=mishap,
        )
    finally:
        if mishap is not None:
            mishap.end()


def roll_out(policy: DreamZeroPolicy, world: World, seed: int, kind: str) -> dict[str, np.ndarray]:
    """One episode of K control steps as arrays; where nothing was imagined, `due` is False, the
    errors of latents are NaN and the imagined frames black.
    """
    with episode_of(policy, world, seed, kind) as loop:
        rows = _rows(policy, world, loop)
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return arrays | {
        "seed": np.array(seed),
        "kind": np.array(kind),
        "named": np.array(list(COLOURS).index(world.task.colour)),  # type: ignore[attr-defined]
        "instruction": np.array(world.instruction),
        "success": np.array(world.task.success),
    }


def _rows(policy: DreamZeroPolicy, world: World, loop: ClosedLoop) -> list[dict[str, np.ndarray]]:
    """What was seen, imagined and true at each control step of an episode."""
    rows: list[dict[str, np.ndarray]] = []
    left = AFTER
    while len(rows) < STEPS and left:
        if loop.mishap is not None:
            loop.mishap.look()
        state = world.q
        blocks = np.stack([world.task.block_position(world, c) for c in COLOURS])  # type: ignore[attr-defined]
        at_ns = loop.now_ns
        loop.step()
        if policy.compared is None or policy.imagined_end is None:
            raise WamError("the model imagines nothing")
        imagined, seen = policy.compared
        compared = loop.session.compared
        due = compared is not None and abs(compared.instant_ns - at_ns) <= loop.step_ns // 2
        rows.append(
            {
                "state": state,
                "blocks": blocks,
                "latent": latent_array(seen),
                "end_latent": latent_array(policy.imagined_end[0]),
                "end_state": policy.imagined_end[1].float().numpy(),
                "frames": loop.frames,
                "imagined": compared.imagined
                if due and compared is not None
                else np.zeros_like(loop.frames),
                "due": np.array(due),
                "latent_errors": policy.latent_errors(seen, seen) * np.nan
                if imagined is None
                else policy.latent_errors(imagined, seen),
                "begun": np.array(loop.disturbed),
                "tool": world.tool_position,
            }
        )
        left -= world.task.success
    return rows


def latent_array(latent: Tensor) -> np.ndarray:
    """(C, h, V * w) float16."""
    return latent.float().numpy().astype(np.float16)


def scattered(blocks: np.ndarray, tool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Block centres (3, 3) m, of which those that lie apart from the hand at (3,) m were put
    somewhere else on the table, as far as there is room.
    """
    free = (blocks[:, 2] < PANDA.half + 0.01) & (np.linalg.norm(blocks - tool, axis=1) > PANDA.gap)
    low, high = zip(PANDA.x, PANDA.y, strict=True)
    for _ in range(SCATTERS):
        moved = blocks.copy()
        moved[free] = [(*xy, PANDA.half) for xy in rng.uniform(low, high, (int(free.sum()), 2))]
        others = np.concatenate([moved[:, :2], tool[None, :2]])
        gaps = np.linalg.norm(moved[:, None, :2] - others, axis=2) + np.eye(3, 4)
        if (gaps[free] >= PANDA.gap).all():
            return moved
    return blocks.copy()


def still_lives(
    policy: DreamZeroPolicy, world: World, episodes: list[dict[str, np.ndarray]], count: int
) -> dict[str, np.ndarray]:
    """`count` moments of episodes with blocks that lie elsewhere or were taken away, at random:
    what it looks like that one is gone is seen in too few episodes. Arrays as those of an episode,
    in no order.
    """
    rng = np.random.default_rng(count)
    rows: dict[str, list[np.ndarray]] = {"latent": [], "state": [], "blocks": []}
    for _ in range(count):
        episode = episodes[int(rng.integers(len(episodes)))]
        k = int(rng.integers(len(episode["state"])))
        blocks = scattered(episode["blocks"][k], episode["tool"][k], rng)
        blocks[rng.random(len(COLOURS)) < GONE] = (*AWAY, -1.0)
        set_scene(world, episode["state"][k], blocks, rng.uniform(-0.25, 0.25, len(blocks)))
        rows["latent"].append(policy.latent_of(observe(world, world.embodiment)))
        rows["state"].append(episode["state"][k])
        rows["blocks"].append(blocks)
    return {name: np.stack(values) for name, values in rows.items()}


def save_rollout(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an episode, whole or not at all; raises `WamError` when that fails."""
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_rollout(path: Path) -> dict[str, np.ndarray]:
    """Read an episode; raises `WamError` naming the file when it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, KeyError) as error:
        raise WamError(f"'{path}' is no rollout: {error}") from error
