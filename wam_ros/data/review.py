"""What is wrong or doubtful in a data set, by episode, row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.data.episodes import GAP, Episode, Episodes
from wam_ros.data.units import Units

WRONG = "wrong"
DOUBTFUL = "doubtful"
RATE = 0.01  # share by which the rate of the stamps may be off
FAR = 3.0  # spans from 1 % to 99 % beyond them: farther out is an outlier
JUMP = 10.0  # times the step that 95 % do not reach: more in one row is a jump
LEAST = 0.02  # rad or m: noise of a joint that stands is no jump
STUCK_S = 1.0  # one and the same picture for so long while the arm moves
MOVES = 0.02  # rad or m, of any joint within those seconds
DARK = 8  # of 255: a frame without a brighter pixel shows nothing
MOST = 200_000  # rows that quantiles are taken of
EACH = 3  # findings of one kind that are told of an episode


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should look at."""

    grade: str  # WRONG or DOUBTFUL
    episode: int  # -1: the whole data set
    words: str

    def __str__(self) -> str:
        where = "" if self.episode < 0 else f"episode {self.episode}: "
        return f"{where}{self.words}"


def review(
    episodes: Episodes, pictures: bool, watched: Callable[[int], None] = lambda i: None
) -> Iterator[Finding]:
    """Everything that is found, as it is found.

    Args:
        episodes: to look at.
        pictures: whether frames are decoded, which takes most of the time.
        watched: told the number of each episode that has been looked at.
    """
    if not len(episodes):
        yield Finding(WRONG, -1, "it holds no episode")
    ranges = _Ranges(episodes)
    for i in range(len(episodes)):
        try:
            episode = episodes[i]
        except WamError as error:
            yield Finding(WRONG, i, str(error))
            watched(i)
            continue
        yield from _rows(i, episode, episodes)
        yield from ranges.judge(i, episode)
        if pictures:
            for view in episodes.view_names:
                yield from _pictures(i, episode, episodes, view)
        watched(i)


def judge_units(units: Units) -> Iterator[Finding]:
    """Numbers that a model would take for rad and m."""
    if units.drivers:
        words = f"its numbers are {units.words}: `wam data import --robot` writes them so"
        yield Finding(WRONG, -1, words)
    for words in units.wrong:
        yield Finding(WRONG, -1, words)


def _rows(index: int, episode: Episode, episodes: Episodes) -> Iterator[Finding]:
    if len(episode) == 1:
        yield Finding(WRONG, index, "it has one row: there is nothing to learn from it")
    yield from _numbers(index, episode, episodes)
    stamps = episode.stamps_s
    if episode.stamps_ns is not None:
        stamps = (episode.stamps_ns - episode.stamps_ns[0]) / 1e9
    steps = np.diff(stamps)
    if not len(steps):
        return
    if (steps <= 0).any():
        k = int(np.argmax(steps <= 0)) + 1
        yield Finding(WRONG, index, f"row {k}: its stamp is not after that of the row before")
    period = float(np.median(steps))
    if not abs(period * episodes.rate_hz - 1) <= RATE:
        rate = 1 / period if period > 0 else float("inf")
        yield Finding(
            WRONG, index, f"its rows are at {rate:.4g} Hz, the data set says {episodes.rate_hz:.4g}"
        )
    gaps = np.flatnonzero(steps > GAP / episodes.rate_hz)
    if len(gaps):
        k = int(gaps[0])
        yield Finding(
            DOUBTFUL,
            index,
            f"{len(gaps)} gaps in its stamps, the first of {steps[k]:.2f} s behind row {k}: no "
            "window reaches across",
        )


def _numbers(index: int, episode: Episode, episodes: Episodes) -> Iterator[Finding]:
    columns = {"states": episode.states, "actions": episode.actions, **episode.extra}
    named = {"states": episodes.joint_names, "actions": episodes.action_names}
    for name, values in columns.items():
        if values is None or values.dtype.kind != "f":
            continue
        flat = values.reshape(len(values), -1)
        bad = np.argwhere(~np.isfinite(flat))
        if len(bad):
            k, j = (int(i) for i in bad[0])
            of = f"'{named[name][j]}'" if name in named else f"value {j}"
            yield Finding(
                WRONG, index, f"{name}, row {k}: {of} is {flat[k, j]:g} ({len(bad)} such values)"
            )
    if episode.labelled is not None and not episode.labelled.any() and episodes.action_names:
        yield Finding(DOUBTFUL, index, "it has no action to learn from: a video")
    if episode.seen is not None:
        for name, share in zip(episodes.view_names, episode.seen.mean(0), strict=True):
            if share < 1:
                yield Finding(DOUBTFUL, index, f"'{name}' saw nothing in {1 - share:.0%} of it")


