"""What the page shows, gathered from the loop's newest messages; no window and no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    ImaginedFuture,
    Observation,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.view.pictures import Column, compose_board
from wam_ros.view.words import describe_bridge, describe_decision, describe_safety, describe_status


@dataclass
class ViewModel:
    """The newest of everything; owned by one thread. `answer` is what came of the last button."""

    observation: Observation | None = None
    imagined: ImaginedFuture | None = None
    report: SafetyReport | None = None
    bridge: BridgeState | None = None
    status: WamStatus | None = None
    chunk_rate_hz: float = 0.0
    answer: str = ""
    chunk: ActionChunk | None = None
    # imagined frame -> how far ahead it looks, in words
    _ahead: dict[int, str] = field(default_factory=dict)

    def on_status(self, status: WamStatus) -> None:
        """Take a status; two of one session tell the rate of chunks."""
        last = self.status
        self.status = status
        if last is None or last.session_id != status.session_id or status.stamp_ns <= last.stamp_ns:
            self.chunk_rate_hz = 0.0
        else:
            self.chunk_rate_hz = (
                (status.chunks - last.chunks) * NS / (status.stamp_ns - last.stamp_ns)
            )

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Take a chunk, and learn how far ahead the imagined frames look when they belong to it."""
        self.chunk = chunk
        if self.imagined is not None and self.imagined.chunk_seq == chunk.seq:
            offsets = (ns - chunk.anchor_ns for ns in self.imagined.instants_ns)
            self._ahead = {f: f" for +{offset / NS:.1f} s" for f, offset in enumerate(offsets)}

    @property
    def instruction(self) -> str:
        """The instruction that the model follows."""
        return "" if self.status is None else self.status.instruction

    @property
    def plan_shown(self) -> bool:
        """Whether a safe trajectory is being executed, so that its ghost means something."""
        return self.report is not None and self.report.state in (
            SafetyState.ARMED,
            SafetyState.BRAKING,
        )

    def proposal(self, joint_names: Sequence[str]) -> np.ndarray | None:
        """(T, A) rad or m: where the newest chunk would go, in the order of `joint_names`.

        None unless it is a dry run, in which nothing is executed, and some of the chunk is still to
        come.
        """
        chunk = self.chunk
        seen = self.observation
        if chunk is None or self.report is None or self.report.state != SafetyState.SHADOW:
            return None
        over = (
            seen is not None
            and seen.stamp_ns > chunk.anchor_ns + chunk.n_steps * chunk.step_period_ns
        )
        if over or not set(joint_names) <= set(chunk.joint_names):
            return None
        return chunk.positions[:, [chunk.joint_names.index(name) for name in joint_names]]

    def board(self, tile: int) -> np.ndarray | None:
        """Observed frames beside the imagined ones, (H, W, 3) uint8 RGB; None before the first
        observation.
        """
        if self.observation is None:
            return None
        columns = [Column("camera, now", self.observation.frames)]
        if self.imagined is not None:
            # of a plan or a scene that is gone
            over = self.observation.stamp_ns > self.imagined.instants_ns[-1]
            for f, views in enumerate(self.imagined.frames):
                columns.append(Column(f"imagined{self._ahead.get(f, '')}", None if over else views))
        return compose_board(columns, self.observation.view_names, tile)

    def lines(self) -> list[tuple[str, str]]:
        """State of the loop, as (name, sentence)."""
        lines = [
            ("safety", describe_safety(self.report)),
            ("last chunk", describe_decision(self.report)),
            ("bridge", describe_bridge(self.bridge)),
            ("model", describe_status(self.status, self.chunk_rate_hz)),
            ("following", self.instruction or "no instruction"),
        ]
        return [*lines, ("answer", self.answer)] if self.answer else lines
