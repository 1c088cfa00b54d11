"""`wam calibrate model`: what errors calm runs of a checkpoint show, and a head that tells whether
a task is done or can be done no more. It writes one file beside the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.small.appraisal import (
    Appraiser,
    OutcomeHead,
    appraisal_path,
    load_appraiser,
    save_appraiser,
    token_of,
)
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.sim.grasping import PANDA, grasping_of
from wam_ros.sim.robots import links_of
from wam_ros.sim.tasks.pick_block import COLOURS, TEMPLATES
from wam_ros.sim.world import World
from wam_ros.train.calm import FOLDS, learn_calm
from wam_ros.train.rollouts import (
    CALM,
    kind_of,
    load_rollout,
    roll_out,
    save_rollout,
    still_lives,
)

# m above the table: so high counts, and between the two neither is learned
DONE = (0.08, 0.11)
WRONG = (0.02, 0.06)
FAR = 0.15  # m beyond where blocks are put
LATENT_NOISE = 0.05
AHEAD = 8  # control steps from an observation to the end of what is imagined
BATCH = 256


@dataclass(frozen=True)
class Calibrate:
    """Learn what is calm, and what done and failed look like, from episodes in the simulator."""

    rollouts: Path  # folder of episodes; those that are missing in it are run first
    model: str = "tiny"  # name in config/models, or a path ending in .yaml
    checkpoint: str = ""  # weights file; empty: the shipped one
    out: Path | None = None  # file to write; empty: beside the weights
    episodes: int = 240  # every other one is calm
    seed: int = 700_000  # of the first episode; the next ones count up
    # denoising steps of the episodes, in turn: what is learned holds for each of them
    steps: tuple[int, ...] = (1, 2, 3)
    stills: int = 5000  # moments of them with blocks taken away, to learn what gone looks like
    minutes: float = 3.0  # of learning
    only_calm: bool = False  # learn what is calm; done and failed stay as they were learned
    only_run: bool = False  # run the missing episodes and learn nothing yet
    threads: int = 1  # CPU threads


def main(args: Calibrate) -> None:
    """Run what is missing, learn, write the file and print what was found.

    Raises:
        WamError: an argument, checkpoint or file is wrong.
    """
    require_within("--episodes", args.episodes, FOLDS)
    require_within("--stills", args.stills, 1)
    require_within("--threads", args.threads, 1)
    if not args.steps or min(args.steps) < 1:
        raise WamError(f"--steps must be whole numbers from 1, found {args.steps}")
    if args.minutes <= 0:
        raise WamError(f"--minutes must be > 0, found {args.minutes:g}")
    make_folder("--rollouts", args.rollouts)
    config = load_model_config(args.model)
    robot = load_embodiment(config.embodiment)
    if grasping_of(robot.name, links_of(robot)) is not PANDA:
        raise WamError(
            f"--model {args.model} is for '{robot.name}': done and failed are known of the panda's "
            "blocks only"
        )
    policies = [_load(args, robot, n) for n in args.steps]
    weights = Path(args.checkpoint) if args.checkpoint else policies[0].weights
    before = load_appraiser(appraisal_path(weights), config, policies[0].checkpoint_hash)
    if args.only_calm and before is None:
        raise WamError(f"nothing was learned of '{weights}' before: run it without --only-calm")
    _run_missing(args, policies, robot)
    if args.only_run:
        return
    episodes = [load_rollout(path_of(args, i)) for i in _wanted(args)]
    calm = learn_calm(episodes, robot)
    if args.only_calm and before is not None:
        head = before.head
    else:
        stills = _stills(args, policies[0], robot, episodes)
        head = learn_head(policies[0], episodes, stills, args.minutes)
    out = args.out or appraisal_path(weights)
    facts = {"episodes": len(episodes), "seed": args.seed, "steps": list(args.steps)}
    save_appraiser(out, Appraiser(head, calm), policies[0].checkpoint_hash, facts)
    Console().print(f"{out}: of {len(episodes)} episodes")


def _load(args: Calibrate, robot: Embodiment, steps: int) -> DreamZeroPolicy:
    policy = load_policy(args.model, args.checkpoint, robot, threads=args.threads, steps=steps)
    if not isinstance(policy, DreamZeroPolicy):
        raise WamError(f"'{args.model}' imagines no latents here: nothing can be learned of it")
    return policy


def path_of(args: Calibrate, index: int) -> Path:
    """Where an episode stands."""
    return args.rollouts / f"{args.seed + index}.npz"


def _wanted(args: Calibrate) -> list[int]:
    """The episodes that are learned from."""
    return [i for i in range(args.episodes) if not args.only_calm or kind_of(i) == CALM]


def _run_missing(args: Calibrate, policies: list[DreamZeroPolicy], robot: Embodiment) -> None:
    missing = [i for i in _wanted(args) if not path_of(args, i).is_file()]
    if not missing:
        return
    world = World(robot)
    with Progress() as progress:
        for i in progress.track(missing, description="episodes"):
            policy = policies[i // 2 % len(policies)]
            arrays = roll_out(policy, world, args.seed + i, kind_of(i))
            save_rollout(path_of(args, i), arrays)
    world.close()


def _stills(
    args: Calibrate,
    policy: DreamZeroPolicy,
    robot: Embodiment,
    episodes: list[dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Moments of the episodes that are learned from, with blocks taken away."""
    path = args.rollouts / f"stills-{args.seed}-{args.stills}.npz"
    if not path.is_file():
        world = World(robot)
        save_rollout(path, still_lives(policy, world, _part(episodes, False), args.stills))
        world.close()
    return load_rollout(path)


