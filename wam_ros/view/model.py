"""What the page shows, gathered from the loop's messages; no window and no ROS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.types import NS, ActionChunk, ImaginedFuture, Observation, SafetyReport, SafetyState, WamStatus
from wam_ros.view.pictures import Column, compose_board
from wam_ros.view.words import describe_decision, describe_safety, describe_status

_RATE_WINDOW = 20  # chunks
_SILENT_NS = 2 * NS  # a rate is shown only while chunks arrive


@dataclass
class ViewModel:
    """The newest of everything; owned by one thread. `answer` is what came of the last button."""

    observation: Observation | None = None
    imagined: ImaginedFuture | None = None
    report: SafetyReport | None = None
    status: WamStatus | None = None
    instruction: str = ""
    answer: str = ""
    _chunks: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    _sources: dict[int, int] = field(default_factory=dict)  # chunk seq -> when it begins

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> None:
        """Count a chunk and learn which instruction it follows."""
        self._chunks.append(now_ns)
        self.instruction = chunk.instruction
        self._sources = {s: ns for s, ns in self._sources.items() if s > chunk.seq - _RATE_WINDOW}
        self._sources[chunk.seq] = chunk.anchor_ns

    def chunk_rate_hz(self, now_ns: int) -> float:
        """Rate over the last chunks; 0 when they have stopped coming."""
        if len(self._chunks) < 2 or now_ns - self._chunks[-1] > _SILENT_NS:
            return 0.0
        return (len(self._chunks) - 1) * NS / max(1, self._chunks[-1] - self._chunks[0])

    @property
    def plan_shown(self) -> bool:
        """Whether a safe trajectory is being executed, so that its ghost means something."""
        return self.report is not None and self.report.state in (SafetyState.ARMED, SafetyState.BRAKING)

    def board(self, tile: int) -> np.ndarray | None:
        """Observed frames beside the imagined ones, (H, W, 3) uint8 RGB; None before the first observation."""
        if self.observation is None:
            return None
        columns = [Column("camera, now", self.observation.frames)]
        if self.imagined is not None:
            source_ns = self._sources.get(self.imagined.chunk_seq)
            for instant_ns, frames in zip(self.imagined.instants_ns, self.imagined.frames, strict=True):
                ahead = "" if source_ns is None else f" for +{(instant_ns - source_ns) / NS:.1f} s"
                columns.append(Column(f"imagined{ahead}", frames))
        return compose_board(columns, self.observation.view_names, tile)

    def lines(self, now_ns: int) -> list[tuple[str, str]]:
        """State of the loop, as (name, sentence)."""
        lines = [
            ("safety", describe_safety(self.report)),
            ("last chunk", describe_decision(self.report)),
            ("model", describe_status(self.status, self.chunk_rate_hz(now_ns))),
            ("following", self.instruction or "no instruction"),
        ]
        return [*lines, ("answer", self.answer)] if self.answer else lines
