"""The `wam` command: finds the subcommand, reads its arguments, turns errors into one line and an
exit code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wam_ros import __version__
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.threads import one_blas_thread


@dataclass(frozen=True)
class Command:
    """One subcommand; its modules are imported only when it is chosen."""

    summary: str
    args: str  # module:dataclass that tyro fills
    run: str  # module:function taking it; returns None or an exit code
    extras: str = ""  # of the package, that it needs


COMMANDS = {
    "demo": Command(
        "run the whole loop with a simulated arm",
        "wam_ros.demo.args:DemoArgs",
        "wam_ros.demo.main:main",
        "torch,sim,view",
    ),
    "safety": Command(
        "the safety filter on files, without a robot",
        "wam_ros.safety.offline.cli:Safety",
        "wam_ros.safety.offline.cli:main",
    ),
    "embodiment new": Command(
        "a robot's YAML from its URDF, or from what a robot that runs says",
        "wam_ros.embodiments.cli:New",
        "wam_ros.tools.new_embodiment:main",
    ),
    "embodiment": Command(
        "what is right about a robot's YAML and what not; which are shipped",
        "wam_ros.embodiments.cli:EmbodimentArgs",
        "wam_ros.embodiments.cli:main",
    ),
    "embodiment rehearse": Command(
        "recorded seconds through robot and model: wrong signs, units, cameras by name",
        "wam_ros.rehearsal.cli:Rehearse",
        "wam_ros.rehearsal.cli:main",
        "sim,view,data",
    ),
    "calibrate camera": Command(
        "where a camera stands and what its lens does, into a robot's YAML",
        "wam_ros.calibration.camera:CalibrateCamera",
        "wam_ros.calibration.camera:main",
    ),
    "calibrate joints": Command(
        "unit, direction and zero of a driver's joints, into a robot's YAML",
        "wam_ros.calibration.joints:CalibrateJoints",
        "wam_ros.calibration.joints:main",
    ),
    "calibrate board": Command(
        "a board to be printed, that cameras are calibrated with",
        "wam_ros.calibration.board:CalibrateBoard",
        "wam_ros.calibration.board:draw_board",
    ),
    "record-sim": Command(
        "record demonstrations of the scripted expert",
        "wam_ros.train.record:RecordSim",
        "wam_ros.train.record:main",
        "sim,data",
    ),
    "data": Command(
        "recorded episodes: bring in, look at, judge, hand on",
        "wam_ros.data.cli:DataArgs",
        "wam_ros.data.cli:main",
        "data",
    ),
    "train": Command(
        "train a model on recorded episodes",
        "wam_ros.train.arguments:Train",
        "wam_ros.train.train:main",
        "train",
    ),
    "adapt": Command(
        "a model that exists, to another robot or task, from a few recordings",
        "wam_ros.train.adapt:Adapt",
        "wam_ros.train.adapt:main",
        "train",
    ),
    "eval": Command(
        "measure a model in the simulator, without ROS",
        "wam_ros.train.evaluate:Eval",
        "wam_ros.train.evaluate:main",
        "train",
    ),
    "calibrate model": Command(
        "learn what is calm, done and failed, for surprise and the end of tasks",
        "wam_ros.train.calibrate:Calibrate",
        "wam_ros.train.calibrate:main",
        "train",
    ),
    "serve": Command(
        "a model as a server, for robots and evaluators elsewhere",
        "wam_ros.serve.cli:Serve",
        "wam_ros.serve.cli:main",
        "torch,serve",
    ),
    "view": Command(
        "show a recorded run on the page",
        "wam_ros.runs.view:View",
        "wam_ros.runs.view:main",
        "view",
    ),
    "imagine": Command(
        "film what was imagined beside what came, and what would be if",
        "wam_ros.runs.imagine:Imagine",
        "wam_ros.runs.imagine:main",
        "torch,view,data",
    ),
    "plot": Command(
        "draw a recorded run: decisions, distances, latency, joints",
        "wam_ros.runs.plot:Plot",
        "wam_ros.runs.plot:main",
        "view",
    ),
    "report": Command(
        "make one page of a run, to attach to an issue",
        "wam_ros.runs.report:Report",
        "wam_ros.runs.report:main",
        "view",
    ),
    "latency": Command(
        "measure where the running loop's time goes",
        "wam_ros.tools.latency:Latency",
        "wam_ros.tools.latency:main",
    ),
    "bench": Command(
        "time a model on this machine",
        "wam_ros.tools.bench:Bench",
        "wam_ros.tools.bench:main",
        "torch",
    ),
    "bench model": Command(
        "cost of a released model's sizes, random weights",
        "wam_ros.models.bench:BenchModel",
        "wam_ros.models.bench:main",
        "torch",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. 0: done, 1: the run failed, 2: an argument or file is wrong, 130: Ctrl-C."""
    one_blas_thread()  # commands import numpy when they are chosen
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except WamError as error:
        print(f"wam: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"wam {__version__}")
        return 0
    pair = " ".join(words[:2])
    name = pair if pair in COMMANDS else require_known("command", words[0], COMMANDS)
    command = COMMANDS[name]
    try:
        args = parse(command, f"wam {name}", words[len(name.split()) :])
        return int(_load(command.run)(args) or 0)
    except ModuleNotFoundError as error:
        remedy = _remedy(error.name or "", command.extras)
        if not remedy:
            raise
        raise WamError(f"`wam {name}` needs the Python module '{error.name}'; {remedy}") from error


def parse(command: Command, prog: str, words: Sequence[str]) -> object:
    """Fill the command's dataclass; --help prints and exits 0, a wrong argument exits 2 with the
    closest choices.
    """
    import tyro

    cls = _load(command.args)
    return tyro.cli(cls, prog=prog, args=list(words), config=(tyro.conf.FlagCreatePairsOff,))


def usage() -> str:
    """Text of `wam --help`."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {c.summary}" for name, c in COMMANDS.items())
    return (
        f"usage: wam COMMAND [options]\n\n{listed}\n\n`wam COMMAND --help` lists the options "
        "of one command."
    )


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _remedy(missing: str, extras: str) -> str:
    """What to do about a module that is not there; '' where it can only be a defect of this
    package.
    """
    if missing == "rclpy" or missing in ("wam_ros.msg", "wam_ros.srv", "wam_ros.action"):
        return "source a ROS 2 workspace that has wam_ros, or run `make setup`"
    if missing.split(".")[0] == "wam_ros" or not extras:
        return ""
    return f"in the repository run `pip install '.[{extras}]'` or `make setup`"


if __name__ == "__main__":
    sys.exit(main())
