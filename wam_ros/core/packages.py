"""Where the files lie that a robot description names: `package://`, `file://` or a plain path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wam_ros.core.errors import WamError

# `model://` is what Gazebo says for the same
SCHEMES = ("package://", "model://")
# folders above a description in which its package or a neighbour of it may lie: share/package/urdf
LEVELS = 4


def find_package(name: str, beside: Path, told: Mapping[str, str]) -> Path | None:
    """Folder of a ROS package: as told, around the folder `beside`, or in a sourced workspace."""
    if name in told:
        folder = (beside / told[name]).resolve()
        return folder if folder.is_dir() else None
    around = [beside, *beside.parents][:LEVELS]
    candidates = [folder for folder in around if folder.name == name]
    candidates += [folder / name for folder in around[:-1]]
    for variable, below in (("AMENT_PREFIX_PATH", "share"), ("ROS_PACKAGE_PATH", "")):
        roots = [r for r in os.environ.get(variable, "").split(os.pathsep) if r]
        candidates += [Path(root) / below / name for root in roots]
        candidates += [Path(root) for root in roots if Path(root).name == name]
    return next((folder for folder in candidates if folder.is_dir()), None)


def find_file(uri: str, beside: Path, told: Mapping[str, str]) -> Path:
    """The file that a description in the folder `beside` means.

    Args:
        uri: as it stands there.
        beside: folder of the description.
        told: folders of packages by name; relative ones lie in `beside`.

    Raises:
        WamError: the package or the file is not there; says where to put it.
    """
    scheme = next((s for s in SCHEMES if uri.startswith(s)), "")
    if scheme:
        # some write three slashes, as of a file
        name, _, rest = uri.removeprefix(scheme).lstrip("/").partition("/")
        folder = find_package(name, beside, told)
        if folder is None:
            where = told.get(name)
            raise WamError(
                f"package '{name}' is not at {where}"
                if where
                else f"package '{name}' is not found: source its workspace, put it beside "
                f"{beside}, or add `packages: {{{name}: /its/folder}}` to the embodiment"
            )
        path = folder / rest
    else:
        path = beside / uri.removeprefix("file://")
        if not path.is_file() and (beside.parent / uri).is_file():
            path = beside.parent / uri
    if not path.is_file():
        raise WamError(f"{uri} cannot be read: there is no file {path}")
    return path
