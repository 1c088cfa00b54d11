"""What a colour means, wherever the loop is drawn: red, green, blue in [0, 1]."""

from __future__ import annotations

from wam_ros.core.types import Decision, SafetyState

RGB = tuple[float, float, float]

GREEN: RGB = (0.1, 0.9, 0.2)
YELLOW: RGB = (0.95, 0.85, 0.1)
RED: RGB = (1.0, 0.25, 0.2)
BLUE: RGB = (0.25, 0.45, 1.0)
ORANGE: RGB = (1.0, 0.65, 0.0)
GREY: RGB = (0.62, 0.64, 0.68)
WHITE: RGB = (0.93, 0.93, 0.95)

ACCEPTED = GREEN
SLOWED = YELLOW
CUT = RED
STOP = BLUE
NEAREST = ORANGE

OF_DECISION: dict[Decision, RGB] = {
    Decision.UNKNOWN: GREY,
    Decision.PASS: ACCEPTED,
    Decision.SCALED: SLOWED,
    Decision.TRUNCATED: CUT,
    Decision.BRAKE: STOP,
    Decision.REJECT: CUT,
}
OF_STATE: dict[SafetyState, RGB] = {
    SafetyState.UNKNOWN: GREY,
    SafetyState.DISABLED: GREY,
    SafetyState.SHADOW: WHITE,
    SafetyState.HOLD: WHITE,
    SafetyState.ARMED: GREEN,
    SafetyState.BRAKING: BLUE,
    SafetyState.FAULT: RED,
    SafetyState.ESTOP: RED,
}
