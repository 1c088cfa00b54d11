"""`stats.json` and its like: what policies normalise by, as LeRobot computes and joins it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Statistics = dict[str, np.ndarray]  # min, max, mean, std, count and quantiles
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
MOST_PICTURES = 100  # of an episode that are looked at
SIDE = 150  # px: about so much of a larger picture is looked at


def of_rows(values: np.ndarray) -> Statistics:
    """Of a column (T,) or (T, ...), each value apart."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):  # what is no number stays none
        found = _reduce(flat, 0)
    shape = values.shape[1:] or (1,)
    return {name: x.reshape(shape) for name, x in found.items()} | {"count": np.array([len(flat)])}


def sampled(length: int) -> np.ndarray:
    """Rows of an episode whose pictures stand for all of them."""
    return np.unique(np.linspace(0, length - 1, min(length, MOST_PICTURES)).astype(int))


def shrunk(frame: np.ndarray) -> np.ndarray:
    """Every n-th pixel of a large frame (H, W, 3)."""
    step = max(1, max(frame.shape[:2]) // SIDE)
    return frame[::step, ::step]


def of_pictures(frames: Sequence[np.ndarray]) -> Statistics:
    """Of frames (H, W, 3) uint8: by channel, (3, 1, 1), pixels in [0, 1]."""
    flat = np.concatenate([f.reshape(-1, 3) for f in frames]) / 255.0
    found = _reduce(flat, 0)
    shaped = {name: x.reshape(3, 1, 1) for name, x in found.items()}
    return shaped | {"count": np.array([len(frames)])}


def _reduce(flat: np.ndarray, axis: int) -> Statistics:
    found = {
        "min": flat.min(axis),
        "max": flat.max(axis),
        "mean": flat.mean(axis),
        "std": flat.std(axis),
    }
    return found | dict(zip(QUANTILES, np.quantile(flat, [*QUANTILES.values()], axis), strict=True))


def joined(parts: Sequence[Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Of several episodes or files together. Quantiles are means of theirs, as LeRobot joins them:
    exact ones are `wam data stats`.
    """
    features = {name: None for part in parts for name in part}
    return {name: _joined([part[name] for part in parts if name in part]) for name in features}


@np.errstate(invalid="ignore")
def _joined(parts: Sequence[Statistics]) -> Statistics:
    counts = np.array([float(p["count"][0]) for p in parts])
    total = counts.sum()
    weights = (counts / total).reshape(-1, *[1] * parts[0]["mean"].ndim)
    mean = (weights * np.stack([p["mean"] for p in parts])).sum(0)
    squares = [p["std"] ** 2 + (p["mean"] - mean) ** 2 for p in parts]
    found = {
        "min": np.min([p["min"] for p in parts], 0),
        "max": np.max([p["max"] for p in parts], 0),
        "mean": mean,
        "std": np.sqrt((weights * np.stack(squares)).sum(0)),
        "count": np.array([int(total)]),
    }
    for name in QUANTILES:
        if all(name in p for p in parts):
            found[name] = (weights * np.stack([p[name] for p in parts])).sum(0)
    return found


def to_lists(found: Mapping[str, Statistics]) -> dict[str, dict[str, list]]:
    """For JSON."""
    return {k: {n: x.tolist() for n, x in part.items()} for k, part in found.items()}
