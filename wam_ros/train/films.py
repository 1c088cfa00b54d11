"""Films of episodes: what the cameras see beside what had been imagined for the same instant."""

from __future__ import annotations

from pathlib import Path

from wam_ros.core.comparison import Comparison
from wam_ros.core.errors import WamError
from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.types import NS, ActionChunk, ImaginedFuture, Observation
from wam_ros.view.films import VideoRecorder


class Film:
    """Implements `closed_loop.Witness`; keeps one episode until it is over.

    Args:
        title: above the pictures.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._tracker = ImaginationTracker()
        self._seen: list[tuple[Observation, list[Comparison]]] = []

    def saw(self, observation: Observation) -> None:
        """See `closed_loop.Witness.saw`."""
        self._seen.append((observation, self._tracker.on_observation(observation)))

    def took(self, chunk: ActionChunk, future: ImaginedFuture) -> None:
        """See `closed_loop.Witness.took`."""
        self._tracker.on_chunk(chunk.seq, chunk.observation_ns, chunk.anchor_ns)
        self._tracker.on_imagined(future)

    def write(self, file: Path, footer: str) -> None:
        """Write the .mp4: the moments that had been imagined, or all where none was.

        Args:
            file: to write.
            footer: below the pictures.

        Raises:
            WamError: it cannot be written.
        """
        shown = [moment for moment in self._seen if moment[1]] or self._seen
        took_ns = shown[-1][0].stamp_ns - shown[0][0].stamp_ns
        rate_hz = (len(shown) - 1) * NS / took_ns if took_ns else 1.0
        video = VideoRecorder(str(file), rate_hz, waits=False)
        for observation, comparisons in shown:
            video.add(observation, comparisons, self._tracker.horizons_s, self._title, footer)
        video.close()
        if video.failed:
            raise WamError(video.why_not)
