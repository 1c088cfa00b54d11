"""Rooms that have grown large: a signal to look, not a wall; nothing fails for it."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "wam_ros"
FILE, NODE, FUNCTION = 400, 250, 50  # lines
CHANGING = 12  # attributes of one object that change after it was made


def report() -> list[str]:
    """A line for each file, each function and each class beyond its size, the largest first."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        text, name = path.read_text(), path.relative_to(PACKAGE.parent)
        lines = len(text.splitlines())
        if lines > (NODE if path.parent.name == "nodes" else FILE):
            found.append((lines, f"{lines:5} lines  {name}"))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION:
                    found.append((length, f"{length:5} lines  {name}:{node.lineno} {node.name}"))
            if isinstance(node, ast.ClassDef) and (n := len(changing(node))) > CHANGING:
                found.append((n, f"{n:5} change {name}:{node.lineno} {node.name}"))
    return [words for _, words in sorted(found, reverse=True)]


def changing(cls: ast.ClassDef) -> set[str]:
    """Attributes that an object of a class assigns to outside its `__init__`."""
    methods = [n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name != "__init__"]
    return {
        node.attr
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


if __name__ == "__main__":
    rows = report()
    print(
        f"{len(rows)} larger than {FILE} lines (a node {NODE}, a function {FUNCTION}) "
        f"or with more than {CHANGING} attributes that change"
    )
    print("\n".join(rows))
