"""Whether files that are read are there, and those that a command is to write can be written, asked
before it does the work; the cache.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from wam_ros.core.errors import WamError

LFS = b"version https://git-lfs.github.com/spec/"  # how a pointer begins


def require_writable(option: str, file: str | Path | None) -> None:
    """Raise unless `file` ('' or None for none) can be written; nothing is left behind.

    Args:
        option: how the command calls it, `--json` say.
        file: to be written later.

    Raises:
        WamError: one line with the option, the file and the reason.
    """
    if not file:
        return
    path = Path(file)
    if path.is_dir():
        raise WamError(f"{option} {file} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise WamError(f"{option} {file}: folder '{path.parent}' does not exist")
    try:
        if path.exists():
            with path.open("ab"):
                return
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise WamError(f"{option} {file} cannot be written: {error.strerror or error}") from error


def require_fetched(path: Path) -> None:
    """Raise `WamError` for a pointer that Git LFS left in the place of a large file."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS)) == LFS
    except OSError:
        return  # whoever reads it next says why it cannot be read
    if pointer:
        raise WamError(
            f"'{path}' is a Git LFS pointer, not the file itself: run `git lfs pull` where it was "
            "cloned, or download it"
        )


def make_folder(option: str, folder: str | Path) -> Path:
    """Create `folder` unless it exists; returns its absolute path.

    Raises:
        WamError: it cannot be created, or no file can be put in it.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path.resolve()
    except OSError as error:
        raise WamError(f"{option} {folder} cannot be written: {error.strerror or error}") from error


def cache_folder(kind: str) -> Path | None:
    """Folder of the user's cache for things of one kind; None where there can be none.

    What is read from it is believed: it must be the user's own and nobody else's to write.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "wam_ros" / kind
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError:
        return None
    ours = found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if ours and os.access(folder, os.W_OK) else None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that another process sees all of it or nothing.

    Raises:
        OSError: as the system says.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
