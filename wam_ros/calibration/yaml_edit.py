"""Values into an embodiment's YAML, comments and order kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import write_whole
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml


def file_to_edit(name: str, out: Path | None) -> tuple[Path, Path]:
    """The YAML of a robot and the file that gets the result.

    Raises:
        WamError: the robot is shipped and no other file is told: it stands for any such arm.
    """
    path = config_path("embodiments", name)
    if out is None and not name.endswith((".yaml", ".yml")):
        raise WamError(f"'{name}' is shipped with this package: name a file of your own with --out")
    goal = out or path
    if goal.suffix not in (".yaml", ".yml"):
        raise WamError(f"--out {goal} must end in .yaml")
    return path, goal


def edit(path: Path, goal: Path, change: Callable[[Any], None]) -> None:
    """Write `goal`: the mapping of the file `path` after `change`, all else as it was.

    Raises:
        WamError: unreadable, or what comes out is no embodiment any more; nothing is written then.
    """
    import yaml
    from ruamel.yaml import YAML

    load_yaml(path)  # with our words for what is wrong
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    data = editor.load(path.read_text(encoding="utf-8"))
    change(data)
    out = io.StringIO()
    editor.dump(data, out)
    text = out.getvalue()
    from_mapping(Embodiment, yaml.safe_load(text), str(goal))
    write_whole(goal, text)


def on_one_line(value: dict[str, Any]) -> Any:
    """A mapping, and its lists, written as {key: value}."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    found = CommentedMap()
    for key, item in value.items():
        if isinstance(item, list):
            item = CommentedSeq(item)
            item.fa.set_flow_style()
        found[key] = item
    found.fa.set_flow_style()
    return found
