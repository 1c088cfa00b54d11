"""Whether the files that a command is to write can be written, asked before it does the work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from wam_ros.core.errors import WamError


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
