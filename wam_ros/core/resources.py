"""Where shipped data (config, urdf, weights) lies: the checkout, the environment or a ROS
prefix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from wam_ros.core.errors import UnknownNameError, WamError

DESCRIPTIONS = (".urdf", ".xacro")


def share_dir() -> Path:
    """Folder that holds `config/` and `urdf/`: the checkout if we run from one, else
    `share/wam_ros` of a prefix.
    """
    candidates = [Path(__file__).resolve().parents[2]]
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    candidates += [Path(p) / "share" / "wam_ros" for p in (*prefixes, sys.prefix)]
    for folder in candidates:
        if (folder / "config" / "embodiments").is_dir():
            return folder
    raise WamError(
        f"no wam_ros data found in {', '.join(map(str, candidates))}; reinstall with `pip "
        "install .`"
    )


def config_names(kind: str) -> list[str]:
    """Names of the shipped YAML files of one kind: `embodiments`, `models`, `worlds`."""
    return sorted(p.stem for p in (share_dir() / "config" / kind).glob("*.yaml"))


def config_path(kind: str, name: str) -> Path:
    """Path of `config/<kind>/<name>.yaml`; a path to an existing .yaml file is taken as it is.

    Raises:
        UnknownNameError: no such file; lists the names there are.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise WamError(f"{kind} file '{name}' does not exist")
        return path
    if kind == "embodiments" and name.endswith(DESCRIPTIONS):
        raise WamError(f"'{name}' is a description: `wam embodiment new` makes a YAML file of it")
    choices = config_names(kind)
    if name not in choices:
        raise UnknownNameError(kind.removesuffix("s"), name, choices)
    return share_dir() / "config" / kind / f"{name}.yaml"


def urdf_path(name: str) -> Path:
    """Path of a shipped robot description, or `name` itself when it is a path that exists."""
    path = share_dir() / "urdf" / name
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise WamError(
            f"robot description '{name}' is neither in {share_dir() / 'urdf'} nor a file"
        )
    return path
