"""Exact statistics of a data set, and of actions relative to the state that a chunk begins at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from wam_ros.data.episodes import Episode, Episodes

QUANTILES = (0.01, 0.5, 0.99)


@dataclass(frozen=True)
class Column:
    """One joint, or one value of another column."""

    group: str  # states, actions or relative
    name: str
    count: int  # rows that have it
    low: float
    q01: float
    median: float
    q99: float
    high: float
    mean: float
    std: float


def columns_of(
    episodes: Episodes, horizon: int, watched: Callable[[Iterable[Episode]], Iterable[Episode]]
) -> list[Column]:
    """Of states, of the actions that are there, and of actions relative to the state of the row at
    which a chunk of `horizon` steps begins (pooled over its steps; no chunk reaches across a cut).

    Rows are held, pictures are not.

    Args:
        episodes: to read.
        horizon: steps of a chunk; 0 for no relative ones.
        watched: shows progress over the episodes.
    """
    states = []
    actions = []
    relative = []
    alike = episodes.joint_names == episodes.action_names
    for episode in watched(episodes):
        if episode.states is not None:
            states.append(episode.states)
        if episode.actions is None or episode.labelled is None:
            continue
        actions.append(episode.actions[episode.labelled])
        if alike and horizon and episode.states is not None:
            for rows in episode.stretches(1 / episodes.rate_hz):
                relative += _relative(
                    episode.states[rows], episode.actions[rows], episode.labelled[rows], horizon
                )
    found = []
    for group, names, parts in (
        ("states", episodes.joint_names, states),
        ("actions", episodes.action_names, actions),
        ("relative", episodes.action_names, relative),
    ):
        if parts and sum(map(len, parts)):
            values = np.concatenate(parts)
            found += [_column(group, n, values[:, j]) for j, n in enumerate(names)]
    return found


def _relative(
    states: np.ndarray, actions: np.ndarray, labelled: np.ndarray, horizon: int
) -> list[np.ndarray]:
    starts = len(states) - horizon + 1
    if starts < 1:
        return []
    return [
        (actions[o : o + starts] - states[:starts])[labelled[o : o + starts]]
        for o in range(horizon)
    ]


def _column(group: str, name: str, values: np.ndarray) -> Column:
    values = values.astype(float)
    q01, median, q99 = np.quantile(values, QUANTILES)
    return Column(
        group=group,
        name=name,
        count=len(values),
        low=float(values.min()),
        q01=float(q01),
        median=float(median),
        q99=float(q99),
        high=float(values.max()),
        mean=float(values.mean()),
        std=float(values.std()),
    )
