"""Episodes through the whole loop: camera, model, safety filter, bridge and simulator, each in its
process, as `wam demo` runs them. ROS stays in those processes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.sim.names import longest_s
from wam_ros.sim.world import LIMIT_S

if TYPE_CHECKING:
    from wam_ros.train.evaluate import Eval

ALONE = "alone"
LOCKSTEP = "lockstep"
REALTIME = "realtime"
LOOPS = (ALONE, LOCKSTEP, REALTIME)
# what of an evaluation the loop decides by itself
DECIDED = ("imagine", "candidates", "value", "every", "delay", "jitter", "chunking", "threads")
KEPT = ("seed", "instruction", "outcome", "success", "wrong", "nudged", "steps", "violations")
LAST_LINES = 3  # of a loop that failed


def run_through_nodes(
    model: str,
    checkpoint: str,
    embodiment: Embodiment,
    robot: str,
    task: str,
    seeds: Sequence[int],
    args: Eval,
    film: Path | None = None,
) -> list[dict[str, Any]]:
    """What came of episodes of one task.

    Args:
        model: name, file or address.
        checkpoint: weights; empty: the shipped ones.
        embodiment: of the robot.
        robot: its name or file.
        task: to do.
        seeds: of the episodes.
        args: how policies are run.
        film: .mp4 to write of them.

    Raises:
        WamError: a loop did not complete.
    """
    limit_s = longest_s(task, LIMIT_S)
    if args.max_steps:
        limit_s = args.max_steps * embodiment.step_period_s
    told = {
        "--model": model,
        "--checkpoint": checkpoint,
        "--embodiment": robot,
        "--task": task,
        "--memory": args.memory,
        "--steps": args.steps,
        "--time-limit": limit_s,
        "--record": film or "",
    }
    words = [str(word) for option in told.items() if option[1] != "" for word in option]
    flags = {"--nudge": args.nudge, "--swap": args.swap, "--real-time": args.loop == REALTIME}
    words += [name for name, on in flags.items() if on]
    return [row for first, n in _runs(seeds) for row in _demo(words, first, n, task)]


def _runs(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first seed, how many) of seeds that count up by one."""
    first = 0
    for k, seed in enumerate(seeds, 1):
        if k == len(seeds) or seeds[k] != seed + 1:
            yield seeds[first], k - first
            first = k


def _demo(words: Sequence[str], first: int, episodes: int, task: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "run.json")
        said = ("--seed", str(first), "--episodes", str(episodes), "--json", str(file))
        ended = subprocess.run(
            [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", *words, *said],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            last = " / ".join(ended.stdout.strip().splitlines()[-LAST_LINES:])
            raise WamError(f"the loop on '{task}' from seed {first} ended early: {last}")
        found = json.loads(file.read_text())
    return [_row(episode) for episode in found["episodes"]]


def _row(episode: dict[str, Any]) -> dict[str, Any]:
    row = {name: episode[name] for name in KEPT}
    return row | {"stops": episode["stops"], "decisions": episode["decisions"]} | _why(episode)


def _why(episode: dict[str, Any]) -> dict[str, str]:
    return {"why": episode["note"]} if episode["note"] else {}
