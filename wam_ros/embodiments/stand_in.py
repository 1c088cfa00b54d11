"""A URDF or xacro file where an embodiment's name stands: what is guessed is kept to be edited."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.core.resources import DESCRIPTIONS, config_names
from wam_ros.embodiments.cli import New, write_new

SUFFIX = ".wam.yaml"  # of what is kept beside x.urdf: x.wam.yaml, with x.wam.srdf


@dataclass(frozen=True)
class StandIn:
    """The embodiment that is meant, and whether nobody can have looked at it yet."""

    embodiment: str  # a name, or the path of a YAML file
    guessed: bool = False  # the file was written just now


def stand_in(name: str) -> StandIn:
    """The embodiment for a name, a YAML file or a description.

    Of a description it is the file kept beside it, or in this folder where that cannot be written.
    Where there is none, it is made as `wam embodiment new` does, which prints what it guesses.

    Raises:
        WamError: there is no such description, or nothing can be made of it.
    """
    if not name.endswith(DESCRIPTIONS):
        return StandIn(name)
    path = Path(name).resolve()
    if not path.is_file():
        raise WamError(f"robot description '{name}' does not exist")
    stem = path.name.partition(".")[0]
    folders = (path.parent, Path.cwd())
    for kept in (folder / f"{stem}{SUFFIX}" for folder in folders):
        if kept.is_file():
            return StandIn(str(kept))
    folder = next((f for f in folders if os.access(f, os.W_OK)), folders[0])
    # the shipped models know their robots by name
    own = f"my_{stem}" if stem in config_names("embodiments") else stem
    out = folder / f"{stem}{SUFFIX}"
    write_new(New(urdf=path, out=out, name=own))
    return StandIn(str(out), guessed=True)
