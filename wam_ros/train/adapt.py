"""`wam adapt`: a model that exists, to a robot or a task that it never saw, from a few recordings.

It says what it will cost before it begins, measures what is held out before and after, and leaves a
folder that can be run. What it does is `wam train` with a budget that follows from the data.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import make_folder, write_whole
from wam_ros.core.resources import share_dir
from wam_ros.data.episodes import Episodes
from wam_ros.data.folder import open_episodes
from wam_ros.models import read_description
from wam_ros.models.dreamzero.released.dit_config import load_dit_config
from wam_ros.models.dreamzero.small.config import DreamZeroConfig, load_model_config
from wam_ros.models.dreamzero.small.load import Networks, load_checkpoint, save_checkpoint
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.sim.names import require_installed, require_task
from wam_ros.sim.robots import AUTO as ANY_TASK
from wam_ros.sim.robots import task_for
from wam_ros.train.arguments import Train
from wam_ros.train.budget import (
    ENCODE_S,
    GPUS,
    UTILISATION,
    Way,
    released_cost,
    small_memory_gib,
    small_pace,
)
from wam_ros.train.check import load_stretches, load_videos
from wam_ros.train.dataset import Stretch, rows_needed
from wam_ros.train.evaluate import Eval, closed_loop
from wam_ros.train.small import turns
from wam_ros.train.train import main as train

HELD_OUT = 0.1
BATCH = 16
# times that every window is learned from, in the mean; the shipped model was trained for more
ROUNDS = 40
MOST_STEPS = 20_000
FEWEST_STEPS = 300
# of a robot whose action parts are those of the weights, so few minutes leave the rest as it is
FEW_MINUTES = 10.0
RANK = 8
BEGUN = "transferred.safetensors"
BELOW = "base.safetensors"  # what updates are added to


@dataclass(frozen=True)
class Adapt:
    """Adapt a model to recordings of a robot: says what it costs, trains, measures before and
    after.
    """

    embodiment: str  # robot of the recordings: name in config/embodiments
    data: Path  # recordings with actions
    out: Path  # folder of what comes of it
    video_only: Path | None = None  # more of the same cameras, without actions
    model: str = "tiny"  # to begin with: name in config/models, or a path ending in .yaml
    start: Path | None = None  # its weights; empty: the shipped ones
    contract: str = ""  # released models: name in config/contracts; empty: the model's own
    low_rank: int | None = None  # rank of updates; 0 trains all weights; empty: by the data
    steps: int = 0  # 0: by the data, and by --minutes
    minutes: float = 30.0  # of training at most, on this machine
    dry_run: bool = False  # say what it would cost, and end
    gpu: str = ""  # whose memory and time to say, of a released model; empty: all that are known
    batch: int = BATCH  # sequences a step
    threads: int = 2  # CPU threads
    seed: int = 0
    resume: bool = False  # go on where it was stopped
    episodes: int = 0  # in the simulator, before and after; 0 for none
    task: str = ANY_TASK  # of these episodes; auto: the one for the robot's hand


def main(args: Adapt) -> None:
    """Say, train, measure.

    Raises:
        WamError: an argument is wrong, or model, robot and recordings do not fit each other.
    """
    for name in ("batch", "threads"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("steps", "minutes"):
        require_within(f"--{name}", getattr(args, name), 0)
    if args.low_rank is not None:
        require_within("--low-rank", args.low_rank, 0)
    family = str(read_description(args.model)["family"])
    require_known("family that can be adapted", family, ("dreamzero", "dreamzero-released"))
    (_adapt_small if family == "dreamzero" else _adapt_released)(args)


def _adapt_small(args: Adapt) -> None:
    robot = load_embodiment(args.embodiment)
    if args.episodes:
        task = task_for(robot, args.task)
        require_task(task, robot)
        require_installed(task)
    base = load_model_config(args.model)
    episodes = open_episodes(args.data)
    weights = args.start or share_dir() / base.weights
    old = load_checkpoint(weights, base)
    videos = open_episodes(args.video_only) if args.video_only is not None else ()
    sentences = sorted({s for e in (*episodes, *videos) for s in e.instructions})
    config = adapted(base, robot, sentences)
    stretches = load_stretches(episodes, robot, config)
    config = dataclasses.replace(config, gripper_step=finger_step(stretches, robot, base))
    films = load_videos(videos, robot, config) if isinstance(videos, Episodes) else []
    learned = [*stretches, *films]
    minutes = sum(map(len, stretches)) * robot.step_period_s / 60
    alike = dataclasses.replace(config, name=base.name, gripper_step=base.gripper_step)
    same = dataclasses.replace(base, weights="") == alike
    rank = args.low_rank
    if rank is None:
        rank = RANK if same and minutes < FEW_MINUTES else 0
    if rank and not same:
        raise WamError(
            f"--low-rank {rank}: '{base.name}' was made for other joints, cameras, times or words "
            f"than {robot.name} has here: all weights must be trained"
        )
    acted, filmed = (
        sum(max(0, len(s) - rows_needed(config.chunk, 1) + 1) for s in some)
        for some in (stretches, films)
    )
    times = turns(acted, filmed)
    windows = times * acted + filmed
    pace = small_pace(config, args.batch, args.threads)
    wanted = min(MOST_STEPS, max(FEWEST_STEPS, round(ROUNDS * windows / args.batch)))
    steps = args.steps or max(1, min(wanted, round(60 * args.minutes / pace)))
    rows = sum(map(len, learned))
    _say(
        {
            "recordings": f"{len(episodes)} episodes, {minutes:.1f} minutes with actions, "
            f"{rows * robot.step_period_s / 60 - minutes:.1f} without",
            "trained": f"updates of rank {rank}" if rank else "all weights",
            "steps": f"{steps} of {args.batch} sequences, each window with actions "
            f"{times * steps * args.batch / windows:.0f} times; {wanted} would be "
            f"{times * ROUNDS} times",
            "time": f"about {steps * pace / 60 + rows * ENCODE_S / 60:.1f} minutes here "
            f"({pace:.2f} s a step)",
            "memory": f"about {small_memory_gib(config, rows, args.batch):.1f} GiB",
        }
    )
    if args.dry_run:
        return
    make_folder("--out", args.out)
    name = base.name if rank else robot.name
    described = args.out / f"{name}.yaml"
    start = args.out / (BELOW if rank else BEGUN)
    if not args.resume:
        text = json.loads(json.dumps(asdict(base if rank else config) | {"weights": ""}))
        write_whole(described, yaml.safe_dump(text, sort_keys=False))
        if rank:
            shutil.copyfile(weights, start)  # updates need it beside them
        else:
            new = transferred(old, config, stretches, robot, args.seed)
            save_checkpoint(start, new, config, {"transferred from": old.digest})
    train(
        Train(
            data=args.data,
            out=args.out,
            model=str(described),
            start=start,
            low_rank=rank,
            video_only=args.video_only,
            held_out=HELD_OUT if len(episodes) >= round(1 / HELD_OUT) else 0.0,
            steps=0 if args.resume else steps,  # a run that goes on knows them
            batch=args.batch,
            threads=args.threads,
            seed=args.seed,
            resume=args.resume,
        )
    )
    _compare(args, described, before=start, after=args.out / f"{name}.safetensors")


def adapted(base: DreamZeroConfig, robot: Embodiment, sentences: Sequence[str]) -> DreamZeroConfig:
    """The sizes of a model for another robot, its cameras, times and words.

    Raises:
        WamError: the chunk of the robot does not split into the frames that are imagined.
    """
    frames = base.chunk.imagined_frames
    if robot.action_horizon % frames:
        raise WamError(
            f"{robot.name}: action_horizon {robot.action_horizon} is not a multiple of the "
            f"{frames} frames that '{base.name}' imagines"
        )
    chunk = dataclasses.replace(
        base.chunk,
        action_horizon=robot.action_horizon,
        frame_stride=robot.action_horizon // frames,
        committed_steps=min(base.chunk.committed_steps, robot.action_horizon // 2),
    )
    found = [text.lower().split() for text in sentences]
    known = base.text.vocabulary
    more = sorted({w for words in found for w in words} - set(known))
    chosen = base.text.choose_one
    if any(len({*words} & {*chosen}) != 1 for words in found):
        chosen = ()
    text = dataclasses.replace(base.text, vocabulary=(*known, *more), choose_one=chosen)
    longest = max(map(len, found), default=0)
    t = base.transformer
    width = len(robot.joint_names)
    return dataclasses.replace(
        base,
        name=robot.name,
        embodiment=robot.name,
        image_height=robot.image_height,
        image_width=robot.image_width,
        views=len(robot.cameras),
        action_dim=width,
        state_dim=width,
        transformer=dataclasses.replace(t, text_len=max(t.text_len, longest)),
        chunk=chunk,
        text=text,
        weights="",
    )


def finger_step(stretches: Sequence[Stretch], robot: Embodiment, base: DreamZeroConfig) -> float:
    """The fastest that a finger moved in the recordings, m or rad a control step."""
    grip = [robot.joint_names.index(j) for j in robot.gripper_joints]
    moved = [np.abs(np.diff(s.actions[:, grip], axis=0)).max(initial=0.0) for s in stretches]
    return float(max(moved, default=0.0)) or base.gripper_step


def transferred(
    old: Networks,
    config: DreamZeroConfig,
    stretches: Sequence[Stretch],
    robot: Embodiment,
    seed: int,
) -> Networks:
    """The weights of one model in another: those of the same shape, and the rows of words that both
    know; what is left begins anew, as do the statistics.
    """
    torch.manual_seed(seed)
    model = WorldActionModel(config)
    held = old.model.state_dict()
    with torch.no_grad():
        for name, x in model.state_dict().items():
            y = held[name]
            if x.shape == y.shape:
                x.copy_(y)
            elif name.startswith("text_encoder.") and x.shape[1:] == y.shape[1:]:
                x[: len(y)] = y
    relative = np.array([float(j not in robot.gripper_joints) for j in robot.joint_names])
    numbers = [(s.states, s.actions, s.labelled) for s in stretches if s.has_states]
    normaliser = Normaliser.fit(numbers, relative, config.chunk.action_horizon)
    return Networks(model, old.tokenizer, normaliser)


def _adapt_released(args: Adapt) -> None:
    c = load_dit_config(args.model)
    rank = 4 if args.low_rank is None else args.low_rank
    names = [require_known("GPU", args.gpu, GPUS)] if args.gpu else list(GPUS)
    cost = released_cost(c, Way(rank))
    table = Table("GPU", "fits", "s a sample", "samples/s", title=f"{args.model}, rank {rank}")
    for name in names:
        gpu = GPUS[name]
        fits = f"{cost.total_gib:.0f} of {gpu.gib:.0f} GiB"
        row = (name, fits if cost.total_gib < gpu.gib else f"no: {fits}")
        seconds = cost.seconds(gpu)
        table.add_row(*row, f"{seconds:.2f}", f"{1 / seconds:.2f}")
    _say(
        {
            "parameters": f"{cost.parameters / 1e9:.2f} billion, {cost.trained / 1e6:.0f} million "
            "of them trained",
            "memory": ", ".join(f"{k} {v:.1f} GiB" for k, v in cost.gib.items()),
            "counted": f"{cost.flop / 1e12:.0f} TFLOP a sample, at {UTILISATION:.0%} of what the "
            "GPU's maker says; nothing of this was measured",
        }
    )
    Console().print(table)
    if args.dry_run:
        return
    train(
        Train(
            data=args.data,
            out=args.out,
            model=args.model,
            start=args.start,
            contract=args.contract,
            low_rank=rank,
            held_out=HELD_OUT if len(open_episodes(args.data)) >= round(1 / HELD_OUT) else 0.0,
            steps=args.steps,
            minutes=args.minutes,
            batch=args.batch,
            piece=1,
            checkpointing=True,
            threads=args.threads,
            seed=args.seed,
            resume=args.resume,
        )
    )
    _compare_losses(args.out)


def _say(rows: dict[str, str]) -> None:
    table = Table(show_header=False)
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table)


def _compare_losses(out: Path) -> None:
    """Print what was held out, before and after."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    held = [r for r in rows if any(k.startswith("held-out") for k in r)]
    if not held:
        return
    table = Table("never learned from", "before", "after")
    for name in (n for n in held[0] if n.startswith("held-out")):
        table.add_row(
            name.removeprefix("held-out "), f"{held[0][name]:.4f}", f"{held[-1][name]:.4f}"
        )
    Console().print(table)
    card = next(out.glob("*.md"))
    lines = [
        f"| {n} | {held[0][n]:.4f} | {held[-1][n]:.4f} |\n" for n in held[0] if "held-out" in n
    ]
    text = "## Before and after\n\n| | before | after |\n|---|---|---|\n" + "".join(lines)
    write_whole(card, f"{card.read_text()}\n{text}")


def _compare(args: Adapt, model: Path, before: Path, after: Path) -> None:
    """Print and note losses, and success in the simulator where that was asked for."""
    _compare_losses(args.out)
    if not args.episodes:
        return
    how = Eval(
        model=(str(model),),
        checkpoint=(str(before), str(after)),
        embodiment=args.embodiment,
        task=(args.task,),
        episodes=args.episodes,
        threads=args.threads,
    )
    table = Table("in the simulator", "success", "95 %")
    for when, found in zip(("before", "after"), closed_loop(how), strict=True):
        low, high = found["success_95"]
        table.add_row(when, f"{found['success']:.0%}", f"{low:.0%} to {high:.0%}")
    Console().print(table)
