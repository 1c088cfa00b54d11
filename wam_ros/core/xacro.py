"""A xacro file as the URDF that it stands for, by the `xacro` package."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import logging
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.files import cache_folder, write_whole
from wam_ros.core.packages import SCHEMES, find_file, find_package, guess_package

_LOG = logging.getLogger(__name__)


def expand(path: Path, arguments: Mapping[str, str], packages: Mapping[str, str]) -> Path:
    """Write what a xacro file expands to into the user's cache and return that file.

    It lies elsewhere than the xacro file, so the files that it names are named in full.

    Args:
        path: of the xacro file, which may hold Python expressions: it is trusted like a program.
        arguments: of its `<xacro:arg>`.
        packages: folders of packages by name.

    Raises:
        WamError: xacro is not installed, or what it says about the file, in one line.
    """
    try:
        xacro = importlib.import_module("xacro")
    except ImportError as error:
        raise WamError(f"{path} needs the Python package 'xacro': `pip install xacro`") from error
    said = io.StringIO()
    told = _Asked(arguments)
    folder = path.resolve().parent
    # before it is listened to: what is guessed is said
    packages = {**_guessed(path, packages), **packages}
    try:
        # it prints what it dislikes, and leaves the program where the XML is damaged
        with contextlib.redirect_stderr(said), _packages_found(folder, packages):
            document = xacro.process_file(str(path), mappings=told)
        root = ET.fromstring(document.toxml())
    except (Exception, SystemExit) as error:
        raise WamError(f"{path}: xacro: {_why(error, said.getvalue())}") from error
    for name in arguments.keys() - told.asked:
        # a slip of the pen, or another version of the file: xacro itself says nothing
        slip = UnknownNameError(f"argument of {path}", name, told.asked)
        _LOG.warning("%s", slip)
    for element in root.iter():
        name = element.get("filename", "")
        if element.tag != "mesh" or not name:
            continue
        # what cannot be found is told by whoever wants it
        with contextlib.suppress(WamError):
            found = find_file(name, folder, packages)
            element.set("filename", f"file://{found.resolve()}")
            continue
        if not name.startswith((*SCHEMES, "file://")):
            element.set("filename", f"file://{(folder / name).resolve()}")
    text = ET.tostring(root)
    kept = cache_folder("xacro") or Path(tempfile.mkdtemp(prefix="wam_xacro_"))
    out = kept / f"{path.stem.removesuffix('.urdf')}-{hashlib.sha256(text).hexdigest()[:16]}.urdf"
    write_whole(out, text)
    return out


def _guessed(file: Path, packages: Mapping[str, str]) -> dict[str, str]:
    """Folders of packages that a xacro file finds and nobody told, by the files that it names."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # xacro says so
        return {}
    # an argument in a path is not known here
    asked: dict[str, list[str]] = {}
    for name, rest in re.findall(r"\$\(find ([^)\s]+)\)/([^\"'$]+)[\"']", text):
        asked.setdefault(name, []).append(rest)
    found: dict[str, str] = {}
    for name, rests in asked.items():
        try:
            if name not in packages:
                find_package(name, file.resolve().parent, packages)
        except WamError:
            folder = guess_package(name, rests, file.resolve().parent)
            found |= {} if folder is None else {name: str(folder)}
    return found


@contextlib.contextmanager
def _packages_found(beside: Path, packages: Mapping[str, str]) -> Iterator[None]:
    """Let `$(find PACKAGE)` look where `package://` does.

    By itself xacro knows sourced workspaces only, and without ROS none.
    """
    words: Any = importlib.import_module("xacro.substitution_args")

    def find(name: str) -> str:
        return str(find_package(name, beside, packages))

    kept = words._eval_find, words._eval_dict["find"]
    words._eval_find = words._eval_dict["find"] = find
    try:
        yield
    finally:
        words._eval_find, words._eval_dict["find"] = kept


def _why(error: BaseException, said: str) -> str:
    """What xacro found wrong, in one line, and what to tell where something is missing."""
    own: BaseException | None = error
    while own is not None and not isinstance(own, WamError):  # it wraps what is ours into its own
        own = own.__context__
    if own is not None:
        return str(own)
    words = " ".join(f"{said} {error}".split())[:300] or type(error).__name__
    if missing := re.search(r"Undefined substitution argument (\w+)", words):
        name = missing[1]
        words += f"; tell it: `xacro_arguments: {{{name}: ...}}` in the embodiment, "
        words += f"`--xacro-argument {name} VALUE` to `wam embodiment new`"
    return words


class _Asked(dict[str, str]):
    """Arguments of a xacro file, which remember by what names they were asked for."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        super().__init__(arguments)
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)
