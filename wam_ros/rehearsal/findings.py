"""What a rehearsal finds, a line each."""

from __future__ import annotations

from dataclasses import dataclass

RIGHT = "right"
UNCLEAR = "unclear"  # too little was seen to tell
WRONG = "wrong"

SIGN = "sign"
ORDER = "order"
UNIT = "unit"
ZERO = "zero offset"
GRIPPER = "gripper direction"
ROTATED = "rotated camera"
MIRRORED = "mirrored camera"
SWAPPED = "swapped cameras"


@dataclass(frozen=True)
class Finding:
    """One line."""

    level: str  # RIGHT, UNCLEAR or WRONG
    subject: str  # a joint or view
    words: str
    mistake: str = ""  # of those above, where it is wrong
