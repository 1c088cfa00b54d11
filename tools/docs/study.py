"""The tables of docs/imagination.md, from what `benchmark.study` left in docs/results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NOTHING = "Nothing was measured yet.\n"


def study_tables(results: Path) -> dict[str, str]:
    """Markdown by the name of the JSON; a sentence where there is none."""
    tables = {
        "study": _variants,
        "study_steps": _steps,
        "study_quality": _quality,
        "study_outcomes": _outcomes,
        "study_ranking": _ranking,
        "study_data": _variants,
    }
    found = {}
    for name, table in tables.items():
        file = results / f"{name}.json"
        found[name] = table(json.loads(file.read_text())["found"]) if file.is_file() else NOTHING
    return found


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(c: dict[str, Any] | None) -> str:
    if c is None:
        return ""
    low, high = c["success_95"]
    return f"{c['success']:.0%} ({low:.0%} to {high:.0%}) of {c['episodes']}"


def _variants(found: dict[str, Any]) -> str:
    suites = list(dict.fromkeys(s for row in found.values() for s in row["suites"]))
    rows = [
        [row["words"], *(_cell(row["suites"].get(s)) for s in suites)] for row in found.values()
    ]
    table = _rows(["success, 95 %", *suites], rows)
    apart = [
        [f"{key}: {row['words']}", *(_points(row[key].get(s)) for s in suites)]
        for row in found.values()
        for key in row
        if key.endswith(" less this")
    ]
    return table + ("\n" + _rows(["points, 95 %", *suites], apart) if apart else "")


def _points(d: dict[str, Any] | None) -> str:
    if d is None:
        return ""
    low, high = d["points_95"]
    return f"{d['points']:+.0f} ({low:+.0f} to {high:+.0f})"


def _steps(found: dict[str, Any]) -> str:
    rows = [
        [training, steps, suite, _cell(c)]
        for training, by_steps in found.items()
        for steps, by_suite in by_steps.items()
        for suite, c in by_suite.items()
    ]
    return _rows(["trained", "steps", "suite", "success, 95 %"], rows)


def _quality(found: dict[str, Any]) -> str:
    rows = [
        [seed, step, suite, f"{c['gain_db']:+.1f} dB", _cell(c)]
        for seed, by_step in found.items()
        for step, by_suite in by_step.items()
        for suite, c in by_suite.items()
    ]
    head = ["training", "after steps", "suite", "imagined over copied", "success, 95 %"]
    return _rows(head, rows)


def _outcomes(found: dict[str, Any]) -> str:
    rows = []
    for task, row in found.items():
        for words in ("moments", "of which it moved"):
            part = row[words]
            cells = [part.get(f"{name}_cm", ["", ""]) for name in ("imagined", "came", "seen")]
            said = [f"{median} ({most})" for median, most in cells]
            rows.append([f"{task}, {words}", str(part["count"]), *said])
    head = [
        "median and nine tenths, cm",
        "count",
        "imagined",
        "the reader alone",
        "copy of the last",
    ]
    return _rows(head, rows)


def _ranking(found: dict[str, Any]) -> str:
    rows = []
    for task, row in found.items():
        told = []
        for name in ("imagined", "reader alone"):
            low, high = row[name]["right_95"]
            told.append(f"{row[name]['right']:.0%} ({low:.0%} to {high:.0%})")
        left = [f"{row[f'{name}_cm']:.1f}" for name in ("own", "chosen", "best", "all")]
        rows.append([task, str(row["imagined"]["pairs"]), *told, *left])
    head = ["task", "pairs", "right as imagined", "right by the reader alone"]
    return _rows([*head, "left, cm: own", "imagined best", "best", "all"], rows)
