"""`wam calibrate joints`: what a driver means by its numbers, from a few of them beside the joint
positions that they stand for.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from wam_ros.calibration.yaml_edit import edit, file_to_edit, on_one_line
from wam_ros.core.embodiment import Embodiment, Reading, load_embodiment
from wam_ros.core.errors import Problems, WamError, require_known
from wam_ros.core.files import require_writable
from wam_ros.robot.joints import load_joints

COLUMNS = ("joint", "driver", "position")
ENDS = ("lower", "upper", "home")  # words that may stand for a position
TICKS = 4096  # of a turn, of the servos that LeRobot drives
LEAST = 0.15  # of its range, that a joint's rows must lie apart
LEAST_RAD = 0.4  # of one without limits
FIT = 0.04  # of what the rows span, that they may lie beside a line
UNLIKE = 0.08  # that a factor may be away from a unit's

HEADINGS = ("joint", "driver's unit", "direction", "zero", "rows", "beside by at most")


@dataclass(frozen=True)
class CalibrateJoints:
    """Find unit, direction and zero of what a driver says about its joints, and write them into the
    robot's YAML (`driver`).

    The file has a row for each reading: joint, what the driver says, and where the joint is then:
    rad or m of the URDF, or `lower`, `upper` (its stops) or `home`. Two rows far apart for each
    joint tell all, a third one proves it: degrees, per cent and ticks of LeRobot become radians.
    """

    # a name in config/embodiments or the path of a YAML file
    embodiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    readings: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CSV")]
    out: Path | None = None  # YAML to write; that of the robot, if it is your own


@dataclass(frozen=True)
class Found:
    """What is known of one joint."""

    reading: Reading
    unit: str
    rows: int
    left: float  # rad or m, the farthest that a row lies beside the line


def main(args: CalibrateJoints) -> None:
    """Find, tell and write.

    Raises:
        WamError: everything that makes no sense, by joint; nothing is written then.
    """
    path, goal = file_to_edit(args.embodiment, args.out)
    require_writable("--out", goal)
    e = load_embodiment(args.embodiment)
    found = find_readings(e, read_rows(args.readings, e), args.readings)
    table = Table(*HEADINGS)
    joints = load_joints(e)
    for name, one in found.items():
        unit = "m" if joints.urdf.joints[name].sliding else "rad"
        way = "the other" if one.reading.factor < 0 else "as the URDF"
        cells = (one.unit, way, f"{one.reading.zero:.4f} {unit}", str(one.rows))
        table.add_row(name, *cells, f"{1e3 * one.left:.1f} m{unit}")
    console = Console()
    console.print(table)

    def put(data: Any) -> None:
        kept = data.setdefault("driver", {})
        for name, one in found.items():
            numbers = {"factor": one.reading.factor, "zero": round(one.reading.zero, 6)}
            kept[name] = on_one_line(numbers)

    edit(path, goal, put)
    left = [n for n in e.joint_names if n not in found]
    words = f"{len(found)} joints are written into {goal}"
    console.print(words + (f"; without a row: {', '.join(left)}" if left else ""), markup=False)


def read_rows(path: Path, embodiment: Embodiment) -> dict[str, list[tuple[float, float]]]:
    """What the driver says and where the joint is, rad or m, by joint.

    Raises:
        WamError: unreadable, another column, an unknown joint or word, a number that is none.
    """
    limits = load_joints(embodiment).limits
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WamError(f"{path}: {error}") from error
    found: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(table, start=2):
        where = f"{path}, line {number}"
        for column in COLUMNS:
            require_known(f"column in {path}", column, [k for k in row if k])
        name = (row["joint"] or "").strip()
        require_known(f"joint in {where}", name, embodiment.joint_names)
        k = embodiment.joint_names.index(name)
        words = (row["position"] or "").strip()
        ends = dict(zip(ENDS, (limits.lower[k], limits.upper[k], embodiment.home[k]), strict=True))
        try:
            driver = float(row["driver"])
            position = float(ends[words]) if words in ends else float(words)
        except (TypeError, ValueError) as error:
            choices = f"a number, {', '.join(ENDS)}"
            raise WamError(f"{where}: {error}; a position is {choices}") from error
        if not (math.isfinite(driver) and math.isfinite(position)):
            raise WamError(f"{where}: {name} has no {words} that is finite")
        found.setdefault(name, []).append((driver, position))
    if not found:
        raise WamError(f"{path} has no rows; its columns are {', '.join(COLUMNS)}")
    return found


def find_readings(
    embodiment: Embodiment, rows: dict[str, list[tuple[float, float]]], where: Path
) -> dict[str, Found]:
    """Fit a line for each joint and name its unit.

    Raises:
        WamError: rows that are too few, too near each other or on no line, positions beyond the
            limits, or a factor that is no unit's; all of them at once.
    """
    joints = load_joints(embodiment)
    problems = Problems(where)
    fits: dict[str, dict[str, float]] = {}
    lines: dict[str, tuple[np.ndarray, np.ndarray, float, float, dict[str, float]]] = {}
    for name, pairs in rows.items():
        k = embodiment.joint_names.index(name)
        lower, upper = float(joints.limits.lower[k]), float(joints.limits.upper[k])
        sliding = joints.urdf.joints[name].sliding
        unit = "m" if sliding else "rad"
        span = upper - lower
        driver, position = np.array(pairs).T
        apart = float(np.ptp(position))
        least = LEAST * span if math.isfinite(span) else LEAST_RAD
        room = 0.05 * span if math.isfinite(span) else math.inf
        if len(pairs) < 2 or apart < least or np.ptp(driver) == 0:
            problems.add(
                f"{name}: {len(pairs)} rows {apart:.3g} {unit} apart: two at least, {least:.2g} "
                f"{unit} apart, tell its unit and direction"
            )
            continue
        if position.min() < lower - room or position.max() > upper + room:
            problems.add(
                f"{name}: positions {position.min():.3g} to {position.max():.3g} {unit} are beyond "
                f"its limits {lower:.3g} to {upper:.3g}"
            )
            continue
        factor, zero = np.polyfit(driver, position, 1)
        off = float(np.abs(factor * driver + zero - position).max())
        if off > FIT * apart:
            problems.add(
                f"{name}: its rows lie up to {off:.3g} {unit} beside a line: no one unit fits"
            )
            continue
        known = _units(sliding, span)
        near = {w: abs(math.log(abs(factor) / one)) for w, one in known.items()}
        words = min(near, key=lambda w: near[w])
        if near[words] > UNLIKE:
            problems.add(
                f"{name}: one of the driver's units is {abs(factor):.4g} {unit}, nearest are "
                f"{words} with {known[words]:.4g}: are the stops those of the URDF?"
            )
            continue
        fits[name] = {w: d for w, d in near.items() if d <= UNLIKE}
        lines[name] = driver, position, float(factor), float(zero), known
    problems.require_none()
    # per cent of some range are nearly degrees: a driver speaks one unit to most joints
    common = Counter(word for near in fits.values() for word in near)
    found = {}
    for name, (driver, position, factor, zero, known) in lines.items():
        word = min(fits[name], key=lambda w: (-common[w], fits[name][w]))
        if not word.startswith("per cent"):  # what is exact does not depend on the rows
            factor = math.copysign(known[word], factor)
            zero = float(np.mean(position - factor * driver))
        off = float(np.abs(factor * driver + zero - position).max())
        found[name] = Found(Reading(factor, zero), word, len(driver), off)
    return found


def _units(sliding: bool, span: float) -> dict[str, float]:
    """Rad or m of one of each unit that drivers speak."""
    known = {"m": 1.0, "mm": 1e-3} if sliding else {"rad": 1.0, "degrees": math.pi / 180}
    if not sliding:
        known["ticks"] = 2 * math.pi / TICKS
    if math.isfinite(span):
        known["per cent of half its range"] = span / 200  # LeRobot: -100 to 100
        known["per cent of its range"] = span / 100  # LeRobot's gripper: 0 to 100
        known["shares of its range"] = span
    return known
