"""Angles of joints that turn without end: the same pose has many of them, a whole turn apart."""

from __future__ import annotations

import numpy as np

TURN = 2 * np.pi  # rad
MOST_TURNS = 2  # that a driver counts where there are limits; more are another unit


def nearest_turn(q: np.ndarray, reference: np.ndarray, endless: np.ndarray) -> np.ndarray:
    """Positions (..., A) rad, those of `endless` joints (A,) by whole turns nearest to `reference`
    (..., A).
    """
    return q + np.where(endless, TURN * np.round((reference - q) / TURN), 0.0)


def unwrap_towards(
    path: np.ndarray, reference: np.ndarray, endless: np.ndarray, row: int
) -> np.ndarray:
    """A path (T, A) rad in which no joint of `endless` (A,) turns more than half a turn from row to
    row, and which is nearest to `reference` (A,) in one `row`.

    Args:
        path: as it came; a driver or a policy may wrap it to one turn.
        reference: where the joints are commanded to be.
        endless: bool, joints that turn without end.
        row: that is due next.
    """
    if not endless.any():
        return path
    smooth = np.where(endless, np.unwrap(path, axis=0), path)
    return smooth + (nearest_turn(smooth[row], reference, endless) - smooth[row])


def turns_in_words(off: float, allowed: float) -> str:
    """What explains that an angle is `off` rad from where it should be: whole turns; else empty."""
    turns = round(off / TURN) if np.isfinite(off) else 0
    if turns == 0 or abs(off - turns * TURN) > allowed:
        return ""
    return f" ({2 * turns} pi apart: one of the two counts turns that the other does not)"


def whole_turns_inside(q: float, lower: float, upper: float) -> str:
    """What explains that an angle of q rad is outside of a range [rad]: whole turns; else empty."""
    outside = min(abs(q - lower), abs(q - upper))
    turns = int(np.ceil(outside / TURN)) if np.isfinite(outside) else 0
    there = q - turns * TURN if q > upper else q + turns * TURN
    if not 0 < turns <= MOST_TURNS or not lower <= there <= upper:
        return ""
    return f" ({2 * turns} pi apart from {there:.3f}, which is inside: one of the two counts turns)"
