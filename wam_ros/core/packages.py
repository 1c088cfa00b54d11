"""Where the files lie that a robot description names: `package://`, `file://` or a plain path."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.core.xmlfile import read_xml

# `model://` is what Gazebo says for the same
SCHEMES = ("package://", "model://")
# what a description names that another machine expanded: the share of a workspace there
INSTALLED = re.compile(r"(file://)?(?P<path>/.*/share/(?P<name>[^/]+)/(?P<rest>.+))$")
_LOG = logging.getLogger(__name__)
_said: set[tuple[str, Path]] = set()  # guesses, each of which is said once

# folders above a description in which its package or a neighbour of it may lie:
# share/package/urdf/model
LEVELS = 5


def find_package(name: str, beside: Path, told: Mapping[str, str]) -> Path:
    """Folder of a ROS package: as told, around the folder `beside`, or in a sourced workspace.

    Raises:
        WamError: it is not there; says where to put it.
    """
    if name in told:
        folder = (beside / told[name]).resolve()
        if not folder.is_dir():
            raise WamError(f"package '{name}' is not at {told[name]}")
        return folder
    around = [beside, *beside.parents][:LEVELS]
    candidates = [folder for folder in around if folder.name == name]
    candidates += [folder / name for folder in around[:-1]]
    # what was cloned or unpacked may be called otherwise than the package that it is
    candidates += [folder for folder in around if _manifest_name(folder) == name]
    for variable, below in (("AMENT_PREFIX_PATH", "share"), ("ROS_PACKAGE_PATH", "")):
        roots = [r for r in os.environ.get(variable, "").split(os.pathsep) if r]
        candidates += [Path(root) / below / name for root in roots]
        candidates += [Path(root) for root in roots if Path(root).name == name]
    found = next((folder for folder in candidates if folder.is_dir()), None)
    if found is None:
        raise WamError(
            f"package '{name}' is not found: source its workspace, put it beside {beside}, or "
            f"tell its folder: `packages: {{{name}: /its/folder}}` in the embodiment, "
            f"`--package {name} /its/folder` to `wam embodiment new`"
        )
    return found


def _manifest_name(folder: Path) -> str:
    """What the `package.xml` of a folder calls it; '' where there is none."""
    try:
        return (read_xml(folder / "package.xml").findtext("name") or "").strip()
    except WamError:
        return ""


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
    installed = INSTALLED.match(uri)
    if scheme:
        # some write three slashes, as of a file
        name, _, rest = uri.removeprefix(scheme).lstrip("/").partition("/")
        path = _of_package(name, rest, beside, told)
    elif installed and not Path(installed["path"]).is_file():
        path = _of_package(installed["name"], installed["rest"], beside, told)
    else:
        path = beside / uri.removeprefix("file://")
        if not path.is_file() and (beside.parent / uri).is_file():
            path = beside.parent / uri
    if not path.is_file():
        raise WamError(f"{uri} cannot be read: there is no file {path}")
    return path


def _of_package(name: str, rest: str, beside: Path, told: Mapping[str, str]) -> Path:
    """The file `rest` of a package.

    Raises:
        WamError: the package is not there, and around the description there is no such file either.
    """
    try:
        return find_package(name, beside, told) / rest
    except WamError:
        folder = None if name in told else guess_package(name, [rest], beside)
        if folder is None:
            raise
        return folder / rest


def guess_package(name: str, rests: Sequence[str], beside: Path) -> Path | None:
    """The folder around `beside` that has all the files `rests` of a package which is not found by
    its name: it was copied or cloned under another one. What is taken is said; None where there is
    no such folder.
    """
    around = [beside, *beside.parents][: LEVELS - 1]
    found = next((f for f in around if rests and all((f / r).is_file() for r in rests)), None)
    if found is not None and (name, found) not in _said:
        _said.add((name, found))
        _LOG.warning(
            "package '%s' is not found by its name: taken for it is %s, where the files are that "
            "are asked of it; if another one is meant: `packages: {%s: /its/folder}` in the "
            "embodiment, `--package %s /its/folder` to `wam embodiment new`",
            name,
            found,
            name,
            name,
        )
    return found
