"""`wam train`: recorded episodes to weights, one loop for every family of models."""

from __future__ import annotations

import importlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter

from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import write_whole
from wam_ros.models import read_description
from wam_ros.models.dreamzero.shared.objective import TIMESTEPS
from wam_ros.models.processor import processor
from wam_ros.train.arguments import Train
from wam_ros.train.card import card
from wam_ros.train.family import Family
from wam_ros.train.team import Team, joined
from wam_ros.train.trainer import STATE, Recipe, Trainer, read_state

SMALL = "dreamzero"
FAMILIES = {
    SMALL: "wam_ros.train.small:prepare",
    "dreamzero-released": "wam_ros.train.released:prepare",
}
PRECISIONS = ("float32", "bfloat16")
EVERY = 20  # steps between two rows of the log
KEPT = "steps"  # folder of weights that stay


def main(args: Train) -> None:
    """Train; `out` then holds weights, their card, `log.jsonl` and what TensorBoard shows.

    Raises:
        WamError: an argument is wrong, the demonstrations are missing or of another robot, `out`
            cannot be written or holds another run, or the loss is not finite any more.
        KeyboardInterrupt: it was told to stop; the state is written.
    """
    family_name = _check(args)
    torch.set_num_threads(args.threads)
    module, _, function = FAMILIES[family_name].partition(":")
    prepare = getattr(importlib.import_module(module), function)
    with joined() as team, Log(args.out if team.leads else None) as log:
        family: Family = prepare(args, team, log)
        if team.leads:
            print(processor())
        trainer = make_trainer(args, family, team)
        log.begin(trainer.steps)
        run(trainer, args, log)


