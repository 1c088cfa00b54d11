"""What the safety machine hands back to whoever wires it."""

from __future__ import annotations

from typing import NamedTuple

from wam_ros.core.types import SafeTrajectory, SafetyReport


class Output(NamedTuple):
    """What to publish: a trajectory that replaces the former one, or None, and a report."""

    trajectory: SafeTrajectory | None
    report: SafetyReport


class Answer(NamedTuple):
    """The answer to an operator; a trajectory is to be published like any other."""

    ok: bool
    message: str
    trajectory: SafeTrajectory | None = None
