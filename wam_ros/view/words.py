"""The state of the loop in short sentences."""

from __future__ import annotations

import math

from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.core.types import (
    BridgeState,
    ChunkingMode,
    Decision,
    Forwarding,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.core.words import BRIDGE, DECISIONS, describe_reasons, describe_state


def describe_safety(report: SafetyReport | None) -> str:
    """State, and the sentence of the last report; one that is of the state itself stands for
    both.
    """
    if report is None:
        return describe_state(SafetyState.UNKNOWN)
    if report.sentence and report.decision == Decision.UNKNOWN:
        return report.sentence
    words = describe_state(report.state)
    return f"{words}. {report.sentence}" if report.sentence else words


def describe_decision(report: SafetyReport | None) -> str:
    """What safety did with the last chunk."""
    if report is None or report.decision == Decision.UNKNOWN:
        return DECISIONS[Decision.UNKNOWN].short
    text = DECISIONS[report.decision].short.format(
        scale=report.scale, accepted=report.steps_accepted, total=report.steps_total
    )
    reasons = describe_reasons(report.reasons)
    return f"{text} ({reasons})" if reasons else text


def describe_nearest(report: SafetyReport) -> str:
    """The two bodies that come nearest along what is executed; '' where that was not computed."""
    if not math.isfinite(report.nearest_distance) or not all(report.nearest_pair):
        return ""
    return f"{' to '.join(report.nearest_pair)} {1e3 * report.nearest_distance:.0f} mm"


_MODES = {
    ChunkingMode.UNKNOWN: "how chunks are joined is not known",
    ChunkingMode.REPLACE: "each chunk begins anew",
    ChunkingMode.SYNCHRONOUS: "stops to think",
    ChunkingMode.PREFIX: "continues committed steps",
    ChunkingMode.GUIDED: "guided by the running plan",
    ChunkingMode.LOOKAHEAD: "looks ahead from imagined frames",
}


def describe_mode(mode: ChunkingMode) -> str:
    """How a chunk is joined to the one before it."""
    return _MODES[mode]


def describe_bridge(state: BridgeState | None) -> str:
    """Whether it forwards, or why not and what ends that; and the newest refusal."""
    if state is None:
        return "nothing heard from the bridge yet"
    text = state.words
    if state.forwarding == Forwarding.HELD_BACK:
        text = f"{BRIDGE[Forwarding.HELD_BACK].said}: {text}"
    return text if state.error in ("", state.words) else f"{text} (last refusal: {state.error})"


def describe_task(task: TaskState) -> str:
    """What is done, how far it is, what follows; or how the newest task ended."""
    if not task.running:
        ended = "" if task.reason == TaskEnd.UNKNOWN else f"{task.reason.name.lower()}: "
        return f"{ended}{task.sentence}"
    share = f", {task.progress:.0%} likely to be done soon" if math.isfinite(task.progress) else ""
    then = f"; then {', then '.join(task.then)}" if task.then else ""
    return f"{task.instruction}{share}: {task.sentence or 'running'}{then}"


def describe_status(status: WamStatus | None, chunk_rate_hz: float) -> str:
    """Model, rate, latency, or why inference stands still."""
    if status is None:
        return "nothing heard from the model yet"
    if status.error:
        return f"{status.model}: {status.error}"
    return (
        f"{status.model}: {chunk_rate_hz:.1f} chunks/s, latency "
        f"{1e3 * status.latency_last_s:.0f} ms "
        f"(p95 {1e3 * status.latency_p95_s:.0f} ms)"
    )
