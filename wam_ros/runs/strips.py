"""Film strips of chosen moments of a recording: what the cameras saw, and what had been imagined
for the same instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.comparison import Comparison
from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.types import NS, Observation
from wam_ros.ros import convert
from wam_ros.ros.recording import Recording, expecting
from wam_ros.view.pictures import compose_strip, pick_evenly

BEFORE_NS = round(1.2 * NS)
AFTER_NS = round(0.5 * NS)
TILES = 8  # of a strip
TILE = 120  # px
EMPTY = 240  # of 255: the grey of a place without a picture


@dataclass(frozen=True)
class Seen:
    """What the cameras saw at an instant, and what had been imagined for it."""

    observation: Observation
    comparisons: list[Comparison]  # nearest horizon first
    instruction: str  # that was followed


def seen_and_imagined(source: Path, namespace: str | None = None) -> Iterator[Seen]:
    """Every observation of a recording, with what had been imagined for it.

    Raises:
        WamError: the recording cannot be read, or holds no observations.
    """
    tracker = ImaginationTracker()
    epoch = None
    instruction = ""
    topics = ("observation", "action_chunk", "imagined_future")
    with Recording(source, namespace) as recording:
        for recorded in recording.messages(topics, topics[:1]):
            with expecting(recorded):
                if recorded.topic == "action_chunk":
                    chunk = convert.chunk_from_msg(recorded.message)
                    if epoch not in (None, (chunk.session_id, chunk.epoch)):
                        tracker.clear_imagined()
                    epoch = chunk.session_id, chunk.epoch
                    instruction = chunk.instruction
                    tracker.on_chunk(chunk.seq, chunk.observation_ns, chunk.anchor_ns)
                elif recorded.topic == "imagined_future":
                    tracker.on_imagined(convert.imagined_from_msg(recorded.message))
                else:
                    observation = convert.observation_from_msg(recorded.message)
                    yield Seen(observation, tracker.on_observation(observation), instruction)


def film_strips(
    source: Path, instants_ns: Sequence[int], namespace: str | None = None
) -> list[np.ndarray | None]:
    """One strip (H, W, 3) uint8 RGB for each instant; None where no frame is near."""
    kept: list[list[Seen]] = [[] for _ in instants_ns]
    if not instants_ns:
        return []
    for seen in seen_and_imagined(source, namespace):
        for at_ns, moments in zip(instants_ns, kept, strict=True):
            if -BEFORE_NS <= seen.observation.stamp_ns - at_ns <= AFTER_NS:
                moments.append(seen)
    return [
        _strip(at_ns, moments) if moments else None
        for at_ns, moments in zip(instants_ns, kept, strict=True)
    ]


def _strip(at_ns: int, moments: Sequence[Seen]) -> np.ndarray:
    told = []
    for k in pick_evenly(len(moments), TILES):
        observation = moments[k].observation
        empty = np.full_like(observation.frames, EMPTY)
        imagined = next((s.imagined for s in moments[k].comparisons), empty)
        label = f"{(observation.stamp_ns - at_ns) / NS:+.1f} s"
        told.append((label, [("observed", observation.frames), ("imagined", imagined)]))
    return compose_strip(told, moments[0].observation.view_names, TILE)
