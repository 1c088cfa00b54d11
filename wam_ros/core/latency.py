"""How late chunks are, and how chunks of this horizon can follow each other at that delay."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.policy import Abilities
from wam_ros.core.types import ChunkingMode, StageLatency

AUTO = "auto"
CHUNKING = {
    "guided": ChunkingMode.GUIDED,
    "prefix": ChunkingMode.PREFIX,
    "replace": ChunkingMode.REPLACE,
    "lookahead": ChunkingMode.LOOKAHEAD,
    "synchronous": ChunkingMode.SYNCHRONOUS,
}
# the next chunk begins at its observation
MOVING = (ChunkingMode.PREFIX, ChunkingMode.GUIDED, ChunkingMode.REPLACE)


class LatencyWindow:
    """Percentiles over the newest latencies; the first ones after a cold start are left out.

    Args:
        size: latencies kept, so that a slow spell is forgotten.
        warmup: how many first latencies to leave out; compilation and caches make them exceptional.
        span_s: those that are older than the newest by more than this are forgotten, too: an arm
            that stops and thinks looks so rarely that a spell of half a second would keep it at
            that for a minute.
    """

    def __init__(self, size: int = 100, warmup: int = 2, span_s: float = 5.0) -> None:
        self._kept: deque[tuple[float, float]] = deque(maxlen=size)  # when, how long
        self._to_skip = warmup
        self._span_s = span_s
        self.last_s = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, latency_s: float, at_s: float = 0.0) -> None:
        """Take one latency [s] that was known at `at_s`; a negative or non-finite one is none and
        is ignored.
        """
        if not math.isfinite(latency_s) or latency_s < 0:
            return
        self.last_s = latency_s
        if self._to_skip > 0:
            self._to_skip -= 1
        else:
            self._kept.append((at_s, latency_s))
            while self._kept[0][0] < at_s - self._span_s:
                self._kept.popleft()

    def percentile(self, percent: float) -> float:
        """Smallest kept latency [s] that at least `percent` % of the kept ones do not exceed; 0
        when none is kept.
        """
        if not self._kept:
            return 0.0
        ordered = sorted(latency_s for _, latency_s in self._kept)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    @property
    def stage(self) -> StageLatency:
        """How many are kept, and their percentiles."""
        return StageLatency(
            n=len(self),
            p50_s=self.percentile(50),
            p95_s=self.percentile(95),
            p99_s=self.percentile(99),
        )

    def __str__(self) -> str:
        """Percentiles in ms and how many latencies they are of, as the bridge tells its stages."""
        found = self.stage
        figures = (
            f"p{p} {1e3 * s:.1f}"
            for p, s in ((50, found.p50_s), (95, found.p95_s), (99, found.p99_s))
        )
        return f"{' '.join(figures)} n {len(self)}"

    def delay_steps(self, step_period_s: float, lead_s: float = 0.0) -> int:
        """Chunk steps that pass, whole or in part, before a chunk arrives: the 95th percentile in
        steps, rounded up.

        Args:
            step_period_s: of the chunk.
            lead_s: what passes between its arrival and the motion that follows it, counted as well.
        """
        return math.ceil((self.percentile(95) + lead_s) / step_period_s - 1e-9)


@dataclass(frozen=True)
class ChunkTiming:
    """Delay d, executed steps per chunk s and horizon H, and the mode chosen for them."""

    delay_steps: int
    execute_steps: int
    horizon_steps: int
    mode: ChunkingMode = ChunkingMode.REPLACE
    # the chunk begins so many steps after the observation it is predicted from
    ahead_steps: int = 0
    asked: str = AUTO  # what the user wants: "auto" or a name in `CHUNKING`

    @property
    def feasible(self) -> bool:
        """Whether the next chunk always arrives before this one is used up: d <= s <= H - d."""
        return (
            self.delay_steps
            <= self.execute_steps
            <= self.horizon_steps + self.ahead_steps - self.delay_steps
        )

    def __str__(self) -> str:
        d = self.delay_steps
        s = self.execute_steps
        h = self.horizon_steps
        if self.mode is not ChunkingMode.SYNCHRONOUS:
            return f"mode={self.mode.name} d={d} s={s} H={h}" + (
                f"+{self.ahead_steps}" if self.ahead_steps else ""
            )
        wanted = (
            f", {self.asked} is not possible" if self.asked not in (AUTO, "synchronous") else ""
        )
        return (
            f"mode=SYNC d={d} s={s} H={h}"
            if self.feasible
            else f"mode=SYNC d={d} > H-s={h - s}{wanted}"
        )


def choose_timing(
    delay: int, wanted: int, horizon: int, abilities: Abilities | None = None, asked: str = AUTO
) -> ChunkTiming:
    """The timing and mode for a delay.

    A new request waits for the answer to the one before, so a slow model stretches s to d; s
    shrinks to H - d where that keeps the bound. The first mode of `CHUNKING` that the policy offers
    and whose bound holds is taken, or the one asked for; else the arm executes, stops and thinks.
    Guidance comes before a trained prefix: the shipped model grasped more often with it. Looking
    ahead is only done when asked for: a small model that acts on what it imagined misses more often
    than one that stops and looks (`benchmark/delays.py`).

    Args:
        delay: steps executed until a chunk arrives.
        wanted: steps of a chunk to execute before the next one is predicted.
        horizon: steps of a chunk.
        abilities: of the policy.
        asked: "auto" or a name in `CHUNKING`.
    """
    abilities = abilities or Abilities()
    s = max(wanted, delay, 1)
    s = min(s, max(horizon - delay, delay, 1))
    modes = [m for m in CHUNKING if m != "lookahead"] if asked == AUTO else [asked]
    for mode in (CHUNKING[m] for m in modes if offered(m, abilities)):
        timing = ChunkTiming(
            delay_steps=delay,
            execute_steps=s,
            horizon_steps=horizon,
            mode=mode,
            ahead_steps=0,
            asked=asked,
        )
        if mode is ChunkingMode.LOOKAHEAD:
            # one step of margin: looks have a grid of their own
            begins = [a for a in abilities.ahead if a > delay]
            begins = [a for a in begins if a >= wanted] or begins
            timing = ChunkTiming(
                delay_steps=delay,
                execute_steps=min(begins, default=s),
                horizon_steps=horizon,
                mode=mode,
                ahead_steps=delay if begins else 0,
                asked=asked,
            )
        if timing.feasible or mode is ChunkingMode.SYNCHRONOUS:
            return timing
    return ChunkTiming(
        delay_steps=delay,
        execute_steps=max(wanted, delay, 1),
        horizon_steps=horizon,
        mode=ChunkingMode.SYNCHRONOUS,
        ahead_steps=0,
        asked=asked,
    )


def offered(name: str, abilities: Abilities) -> bool:
    """Whether a policy with `abilities` can be run in the mode of this name."""
    needs = {
        "prefix": abilities.prefix,
        "guided": abilities.guided,
        "lookahead": bool(abilities.ahead),
    }
    return needs.get(name, True)


def require_offered(name: str, abilities: Abilities) -> None:
    """Refuse a chunking mode that does not exist or that the policy cannot do.

    Raises:
        WamError: with the choices.
    """
    choices = [AUTO, *(m for m in CHUNKING if offered(m, abilities))]
    if require_known("chunking mode", name, (AUTO, *CHUNKING)) not in choices:
        why = ": its weights were not trained for it" if name == "prefix" else ""
        raise WamError(f"the model cannot do '{name}'{why}; choices: {', '.join(choices)}")
