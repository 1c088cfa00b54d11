"""Joint groups to the released models' range and back, some actions relative. Numpy.

Statistics come from a checkpoint's `metadata.json`; for relative groups they are those of the
differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.contract import Contract, JointGroup
from wam_ros.models.dreamzero.released.trained import MODES, USUAL


@dataclass(frozen=True)
class Columns:
    """What becomes -1 and 1 in each column: (D,), or (T, D) where each step of a chunk has its own.

    `modes` (D,) tell what happens beyond and to a column that never varied; see `trained.MODES`.
    """

    low: np.ndarray
    high: np.ndarray
    modes: tuple[str, ...] = ()  # empty: all q99

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """(..., D) -> (..., D). Quantiles and extremes clamp to [-1, 1]; a column that never varied
        passes as it is, and becomes 0 between extremes.
        """
        span = self.high - self.low
        scaled = 2 * (x - self.low) / np.where(span == 0, 1, span) - 1
        constant = np.where(self._are("min_max"), 0, x)
        out = np.where(span == 0, constant, scaled)
        return np.where(self._are("mean_std"), out, np.clip(out, -1, 1))

    def restore(self, x: np.ndarray) -> np.ndarray:
        """(..., D) -> (..., D), the inverse, not clamped; a column that never varied becomes its
        one value.
        """
        return (x + 1) / 2 * (self.high - self.low) + self.low

    def _are(self, mode: str) -> np.ndarray:
        """(D,) columns of a mode."""
        modes = self.modes or (USUAL,) * self.low.shape[-1]
        return np.array([m == mode for m in modes], bool)


@dataclass(frozen=True)
class JointScaling:
    """State and actions of one contract."""

    contract: Contract
    state: Columns
    action: Columns

    def __post_init__(self) -> None:
        sizes = (self.state.low.shape[-1], self.action.low.shape[-1])
        assert sizes == (self.contract.state_dim, self.contract.action_dim), sizes

    def anchor(self, state: np.ndarray) -> np.ndarray:
        """What relative columns are measured from: (..., S) state -> (..., A), zero for absolute
        columns.
        """
        out = np.zeros((*state.shape[:-1], self.contract.action_dim))
        start = 0
        for group in self.contract.action:
            if group.relative:
                out[..., start : start + group.size] = state[
                    ..., columns_of(self.contract.state, group.name)
                ]
            start += group.size
        return out

    def to_joints(self, action: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Normalised (..., T, >= A) and the state (..., S) they began from -> absolute (...,
        T, A).
        """
        restored = self.action.restore(action[..., : self.contract.action_dim])
        return restored + self.anchor(state)[..., None, :]

    def from_joints(self, action: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Inverse of `to_joints`, clamped: absolute (..., T, A) and the state (..., S) ->
        normalised.
        """
        return self.action.normalise(action - self.anchor(state)[..., None, :])


def columns_of(groups: tuple[JointGroup, ...], name: str) -> slice:
    """Columns of a group in the vector of all."""
    start = 0
    for group in groups:
        if group.name == name:
            return slice(start, start + group.size)
        start += group.size
    raise WamError(f"no group '{name}' among {', '.join(g.name for g in groups)}")


def relative_chunks(
    action: np.ndarray, state: np.ndarray, index: np.ndarray, horizon: int
) -> np.ndarray:
    """Training targets: actions (n T, D) of steps `index`, minus the state (N, D) at the first step
    of each chunk.
    """
    anchors = state[index.reshape(-1, horizon)[:, 0]]
    return action - anchors.repeat(horizon, 0)


def read_scaling(
    metadata: Any,
    contract: Contract,
    where: str,
    modes: Mapping[str, str] | None = None,
    horizon: int = 0,
) -> JointScaling:
    """Statistics of a contract from a parsed `metadata.json`.

    Args:
        metadata: the file's content.
        contract: whose tag and groups are looked up.
        where: the file, for errors.
        modes: of `state.<group>` and `action.<group>`; what is missing is q99.
        horizon: steps of a chunk, where relative groups have statistics for each; 0 where all steps
            share theirs.

    Raises:
        WamError: the tag, a group or a statistic is missing, has another shape, is not finite, or
            runs backwards.
    """
    if not isinstance(metadata, dict) or contract.name not in metadata:
        found = ", ".join(metadata) if isinstance(metadata, dict) else type(metadata).__name__
        raise WamError(f"{where}: no statistics of '{contract.name}'; found {found or 'nothing'}")
    parts = []
    for kind, groups in (("state", contract.state), ("action", contract.action)):
        lows = []
        highs = []
        kinds = []
        for g in groups:
            mode = (modes or {}).get(f"{kind}.{g.name}", USUAL)
            steps = horizon if kind == "action" and g.relative else 0
            source = _Source(
                metadata=metadata, tag=contract.name, kind=kind, group=g, steps=steps, where=where
            )
            low, high = source.range(mode)
            lows.append(low)
            highs.append(high)
            kinds += [mode] * g.size
        parts.append(Columns(_joined(lows), _joined(highs), tuple(kinds)))
    return JointScaling(contract, *parts)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Groups (n,) or (T, n) side by side: (D,), or (T, D) where one of them has steps."""
    steps = max((len(p) for p in parts if p.ndim == 2), default=0)
    if steps:
        parts = [np.broadcast_to(p, (steps, p.shape[-1])) for p in parts]
    return np.concatenate(parts, -1) if parts else np.zeros(0)


@dataclass(frozen=True)
class _Source:
    """Where the statistics of one group stand."""

    metadata: Any
    tag: str
    kind: str  # state or action
    group: JointGroup
    steps: int  # with statistics of their own; 0: all share them
    where: str

    def range(self, mode: str) -> tuple[np.ndarray, np.ndarray]:
        """What becomes -1 and 1, each (size,) or (steps, size)."""
        first, second = (self._read(name) for name in MODES[mode])
        names = MODES[mode]
        wrong = second < 0 if mode == "mean_std" else first > second
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            a, b = (f"{name} {x[at]:g}" for name, x in zip(names, (first, second), strict=True))
            what = f"{b} is negative" if mode == "mean_std" else f"{a} is above {b}"
            raise WamError(
                f"{self.where}: '{self._place()}' column {at[-1]}: {what}, which would turn motion "
                "round"
            )
        return (first - second, first + second) if mode == "mean_std" else (first, second)

    def _place(self) -> str:
        return f"{self.tag}.statistics.{self.kind}.{self.group.name}"

    def _read(self, name: str) -> np.ndarray:
        place = f"{self._place()}.{name}"
        try:
            statistics = self.metadata[self.tag]["statistics"]
            values = np.asarray(statistics[self.kind][self.group.name][name], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise WamError(
                f"{self.where}: '{place}' is missing or not a list of numbers"
            ) from error
        size = self.group.size
        wanted = (self.steps, size) if self.steps else (size,)
        if values.shape != wanted or not np.isfinite(values).all():
            many = f"{self.steps} times {size}" if self.steps else f"{size}"
            raise WamError(
                f"{self.where}: '{place}' must be {many} finite numbers, found shape {values.shape}"
            )
        return values
