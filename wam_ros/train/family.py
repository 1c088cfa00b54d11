"""What a family of models says to the trainer, and nothing else: the loop is the same for all.

A sample is a function of two numbers, which window of the data it is and the seed of its noise. So
a global batch is the same however it is split over ranks and pieces, and the order of the data is
the state of one generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError

Log = Callable[..., None]  # takes `stage`, `step` and numbers
Rows = dict[str, Tensor]  # by name, the samples of a batch along the first axis


class Family(Protocol):
    """One model, its data and its losses."""

    name: str
    drawn: Tensor  # numbers of the windows that are learned from
    held_out: Tensor  # of those that are only measured, if any
    weights: Mapping[str, float]  # of the parts of the loss

    @property
    def model(self) -> nn.Module:
        """What of it wants gradients is trained."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What must be the same where a run goes on, and `about`, for the card."""

    def batch(self, windows: Tensor, seeds: Tensor) -> Rows:
        """Samples (B,) of the data with their noise; each one is a function of its two numbers."""

    def counts(self, batch: Rows) -> Rows:
        """What the errors are divided by, (B,) by part of the loss: it follows from the data."""

    def errors(self, batch: Rows) -> Rows:
        """Sums of squared errors (B,) by part of the loss, each of one sample alone."""

    def optimisers(self, trained: Mapping[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
        """For the fp32 masters of the parameters that are trained, by their names."""

    def save(self, path: Path, weights: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """Write what can be deployed, with the given weights in place of those that are trained.

        Args:
            path: without the suffix of a file, if it is one.
            weights: by name, whole.
            facts: for the card inside.

        Raises:
            WamError: it cannot be written.
        """

    def measure(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        """What counts beside the loss, of the given weights; its own dictionary may be empty."""


HELD_OUT = 64  # windows at most that are measured, evenly over all


def split(episodes: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Numbers of windows to draw and of those to measure.

    Args:
        episodes: (N,) of which each window is.
        share: of the episodes that are only measured, every so many of them; 0 for none.

    Raises:
        WamError: nothing would be left to learn from, or to measure.
    """
    every = round(1 / share) if share else 0
    apart = episodes % every == every - 1 if every else torch.zeros_like(episodes, dtype=torch.bool)
    if bool(apart.all()) or (every and not bool(apart.any())):
        raise WamError(
            f"--held-out {share:g} is every {every}th episode: of {int(episodes.max()) + 1} it "
            "leaves none to learn from, or none to measure"
        )
    measured = apart.nonzero()[:, 0]
    some = torch.linspace(0, len(measured) - 1, min(HELD_OUT, len(measured))).long()
    return (~apart).nonzero()[:, 0], measured[some]


def per_sample(batch: Rows, seeds: Tensor, draw: Callable[[torch.Generator], Rows]) -> Rows:
    """`batch` with what `draw` (a function of a generator) gives for each seed (B,), stacked."""
    drawn = [draw(torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return batch | {name: torch.stack([d[name] for d in drawn]) for name in drawn[0]}
