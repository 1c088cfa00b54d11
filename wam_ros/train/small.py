"""The small model as the trainer sees it, and what has to be there before its first step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import make_folder
from wam_ros.data.folder import open_episodes
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, add_low_rank, merged
from wam_ros.models.dreamzero.shared.objective import EMPHASIS, draw_beta
from wam_ros.models.dreamzero.small.config import (
    ChunkConfig,
    DreamZeroConfig,
    load_model_config,
)
from wam_ros.models.dreamzero.small.load import (
    Networks,
    load_checkpoint,
    save_checkpoint,
    save_updates,
)
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.models.processor import processor
from wam_ros.models.sampling import Euler, integrate, noised, schedule
from wam_ros.train.arguments import Train
from wam_ros.train.check import load_stretches, load_videos
from wam_ros.train.dataset import (
    Demonstrations,
    Stretch,
    about,
    as_film,
    cached_latents,
    canvases,
    digest_of,
    round_to_half,
)
from wam_ros.train.family import Log, Rows, per_sample, split
from wam_ros.train.grounding import HISTORY_NOISE, train_grounding
from wam_ros.train.muon import Muon
from wam_ros.train.team import Team
from wam_ros.train.tokenizer import train_tokenizer

MIXED = "mixed"  # levels of video and action: half of the samples share theirs
STATE_NOISE = 0.02  # on normalised states
# Share of blocks whose first steps are given clean (Black et al., "Training-Time Action
# Conditioning", 2025).
COMMITTED = 0.5
PURE_NOISE = 0.15  # share of samples at level 1, where every sampling run starts
SWAPPED = 16  # windows of which another word is tried
SWAP_STEPS = 4
START = "start.safetensors"  # weights before the first step, with tokenizer and statistics
LATENTS = "latents.safetensors"


def levels(
    timesteps: str, blocks: int, horizon: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Noise levels of video (K,) and actions (K, T) of one sample.

    `mixed` draws logit-normal ones, half of them shared by both, some exactly 1; the others are
    those of `objective.TIMESTEPS` for continuous levels.
    """

    def draw() -> Tensor:
        if timesteps in EMPHASIS:
            return draw_beta(EMPHASIS[timesteps], (blocks,), generator)
        level = torch.sigmoid(0.6 + 1.3 * torch.randn(blocks, generator=generator))
        pure = torch.rand(blocks, generator=generator) < PURE_NOISE
        return torch.where(pure, torch.ones(blocks), level)

    video = draw()
    if timesteps == "decoupled":
        return video, torch.rand(blocks, horizon, generator=generator)
    action = video
    if timesteps == MIXED:
        alone = draw()
        action = torch.where(torch.rand(blocks, generator=generator) < 0.5, video, alone)
    return video, action[:, None].expand(-1, horizon)


def turns(acted: int, films: int) -> int:
    """How often windows with actions take part, so that they are about half of all at least:
    however long films are, actions are learned from demonstrations alone.
    """
    return max(1, round(films / acted)) if acted else 1


def half_acted(drawn: Tensor, film: Tensor) -> Tensor:
    """Windows `drawn` (N,), those that are no `film` (N,) as often as `turns` says."""
    acted = drawn[~film]
    return torch.cat([drawn[film], acted.repeat(turns(len(acted), len(drawn) - len(acted)))])


def committed(blocks: int, chunk: ChunkConfig, generator: torch.Generator) -> Tensor:
    """(K, T) True for the leading steps that are given clean: none, or 1 to
    `chunk.committed_steps`, per block.
    """
    if not chunk.committed_steps:
        return torch.zeros(blocks, chunk.action_horizon, dtype=torch.bool)
    n = torch.randint(1, chunk.committed_steps + 1, (blocks,), generator=generator)
    n = torch.where(torch.rand(blocks, generator=generator) < COMMITTED, n, 0)
    return torch.arange(chunk.action_horizon) < n[:, None]