def _part(episodes: list[dict[str, np.ndarray]], held: bool) -> list[dict[str, np.ndarray]]:
    """The episodes that are learned from, or those that only test: every fifth of each kind."""
    return [e for i, e in enumerate(episodes) if (i // 2 % FOLDS == 0) == held]


def labels(blocks: np.ndarray, colour: int) -> tuple[np.ndarray, np.ndarray]:
    """Done and failed (K, 2), and which of them are clear (K, 2), of block centres (K, 3, 3) m when
    a colour is named.
    """
    height = blocks[..., 2] - PANDA.half
    other = np.delete(height, colour, axis=1).max(1)
    at = blocks[:, colour]
    gone = (at[:, 0] < PANDA.x[0] - FAR) | (at[:, 0] > PANDA.x[1] + FAR)
    gone |= (np.abs(at[:, 1]) > PANDA.y[1] + FAR) | (at[:, 2] < 0)
    own = np.where(gone, 0.0, height[:, colour])
    found = np.stack([own > DONE[1], gone | (other > WRONG[1])], 1)
    clear = np.stack(
        [
            (own < DONE[0]) | (own > DONE[1]),
            gone | (other < WRONG[0]) | (other > WRONG[1]),
        ],
        1,
    )
    return found, clear


def samples(
    episode: dict[str, np.ndarray], instructions: list[str]
) -> tuple[list[np.ndarray], list[str]]:
    """Latents, joints, labels and their clarity, as often as there are colours, seen and imagined;
    and the instruction of each.
    """
    latents = episode["latent"].astype(np.float32)
    count = len(latents)
    parts: list[tuple[np.ndarray, ...]] = []
    words: list[str] = []
    # What is imagined is held against what came, as long as nobody interfered: afterwards the model
    # still imagines a block that is gone, and a picture of it must not be learned as of none.
    ahead = max(0, count - AHEAD)
    known = ~episode["begun"][AHEAD:] if ahead else np.zeros(0, bool)
    end_latents = episode["end_latent"][:ahead].astype(np.float32)[known]
    end_states = episode["end_state"][:ahead][known]
    for colour, text in enumerate(instructions):
        found, clear = labels(episode["blocks"], colour)
        parts.append((latents, episode["state"], found, clear))
        parts.append((end_latents, end_states, found[AHEAD:][known], clear[AHEAD:][known]))
        words += [text] * (count + len(end_latents))
    return [np.concatenate(x) for x in zip(*parts, strict=True)], words


def learn_head(
    policy: DreamZeroPolicy,
    episodes: list[dict[str, np.ndarray]],
    stills: dict[str, np.ndarray],
    minutes: float,
) -> OutcomeHead:
    """Learn done and failed for `minutes`; every fifth episode only tests it."""
    torch.manual_seed(0)
    head = OutcomeHead(policy.config)
    train = _tensors(policy, _part(episodes, False), stills)
    test = _tensors(policy, _part(episodes, True))
    optimiser = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=1e-3)
    positive = (train[3] * train[4]).sum(0)
    weight = ((train[4].sum(0) - positive) / positive.clamp_min(1)).clamp(1, 3)
    loss_of = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weight)
    generator = torch.Generator().manual_seed(0)
    steps = max(1, round(900 * minutes))
    with Progress() as progress:
        for step in progress.track(range(steps), description="done and failed"):
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)) + 1e-5
            rows = torch.randint(len(train[0]), (BATCH,), generator=generator)
            latents, states, words, found, clear, token = (x[rows] for x in train)
            noise = LATENT_NOISE * torch.randn(latents.shape, generator=generator)
            error = loss_of(head(latents + noise, states, words, token), found) * clear
            loss = error.sum() / clear.sum().clamp_min(1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    head.eval().requires_grad_(False)
    latents, states, words, found, clear, token = test
    said = (head(latents, states, words, token) > 0).float()
    for k, name in enumerate(("done", "failed")):
        wrong = (said[:, k] != found[:, k]) * clear[:, k]
        yes = found[:, k] * clear[:, k]
        missed = float((wrong * yes).sum() / yes.sum().clamp_min(1))
        false = float((wrong * (1 - yes)).sum() / (clear[:, k] - yes).sum().clamp_min(1))
        Console().print(
            f"{name}: of frames never learned from, {missed:.2%} missed, {false:.2%} false"
        )
    return head


def _tensors(
    policy: DreamZeroPolicy,
    episodes: list[dict[str, np.ndarray]],
    stills: dict[str, np.ndarray] | None = None,
) -> list[Tensor]:
    """Latents, normalised joints, words, labels, their clarity and tokens of all samples."""
    parts: list[list[np.ndarray]] = []
    texts: list[str] = []
    if stills is not None:
        latents = stills["latent"].astype(np.float32)
        for k, colour in enumerate(COLOURS):
            said = labels(stills["blocks"], k)
            parts.append([latents, stills["state"], *said])
            texts += [TEMPLATES[i % len(TEMPLATES)].format(colour) for i in range(len(latents))]
    for episode in episodes:
        named = list(COLOURS)[int(episode["named"])]
        own = str(episode["instruction"])
        arrays, words = samples(episode, [own.replace(named, c) for c in COLOURS])
        parts.append(arrays)
        texts += words
    all_latents, states, found, clear = (
        torch.from_numpy(np.concatenate(x).astype(np.float32)) for x in zip(*parts, strict=True)
    )
    model = policy.networks.model
    word_ids = model.text_encoder.tokenize(texts)
    with torch.inference_mode():
        pairs = zip(all_latents.split(BATCH), word_ids.split(BATCH), strict=True)
        token = torch.cat([token_of(model, *pair) for pair in pairs]).clone()
    return [all_latents, policy.networks.normaliser.state(states), word_ids, found, clear, token]
