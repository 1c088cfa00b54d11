"""From one data set into another: everything that is known of an episode goes with it; idle rows go
as cuts, never as a jump in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import islice

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.data.lerobot.info import Feature
from wam_ros.data.lerobot.writer import Description, LeRobotWriter

SOURCE = "source_episode"  # column: number of the episode in the data set that it came from
STANDS = 0.02  # rad/s or m/s: a joint slower than this stands
LEAST_S = 1.0  # shorter rests stay: they belong to the task
KEPT_S = 0.3  # of a rest on either side


def describe(episodes: Episodes) -> Description:
    """What a copy of a data set is of."""
    first = episodes[0] if len(episodes) else None
    extra = {SOURCE: Feature("int64", (1,), ())}
    for name, values in (first.extra if first is not None else {}).items():
        kind = "string" if values.dtype.kind == "O" else str(values.dtype)
        extra.setdefault(name, Feature(kind, values.shape[1:] or (1,), ()))
    return Description(
        robot=episodes.robot,
        rate_hz=episodes.rate_hz,
        joint_names=episodes.joint_names,
        action_names=episodes.action_names,
        views=episodes.views,
        extra=extra,
        stamps=first is not None and first.stamps_ns is not None,
    )


def pieces(episode: Episode, rate_hz: float, cut_idle: bool) -> list[slice]:
    """Rows that become an episode each: those between gaps in the stamps, and between idle rows.

    Args:
        episode: to be cut.
        rate_hz: rows per second.
        cut_idle: whether rests of a second and more go, but for 0.3 s on either side.
    """
    gaps = dataclasses.replace(episode, instructions=("",) * len(episode)).stretches(1 / rate_hz)
    if not cut_idle or episode.states is None:
        return gaps
    found = []
    for part in gaps:
        states = episode.states[part]
        if len(states) < 2:
            found.append(part)
            continue
        idle = np.abs(np.diff(states, axis=0)).max(1) * rate_hz < STANDS
        idle = np.append(idle, idle[-1])
        kept = np.ones(len(states), bool)
        begin = 0
        margin = round(KEPT_S * rate_hz)
        for k in range(len(idle) + 1):
            if k < len(idle) and idle[k]:
                continue
            if k - begin >= LEAST_S * rate_hz:
                kept[begin + margin : k - margin] = False
            begin = k + 1
        edges = np.flatnonzero(np.diff(np.concatenate([[0], kept, [0]]).astype(int)))
        found += [slice(part.start + a, part.start + b) for a, b in edges.reshape(-1, 2).tolist()]
    return found


def copy(
    source: Episodes, writer: LeRobotWriter, cut_idle: bool, watched: Callable[[int], None]
) -> int:
    """Append to `writer` what it does not have of `source` yet; returns how many episodes came.

    Args:
        source: to read.
        writer: of a description by `describe`; one that was interrupted goes on where it was.
        cut_idle: as in `pieces`.
        watched: told the number of each episode of the source that is done.

    Raises:
        WamError: something cannot be read or written; what was committed stays.
    """
    done = _done(writer)
    came = 0
    for i in range(len(source)):
        wanted = None
        if done.get(i) is None or i == max(done):
            episode = source[i]
            wanted = pieces(episode, source.rate_hz, cut_idle)
            for rows in islice(wanted, done.get(i, 0), None):
                shown = {v: source.pictures(i, v, rows.start, rows.stop) for v in source.view_names}
                writer.add(_part(episode, rows, i), shown)
                came = came + 1
        watched(i)
    writer.commit()
    return came


def _done(writer: LeRobotWriter) -> dict[int, int]:
    """How many pieces of each source episode are committed."""
    if not writer.episodes:
        return {}
    from wam_ros.data.lerobot.reader import LeRobotEpisodes

    found: dict[int, int] = {}
    for episode in LeRobotEpisodes(writer.folder):
        if SOURCE not in episode.extra:
            raise WamError(f"'{writer.folder}' is no copy that could go on: it has no {SOURCE}")
        number = int(episode.extra[SOURCE][0])
        found[number] = found.get(number, 0) + 1
    return found


def _part(episode: Episode, rows: slice, number: int) -> Episode:
    """Some rows of an episode, as an episode."""

    def cut(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[rows]

    length = len(range(*rows.indices(len(episode))))
    extra = {name: values[rows] for name, values in episode.extra.items()}
    return Episode(
        stamps_s=episode.stamps_s[rows] - episode.stamps_s[rows][0],
        instructions=episode.instructions[rows],
        states=cut(episode.states),
        actions=cut(episode.actions),
        labelled=cut(episode.labelled),
        intervention=cut(episode.intervention),
        success=episode.success,
        stamps_ns=cut(episode.stamps_ns),
        seen=cut(episode.seen),
        extra={**extra, SOURCE: np.full(length, number)},
    )
