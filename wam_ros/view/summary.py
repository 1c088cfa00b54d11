"""The state of the loop in a few short lines, to be written into a picture."""

from __future__ import annotations

import math

from wam_ros.core import palette
from wam_ros.core.words import STATES
from wam_ros.view.model import ViewModel
from wam_ros.view.words import describe_decision, describe_mode


def summarise(model: ViewModel) -> list[tuple[str, palette.RGB]]:
    """Instruction, state and mode, decision, latency and surprise, each with its colour; what is
    not known is left out.
    """
    report = model.report
    status = model.status
    lines = [(model.instruction or "no instruction", palette.WHITE)]
    if report is not None:
        mode = "" if status is None else f", {describe_mode(status.mode)}"
        lines.append((STATES[report.state].label + mode, palette.OF_STATE[report.state]))
    if (judged := model.fresh_verdict()) is not None:
        lines.append((describe_decision(judged), palette.OF_DECISION[judged.decision]))
    figures = model.figures()
    told = []
    if math.isfinite(figures["latency_s"]):
        told.append(f"latency {1e3 * figures['latency_s']:.0f} ms")
    if math.isfinite(figures["surprise"]):
        told.append(f"surprise {figures['surprise']:.2f}")
    if told:
        lines.append((", ".join(told), palette.GREY))
    return lines
