"""A model judged by LIBERO's check in its official initial states: by `vla-eval`, through the four
nodes with the safety filter, and alone.

    export PATH=$PWD/.venv-foreign/libero/bin:$PATH PYTHONPATH=$PWD       # make libero
    python -m benchmark.libero --work /data/judged --json docs/results/libero.json
    python -m benchmark.libero vla-eval --suites libero_object --work /data/judged   # one way

`vla-eval` is unmodified and asks `wam serve`; `vla-eval-live` is its mode that does not wait for
answers; `lockstep` and `alone` are those of `wam eval --loop`, which count limits exceeded and
contacts of the arm, in every step of the physics, and stops by safety. What `--work` holds already
is not done again, and what `--json` says of other ways and suites stays.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from testing.foreign import ROOT, wam_serve
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.core.intervals import wilson_interval
from wam_ros.models import load_policy, read_description
from wam_ros.models.processor import processor
from wam_ros.train.evaluate import Eval
from wam_ros.train.evaluate import main as evaluate
from wam_ros.train.judging import ALL

SUITES = ("libero_object", "libero_spatial")
LIVE_HZ = 10.0  # the model's rate
VLA_EVAL = str(Path(sys.executable).with_name("vla-eval"))


def main() -> None:
    """Do what is missing, then print the table."""
    args = _read()
    about = {"model": args.model, "weights": args.weights, "episodes_per_task": args.episodes}
    found = _earlier(args.json, about)
    for way in args.ways or DEFAULT:
        for suite in args.suites:
            began = time.monotonic()
            try:
                said = WAYS[way](args, suite)
            finally:
                took = _took(args, way, suite, (time.monotonic() - began) / 60)
            found.setdefault(suite, {})[way] = said | took
            if args.json is not None:
                write_json(args.json, about | {"processor": str(processor()), "found": found})
    _print(found)


def _read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", choices=[*WAYS, []], help=f"default: {DEFAULT}")
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--model", default="libero")
    parser.add_argument("--checkpoint", default="", help="weights; default: the shipped ones")
    parser.add_argument("--suites", nargs="+", default=list(SUITES))
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--json", type=Path, help="write the results here")
    args = parser.parse_args()
    require_within("--episodes", args.episodes, 1)
    require_writable("--json", args.json)
    robot = load_embodiment(str(read_description(args.model)["embodiment"]))
    args.weights = load_policy(args.model, args.checkpoint, robot).checkpoint_hash
    # vla-eval does not ask whose episodes it goes on with
    args.work = make_folder("--work", args.work / args.weights)
    return args


def _earlier(file: Path | None, about: dict[str, Any]) -> dict[str, Any]:
    if file is None or not file.is_file() or not file.stat().st_size:
        return {}
    said = json.loads(file.read_text())
    if any(said.get(name) != value for name, value in about.items()):
        raise WamError(f"--json {file} is not of these arguments: name another file")
    return dict(said["found"])


def _took(args: argparse.Namespace, way: str, suite: str, minutes: float) -> dict[str, float]:
    """Minutes of this judgement, also where it was done in several goes."""
    file = args.work / f"{way}-{suite}-minutes.json"
    minutes += json.loads(file.read_text()) if file.exists() else 0.0
    write_json(file, minutes)
    return {"minutes": round(minutes, 1)}


def _by_vla_eval(args: argparse.Namespace, suite: str, live: bool = False) -> dict[str, Any]:
    way = "vla-eval-live" if live else "vla-eval"
    out = make_folder("--work", (args.work / f"{way}-{suite}").resolve())
    weights = ["--checkpoint", str(Path(args.checkpoint).resolve())] if args.checkpoint else []
    with wam_serve("--model", args.model, *weights) as port:
        argv = [VLA_EVAL, "run", "--no-docker"]
        argv += ["--config", str(ROOT / "tools" / "vla_eval_libero.yaml")]
        argv += ["--server-url", f"ws://127.0.0.1:{port}/vla-eval", "--output-dir", str(out)]
        argv += ["--param", f"suite={suite}", "--eval-id", "judged"]
        fields = [f"episodes_per_task={args.episodes}"]
        fields += ["mode=live", f"hz={LIVE_HZ}"] if live else []
        argv += [word for field in fields for word in ("--benchmark-field", field)]
        here = {**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}{os.pathsep}{ROOT}"}
        # two cores render, and one server answers both; in time they would be in each other's way
        shards = [[]] if live else [["--shard-id", str(k), "--num-shards", "2"] for k in range(2)]
        running = [subprocess.Popen([*argv, *shard], env=here, cwd=out) for shard in shards]
        codes = [process.wait() for process in running]
        if any(codes):
            raise WamError(f"vla-eval failed on '{suite}'")
    # of what both of them recorded
    subprocess.run([VLA_EVAL, "export", "recording-judged.sqlite"], cwd=out, check=True)
    (file,) = out.glob("*_aggregate.json")
    told = json.loads(file.read_text())
    if told.get("partial") or told["num_errors"]:
        raise WamError(f"vla-eval: {told['num_errors']} errors, or not all episodes, in {file}")
    rows = [
        {"task": task["task"], "success": bool(episode["metrics"]["success"])}
        for task in told["tasks"]
        for episode in task["episodes"]
    ]
    return _rates(rows)


def _by_wam_eval(args: argparse.Namespace, suite: str, loop: str) -> dict[str, Any]:
    file = args.work / f"{loop}-{suite}.json"
    evaluate(
        Eval(
            model=(args.model,),
            checkpoint=(args.checkpoint,) if args.checkpoint else (),
            task=(suite,),
            episodes=args.episodes,
            loop=loop,
            workers=2 if loop == "alone" else 1,
            json=file,
        )
    )
    found = json.loads(file.read_text())
    whole = next(s for s in found["summary"] if s["task"] == ALL)
    decisions: Counter[str] = Counter()
    for row in found["episodes"]:
        decisions.update(row.get("decisions", {}))
    more = {name: whole[name] for name in ("outcomes", "violations", "stops")}
    return _rates(found["episodes"]) | more | ({"decisions": dict(decisions)} if decisions else {})


def _rates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    successes = sum(row["success"] for row in rows)
    tasks = dict.fromkeys(row["task"] for row in rows)
    return {
        "episodes": len(rows),
        "success": round(successes / len(rows), 4),
        "success_95": [round(x, 4) for x in wilson_interval(successes, len(rows))],
        "by_task": {t: sum(row["success"] for row in rows if row["task"] == t) for t in tasks},
    }


WAYS: dict[str, Callable[[argparse.Namespace, str], dict[str, Any]]] = {
    "vla-eval": _by_vla_eval,
    "lockstep": lambda args, suite: _by_wam_eval(args, suite, "lockstep"),
    "alone": lambda args, suite: _by_wam_eval(args, suite, "alone"),
    "vla-eval-live": lambda args, suite: _by_vla_eval(args, suite, live=True),
}
DEFAULT = ("vla-eval", "lockstep")


def _print(found: dict[str, Any]) -> None:
    table = Table("suite", "way", "success", "95 %", "limits, contacts", "stops", "minutes")
    for suite, ways in found.items():
        for way, said in ways.items():
            low, high = said["success_95"]
            counted = [
                ", ".join(f"{k} {n}" for k, n in said[name].items()) or "none"
                if name in said
                else ""
                for name in ("violations", "stops")
            ]
            share = f"{said['success']:.0%} of {said['episodes']}"
            interval = f"{low:.0%} to {high:.0%}"
            table.add_row(suite, way, share, interval, *counted, f"{said['minutes']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