class _Ranges:
    """What is usual in the data set, from up to `MOST` rows spread over it."""

    def __init__(self, episodes: Episodes) -> None:
        self._names = {"states": episodes.joint_names, "actions": episodes.action_names}
        self._usual: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        rows: dict[str, list[np.ndarray]] = {"states": [], "actions": []}
        steps: dict[str, list[np.ndarray]] = {"states": [], "actions": []}
        total = 0
        every = max(1, sum(episodes.length(i) for i in range(len(episodes))) // MOST)
        for i in range(0, len(episodes), every):
            try:
                episode = episodes[i]
            except WamError:
                continue  # told where every episode is looked at
            total += len(episode)
            for name, values in _joints(episode).items():
                good = values[np.isfinite(values).all(1)]
                rows[name].append(good)
                steps[name].append(np.abs(np.diff(good, axis=0)))
        for name in rows:
            if sum(len(s) for s in steps[name]):
                low, high = np.quantile(np.concatenate(rows[name]), (0.01, 0.99), 0)
                step = np.quantile(np.concatenate(steps[name]), 0.95, 0)
                self._usual[name] = (low, high, np.maximum(JUMP * step, LEAST))

    def judge(self, index: int, episode: Episode) -> Iterator[Finding]:
        """Outliers and jumps of one episode."""
        for name, values in _joints(episode).items():
            if name not in self._usual:
                continue
            low, high, jump = self._usual[name]
            span = np.maximum(high - low, LEAST)
            far = (values < low - FAR * span) | (values > high + FAR * span)
            for k, j in np.argwhere(far)[:EACH]:
                yield Finding(
                    DOUBTFUL,
                    index,
                    f"{name}, row {k}: '{self._names[name][j]}' is {values[k, j]:.4g}, almost all "
                    f"are {low[j]:.4g} to {high[j]:.4g}",
                )
            steps = np.abs(np.diff(values, axis=0))
            for k, j in np.argwhere(steps > jump)[:EACH]:
                yield Finding(
                    DOUBTFUL,
                    index,
                    f"{name}, row {k + 1}: '{self._names[name][j]}' jumps by {steps[k, j]:.4g}",
                )


def _joints(episode: Episode) -> dict[str, np.ndarray]:
    found = {}
    if episode.states is not None:
        found["states"] = episode.states
    if episode.actions is not None and episode.labelled is not None:
        # a row without an action of its own repeats one: that is no jump
        found["actions"] = episode.actions[episode.labelled]
    return found


def _pictures(index: int, episode: Episode, episodes: Episodes, view: str) -> Iterator[Finding]:
    """One camera of one episode: damaged, dark, or stuck while the arm moves."""
    seen = np.ones(len(episode), bool)
    if episode.seen is not None:
        seen = episode.seen[:, episodes.view_names.index(view)]
    same = np.zeros(len(episode), bool)  # as the row before
    dark = 0
    before: np.ndarray | None = None
    try:
        for k, frame in enumerate(episodes.pictures(index, view)):
            same[k] = before is not None and np.array_equal(frame, before)
            dark += bool(seen[k] and frame.max() < DARK)
            before = frame
    except WamError as error:
        yield Finding(WRONG, index, str(error))
        return
    if dark:
        yield Finding(DOUBTFUL, index, f"'{view}' is black in {dark} of {len(episode)} frames")
    least = max(2, round(STUCK_S * episodes.rate_hz))
    run = 0
    for k, still in enumerate(same & seen):
        run = run + 1 if still else 0
        if run >= least and _moved(episode, k - run, k):
            yield Finding(
                DOUBTFUL,
                index,
                f"'{view}' is stuck: rows {k - run} to {k} show one picture while the arm moves",
            )
            return


def _moved(episode: Episode, begin: int, end: int) -> bool:
    if episode.states is None:
        return True
    part = episode.states[max(0, begin) : end + 1]
    return bool(np.ptp(part, axis=0).max() > MOVES)
