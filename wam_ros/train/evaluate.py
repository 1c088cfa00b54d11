"""`wam eval`: policies in the simulator without ROS, and what they imagine of held-out
demonstrations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.core.images import mse, psnr_db
from wam_ros.core.latency import AUTO, CHUNKING
from wam_ros.core.policy import Policy
from wam_ros.core.types import NS
from wam_ros.data.episodes import Episodes
from wam_ros.data.folder import open_episodes
from wam_ros.models import read_description
from wam_ros.runtime.values import VALUES
from wam_ros.sim.libero.suites import is_libero, tasks_in
from wam_ros.sim.names import has_colours, require_installed, require_task
from wam_ros.sim.robots import AUTO as ANY_TASK
from wam_ros.sim.robots import task_for
from wam_ros.train.chart import draw
from wam_ros.train.check import require_robot
from wam_ros.train.closed_loop import ENSEMBLE, make_observation
from wam_ros.train.judging import EXPERT, SHARD, Job, Judge, Judged, run_jobs, summarise, worst
from wam_ros.train.through_nodes import ALONE, DECIDED, LOOPS

NEEDS_A_GOAL = "goal_image"  # of values: a picture that episodes here have none of
# they make no difference to what comes of an episode that is run
BESIDE = (
    *("model", "checkpoint", "task", "episodes", "seed", "workers"),
    *("heldout", "json", "plot", "film", "films"),
)


@dataclass(frozen=True)
class Eval:
    """Evaluate policies in the simulator, alone or through the whole loop, and what they
    imagine.
    """

    # names in config/models, paths ending in .yaml, addresses of servers, or `expert`: the script
    # that demonstrates the task
    model: tuple[str, ...] = ("tiny",)
    # weights files, one for each model, or several of one model; without: the shipped ones
    checkpoint: tuple[str, ...] = ()
    embodiment: str = ""  # robot; empty: the models', else LIBERO's with its tasks, else panda
    # of each policy: pick_block, reach, libero_object/0 and its like, libero_object for all of its
    # tasks; auto: the one for the robot's hand
    task: tuple[str, ...] = (ANY_TASK,)
    episodes: int = 50  # of each task; 0 for none
    # of the first episode; the next ones count up. From 900000 on: LIBERO's official initial states
    seed: int = 900_000
    nudge: bool = False  # let the named block jump once while the arm moves
    swap: bool = False  # name another block than the seed's own
    # what the memory is filled with: real frames, or imagined: the model never looks again
    memory: str = "real"
    # without: actions are denoised alone, the frames to come stay noise (of the family dreamzero)
    imagine: bool = True
    candidates: int = 1  # chunks that are imagined each time, of which the best is executed
    value: str = "consensus"  # by which it is the best: consensus, outlook or smoothness
    every: int = 4  # control steps between two predictions
    delay: int = 1  # control steps until a prediction is executed
    jitter: int = 0  # up to so many control steps more
    chunking: str = "auto"  # auto, guided, prefix, replace, lookahead, synchronous or ensemble
    steps: int = 0  # denoising steps; 0 takes the model's own
    # control steps in motion; standing and thinking do not count; 0: 64, and of LIBERO what its
    # judges allow
    max_steps: int = 0
    threads: int = 1  # CPU threads of the network
    # policy and world alone, or the four nodes around them, safety filter and all, in a world that
    # waits for them or in one that does not: alone, lockstep, realtime
    loop: str = ALONE
    workers: int = 1  # processes; what comes out does not depend on it, but for realtime
    heldout: Path | None = None  # demonstrations never trained on, for the imagination table
    # write the results here, while they come; what it holds already of the same evaluation is not
    # run again
    json: Path | None = None
    plot: Path | None = None  # .png of the table
    # folder for films of the worst episodes, which are run once more: what the cameras see beside
    # what was imagined for the same instant
    film: Path | None = None
    films: int = 3  # at most


def main(args: Eval) -> None:
    """Print the tables and write the JSON.

    Raises:
        WamError: an argument, checkpoint or file is wrong; nothing has been run then.
    """
    robot = _check(args)
    embodiment = load_embodiment(robot)
    policies = policies_of(args)
    earlier = _earlier(args)
    judge = Judge(args, robot)
    imagined = {}
    for judged in policies:
        if judged.model == EXPERT:
            continue
        _require_same_weights(args, judged, judge.hash_of(judged), earlier.get("episodes", []))
        if args.heldout is not None:
            policy = judge.policy(judged)
            table = imagination(policy, embodiment, open_episodes(args.heldout))
            imagined[judged.label] = table
            _print_imagination(judged.label, table)
    if imagined:
        earlier["imagination"] = earlier.get("imagination", {}) | imagined
    result = {"settings": _settings(args)} | earlier
    if args.episodes:
        result = _judge_all(args, judge, result)
    if args.json is not None:
        write_json(args.json, result)


def _check(args: Eval) -> str:
    """Judge the arguments; the robot they are for."""
    require_within("--episodes", args.episodes, 0)
    for name in ("every", "threads", "workers"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("delay", "jitter", "steps", "max_steps"):
        require_within(f"--{name.replace('_', '-')}", getattr(args, name), 0)
    require_within("--candidates", args.candidates, 1)
    require_known("chunking", args.chunking, (AUTO, *CHUNKING, ENSEMBLE))
    require_known("value", args.value, [name for name in VALUES if name != NEEDS_A_GOAL])
    _require_candidates(args)
    require_known("loop", args.loop, LOOPS)
    require_within("--films", args.films, 1)
    for name in ("json", "plot"):
        require_writable(f"--{name}", getattr(args, name))
    if args.film is not None:
        make_folder("--film", args.film)
    for name in ("model", "task"):
        if not getattr(args, name):
            raise WamError(f"--{name} names none")
    if args.loop != ALONE:
        _require_loop(args)
    robot = robot_of(args)
    embodiment = load_embodiment(robot)
    for task in tasks_of(args, embodiment):
        require_task(task, embodiment)
        require_installed(task)
        if not has_colours(task) and (args.nudge or args.swap):
            raise WamError(f"task '{task}' has no blocks: leave out --nudge and --swap")
    return robot


def _require_loop(args: Eval) -> None:
    """Raise `WamError` where something is asked for that the nodes decide."""
    for name in DECIDED:
        if getattr(args, name) != getattr(Eval, name):
            raise WamError(
                f"--{name} is for --loop {ALONE}: through the nodes the loop decides it itself"
            )
    if EXPERT in args.model:
        raise WamError(f"'{EXPERT}' knows where everything is: it is for --loop {ALONE}")


def _require_candidates(args: Eval) -> None:
    """Raise `WamError` where several chunks cannot be chosen from."""
    if args.candidates == 1:
        return
    if args.chunking == "lookahead" or args.memory == "imagined":
        raise WamError(
            f"--candidates {args.candidates}: chunking lookahead and memory imagined go on from "
            "what one chunk imagined"
        )
    if not args.imagine and args.value != "smoothness":
        raise WamError(
            f"--candidates {args.candidates}: value {args.value} chooses by what is imagined, and "
            "that is left out"
        )


def robot_of(args: Eval) -> str:
    """Name or file of the robot that an evaluation is for."""
    models = [m for m in args.model if m != EXPERT]
    named = [str(d["embodiment"]) for d in map(read_description, models) if d.get("embodiment")]
    ours = "libero_panda" if any(map(is_libero, args.task)) else "panda"
    return args.embodiment or next(iter(named), ours)


def tasks_of(args: Eval, embodiment: Embodiment) -> list[str]:
    """Every task that is asked for, each once."""
    named = [tasks_in(t) if is_libero(t) else [task_for(embodiment, t)] for t in args.task]
    return list(dict.fromkeys(task for tasks in named for task in tasks))


def policies_of(args: Eval) -> list[Judged]:
    """Every policy that is asked for, each once.

    Raises:
        WamError: there are more or fewer weights than models.
    """
    weights = args.checkpoint or ("",) * len(args.model)
    models = args.model * len(weights) if len(args.model) == 1 else args.model
    if len(models) != len(weights):
        raise WamError(
            f"--checkpoint names {len(weights)} files, --model {len(models)}: one for each, or "
            "several of one model"
        )
    return list(dict.fromkeys(map(Judged, models, weights)))


def _settings(args: Eval) -> dict[str, Any]:
    return {name: value for name, value in asdict(args).items() if name not in BESIDE}


def _earlier(args: Eval) -> dict[str, Any]:
    """What `--json` holds of the same evaluation; raises `WamError` where it holds another one."""
    if args.json is None or not args.json.is_file() or not args.json.stat().st_size:
        return {}
    try:
        found = json.loads(args.json.read_text())
        if found["settings"] == _settings(args) and isinstance(found.get("episodes", []), list):
            return dict(found)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise WamError(f"--json {args.json} holds what was not run with these arguments: name another")


def _require_same_weights(
    args: Eval, judged: Judged, weights: str, rows: Sequence[dict[str, Any]]
) -> None:
    known = {row["checkpoint_hash"] for row in rows if row["policy"] == judged.label}
    if known - {weights}:
        raise WamError(
            f"--json {args.json} holds episodes of '{judged.label}' with other weights: name "
            "another file"
        )


def _judge_all(args: Eval, judge: Judge, result: dict[str, Any]) -> dict[str, Any]:
    """Run what is missing; the result with it."""
    rows: list[dict[str, Any]] = list(result.get("episodes", []))
    done = {(row["policy"], row["task"], row["seed"]) for row in rows}
    jobs = _jobs(args, judge.embodiment, done)
    with Progress() as progress:
        bar = progress.add_task("episodes", total=sum(len(job.seeds) for job in jobs))
        for found in run_jobs(judge, jobs):
            rows += found
            good = np.mean([row["success"] for row in rows])
            progress.update(bar, advance=len(found), description=f"success {good:.0%}")
            result = result | {"summary": summarise(rows), "episodes": rows}
            if args.json is not None:
                write_json(args.json, result)
    _print_summary(summarise(rows))
    if args.plot is not None:
        draw(summarise(rows), args.plot)
    if args.film is not None:
        _film_worst(args, judge, rows)
    return result


def _film_worst(args: Eval, judge: Judge, rows: Sequence[dict[str, Any]]) -> None:
    assert args.film is not None
    by_label = {judged.label: judged for judged in policies_of(args)}
    view = Table("film", "policy", "task", "seed", "outcome")
    chosen = worst([row for row in rows if row["policy"] in by_label], args.films)
    for k, row in enumerate(track(chosen, "films"), 1):
        words = (f"{k:02d}", row["outcome"], row["task"], str(row["seed"]))
        file = args.film / f"{'-'.join(words).replace(' ', '-').replace('/', '-')}.mp4"
        judge.film(by_label[row["policy"]], row, file)
        view.add_row(str(file), row["policy"], *words[2:], row["outcome"])
    judge.close()
    Console().print(view if chosen else "every episode was a success: there is nothing to film")


def closed_loop(args: Eval) -> list[dict[str, Any]]:
    """Run all episodes; what they say of each policy and task, as `judging.summarise` has it."""
    found: list[dict[str, Any]] = _judge_all(args, Judge(args, _check(args)), {})["summary"]
    return found


def _jobs(args: Eval, embodiment: Embodiment, done: set[tuple[str, str, int]]) -> list[Job]:
    """What is not done yet, by tasks: a world takes longer to open than a policy to load."""
    jobs = []
    for task in tasks_of(args, embodiment):
        for judged in policies_of(args):
            seeds = [
                seed
                for seed in range(args.seed, args.seed + args.episodes)
                if (judged.label, task, seed) not in done
            ]
            # to start the nodes takes as long as some episodes
            shard = SHARD if args.loop == ALONE else 2 * SHARD
            parts = (tuple(seeds[i : i + shard]) for i in range(0, len(seeds), shard))
            jobs += [Job(judged, task, part) for part in parts]
    return jobs


def imagination(
    policy: Policy, embodiment: Embodiment, episodes: Episodes, stride: int = 4, last: int = 28
) -> dict:
    """Mean squared error of imagined frames and of copying the last frame, as PSNR [dB], per view
    and horizon.
    """
    require_robot(episodes, embodiment)
    errors: dict[str, list[float]] = {}
    for e, episode in enumerate(episodes):
        assert episode.states is not None
        frames = list(episodes.stacked(e, embodiment.view_names))
        policy.reset(episode.instructions[0])
        for step in range(0, last, stride):
            seen = frames[step]
            stamp = round(step * embodiment.step_period_s * NS)
            output = policy.predict(make_observation(embodiment, stamp, seen, episode.states[step]))
            assert output is not None
            for frame, offset in zip(output.frames, output.frame_offsets_ns, strict=True):
                real = frames[step + round(offset / NS / embodiment.step_period_s)]
                for v, view in enumerate(embodiment.view_names):
                    key = f"{view} +{offset / NS:.1f}s"
                    errors.setdefault(f"{key} imagined", []).append(mse(frame[v], real[v]))
                    errors.setdefault(f"{key} copy", []).append(mse(seen[v], real[v]))
    return {key: round(psnr_db(float(np.mean(values))), 3) for key, values in errors.items()}


def _print_summary(summary: Sequence[dict[str, Any]]) -> None:
    names = ("policy", "task", "episodes", "success", "95 %", "otherwise", "limits exceeded")
    stopped = any(s["stops"] for s in summary)
    view = Table(*names, *(["stopped by safety"] if stopped else []))
    for s in summary:
        low, high = s["success_95"]
        counts = {name: n for name, n in s["outcomes"].items() if name != "success"}
        counted = [counts, s["violations"], *([s["stops"]] if stopped else [])]
        view.add_row(
            s["policy"],
            s["task"],
            str(s["episodes"]),
            f"{s['success']:.1%}",
            f"{low:.1%} to {high:.1%}",
            *(", ".join(f"{name} {n}" for name, n in c.items()) or "-" for c in counted),
        )
    Console().print(view)


def _print_imagination(policy: str, table: dict[str, float]) -> None:
    view = Table(f"frame of {policy}", "imagined [dB]", "copy of the last [dB]", "gain [dB]")
    for key in sorted({k.rsplit(" ", 1)[0] for k in table}):
        a = table[f"{key} imagined"]
        b = table[f"{key} copy"]
        view.add_row(key, f"{a:.2f}", f"{b:.2f}", f"{a - b:+.2f}")
    Console().print(view)