def _check(args: Train) -> str:
    """Judge what can be judged before anything is read; the family's name."""
    for name in ("batch", "blocks", "threads"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("piece", "steps", "low_rank", "keep"):
        require_within(f"--{name.replace('_', '-')}", getattr(args, name), 0)
    for name in ("minutes", "save_minutes", "tokenizer_minutes", "grounding_minutes"):
        require_within(f"--{name.replace('_', '-')}", getattr(args, name), 0)
    require_within("--held-out", args.held_out, 0, 0.5)
    if not args.act and not args.imagine:
        raise WamError("--no-act and --no-imagine leave nothing to learn")
    if not args.act and args.held_out:
        raise WamError(
            "--held-out measures demonstrations, and with --no-act there are films alone"
        )
    require_within("--ema", args.ema, 0, 0.999999)
    if args.timesteps:
        require_known("timesteps", args.timesteps, TIMESTEPS)
    if args.precision:
        require_known("precision", args.precision, PRECISIONS)
    if args.low_rank and args.start is None:
        raise WamError("--low-rank are updates of trained weights: name them by --start")
    if args.resume:
        read_state(args.out)
    elif (args.out / STATE).exists():
        raise WamError(f"--out {args.out} holds a run: go on by --resume, or give a new folder")
    family = str(read_description(args.model)["family"])
    require_known("family that can be trained", family, FAMILIES)
    small_only = {
        "--no-act": not args.act,
        "--no-imagine": not args.imagine,
        "--video-only": args.video_only is not None,
        "--tokenizer-from": args.tokenizer_from is not None,
    }
    if family != SMALL and (said := [flag for flag, given in small_only.items() if given]):
        raise WamError(f"{said[0]} is for the small model, and '{args.model}' is a released one")
    return family


def make_trainer(args: Train, family: Family, team: Team) -> Trainer:
    """At the first step, or where the run in `out` was stopped."""
    narrow = team.device.type != "cpu" or processor().training == torch.bfloat16
    recipe = Recipe(
        steps=1,
        batch=args.batch,
        piece=args.piece,
        ema=args.ema,
        seed=args.seed,
        precision=args.precision or ("bfloat16" if narrow else "float32"),
    )
    facts = _facts(args, family)
    steps = args.steps
    if args.resume and not steps:
        steps = int(read_state(args.out)["recipe"]["steps"])
    trainer = Trainer(family, recipe, team)
    if not steps:
        steps = max(1, round(60 * args.minutes / trainer.pace()))
    trainer.of(steps)
    if args.resume:
        trainer.load_state(args.out, facts)
    return trainer


def _facts(args: Train, family: Family) -> dict[str, Any]:
    """What beside the recipe a run that goes on must have in common with the one that began."""
    mine = {n: getattr(args, n) for n in ("model", "blocks", "timesteps", "low_rank", "held_out")}
    return mine | {k: v for k, v in family.facts.items() if k != "about"}


def run(trainer: Trainer, args: Train, log: Log) -> None:
    """Step until the end; states and weights are written now and then, and at a signal to stop."""
    family = trainer.family
    facts = _facts(args, family)
    out = args.out / family.name
    saved = time.monotonic()
    values: dict[str, float] = {}
    if not trainer.steps:
        log(stage="model", step=0, **trainer.measured())
    with _progress(trainer) as progress, asked_to_stop() as stop:
        bar = progress.add_task("", total=trainer.recipe.steps, completed=trainer.steps)
        while trainer.steps < trainer.recipe.steps:
            values = trainer.step()
            progress.update(bar, advance=1, description=" ".join(_said(values)))
            if args.keep and trainer.steps % args.keep == 0:
                publish(
                    trainer, args.out / KEPT / f"{family.name}-{trainer.steps:07d}", log, values
                )
            if trainer.steps % EVERY == 0:
                log(stage="model", step=trainer.steps, **values)
            ended = bool(trainer.team.told(float(stop())))
            due = bool(trainer.team.told(float(time.monotonic() - saved > 60 * args.save_minutes)))
            if ended or due:
                trainer.save_state(args.out, facts)
                if ended:
                    raise KeyboardInterrupt
                publish(trainer, out, log, values)
                saved = time.monotonic()
    trainer.save_state(args.out, facts)
    publish(trainer, out, log, values)


def publish(trainer: Trainer, out: Path, log: Log, values: Mapping[str, float]) -> None:
    """Write weights and their card, and measure what counts beside the loss."""
    measured = trainer.measured()
    weights = trainer.averaged()
    if not trainer.team.leads:
        return
    measured |= trainer.family.measure(weights)
    log(stage="model", step=trainer.steps, **measured)
    said = {
        "steps": trainer.steps,
        "recipe": asdict(trainer.recipe),
        "losses": dict(values),
        "measured": measured,
        **trainer.family.facts,
    }
    trainer.family.save(out, weights, said)
    write_whole(out.with_name(f"{out.name}.md"), card(trainer.family.name, said))


def _said(values: Mapping[str, float]) -> Iterator[str]:
    return (f"{n} {v:.3f}" for n, v in values.items() if n not in ("rate", "gradient"))


def _progress(trainer: Trainer) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        disable=not trainer.team.leads,
    )


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed or SIGTERM came; a second one ends at once."""
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


class Log:
    """One JSON object a line, with wall time, and the same for TensorBoard.

    Args:
        out: folder; None writes nothing.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._began = time.monotonic()
        self._board: SummaryWriter | None = None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def begin(self, step: int) -> None:
        """Curves of steps after `step` are drawn anew."""
        if self._out is not None:
            self._board = SummaryWriter(str(self._out / "tensorboard"), purge_step=step)

    def __call__(self, **values: float | str) -> None:
        """One row: `stage`, `step` and numbers."""
        if self._out is None:
            return
        row = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        text = json.dumps({"seconds": round(time.monotonic() - self._began, 1)} | row)
        try:
            with (self._out / "log.jsonl").open("a") as file:
                file.write(text + "\n")
        except OSError as error:
            raise WamError(
                f"{self._out / 'log.jsonl'} cannot be written: {error.strerror}"
            ) from error
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, float) and math.isfinite(value):
                    self._board.add_scalar(name, value, int(values["step"]))
