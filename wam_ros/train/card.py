"""The card beside weights: what they are, what they learned from, how, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(name: str, facts: Mapping[str, Any]) -> str:
    """Markdown of what training knows of itself; see `train.publish` for the entries."""
    about = facts.get("about", {})
    sections = {
        "Learned from": about,
        "Training": {"steps": facts["steps"], **facts["recipe"]},
        "Last losses": facts["losses"],
        "Measured": facts["measured"],
        "Hashes": {k: facts[k] for k in ("data", "start") if k in facts},
    }
    parts = [f"# {name}\n\nWeights of a world action model, written by `wam train`.\n"]
    for title, rows in sections.items():
        if rows:
            lines = "".join(f"| {key} | {_text(value)} |\n" for key, value in rows.items())
            parts.append(f"## {title}\n\n| | |\n|---|---|\n{lines}")
    parts.append(
        "Nothing is said here about other robots, cameras, rooms or sentences than those above.\n"
    )
    return "\n".join(parts)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
