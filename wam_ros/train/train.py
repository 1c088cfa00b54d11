"""`wam train`: demonstrations to weights, in three stages."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder
from wam_ros.data.folder import open_episodes
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.dreamzero.small.load import Networks, load_checkpoint, save_checkpoint
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.models.processor import processor
from wam_ros.train.check import load_stretches
from wam_ros.train.dataset import Demonstrations, canvases, encode_all
from wam_ros.train.tokenizer import train_tokenizer
from wam_ros.train.wam import train_grounding, train_wam


@dataclass(frozen=True)
class Train:
    """Train a model from recorded demonstrations, on a time budget."""

    data: Path  # LeRobot data set, of `wam record-sim` say
    out: Path  # folder for checkpoints and the log
    model: str = "tiny"  # sizes: name in config/models, or a path ending in .yaml
    tokenizer_minutes: float = 8.0  # for the frame tokenizer
    grounding_minutes: float = 2.0  # for what finds the named block in a frame
    minutes: float = 60.0  # for the model itself
    batch: int = 16  # sequences per training step
    blocks: int = 5  # memory blocks per training sequence
    threads: int = 2  # CPU threads
    seed: int = 0  # of initial weights and of the order of the data
    tokenizer_from: Path | None = None  # take tokenizer and grounding of an earlier checkpoint
    resume: Path | None = None  # continue from all weights of an earlier checkpoint


def main(args: Train) -> None:
    """Run the stages; `out/<model>.safetensors` is the result, `out/log.jsonl` the curve.

    Raises:
        WamError: an argument is wrong, the demonstrations are missing or of another robot, or `out`
            cannot be written.
    """
    _check(args)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    config = load_model_config(args.model)
    embodiment = load_embodiment(config.embodiment)
    episodes = open_episodes(args.data)
    stretches = load_stretches(episodes, embodiment, config, args.blocks)
    make_folder("--out", args.out)
    relative = np.array([float(j not in embodiment.gripper_joints) for j in embodiment.joint_names])
    normaliser = Normaliser.fit(
        [(s.states, s.actions, s.labelled) for s in stretches],
        relative,
        config.chunk.action_horizon,
    )
    tokenizer = FrameTokenizer(config.tokenizer)
    tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    networks = Networks(WorldActionModel(config), tokenizer, normaliser)
    print(processor())
    log = _Log(args.out / "log.jsonl")
    facts = {"arguments": {k: v for k, v in asdict(args).items() if not isinstance(v, Path)}}

    def save(model: WorldActionModel, step: int, name: str = "") -> None:
        result = Networks(model, networks.tokenizer, normaliser)
        path = args.out / f"{name or f'{config.name}_{step:06d}'}.safetensors"
        save_checkpoint(path, result, config, facts | {"steps": step, "episodes": len(episodes)})

    generator = torch.Generator().manual_seed(args.seed)
    frames = canvases(episodes, stretches, embodiment.view_names, args.out)
    earlier = args.resume or args.tokenizer_from
    if earlier is None:
        train_tokenizer(networks.tokenizer, frames, args.tokenizer_minutes, args.seed, log)
    else:
        old = load_checkpoint(earlier, config)
        networks.tokenizer = old.tokenizer
        networks.normaliser = old.normaliser
        networks.model.grounding.load_state_dict(old.model.grounding.state_dict())
        networks.model.text_encoder.load_state_dict(old.model.text_encoder.state_dict())
        if args.resume is not None:
            networks.model.load_state_dict(old.model.state_dict())
    networks.tokenizer.eval().requires_grad_(False)
    networks.tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    latents = encode_all(networks.tokenizer, frames)
    data = Demonstrations(
        stretches, latents, config, networks.normaliser, networks.model.text_encoder
    )
    if earlier is None:
        if data.goal_known.any():
            train_grounding(networks.model, data, args.grounding_minutes, generator, log)
        else:
            print(f"'{args.data}' does not say where the gripper closes: no grounding is trained")
        save(networks.model, 0)
    best = train_wam(
        model=networks.model,
        data=data,
        minutes=args.minutes,
        batch=args.batch,
        blocks=args.blocks,
        generator=generator,
        log=log,
        checkpoint=save,
    )
    save(best, log.last_step, config.name)


def _check(args: Train) -> None:
    for name in ("batch", "blocks", "threads"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("tokenizer_minutes", "grounding_minutes", "minutes"):
        require_within(f"--{name.replace('_', '-')}", getattr(args, name), 0)


class _Log:
    """One JSON object a line, with wall time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._began = time.monotonic()
        self.last_step = 0

    def __call__(self, **values: float | str) -> None:
        self.last_step = int(values["step"])
        row = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        text = json.dumps({"seconds": round(time.monotonic() - self._began, 1)} | row)
        try:
            self._file.write(text + "\n")
            self._file.flush()
        except OSError as error:
            raise WamError(f"{self._file.name} cannot be written: {error.strerror}") from error
