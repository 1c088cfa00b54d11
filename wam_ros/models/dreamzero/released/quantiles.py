"""Joint groups to the released models' range and back: q01..q99 to -1..1, some actions relative.
Numpy.

Statistics come from a checkpoint's `metadata.json`; for relative groups they are those of the
differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.contract import Contract, JointGroup


@dataclass(frozen=True)
class Quantiles:
    """1 % and 99 % of each column."""

    q01: np.ndarray  # (D,)
    q99: np.ndarray  # (D,)

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """(..., D) -> (..., D) in [-1, 1]; a column that never varied passes as it is, and is then
        clamped.
        """
        span = self.q99 - self.q01
        scaled = 2 * (x - self.q01) / np.where(span == 0, 1, span) - 1
        return np.clip(np.where(span == 0, x, scaled), -1, 1)

    def restore(self, x: np.ndarray) -> np.ndarray:
        """(..., D) -> (..., D), the inverse, not clamped; a column that never varied becomes its
        one value.
        """
        return (x + 1) / 2 * (self.q99 - self.q01) + self.q01


@dataclass(frozen=True)
class JointScaling:
    """State and actions of one contract."""

    contract: Contract
    state: Quantiles
    action: Quantiles

    def __post_init__(self) -> None:
        sizes = (self.state.q01.size, self.action.q01.size)
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


def read_scaling(metadata: Any, contract: Contract, where: str) -> JointScaling:
    """Statistics of a contract from a parsed `metadata.json`.

    Raises:
        WamError: the tag, a group or a quantile is missing, has another length, or is not finite.
    """
    if not isinstance(metadata, dict) or contract.name not in metadata:
        found = ", ".join(metadata) if isinstance(metadata, dict) else type(metadata).__name__
        raise WamError(f"{where}: no statistics of '{contract.name}'; found {found or 'nothing'}")
    parts = []
    for kind, groups in (("state", contract.state), ("action", contract.action)):
        rows = [
            [
                _quantile(
                    metadata=metadata, tag=contract.name, kind=kind, group=g, name=q, where=where
                )
                for g in groups
            ]
            for q in ("q01", "q99")
        ]
        parts.append(Quantiles(*(np.concatenate(r) if r else np.zeros(0) for r in rows)))
    return JointScaling(contract, *parts)


def _quantile(
    metadata: Any, tag: str, kind: str, group: JointGroup, name: str, where: str
) -> np.ndarray:
    place = f"{tag}.statistics.{kind}.{group.name}.{name}"
    try:
        values = np.asarray(metadata[tag]["statistics"][kind][group.name][name], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise WamError(f"{where}: '{place}' is missing or not a list of numbers") from error
    if values.shape != (group.size,) or not np.isfinite(values).all():
        raise WamError(
            f"{where}: '{place}' must be {group.size} finite numbers, found shape {values.shape}"
        )
    return values
