"""Joint values to the network's range and back: q01..q99 to -1..1, arm joints relative to the
observed state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wam_ros.core.errors import WamError

# m: where on the table the grounding stem looks
GOAL_CENTRE = (0.5, 0.0, 0.1)
GOAL_SCALE = (0.1, 0.2, 0.1)


@dataclass(frozen=True)
class Normaliser:
    """Quantiles per joint; actions of `relative` joints are differences to the anchor state."""

    relative: Tensor  # (A,) 1 or 0
    state_low: Tensor  # (A,) 1 % quantile, rad or m
    state_high: Tensor  # (A,) 99 % quantile
    action_low: Tensor
    action_high: Tensor

    @classmethod
    def fit(
        cls,
        episodes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        relative: np.ndarray,
        horizon: int,
    ) -> Normaliser:
        """From states (T, A), actions (T, A) and which of these are there (T,), of each episode;
        differences are pooled over all offsets of a chunk.

        Raises:
            WamError: no episode is longer than a chunk, or has an action.
        """
        pooled = []
        for states, actions, known in episodes:
            k = len(actions) - horizon
            for o in range(horizon if k > 0 else 0):
                there = known[o : o + k]
                pooled.append((actions[o : o + k] - relative * states[:k])[there])
        if not sum(map(len, pooled)):
            raise WamError(f"no episode is longer than a chunk of {horizon} steps, with actions")
        quantiles = [
            np.quantile(x, (0.01, 0.99), 0)
            for x in (np.concatenate([e[0] for e in episodes]), np.concatenate(pooled))
        ]
        (s_low, s_high), (a_low, a_high) = quantiles
        values = (relative, s_low, s_high, a_low, a_high)
        return cls(*(torch.tensor(v, dtype=torch.float32) for v in values))

    @classmethod
    def from_lists(cls, data: dict[str, list[float]], width: int) -> Normaliser:
        """From the statistics of a checkpoint.

        Raises:
            WamError: a statistic is missing, has another length, is not finite, or a low one lies
                above its high one.
        """
        tensors = []
        for name in cls.__dataclass_fields__:
            values = torch.tensor(data.get(name, []), dtype=torch.float32)
            if values.shape != (width,) or not bool(values.isfinite().all()):
                raise WamError(f"checkpoint statistics '{name}' must be {width} finite numbers")
            tensors.append(values)
        found = cls(*tensors)
        for name in ("state", "action"):
            low, high = (getattr(found, f"{name}_{end}") for end in ("low", "high"))
            if bool((low > high).any()):
                at = int((low > high).nonzero()[0])
                raise WamError(
                    f"checkpoint statistics '{name}_low' of column {at} is {low[at]:g}, above "
                    f"'{name}_high' {high[at]:g}, which would turn motion round"
                )
        return found

    def to_lists(self) -> dict[str, list[float]]:
        """For the checkpoint's metadata."""
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}

    def state(self, state: Tensor) -> Tensor:
        """(..., A) joints -> about -1..1, clamped."""
        return _scale(state, self.state_low, self.state_high).clamp(-1, 1)

    def actions(self, actions: Tensor, state: Tensor) -> Tensor:
        """(..., T, A) absolute targets and the anchor state (..., A) -> about -1..1, clamped."""
        relative = actions - self.relative * state[..., None, :]
        return _scale(relative, self.action_low, self.action_high).clamp(-1.5, 1.5)

    def to_joints(self, actions: Tensor, state: Tensor) -> Tensor:
        """Inverse of `actions`, not clamped: (..., T, A) absolute rad or m."""
        span = (self.action_high - self.action_low).clamp_min(1e-6)
        return (actions + 1) / 2 * span + self.action_low + self.relative * state[..., None, :]


def _scale(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return 2 * (x - low) / (high - low).clamp_min(1e-6) - 1
