"""Whether joints move as they are told: two series of each joint, and what makes the one the other.

The first explanation that fits is taken, from the plainest to the most far-fetched: the same, the
other way round, in another unit, another joint, from another zero. What nothing explains is said to
be unclear: an arm that is held back is no wrong convention.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wam_ros.rehearsal.findings import (
    GRIPPER,
    ORDER,
    RIGHT,
    SIGN,
    UNCLEAR,
    UNIT,
    WRONG,
    ZERO,
    Finding,
)

GRID_S = 0.02
MOST_LAG_S = 0.8
DEGREES = 180.0 / math.pi
# what a joint may stray from its command without a word: a share of its motion, at least so much
SHARE = 0.2
STRAY = {"rad": 0.03, "m": 0.004}
SURE = 0.12  # the share for an explanation with a free number in it
SAG = {"rad": 0.06, "m": 0.006}  # a servo may rest so far beside its command
STILL = {"rad": 0.04, "m": 0.003}  # what moves less tells nothing of its direction
MOSTLY = 80  # percentile of the errors that counts: an arm may be held back for a while
BEYOND = 0.1  # of its range, that a joint may be beyond its limits
AGAINST = -0.5  # correlation of a gripper that opens when it is to close


@dataclass(frozen=True)
class Told:
    """The joints of a robot, as far as they matter here."""

    names: tuple[str, ...]
    units: tuple[str, ...]  # rad or m
    lower: np.ndarray  # (A,) rad or m, -inf for none
    upper: np.ndarray
    gripper: np.ndarray  # (A,) bool
    endless: np.ndarray  # (A,) bool: turns without end
    reference: str = "its command"  # what they are compared with, in words


@dataclass(frozen=True)
class _Guess:
    """One explanation: measured = factor * command of `other` + offset."""

    mistake: str
    factor: float
    other: int
    free: bool  # whether the offset is to be found
    words: str


def find_lag_s(commanded: np.ndarray, measured: np.ndarray) -> float:
    """How much later (N, A) measured values move than commanded ones, s; whichever joint is which
    and whatever its sign, unit and zero.
    """
    best = 0.0
    most = -1.0
    for shift in range(round(MOST_LAG_S / GRID_S) + 1):
        told = _unit_moves(commanded[: len(commanded) - shift])
        seen = _unit_moves(measured[shift:])
        alike = np.abs(told.T @ seen).max(axis=0).sum()
        if alike > most + 1e-6:
            most = alike
            best = shift * GRID_S
    return best


def _unit_moves(values: np.ndarray) -> np.ndarray:
    """Values about their mean, scaled to length one; those that stand are zero."""
    moves = values - values.mean(axis=0)
    size = np.linalg.norm(moves, axis=0)
    return moves / np.where(size > 1e-9, size, np.inf)


def judge_limits(measured: np.ndarray, told: Told, what: str) -> list[Finding]:
    """Where values (N, A) are such as the joints cannot have."""
    found = []
    for k, name in enumerate(told.names):
        if not _beyond(measured[:, k], told, k):
            continue
        low, high = measured[:, k].min(), measured[:, k].max()
        words = f"{what} {low:.4g} to {high:.4g}, limits are {told.lower[k]:.4g} to "
        words += f"{told.upper[k]:.4g} {told.units[k]}"
        unit = _other_unit(measured[:, k], told, k)
        if unit:
            found.append(Finding(WRONG, name, f"{words}: {unit}", UNIT))
        else:
            found.append(Finding(WRONG, name, f"{words}: another zero or direction", ZERO))
    return found


def _beyond(values: np.ndarray, told: Told, k: int) -> bool:
    span = told.upper[k] - told.lower[k]
    if not math.isfinite(span):
        return False
    room = max(BEYOND * span, STRAY[told.units[k]])
    low, high = np.percentile(values, [100 - MOSTLY, MOSTLY])
    return bool(low < told.lower[k] - room or high > told.upper[k] + room)


def _other_unit(values: np.ndarray, told: Told, k: int) -> str:
    """The unit in which values would be possible, in words; '' for none."""
    lower, upper = told.lower[k], told.upper[k]
    candidates: list[tuple[str, np.ndarray]]
    if told.units[k] == "rad":
        candidates = [("degrees would fit", values / DEGREES)]
    else:
        candidates = [("mm would fit", values / 1000)]
    if told.gripper[k]:
        span = upper - lower
        shares = [("0 to 1 would fit", values), ("per cent would fit", values / 100)]
        candidates = [
            *((w, lower + span * v) for w, v in shares if v.min() >= -0.05 and v.max() <= 1.05),
            *candidates,
        ]
    # a unit that is right uses some of the range
    for words, converted in candidates:
        if not _beyond(converted, told, k) and np.ptp(converted) > 1e-4:
            return words
    return ""


def judge_motion(commanded: np.ndarray, measured: np.ndarray, told: Told) -> list[Finding]:
    """Compare (N, A) commanded and measured values at the same instants, lag taken out.

    Columns of NaN were not commanded.
    """
    found = []
    for k in range(len(told.names)):
        if np.isnan(commanded[:, k]).all():
            found.append(Finding(UNCLEAR, told.names[k], "nothing commands it here"))
        elif told.gripper[k]:
            found.append(_judge_gripper(commanded[:, k], measured[:, k], told, k))
        else:
            found.append(_judge_joint(commanded, measured[:, k], told, k))
    return found


def _judge_joint(commanded: np.ndarray, seen: np.ndarray, told: Told, k: int) -> Finding:
    name = told.names[k]
    unit = told.units[k]
    own = commanded[:, k]
    moved = float(np.ptp(own))
    error = seen - own
    zero = float(np.median(error))
    spread = _size(error - zero)
    allowed = max(SHARE * moved, STRAY[unit])
    if spread <= allowed and abs(zero) <= max(SAG[unit], SHARE * moved):
        if moved < STILL[unit]:
            words = f"stands as {told.reference} does; its direction was not seen"
            return Finding(RIGHT, name, words)
        words = f"follows {told.reference}, {1e3 * _size(error):.0f} m{unit} beside it"
        return Finding(RIGHT, name, words)
    if moved >= STILL[unit] > np.ptp(seen):
        return Finding(UNCLEAR, name, "is commanded and does not move: was the arm stopped?")
    for guess in _guesses(commanded, told, k):
        reference = guess.factor * commanded[:, guess.other]
        travel = float(np.ptp(reference))
        floor = STRAY[unit] * max(1.0, abs(guess.factor))
        offset = float(np.median(seen - reference)) if guess.free else 0.0
        if guess.free and min(travel, float(np.ptp(seen))) < 2 * floor:
            continue  # anything that stands fits with an offset
        left = _size(seen - reference - offset)
        if left > max((SURE if guess.free else SHARE) * travel, floor):
            continue
        words = guess.words.format(offset=f"{offset:+.3g} {unit}")
        return Finding(WRONG, name, words, guess.mistake)
    if spread <= allowed:  # both stand, apart from each other
        words = f"stands {zero:+.3g} {unit} beside {told.reference}: another zero, or held"
        return Finding(WRONG, name, words, ZERO)
    words = f"is {_size(error):.3g} {unit} off, and no sign, unit, zero or other joint explains it"
    return Finding(UNCLEAR, name, words)


def _guesses(commanded: np.ndarray, told: Told, k: int) -> Iterator[_Guess]:
    """Explanations of what joint `k` does, the plainest first."""
    units = [(DEGREES, "is in degrees"), (1 / DEGREES, f"{told.reference} is in degrees")]
    if told.units[k] == "m":
        units = [(1000.0, "is in mm"), (1 / 1000, f"{told.reference} is in mm")]
    others = [
        i
        for i in range(len(told.names))
        if i != k and told.units[i] == told.units[k] and not np.isnan(commanded[:, i]).any()
    ]
    to = told.reference.replace("its ", "the ")
    yield _Guess(SIGN, -1.0, k, False, f"moves against {to}")
    for factor, words in units:
        yield _Guess(UNIT, factor, k, False, words)
        yield _Guess(UNIT, -factor, k, False, f"{words}, and moves the other way")
    for i in others:
        yield _Guess(ORDER, 1.0, i, False, f"follows {to} of {told.names[i]}")
    yield _Guess(ZERO, 1.0, k, True, f"follows {to} from another zero: {{offset}}")
    yield _Guess(SIGN, -1.0, k, True, f"moves against {to}, from a zero {{offset}}")
    for factor, words in units:
        yield _Guess(UNIT, factor, k, True, f"{words}, from another zero")
    for i in others:
        for sign, more in ((1.0, ""), (-1.0, ", the other way")):
            words = f"follows {to} of {told.names[i]}{more}, from another zero"
            yield _Guess(ORDER, sign, i, True, words)


def _judge_gripper(asked: np.ndarray, seen: np.ndarray, told: Told, k: int) -> Finding:
    """A gripper is held back by what it holds: only its direction and its unit are judged."""
    name = told.names[k]
    unit = told.units[k]
    span = told.upper[k] - told.lower[k]
    least = 0.08 * span if math.isfinite(span) else STILL[unit]
    moved = float(np.ptp(seen))
    alike = float((_unit_moves(asked[:, None]) * _unit_moves(seen[:, None])).sum())
    if np.ptp(asked) < least or moved < 0.02 * least:
        if _size(seen - asked) <= max(2 * least, STRAY[unit]):
            return Finding(
                RIGHT, name, f"stands as {told.reference} does; its direction was not seen"
            )
        return Finding(UNCLEAR, name, "did not move enough to tell its direction")
    if alike < AGAINST:
        return Finding(WRONG, name, f"opens when {told.reference} closes", GRIPPER)
    if alike > -AGAINST and moved < 0.05 * np.ptp(asked):
        words = f"moves by {moved:.2g} and {told.reference} by {np.ptp(asked):.2g} {unit}"
        return Finding(WRONG, name, f"{words}: another unit", UNIT)
    if alike > -AGAINST and moved > 3 * np.ptp(asked):
        words = f"moves by {moved:.2g} and {told.reference} by {np.ptp(asked):.2g} {unit}"
        return Finding(WRONG, name, f"{words}: another unit", UNIT)
    if alike < -AGAINST:
        return Finding(UNCLEAR, name, f"moves neither with {told.reference} nor against it")
    return Finding(RIGHT, name, f"opens and closes as {told.reference} does")


def _size(error: np.ndarray) -> float:
    """What most errors stay below."""
    return float(np.percentile(np.abs(error), MOSTLY))
