"""Angles of joints that turn without end: the same pose has many of them, a whole turn apart."""

from __future__ import annotations

import numpy as np

TURN = 2 * np.pi  # rad


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
