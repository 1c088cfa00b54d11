"""Packages of a ROS installation, as far as a launch file looks for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SCRIPT = "#!/bin/sh\n"


def install(
    prefix: Path, package: str, executables: Iterable[str] = (), script: str = SCRIPT
) -> None:
    """Put a package that has nothing but these executables into a prefix."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / package).touch()
    folder = prefix / "lib" / package
    folder.mkdir(parents=True, exist_ok=True)
    for name in executables:
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
