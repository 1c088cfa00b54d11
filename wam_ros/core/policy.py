"""What a model must offer to be run in the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from wam_ros.core.types import Conditioning, Observation


@dataclass(frozen=True)
class PolicyOutput:
    """One predicted chunk and the frames imagined with it."""

    positions: np.ndarray  # (T, A) float64, absolute rad or m; step k is due (k + 1) step periods after the observation
    frames: np.ndarray  # (F, V, H, W, 3) uint8 RGB
    frame_offsets_ns: tuple[int, ...]  # (F,) after the observation
    conditioning: Conditioning
    evaluations: int  # denoising passes of the network
    timing_s: dict[str, float] = field(default_factory=dict)  # encode, prefill, denoise, decode


class Policy(Protocol):
    """A world action model with memory. Not thread-safe: one thread owns it."""

    name: str
    checkpoint_hash: str

    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction.

        Raises:
            WamError: the instruction is empty, too long, or has words the model never learned (they are listed).
        """

    def predict(self, observation: Observation) -> PolicyOutput | None:
        """Put the observed frames into memory and predict the next chunk and frames from them.

        None means that this observation asks for no new chunk; the one before goes on.
        """
