"""Whether files that are read are there, and those that a command is to write can be written, asked
before it does the work; how every file is written; the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
                pass
        if not _is_stream(path):  # its part stands beside it
            with tempfile.TemporaryFile(dir=path.resolve().parent):
                pass
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


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A file that is written whole or not at all.

    What is yielded stands beside `path` and ends in `.part`, so whoever writes by name must say the
    format. It takes the place of `path` when the block ends well and all of it is on the disk. It
    is gone otherwise, and what stood at `path` stays. Through a link the file itself is replaced.
    What is no file, a pipe or /dev/stdout say, is yielded as it is.

    Raises:
        WamError: one line with the file and the reason, for an `OSError` within the block, too.
    """
    try:
        if _is_stream(Path(path)):
            yield Path(path)
            return
        goal = Path(path).resolve()
        # of its own: who writes the same file at the same time writes another part
        part = goal.with_name(f"{goal.name}.{secrets.token_hex(4)}.part")
        try:
            yield part
            # some file systems say only now that the disk is full
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(goal)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())
        raise WamError(f"{path} cannot be written: {reason}") from error


def _is_stream(path: Path) -> bool:
    """Whether a path is there and no file; /dev/stdout is none even where it leads to one."""
    named = str(path.absolute()).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    return path.exists() and (named or not path.is_file())


def write_whole(path: str | Path, data: bytes | str) -> None:
    """Write a file, text in UTF-8, whole or not at all, as `whole_file` does.

    Raises:
        WamError: one line with the file and the reason.
    """
    with whole_file(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def write_json(path: str | Path, data: Any) -> None:
    """Write what JSON can say, whole or not at all.

    Raises:
        WamError: one line with the file and the reason.
    """
    write_whole(path, json.dumps(data, indent=1) + "\n")
