"""What the inference engine answers with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from wam_ros.core.policy import Policy, PolicyOutput, Request
from wam_ros.core.types import Observation
from wam_ros.runtime.slot import LatestSlot


@dataclass(frozen=True)
class EngineResult:
    """One prediction, or why there is none; neither output nor error: the policy wants the chunk
    before to go on.
    """

    observation: Observation
    instruction: str
    epoch: int
    output: PolicyOutput | None = None
    inference_s: float = 0.0
    error: str = ""
    request: Request = field(default_factory=Request)
    value: float = math.nan  # of the chosen candidate
    model: str = ""
    checkpoint_hash: str = ""


class Results:
    """What waits for the owner: the newest result, and the newest one whose frames came after
    it.
    """

    def __init__(self) -> None:
        self._slot: LatestSlot[EngineResult] = LatestSlot()
        self._imagined: LatestSlot[EngineResult] = LatestSlot()
        self._late = 0

    def put(self, result: EngineResult) -> None:
        """Let a result wait."""
        self._slot.put(result)

    def put_imagined(self, result: EngineResult) -> None:
        """Let a result that was told without its frames wait with them."""
        self._imagined.put(result)

    def take(self, epoch: int) -> EngineResult | None:
        """The newest result not taken yet; None if there is none of this epoch."""
        result = self._slot.take()
        late = result is not None and result.epoch != epoch
        self._late += late
        return None if late else result

    def take_imagined(self, epoch: int) -> EngineResult | None:
        """The same for a result whose frames came after it."""
        result = self._imagined.take()
        return None if result is None or result.epoch != epoch else result

    @property
    def lost(self) -> int:
        """Results that nobody took, or that came too late."""
        return self._late + self._slot.replaced


@dataclass(frozen=True)
class Outcome:
    """Answer to `reset`, `warm_up` or `swap`: when refused, what was being executed goes on in the
    old epoch.
    """

    ok: bool
    message: str
    epoch: int


@dataclass(frozen=True)
class EngineStatus:
    """Snapshot of the engine."""

    epoch: int
    instruction: str  # empty until one is accepted
    error: str  # of the newest prediction; empty when it succeeded
    dropped: int  # observations never predicted from, and results nobody took or that came too late
    busy_s: float  # how long the running prediction or reset has taken so far, 0 when idle
    alive: bool
    # the one that runs: read its name, hash and abilities, call nothing
    policy: Policy | None = None
