"""Which processes the demo runs, with which parameters and in which environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.demo.args import DemoArgs
from wam_ros.demo.supervisor import Command
from wam_ros.models import SCRIPT, model_for
from wam_ros.ros.environment import ros_environment
from wam_ros.ros.simulated import simulated_time
from wam_ros.sim.names import world_of
from wam_ros.sim.robots import AUTO


def commands(args: DemoArgs) -> list[Command]:
    """The processes, as `python -m wam_ros.nodes.<name>` with ROS parameters."""
    common: dict[str, Any] = {"embodiment": args.embodiment}
    nodes: dict[str, dict[str, Any]] = {
        "sim_node": {"rate": args.rate} | _task(args),
        "camera_node": {},
        "inference_node": _model_parameters(args),
        "safety_node": world_of(args.task),
        # the simulated arm has one controller, whatever the embodiment says of groups of joints
        "bridge_node": {"controller": load_embodiment(args.embodiment).controller},
    }
    if not args.headless:  # a person is there to give tasks, and to look
        nodes["task_node"] = {}
        nodes["view_node"] = {"port": args.port} | world_of(args.task)
    time = simulated_time(load_embodiment(args.embodiment), args.real_time)
    return [node_command(name, common | own | time[name]) for name, own in nodes.items()]


def _task(args: DemoArgs) -> dict[str, Any]:
    if args.task != AUTO:
        return {"task": args.task}
    # the script reaches for markers, whatever the hand could do
    return {"task": "reach"} if model_of(args) == SCRIPT else {}


def _model_parameters(args: DemoArgs) -> dict[str, Any]:
    given: dict[str, Any] = {"memory": args.memory, "model": model_of(args)}
    for name in ("checkpoint", "steps"):
        if value := getattr(args, name):
            given[name] = str(Path(value).resolve()) if name == "checkpoint" else value
    return given


def model_of(args: DemoArgs) -> str:
    """The model that is asked for, or the one that is shipped for the robot; a script where there
    is none.
    """
    return args.model or model_for(load_embodiment(args.embodiment))


def node_command(name: str, parameters: Mapping[str, Any]) -> Command:
    """Command line of one node that configures and activates by itself."""
    argv = [sys.executable, "-m", f"wam_ros.nodes.{name}", "--ros-args"]
    for key, value in {"autostart": True, **parameters}.items():
        argv += ["-p", f"{key}:={format_parameter(value)}"]
    return Command(name, tuple(argv))


def format_parameter(value: bool | int | float | str) -> str:
    """A parameter value as ROS reads it on a command line, keeping its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)  # `1.0`: without the point ROS reads an integer
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def environment(
    domain_id: int, logs: Path, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment of every process: this machine only, a domain of its own, one thread per numeric
    library.

    Args:
        domain_id: of the run.
        logs: folder for what ROS itself logs; the home folder, its own choice, need not be
            writable.
        base: what is inherited; by default the environment of this process.
    """
    env = dict(os.environ if base is None else base)
    env.update(ros_environment(env))
    env["ROS_DOMAIN_ID"] = str(domain_id)
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    env.pop("ROS_LOCALHOST_ONLY", None)  # the older switch; it overrides the range and warns
    env.pop("ROS_STATIC_PEERS", None)
    env["ROS_LOG_DIR"] = str(logs)
    # a file of the current folder must not stand for a module that a node imports
    env["PYTHONSAFEPATH"] = "1"
    env.setdefault("PYTHONUNBUFFERED", "1")
    env.setdefault("RCUTILS_LOGGING_BUFFERED_STREAM", "0")
    env.setdefault("RCUTILS_LOGGING_USE_STDOUT", "1")
    source = share_dir()
    # run from a checkout: the processes must find the same code
    if (source / "wam_ros" / "__init__.py").is_file():
        paths = [
            str(source),
            *(p for p in env.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(source)),
        ]
        env["PYTHONPATH"] = os.pathsep.join(paths)
    return env
