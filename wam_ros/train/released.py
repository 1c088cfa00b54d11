"""The released models as the trainer sees them: DreamZero's own losses on windows whose towers have
already answered.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.core.files import make_folder
from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.checkpoint import (
    Base,
    Checkpoint,
    ReleasedModel,
    open_checkpoint,
    save_checkpoint,
    save_updates,
)
from wam_ros.models.dreamzero.released.contract import Contract, load_contract
from wam_ros.models.dreamzero.released.dit_config import load_dit_config
from wam_ros.models.dreamzero.released.policy import find_vocabulary, named_contract
from wam_ros.models.dreamzero.released.prompts import FILES, PromptTokenizer
from wam_ros.models.dreamzero.released.quantiles import JointScaling, read_scaling
from wam_ros.models.dreamzero.released.towers import Towers
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, add_low_rank
from wam_ros.models.dreamzero.shared.objective import (
    FlowSchedule,
    Losses,
    draw_indices,
    known_of,
    losses,
)
from wam_ros.models.dreamzero.shared.transformer import Velocity
from wam_ros.train.arguments import Train
from wam_ros.train.family import Log, Rows, per_sample, split
from wam_ros.train.team import Team
from wam_ros.train.windows import (
    Encoders,
    Piece,
    Windows,
    fit_statistics,
    open_source,
    pieces_of,
    write_windows,
)

COUPLED = "coupled"
RATES = {"full": 1e-5, "low_rank": 1e-4}  # of the reference's scripts
WINDOWS = "windows"  # folder of what the towers answered


@dataclass(frozen=True)
class Origin:
    """What the weights came from, for what is written."""

    network: ReleasedModel  # whole, whose transformer is trained
    checkpoint: Checkpoint
    metadata: dict[str, Any]  # statistics
    conf: dict[str, Any]  # what training says of itself
    low_rank: LowRankSize | None


class ReleasedFamily:
    """Implements `family.Family`.

    Args:
        model: the transformer that is trained.
        windows: what it learns from.
        text: (n, L, text_dim) what the windows' sentences became.
        timesteps: see `objective.TIMESTEPS`.
        held_out: share of the episodes that is only measured.
        origin: None where nothing is written.
        facts: what must be the same where training goes on.
    """

    def __init__(
        self,
        model: CausalDiT,
        windows: Sequence[Rows] | Windows,
        text: Tensor,
        timesteps: str = COUPLED,
        held_out: float = 0.0,
        origin: Origin | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.name = model.config.name or "released"
        self.data = windows
        self.text = text
        of = windows.episodes if isinstance(windows, Windows) else torch.zeros(len(windows))
        self.drawn, self.held_out = split(of, held_out)
        self.timesteps = timesteps
        self.origin = origin
        self.facts = dict(facts or {})
        self.weights: Mapping[str, float] = {"video": 1.0, "action": 1.0}
        self.schedule = FlowSchedule()

    def batch(self, windows: Tensor, seeds: Tensor) -> Rows:
        """See `family.Family.batch`."""
        rows = [self.data[int(i)] for i in windows]
        found = {name: torch.stack([r[name] for r in rows]) for name in rows[0]}
        found["text"] = self.text[found.pop("sentence")]
        return per_sample(found, seeds, self._draw)

    def _draw(self, generator: torch.Generator) -> Rows:
        c = self.model.config
        per_block = (c.frames_per_block, c.actions_per_block)
        video, action = draw_indices(self.timesteps, c.blocks, per_block, generator)
        frames = (c.out_channels, c.window_frames, c.latent_height, c.latent_width)
        return {
            "index_video": video,
            "index_action": action,
            "noise_video": torch.randn(frames, generator=generator),
            "noise_action": torch.randn(
                c.blocks * c.actions_per_block, c.action_dim, generator=generator
            ),
        }

    def counts(self, batch: Rows) -> Rows:
        """The loss is a mean over samples; see `family.Family.counts`."""
        ones = torch.ones(len(batch["latents"]))
        return {"video": ones, "action": ones}

    def errors(self, batch: Rows) -> Rows:
        """See `family.Family.errors`."""
        found = self.losses(batch)
        return {"video": found.video, "action": found.action}

    def losses(self, batch: Rows) -> Losses:
        """The reference's, sample by sample, of the blocks that each has."""
        c = self.model.config
        dtype = self.model.dtype
        latents = batch["latents"].float()
        action = batch["action"]
        times, weights = (
            [table.to(latents.device)[batch[f"index_{kind}"]] for kind in ("video", "action")]
            for table in (self.schedule.times, self.schedule.weights)
        )
        # frames come first where a timestep belongs to each of them
        noisy = self.schedule.noised(
            latents.transpose(1, 2), batch["noise_video"].transpose(1, 2), times[0]
        ).transpose(1, 2)
        image = batch["image"].to(dtype) if "image" in batch else None
        velocity = self.model(
            noisy=noisy.to(dtype),
            clean=latents.to(dtype),
            y=self._first_frame(batch, dtype),
            action=self.schedule.noised(action, batch["noise_action"], times[1]).to(dtype),
            state=batch["state"].to(dtype),
            t_video=times[0],
            t_action=times[1],
            context=self.model.make_context(batch["text"].to(dtype), image),
        )
        wanted = Velocity(batch["noise_video"] - latents, batch["noise_action"] - action)
        per_block = (c.frames_per_block, c.actions_per_block)
        return losses(
            velocity,
            wanted,
            (weights[0], weights[1]),
            batch["action_mask"],
            batch["has_action"],
            known_of(batch["blocks"], per_block, action.shape[1] // c.actions_per_block),
        )

    def _first_frame(self, batch: Rows, dtype: torch.dtype) -> Tensor | None:
        """(B, 4 + C, F, H, W) mask and latents of the window's first frame."""
        if not self.model.config.concat_first_frame:
            return None
        first = batch["first"].to(dtype)
        mask = torch.zeros_like(first[:, :4])
        mask[:, :, 0] = 1
        return torch.cat([mask, first], 1)

    def optimisers(self, trained: Mapping[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
        """AdamW as the reference has it."""
        updates = any(".lora_" in name for name in trained)
        rate = RATES["low_rank" if updates else "full"]
        return [
            torch.optim.AdamW(trained.values(), lr=rate, betas=(0.95, 0.999), weight_decay=1e-5)
        ]

    def save(self, path: Path, weights: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """A folder in the released layout that can be served as it is."""
        assert self.origin is not None
        o = self.origin
        c = o.checkpoint
        if o.low_rank is None:
            changed = {f"model.{n}": x for n, x in weights.items()}
            save_checkpoint(
                path, o.network, c.config, metadata=o.metadata, conf=o.conf, changed=changed
            )
        else:
            base = Base(c.folder, c.folder.resolve().name, c.digest)
            save_updates(
                path,
                weights,
                config=c.config,
                size=o.low_rank,
                base=base,
                metadata=o.metadata,
                conf=o.conf,
            )
        vocabulary = find_vocabulary(c.folder)
        for name in FILES:
            if (vocabulary / name).is_file():
                shutil.copyfile(vocabulary / name, path / name)

    def measure(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}


def prepare(args: Train, team: Team, log: Log) -> ReleasedFamily:
    """Everything before the first step: checkpoint, contract and data are held against each other,
    and the frozen towers answer for every window once.

    Raises:
        WamError: they do not fit, or `out` cannot be written.
    """
    described = load_dit_config(args.model)
    if args.start is None:
        raise WamError(f"'{args.model}' begins with a checkpoint: name its folder by --start")
    checkpoint = open_checkpoint(args.start, described)
    if checkpoint.low_rank is not None:
        raise WamError(f"'{args.start}' holds low-rank updates: --start needs a whole checkpoint")
    contract = load_contract(args.contract) if args.contract else named_contract(args.model)
    if contract is None:
        raise WamError(
            f"'{args.model}' names no contract: give one of config/contracts by --contract"
        )
    checkpoint.trained.require(contract)
    source = open_source(args.data, contract)
    pieces = pieces_of(source)
    make_folder("--out", args.out)
    c = checkpoint.config.dit
    _require_block(checkpoint, contract)
    metadata = checkpoint.metadata or {}
    if contract.name not in metadata:
        metadata = metadata | fit_statistics(pieces, contract, c.actions_per_block)
    scaling = read_scaling(
        metadata,
        contract,
        f"statistics of '{args.start}'",
        checkpoint.trained.modes(contract),
        c.actions_per_block if checkpoint.trained.per_horizon() else 0,
    )
    dtype = torch.float32 if team.device.type == "cpu" else torch.bfloat16
    network = checkpoint.load(torch.device("cpu"), dtype)
    key = _key(checkpoint, contract, pieces, scaling)

    def encoders() -> Encoders:
        towers = Towers(network.to(team.device), _tokenizer(checkpoint))
        return Encoders(
            prompt=lambda text: towers.prompt(text).cpu(),
            video=lambda frames: towers.video(frames).cpu(),
            anchor=lambda frames: _anchor(towers, frames),
        )

    with torch.inference_mode():
        team.one_first(
            lambda: write_windows(
                args.out / WINDOWS,
                key,
                source=source,
                pieces=pieces,
                scaling=scaling,
                config=c,
                encoders=encoders,
            )
        )
    network.to("cpu")
    windows = Windows(args.out / WINDOWS)
    model = network.model.requires_grad_(True)
    size = LowRankSize(args.low_rank, args.low_rank) if args.low_rank else None
    if size is not None:
        add_low_rank(model, size, torch.Generator().manual_seed(args.seed))
    for p in model.parameters():
        if p.requires_grad:  # weights as loaded are mapped to their files
            p.data = p.detach().clone()
    model.checkpointing = args.checkpointing
    about = {
        "data": args.data.name,
        "robot": source.episodes.robot,
        "contract": contract.name,
        "episodes": len(source.episodes),
        "windows": len(windows),
        "sentences": sorted({p.instruction for p in pieces})[:20],
    }
    return ReleasedFamily(
        model,
        windows,
        windows.text,
        timesteps=args.timesteps or COUPLED,
        held_out=args.held_out,
        origin=Origin(
            network, checkpoint, metadata, checkpoint.trained.conf or _conf(contract), size
        ),
        facts={"data": key, "start": checkpoint.digest, "about": about},
    )


def _require_block(checkpoint: Checkpoint, contract: Contract) -> None:
    dit = checkpoint.config.dit
    frames = dit.frames_per_block * checkpoint.config.vae.frames
    if frames * contract.frame_stride != dit.actions_per_block:
        raise WamError(
            f"'{checkpoint.folder}': a block has {dit.actions_per_block} actions and {frames} "
            f"frames; '{contract.name}' wants a frame every {contract.frame_stride} steps"
        )


def _conf(contract: Contract) -> dict[str, Any]:
    """What training says of itself where the checkpoint that it began with says nothing."""
    relative = [g.name for g in contract.action if g.relative]
    return {"relative_action": bool(relative), "relative_action_keys": relative}


def _key(
    checkpoint: Checkpoint, contract: Contract, pieces: list[Piece], scaling: JointScaling
) -> str:
    """16 hex digits of everything that windows are made of."""
    total = hashlib.sha256(f"{checkpoint.digest} {contract}".encode())
    for columns in (scaling.state, scaling.action):
        total.update(columns.low.tobytes() + columns.high.tobytes())
    for p in pieces:
        total.update(f"{p.episode} {p.rows.start} {p.rows.stop} {p.instruction}\n".encode())
        for numbers in (p.states, p.actions, p.labelled):
            total.update(np.ascontiguousarray(numbers).tobytes())
    return total.hexdigest()[:16]


def _anchor(towers: Towers, frames: Tensor) -> tuple[Tensor | None, Tensor]:
    found = towers.anchor(frames, 0)
    return None if found.image is None else found.image.cpu(), found.latents.cpu()


def _tokenizer(checkpoint: Checkpoint) -> PromptTokenizer:
    length = checkpoint.config.dit.transformer.text_len
    return PromptTokenizer(find_vocabulary(checkpoint.folder), length)
