"""Why a demo that had started did not complete; each becomes one line and exit code 1."""

from __future__ import annotations

from wam_ros.demo.supervisor import Death


class LoopError(Exception):
    """The loop runs but does not do what is needed to go on."""


class ProcessDiedError(Exception):
    """A process of the loop ended by itself."""

    def __init__(self, death: Death) -> None:
        super().__init__(death.cause)
        self.death = death
