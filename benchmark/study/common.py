"""What every part of the study has in common: trainings and judgements that are not done twice, and
how sure their figures are.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.core.intervals import wilson_interval
from wam_ros.models import read_description
from wam_ros.models.processor import processor
from wam_ros.train.arguments import Train
from wam_ros.train.evaluate import Eval
from wam_ros.train.evaluate import main as evaluate
from wam_ros.train.judging import ALL
from wam_ros.train.train import main as train
from wam_ros.train.trainer import STATE, read_state

# Of all judgements alike: the world waits for each chunk, so that what is compared is what is
# predicted, not how fast; and chunks follow each other in the one way that every variant can.
RUNNING: dict[str, Any] = {"chunking": "replace", "delay": 0}


@dataclass(frozen=True)
class Study:
    """What is trained and judged; the same for everything that is compared."""

    work: Path  # folder for all that is made
    model: str  # sizes: name in config/models, or a path ending in .yaml
    data: Path  # demonstrations
    suites: tuple[str, ...]  # tasks, or suites of LIBERO
    seeds: tuple[int, ...]  # of trainings
    steps: int  # of each training
    batch: int
    episodes: int  # of each task, to judge by
    max_steps: int  # of an episode; 0: what judges allow
    tokenizer_from: Path | None  # weights whose tokenizer all trainings share
    start: Path | None  # weights that all trainings begin with
    threads: int
    workers: int  # processes that judge
    json: Path | None  # results

    @property
    def asked(self) -> dict[str, Any]:
        """All that the results depend on."""
        beside = ("work", "json", "threads", "workers", "seeds", "suites")
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in beside}
        return {name: str(v) if isinstance(v, Path) else v for name, v in found.items()}


def read_study(
    description: str, more: Callable[[argparse.ArgumentParser], None]
) -> tuple[Study, argparse.Namespace]:
    """The arguments of a command of the study.

    Args:
        description: of the command.
        more: adds what it alone has.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--data", type=Path, required=True, help="demonstrations to learn from")
    parser.add_argument("--model", default="libero", help="sizes, as of wam train")
    parser.add_argument("--suites", nargs="+", default=["libero_object"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of trainings")
    parser.add_argument("--steps", type=int, default=2000, help="of each training")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--max-steps", type=int, default=0, help="of an episode; 0: the judges'")
    parser.add_argument("--tokenizer-from", type=Path, help="weights that all take it from")
    parser.add_argument("--start", type=Path, help="weights that all trainings begin with")
    parser.add_argument("--threads", type=int, default=2, help="of a training")
    parser.add_argument("--workers", type=int, default=2, help="processes that judge")
    parser.add_argument("--json", type=Path, help="write the results here")
    more(parser)
    args = parser.parse_args()
    for name in ("steps", "batch", "episodes", "threads", "workers"):
        require_within(f"--{name}", getattr(args, name), 1)
    require_writable("--json", args.json)
    make_folder("--work", args.work)
    told = {f.name: getattr(args, f.name) for f in fields(Study)}
    told |= {"suites": tuple(args.suites), "seeds": tuple(args.seeds)}
    return Study(**told), args


def trained(study: Study, name: str, seed: int, **differs: Any) -> Path:
    """The folder of a training by `wam train` that is done: begun, gone on with, or found.

    Args:
        study: what all trainings have in common.
        name: of the training.
        seed: of its weights and of the order of its data.
        differs: arguments of `wam train` in which it differs from the others.
    """
    out = study.work / f"{name}-{seed}"
    begun = (out / STATE).exists()
    if not begun or read_state(out)["step"] < study.steps:
        told: dict[str, Any] = {
            "model": study.model,
            "data": study.data,
            "steps": study.steps,
            "batch": study.batch,
            "threads": study.threads,
            "start": study.start,
            "tokenizer_from": study.tokenizer_from,
        }
        train(Train(out=out, seed=seed, resume=begun, **(told | differs)))
    return out


def weights_of(study: Study, folder: Path) -> Path:
    """What a training ended with."""
    return folder / f"{read_description(study.model)['name']}.safetensors"


def judged(study: Study, name: str, weights: Path, suite: str, **differs: Any) -> dict[str, Any]:
    """What `wam eval` says of weights in a suite; what it has judged before is read.

    Args:
        study: what all judgements have in common.
        name: of the judgement.
        weights: to judge.
        suite: tasks to judge by.
        differs: arguments of `wam eval` in which it differs from the others.
    """
    file = study.work / f"{name}-{suite.replace('/', '-')}.json"
    told = RUNNING | differs
    evaluate(
        Eval(
            model=(study.model,),
            checkpoint=(str(weights),),
            task=(suite,),
            episodes=study.episodes,
            max_steps=study.max_steps,
            workers=study.workers,
            json=file,
            **told,
        )
    )
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def pooled(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What judgements of several trainings say together.

    The interval counts episodes as if each were of a training of its own; `by_seed` tells how far
    trainings are apart.
    """
    rows = [row for one in found for row in one["episodes"]]
    successes = sum(row["success"] for row in rows)
    by_seed = [next(s for s in reversed(one["summary"]) if _is_whole(s, one)) for one in found]
    return {
        "episodes": len(rows),
        "successes": successes,
        "success": round(successes / len(rows), 4),
        "success_95": [round(x, 4) for x in wilson_interval(successes, len(rows))],
        "by_seed": [round(s["success"], 4) for s in by_seed],
        "outcomes": dict(Counter(row["outcome"] for row in rows).most_common()),
    }


def _is_whole(summary: dict[str, Any], one: dict[str, Any]) -> bool:
    return bool(summary["task"] == ALL or len(one["summary"]) == 1)


def difference(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """How much more often `a` succeeds than `b`, both as of `pooled`, and the 95 % interval
    (Newcombe, 1998, method 10).
    """
    (low_a, high_a), (low_b, high_b) = (
        wilson_interval(x["successes"], x["episodes"]) for x in (a, b)
    )
    p, q = (x["successes"] / x["episodes"] for x in (a, b))
    low = p - q - math.hypot(p - low_a, high_b - q)
    high = p - q + math.hypot(high_a - p, q - low_b)
    return {
        "points": round(100 * (p - q), 1),
        "points_95": [round(100 * x, 1) for x in (low, high)],
    }


class Results:
    """The JSON of a part of the study: what was asked for, and what came of it so far.

    Raises:
        WamError: the file holds what was asked for otherwise.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.found: dict[str, Any] = {}
        if study.json is not None and study.json.is_file() and study.json.stat().st_size:
            try:
                before = dict(json.loads(study.json.read_text()))
                self.found = before["found"]
                same = before["asked"] == study.asked
            except (ValueError, KeyError, TypeError):
                same = False
            if not same:
                raise WamError(f"--json {study.json} is not of these arguments: name another file")

    def keep(self) -> None:
        """Write what there is."""
        if self._study.json is not None:
            about = {"asked": self._study.asked, "processor": str(processor())}
            write_json(self._study.json, about | {"found": self.found})