class SmallFamily:
    """Implements `family.Family`.

    Args:
        networks: the model to train, its tokenizer and statistics.
        config: sizes of the model.
        data: what is learned from.
        blocks: of a window, at most.
        timesteps: see `levels`.
        held_out: share of the episodes that is only measured.
        low_rank: of the updates that the model was given; None where all of it is trained.
        base: file of the weights below the updates.
        imagine: False gives it noise in the place of all frames to come, and no loss of them.
        act: False where `data` are films alone.
        facts: what must be the same where training goes on.
    """

    def __init__(
        self,
        networks: Networks,
        config: DreamZeroConfig,
        data: Demonstrations,
        blocks: int,
        timesteps: str = MIXED,
        held_out: float = 0.0,
        low_rank: LowRankSize | None = None,
        base: Path | None = None,
        imagine: bool = True,
        act: bool = True,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = config.name
        self.networks = networks
        self.model: WorldActionModel = networks.model
        self.config = config
        self.data = data
        self.blocks = blocks
        self.timesteps = timesteps
        self.low_rank = low_rank
        self.base = base
        self.imagine = imagine
        # said only where it does not: what says nothing imagines and acts
        unlearned = {"imagine": imagine, "act": act}
        self.facts = dict(facts or {}) | {
            n: False for n, learned in unlearned.items() if not learned
        }
        drawn, self.held_out = split(data.episode_of_windows(), held_out)
        self.drawn = half_acted(drawn, data.is_film()[drawn])
        of_video = {"video": 1.0} if imagine else {}
        # of data that do not say where the gripper closes there is no goal to learn
        of_action = {"action": 3.0, "goal": 0.5} if act else {}
        self.weights: Mapping[str, float] = of_video | of_action

    def batch(self, windows: Tensor, seeds: Tensor) -> Rows:
        """See `family.Family.batch`."""
        found = {n: x.float() if x.is_floating_point() else x for n, x in self._numbers(windows)}
        return per_sample(found, seeds, self._draw)

    def _numbers(self, windows: Tensor) -> list[tuple[str, Tensor]]:
        return list(vars(self.data.numbered(windows, self.blocks)).items())

    def _draw(self, generator: torch.Generator) -> Rows:
        k = self.blocks
        chunk = self.config.chunk
        c = self.config.tokenizer.latent_channels
        frame = (c, *self.config.latent_size)

        def randn(*shape: int) -> Tensor:
            return torch.randn(k, *shape, generator=generator)

        t_video, t_action = levels(self.timesteps, k, chunk.action_horizon, generator)
        if not self.imagine:
            # nothing may be read off them that is not there at run time
            t_video = torch.ones_like(t_video)
        given = committed(k, chunk, generator)
        return {
            "t_video": t_video,
            "t_action": t_action * ~given,
            "given": given,
            "noise_video": randn(chunk.imagined_frames, *frame),
            "noise_action": randn(chunk.action_horizon, self.config.action_dim),
            "noise_clean": HISTORY_NOISE * randn(*frame),
            "noise_state": STATE_NOISE * randn(self.config.state_dim),
        }

    def counts(self, batch: Rows) -> Rows:
        """Blocks, learned actions and goals; see `family.Family.counts`."""
        return {
            "video": batch["known"].sum(1),
            "action": self._learned(batch).sum((1, 2)),
            "goal": batch["goal_mask"].sum(1),
        }

    def _learned(self, batch: Rows) -> Tensor:
        """(B, K, T) 1 where an action is known and not given."""
        return batch["action_mask"] * ~batch["given"]

    def errors(self, batch: Rows) -> Rows:
        """See `family.Family.errors`."""
        dtype = self.model.dtype
        video = batch["video"]
        action = batch["action"]
        velocity, goal = self.model(
            clean=(batch["clean"] + batch["noise_clean"]).to(dtype),
            video=noised(video, batch["noise_video"], batch["t_video"]),
            action=noised(action, batch["noise_action"], batch["t_action"]),
            state=(batch["state"] + batch["noise_state"]).to(dtype),
            t_video=batch["t_video"],
            t_action=batch["t_action"],
            context=self.model.encode_text(batch["words"]),
        )
        of_video = (velocity.video.float() - (batch["noise_video"] - video)).square()
        of_action = (velocity.action.float() - (batch["noise_action"] - action)).square()
        if self.config.predicts == "data":
            # Errors of data, whatever the noise level: those of velocities are these over the
            # level, so that what is least noisy, which solvers hardly visit, would count most.
            of_video = of_video * batch["t_video"].square()[..., None, None, None, None]
            of_action = of_action * batch["t_action"].square()[..., None]
        of_goal = (goal.float() - batch["goal"]).square().mean(-1)
        return {
            "video": (of_video.flatten(2).mean(-1) * batch["known"]).sum(1),
            "action": (of_action.mean(-1) * self._learned(batch)).sum((1, 2)),
            "goal": (of_goal * batch["goal_mask"]).sum(1),
        }

    def optimisers(self, trained: Mapping[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
        """Muon (Jordan et al., 2024; update scaled to AdamW's) for the block matrices, AdamW for
        everything else, and for low-rank updates.
        """
        matrices = [
            p
            for n, p in trained.items()
            if n.startswith("blocks.") and p.dim() == 2 and self.low_rank is None
        ]
        known = {id(p) for p in matrices}
        rest = [p for p in trained.values() if id(p) not in known]
        found: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
        ]
        if matrices:
            dtype = processor().training
            found.append(Muon(matrices, lr=2e-3, weight_decay=0.01, dtype=dtype))
        return found

    def save(self, path: Path, weights: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """One safetensors file: the whole model, or the updates of another one."""
        file = path.with_name(f"{path.name}.safetensors")
        if self.low_rank is None:
            save_checkpoint(file, self._with(weights), self.config, facts)
        else:
            assert self.base is not None
            save_updates(file, weights, self.low_rank, self.base, self.networks.normaliser, facts)

    def _with(self, weights: Mapping[str, Tensor]) -> Networks:
        plain = dict(weights)
        if self.low_rank is not None:
            assert self.base is not None
            # from the file: what is trained may be spread over processes
            below = load_checkpoint(self.base, self.config).model
            plain = merged(below.state_dict(), weights, self.low_rank)
        model = WorldActionModel(self.config)
        model.load_state_dict(plain)
        model.eval().requires_grad_(False)
        return Networks(model, self.networks.tokenizer, self.networks.normaliser)

    @torch.no_grad()
    def measure(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """How far the end of a chunk moves, in rad or m of the joint that moves most, when the
        sentence names another thing: a model that does not listen has none (the loss does not
        tell).
        """
        window = self.drawn[torch.linspace(0, len(self.drawn) - 1, SWAPPED).long()]
        seen = self.data.numbered(window, 1)
        other = self._another(seen.words)
        if torch.equal(other, seen.words):
            return {}
        networks = self._with(weights)
        ends = [
            _imagined_end(networks.model, seen.clean.float(), seen.state, words)
            for words in (seen.words, other)
        ]
        span = networks.normaliser.action_high - networks.normaliser.action_low
        moved = (ends[0] - ends[1]).abs() / 2 * span
        return {"swap": float(moved.amax(-1).mean())}

    def _another(self, words: Tensor) -> Tensor:
        """(B, M) sentences that name another thing than `words` (B, M): the next one to choose, or
        where the model chooses among none, the next sentence of the data.
        """
        text = self.config.text
        if text.choose_one:
            numbers = [text.vocabulary.index(word) + 1 for word in text.choose_one]
            other = words.clone()
            for number, following in zip(numbers, numbers[1:] + numbers[:1], strict=True):
                other[words == number] = following
            return other
        sentences = torch.unique(self.data.words, dim=0)
        which = (words[:, None] == sentences).all(-1).int().argmax(1)
        return sentences[(which + 1) % len(sentences)]


def _imagined_end(model: WorldActionModel, clean: Tensor, state: Tensor, words: Tensor) -> Tensor:
    """(B, A) normalised last actions of chunks that are denoised from the same noise."""
    chunk = model.config.chunk
    generator = torch.Generator().manual_seed(0)
    rows = len(clean)
    video = torch.randn(chunk.imagined_frames, *clean.shape[2:], generator=generator)
    action = torch.randn(chunk.action_horizon, model.config.action_dim, generator=generator)
    context = model.encode_text(words)

    def velocity(
        video: Tensor, action: Tensor, t_video: float, t_action: float
    ) -> tuple[Tensor, Tensor]:
        found, _ = model(
            clean=clean,
            video=video,
            action=action,
            state=state,
            t_video=torch.full((rows, 1), t_video / 1000),
            t_action=torch.full((rows, 1, chunk.action_horizon), t_action / 1000),
            context=context,
        )
        return found.video, found.action

    times = schedule(SWAP_STEPS, model.config.shift)
    video, action = (x.expand(rows, 1, *x.shape) for x in (video, action))
    return integrate(velocity, video, action, Euler(times), Euler(times))[1][:, 0, -1]


def prepare(args: Train, team: Team, log: Log) -> SmallFamily:
    """Everything before the first step: the data are checked, the tokenizer and what grounds the
    instruction trained or taken, and frames turned into latents.

    Raises:
        WamError: an argument is wrong, the demonstrations are missing or of another robot, or
            `out` cannot be written.
    """
    config = load_model_config(args.model)
    robot = load_embodiment(config.embodiment)
    episodes = open_episodes(args.data)
    stretches = load_stretches(episodes, robot, config)
    sets = [(episodes, stretches)]
    if args.video_only is not None:
        videos = open_episodes(args.video_only)
        sets.append((videos, load_videos(videos, robot, config)))
        stretches = [s for _, some in sets for s in some]
    make_folder("--out", args.out)
    digest = digest_of(stretches)
    # read when something has to look at them: a run that goes on has latents
    pictures = functools.cache(lambda: canvases(sets, robot.view_names, args.out))
    start = args.start if args.low_rank and args.start else args.out / START
    if team.leads and not args.resume and start != args.start:
        _make_start(args, config, stretches, pictures, log)
    team.wait()
    # a run that goes on reads these rounded weights, so one that begins does, too
    networks = load_checkpoint(start, config)
    latents = team.one_first(
        lambda: cached_latents(args.out / LATENTS, networks.tokenizer, digest, pictures)
    )
    model = networks.model.train().requires_grad_(True)
    learned = stretches if args.act else [as_film(s) for s in stretches]
    data = Demonstrations(learned, latents, config, networks.normaliser, model.text_encoder)
    size = LowRankSize(args.low_rank, args.low_rank) if args.low_rank else None
    if size is not None:
        add_low_rank(model, size, torch.Generator().manual_seed(args.seed))
    model.checkpointing = args.checkpointing
    return SmallFamily(
        networks,
        config,
        data,
        blocks=args.blocks,
        timesteps=args.timesteps or MIXED,
        held_out=args.held_out,
        low_rank=size,
        base=start,
        imagine=args.imagine,
        act=args.act,
        facts={
            "data": digest,
            "start": networks.digest,
            "about": about(episodes, stretches),
        },
    )


def _make_start(
    args: Train,
    config: DreamZeroConfig,
    stretches: list[Stretch],
    pictures: Callable[[], np.ndarray],
    log: Log,
) -> None:
    """Weights before the first step, with the tokenizer and statistics that stay: `out/START`."""
    torch.manual_seed(args.seed)
    tokenizer = FrameTokenizer(config.tokenizer)
    tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    grips = set(load_embodiment(config.embodiment).gripper_joints)
    names = load_embodiment(config.embodiment).joint_names
    relative = np.array([float(j not in grips) for j in names])
    normaliser = Normaliser.fit(
        [(s.states, s.actions, s.labelled) for s in stretches if s.has_states],
        relative,
        config.chunk.action_horizon,
    )
    networks = Networks(WorldActionModel(config), tokenizer, normaliser)
    earlier = args.start or args.tokenizer_from
    if earlier is not None:
        old = load_checkpoint(earlier, config)
        networks.tokenizer = old.tokenizer
        networks.normaliser = old.normaliser
        networks.model.grounding.load_state_dict(old.model.grounding.state_dict())
        networks.model.text_encoder.load_state_dict(old.model.text_encoder.state_dict())
        if args.start is not None:
            networks.model.load_state_dict(old.model.state_dict())
    else:
        train_tokenizer(tokenizer, pictures(), args.tokenizer_minutes, args.seed, log)
        tokenizer.eval().requires_grad_(False)
        round_to_half(tokenizer)  # as it is written
        latents = cached_latents(args.out / LATENTS, tokenizer, digest_of(stretches), pictures)
        text = networks.model.text_encoder
        data = Demonstrations(stretches, latents, config, normaliser, text)
        if not args.act:
            print("--no-act: nothing is known of the gripper, so that no grounding is trained")
        elif data.goal_known.any():
            generator = torch.Generator().manual_seed(args.seed)
            minutes = args.grounding_minutes
            train_grounding(networks.model, data, args.held_out, minutes, generator, log)
        else:
            print(f"'{args.data}' does not say where the gripper closes: no grounding is trained")
    save_checkpoint(args.out / START, networks, config, {"steps": 0})
