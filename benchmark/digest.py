"""Which state of the code a long run has judged."""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path

from wam_ros.core.resources import share_dir
from wam_ros.safety.checks import load_checks


def digest() -> str:
    """Of everything that an answer depends on: the code that is loaded, and the robots and worlds
    it reads.
    """
    load_checks()
    share, home = share_dir(), Path(__file__).parents[1]
    loaded = {Path(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None)}
    ours = [home / folder for folder in ("wam_ros", "testing", "benchmark")]
    files = [f for f in loaded if any(f.is_relative_to(folder) for folder in ours)]
    files += [
        f
        for folder in ("config/embodiments", "config/worlds", "urdf")
        for f in (share / folder).iterdir()
    ]
    told = hashlib.sha256()
    for path in sorted(files):
        told.update(
            path.name.encode() + (_code(path) if path.suffix == ".py" else path.read_bytes())
        )
    return told.hexdigest()[:16]


def _code(path: Path) -> bytes:
    """A source file without its comments, docstrings and layout: on these no answer depends."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree).encode()
