"""What the inference engine answers with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from wam_ros.core.policy import Policy, PolicyOutput, Request
from wam_ros.core.types import Observation


@dataclass(frozen=True)
class EngineResult:
    """One prediction, or why there is none; neither output nor error: the policy wants the chunk before to go on."""

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


@dataclass(frozen=True)
class Outcome:
    """Answer to `reset`, `warm_up` or `swap`: when refused, what was being executed goes on in the old epoch."""

    ok: bool
    message: str
    epoch: int


@dataclass(frozen=True)
class EngineStatus:
    """Snapshot of the engine."""

    epoch: int
    instruction: str  # empty until one is accepted
    error: str  # of the newest prediction; empty when it succeeded
    predictions: int
    dropped: int  # observations never predicted from, and results nobody took or that came too late
    busy_s: float  # how long the running prediction or reset has taken so far, 0 when idle
    alive: bool
    policy: Policy | None = None  # the one that runs: read its name, hash and abilities, call nothing
