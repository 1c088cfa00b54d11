"""Flow matching: the path, noise schedules and solvers. Noise level 1 is pure noise, 0 is data.

A solver advances one modality along its own levels; `integrate` runs two of them over one network,
which may be evaluated at some of the steps only (`reuse`). Networks are given timesteps, 1000 times
the level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from wam_ros.models.reuse import EveryStep, Reuse

# video, action, their timesteps -> their velocities
VelocityField = Callable[[Tensor, Tensor, float, float], tuple[Tensor, Tensor]]


class Solver(Protocol):
    """Integrates one modality; step 0 forgets whatever was integrated before."""

    times: list[float]  # timestep at which the network is evaluated at each step, 0..1000
    levels: list[float]  # one more: where each step begins, and where the last one ends

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """From the sample and its velocity at step i to the sample at step i + 1."""


def noised(data: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Point on the straight path at `level`, which broadcasts over the trailing axes (Lipman et
    al., 2023).
    """
    level = level.to(data).view(*level.shape, *[1] * (data.dim() - level.dim()))
    return (1 - level) * data + level * noise


def shifted(u: Tensor, shift: float) -> Tensor:
    """Even levels moved towards noise where shift > 1 (Esser et al., 2024, eq. 23)."""
    return shift * u / (1 + (shift - 1) * u)


def schedule(steps: int, shift: float) -> list[float]:
    """`steps + 1` falling noise levels from 1 to 0."""
    return shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift).tolist()


def unipc_levels(steps: int = 16, shift: float = 5.0, last: float = 0.0) -> list[float]:
    """The reference server's `steps + 1` levels: from just below 1 to `last`.

    `last` > 0 leaves the video noisy while the action is denoised fully (DreamZero-Flash): the
    levels between are moved linearly.
    """
    levels = shifted(torch.linspace(0.999, 0, steps + 1, dtype=torch.float64), shift)
    return (last + levels * (levels[0] - last) / levels[0]).tolist()


class Euler:
    """Straight steps along `levels`."""

    def __init__(self, levels: list[float]) -> None:
        self.levels = levels
        self.times = [1000 * level for level in levels[:-1]]

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """See `Solver.step`."""
        return x + (self.levels[i + 1] - self.levels[i]) * v


class Unmoved:
    """Leaves a modality at the noise where it began, which the network is told at every step.

    Args:
        steps: of the other modality.
    """

    def __init__(self, steps: int) -> None:
        self.levels = [1.0] * (steps + 1)
        self.times = [1000.0] * steps

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """See `Solver.step`."""
        return x


class UniPC:
    """Predictor and corrector of order 2, B(h) = e^h - 1, on the predicted data (Zhao et al.,
    2023).

    Step i first corrects the sample with the data that the network predicts from it, then predicts
    the next one. The first and the last step are of order 1, so that a last level of 0 returns the
    predicted data itself. Timesteps are cut to integers, as the released models saw them.
    """

    def __init__(self, levels: list[float]) -> None:
        self.levels = levels
        self.times = [float(int(1000 * level)) for level in levels[:-1]]
        self._log_snr = [math.log((1 - s) / s) if s > 0 else math.inf for s in levels]

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """See `Solver.step`."""
        data = x - self.levels[i] * v
        if i == 0:
            self._data: list[Tensor] = []
        else:
            x = self._corrected(i, data)
        self._data = [*self._data[-1:], data]  # of the step before and of this one
        self._order = min(2, len(self.levels) - 1 - i, i + 1)
        self._start = x
        base, weight = self._base(i, x, data)
        if self._order == 2:
            base = base - weight * 0.5 * self._slope(i - 1, i, i + 1, self._data[0], data)
        return base

    def _base(self, i: int, x: Tensor, data: Tensor) -> tuple[Tensor, float]:
        """Order 1 from level i to i + 1, and the weight of its refinements."""
        s = self.levels[i]
        then = self.levels[i + 1]
        weight = (1 - then) * math.expm1(self._log_snr[i] - self._log_snr[i + 1])
        return then / s * x - weight * data, weight

    def _slope(
        self, before: int, at: int, after: int, data_before: Tensor, data_at: Tensor
    ) -> Tensor:
        """Change of the predicted data over the interval after `at`, measured on the one
        before it.
        """
        h = self._log_snr[after] - self._log_snr[at]
        return (data_before - data_at) * (h / (self._log_snr[before] - self._log_snr[at]))

    def _corrected(self, i: int, data: Tensor) -> Tensor:
        """The sample at level i again, now that the data predicted from it is known."""
        base, weight = self._base(i - 1, self._start, self._data[-1])
        change = data - self._data[-1]
        if self._order == 1:
            return base - weight * 0.5 * change
        h = self._log_snr[i] - self._log_snr[i - 1]
        r = (self._log_snr[i - 2] - self._log_snr[i - 1]) / h
        first = math.expm1(-h) / -h - 1
        b1 = first / math.expm1(-h)
        b2 = 2 * (first / -h - 0.5) / math.expm1(-h)
        rho = (b1 - b2) / (1 - r)  # of [[1, 1], [r, 1]] rho = [b1, b2]
        slope = self._slope(i - 2, i - 1, i, self._data[0], self._data[1])
        return base - weight * (rho * slope + (b1 - rho) * change)


def integrate(
    velocity: VelocityField,
    video: Tensor,
    action: Tensor,
    of_video: Solver,
    of_action: Solver,
    reuse: Reuse | None = None,
) -> tuple[Tensor, Tensor]:
    """Both modalities from noise to data; where `reuse` skips the network, its last velocities
    serve again.
    """
    reuse = reuse or EveryStep()
    reuse.restart()
    for i, (t_video, t_action) in enumerate(zip(of_video.times, of_action.times, strict=True)):
        if reuse.needs(i):
            v_video, v_action = velocity(video, action, t_video, t_action)
            reuse.took(v_video)
        video = of_video.step(i, video, v_video)
        action = of_action.step(i, action, v_action)
    return video, action
