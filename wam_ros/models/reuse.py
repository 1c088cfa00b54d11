"""Which denoising steps evaluate the network; the others use its last velocities again.

The fixed choice and the rule of turning velocities are those of DreamZero (arXiv 2602.15922).
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from wam_ros.core.errors import WamError

# Evaluated steps of 16, by their number; the reference's tables.
STEPS_OF_16 = {
    5: (0, 1, 2, 7, 12),
    6: (0, 1, 5, 10, 14, 15),
    7: (0, 1, 2, 6, 10, 14, 15),
    8: (0, 1, 2, 6, 10, 13, 14, 15),
}


class Reuse(Protocol):
    """Asked before every step, told after every evaluation."""

    def restart(self) -> None:
        """A new sample begins."""

    def needs(self, step: int) -> bool:
        """Whether this step evaluates the network."""

    def took(self, video: Tensor) -> None:
        """The network gave this video velocity (B, ...)."""


class EveryStep:
    """No reuse."""

    def restart(self) -> None:
        """See `Reuse.restart`."""

    def needs(self, step: int) -> bool:
        """See `Reuse.needs`."""
        return True

    def took(self, video: Tensor) -> None:
        """See `Reuse.took`."""


class FirstStep(EveryStep):
    """One evaluation, whatever it is good for: enough to time or to compile what follows it."""

    def needs(self, step: int) -> bool:
        """See `Reuse.needs`."""
        return step == 0


class FixedSteps(EveryStep):
    """A fixed choice of steps."""

    def __init__(self, evaluations: int, steps: int = 16) -> None:
        """Raises `WamError` for a number of evaluations that has no table."""
        if evaluations != steps and (steps != 16 or evaluations not in STEPS_OF_16):
            raise WamError(
                f"{evaluations} evaluations of {steps} steps have no table; "
                f"choose {steps}"
                + (f" or one of {', '.join(map(str, STEPS_OF_16))}" if steps == 16 else "")
            )
        self.evaluated = frozenset(
            range(steps) if evaluations == steps else STEPS_OF_16[evaluations]
        )

    def needs(self, step: int) -> bool:
        """See `Reuse.needs`."""
        return step in self.evaluated


class WhileTurning:
    """Skip as long as the last two evaluated video velocities point the same way.

    A cosine above 0.95 skips four steps, above 0.93 two; then the network runs again. The cosine is
    the mean over the batch; reading it waits for the device.
    """

    RULES = ((0.95, 4), (0.93, 2))

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """See `Reuse.restart`."""
        self.countdown = 0
        self._last: Tensor | None = None
        self._cosine: float | None = None  # of the last two evaluations

    def needs(self, step: int) -> bool:
        """See `Reuse.needs`."""
        if self._cosine is None:
            return True
        if self.countdown:
            self.countdown = self.countdown - 1 if self.countdown > 1 else 0
            return self.countdown == 0
        self.countdown = next((skips for above, skips in self.RULES if self._cosine > above), 0)
        return self.countdown == 0

    def took(self, video: Tensor) -> None:
        """See `Reuse.took`."""
        video = video.flatten(1).float()
        if self._last is not None:
            self._cosine = float(functional.cosine_similarity(self._last, video).mean())
        self._last = video
