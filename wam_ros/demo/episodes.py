"""One episode as the demo sees it: what was counted, when it is over, what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, SafetyReport, SafetyState
from wam_ros.demo.args import COLOURS
from wam_ros.sim.outcomes import STOPPED, SUCCESS


@dataclass(frozen=True)
class SimEpisode:
    """State of the running episode as the simulator publishes it."""

    stamp_ns: int
    seed: int
    instruction: str
    t_s: float  # since the reset
    success: bool
    wrong: bool
    outcome: str  # what it counts as if it ends now
    nudged: bool
    violations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EpisodeResult:
    """What came of one episode."""

    seed: int
    instruction: str
    outcome: str  # of `sim.outcomes.OUTCOMES`, or STOPPED
    success: bool
    wrong: bool
    nudged: bool
    duration_s: float  # from arming to the end, simulated
    steps: int  # model steps in that time
    chunks: int
    decisions: dict[str, int]  # safety's decision -> chunks
    stops: dict[str, int]  # reason -> times the arm was stopped
    # limit -> simulated steps beyond it, until the arm was at rest again
    violations: dict[str, int]
    note: str = ""  # why it was stopped


class Episode:
    """Counts what happens between arming and the end of one episode; takes messages, never asks the
    clock.

    Args:
        seed: of the episode; states of another seed are stale and ignored.
        instruction: given to the model.
        time_limit_s: simulated time from arming.
        step_period_s: of the model.
    """

    def __init__(
        self, seed: int, instruction: str, time_limit_s: float, step_period_s: float
    ) -> None:
        self.seed = seed
        self.instruction = instruction
        self._time_limit_s = time_limit_s
        self._step_period_s = step_period_s
        self._armed_at_s: float | None = None
        self._state: SimEpisode | None = None
        self._safety = SafetyState.UNKNOWN
        self._judged_seq = -1
        self._chunks = 0
        self._decisions: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
        self._note = ""

    def on_chunk(self) -> None:
        """The model published a chunk."""
        self._chunks += 1

    def on_sim(self, state: SimEpisode) -> None:
        """The simulator told how it stands; the first state after arming starts the time."""
        if state.seed == self.seed:
            self._state = state
            if self._armed_at_s is None:
                self._armed_at_s = state.t_s

    def on_report(self, report: SafetyReport) -> None:
        """Safety judged a chunk or reported its state."""
        if report.decision != Decision.UNKNOWN and report.chunk_seq > self._judged_seq:
            self._judged_seq = report.chunk_seq
            self._decisions[report.decision.name.lower()] += 1
        stopped = report.state in (
            SafetyState.BRAKING,
            SafetyState.HOLD,
            SafetyState.FAULT,
            SafetyState.ESTOP,
        )
        if self._safety == SafetyState.ARMED and stopped:
            self._stops.update(report.reasons.names() or ["unnamed"])
        if report.state in (SafetyState.FAULT, SafetyState.ESTOP) and not self._note:
            self._note = report.sentence or f"safety is in {report.state.name}"
        self._safety = report.state

    @property
    def elapsed_s(self) -> float:
        """Simulated time since arming."""
        return (
            0.0
            if self._state is None or self._armed_at_s is None
            else self._state.t_s - self._armed_at_s
        )

    def outcome(self) -> str | None:
        """How the episode ended, or None while it runs."""
        if self._state is None:
            return None
        if self._state.success:
            return SUCCESS
        if self._safety in (SafetyState.FAULT, SafetyState.ESTOP):
            return STOPPED
        return self._state.outcome if self.elapsed_s >= self._time_limit_s else None

    def result(self) -> EpisodeResult:
        """The result as it stands now."""
        state = self._state
        outcome = self.outcome() or STOPPED
        return EpisodeResult(
            seed=self.seed,
            instruction=self.instruction,
            outcome=outcome,
            success=outcome == SUCCESS,
            wrong=state is not None and state.wrong,
            nudged=state is not None and state.nudged,
            duration_s=round(self.elapsed_s, 3),
            steps=round(self.elapsed_s / self._step_period_s),
            chunks=self._chunks,
            decisions=dict(sorted(self._decisions.items())),
            stops=dict(sorted(self._stops.items())),
            violations=dict(sorted(state.violations.items())) if state else {},
            note=self._note if outcome == STOPPED else "",
        )


def colour_in(instruction: str) -> str:
    """The one block colour that an instruction names, or '' when it names none or several."""
    words = {w.strip(".,;:!?'\"") for w in instruction.lower().split()}
    named = [c for c in COLOURS if c in words]
    return named[0] if len(named) == 1 else ""


def require_colour(instruction: str) -> str:
    """The block colour that an instruction names.

    Raises:
        WamError: it names none or several of the blocks.
    """
    colour = colour_in(instruction)
    if not colour:
        raise WamError(
            f"the instruction '{instruction[:80]}' must name one block: {', '.join(COLOURS)}"
        )
    return colour


def other_colour(colour: str, seed: int) -> str:
    """Another block's colour than `colour`; which one alternates with the seed."""
    others = [c for c in COLOURS if c != colour]
    return others[seed % len(others)]
