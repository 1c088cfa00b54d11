"""What calm runs show: the scale that surprise is measured by, learned from calm episodes alone.

What a turned camera shows is made from calm pictures: a camera that turns where it stands sees the
same rays elsewhere (a homography). So no run has to be disturbed to learn of it.
"""

from __future__ import annotations

import numpy as np
from transforms3d.axangles import axangle2mat

from wam_ros.core.appraisal import Calm, LastingErrors, PixelWatch, features, pixel_errors
from wam_ros.core.embodiment import Camera, Embodiment, Mount
from wam_ros.core.errors import WamError
from wam_ros.core.frustum import field_of_view
from wam_ros.core.types import NS
from wam_ros.train.rollouts import CALM

GRID = (8, 8)  # cells of a view
FOLDS = 5
SLACK = 1.5  # on the most that any calm run showed which the scale did not know
# likewise of latents, in which one calm episode in thirty stands out, and no disturbance first
LATENT_SLACK = 2.0
WHOLE_SLACK = 1.2  # likewise of a view as a whole, of which calm runs differ less
FLOOR = 3.0  # of the average of a view: a cell in which nothing happens is no microscope
TURNS = (0.18, 0.35)  # rad that a camera is turned by, about any axis
PICTURES = 40  # turned ones of each episode
RIDGE = 1e-2
STEADY = 0.3  # least spread of a feature: what never changes in calm runs is no proof either

Episode = dict[str, np.ndarray]


def learn_calm(episodes: list[Episode], robot: Embodiment, pictures: int = PICTURES) -> Calm:
    """What calm episodes that succeeded show, and so many turned pictures of each.

    Raises:
        WamError: there are fewer of them than folds, or one is without pictures.
    """
    calm = [e for e in episodes if str(e["kind"]) == CALM and bool(e["success"])]
    if len(calm) < FOLDS:
        raise WamError(f"{len(calm)} calm episodes succeeded, at least {FOLDS} are needed")
    for episode in calm:
        if "frames" not in episode:
            raise WamError(
                f"episode {int(episode['seed'])} has no pictures: an older version ran it, take "
                "another folder for --rollouts"
            )
    period_ns = round(NS / robot.frame_rate_hz)
    pairs = [pixel_errors_of(e, period_ns) for e in calm]
    rng = np.random.default_rng(len(calm))
    turned = [_turned_features(e, robot, pictures, rng) for e in calm]
    weights, bias = learn_whole([features(fine) for _, fine in pairs], turned)
    return Calm(
        pixel=scale_of([cells for cells, _ in pairs]),
        latent=scale_of(
            [lasting_errors(e["latent_errors"], period_ns) for e in calm], LATENT_SLACK
        ),
        weights=weights,
        bias=bias,
    )


def pixel_errors_of(episode: Episode, period_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the K steps of an episode `PixelErrors`: cells (K, 2, V, R, C), NaN where they are not
    known, and the fine ones (k, 2, V, 2 R, 2 C) of those in which all are known.
    """
    watch = PixelWatch(period_ns)
    frames = episode["frames"]
    cells = np.full((len(frames), 2, frames.shape[1], *GRID), np.nan)
    fine: list[np.ndarray] = []
    for k, (seen, imagined, due) in enumerate(
        zip(frames, episode["imagined"], episode["due"], strict=True)
    ):
        found = watch.take(k * period_ns, seen, imagined if due else None, GRID)
        if found is None:
            continue
        cells[k] = found.cells
        if np.isfinite(found.fine).all():
            fine.append(found.fine)
    return cells, np.array(fine)


def lasting_errors(errors: np.ndarray, period_ns: int) -> np.ndarray:
    """(K, 2, V, R, C) at a glance and in a look, of (K, V, R, C) a period after the other; NaN: not
    known.
    """
    lasting = LastingErrors()
    found = np.full((len(errors), 2, *errors.shape[1:]), np.nan)
    for k, row in enumerate(errors):
        taken = lasting.take(k * period_ns, row) if np.isfinite(row).all() else None
        if taken is not None:
            found[k] = taken
    return found


def scale_of(errors: list[np.ndarray], slack: float = SLACK) -> np.ndarray:
    """(2, V, R, C) of (K, 2, V, R, C) per episode: times so much that no episode leaves what the
    others show, and `slack` more.

    What a cell shows on the average of all episodes, and its view: so much is alike from some
    episodes to others, the most that a single cell ever showed is not.
    """
    most = np.stack([np.fmax.reduce(np.nan_to_num(e)) for e in errors])
    worst = np.zeros((*most.shape[1:3], 1, 1))
    for known, unknown in _folds(len(most)):
        times = most[unknown] / _usual(most[known])
        worst = np.maximum(worst, times.max((0, 3, 4))[..., None, None])
    return _usual(most) * np.maximum(worst, 1.0) * slack


def _folds(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which of so many are known, and which are not."""
    fold = np.arange(count) % FOLDS
    return [(fold != k, fold == k) for k in range(FOLDS)]


def _usual(most: np.ndarray) -> np.ndarray:
    """(2, V, R, C) of the most that each of N episodes shows, (N, 2, V, R, C)."""
    mean = most.mean(0)
    return mean + FLOOR * mean.mean((2, 3), keepdims=True)


def learn_whole(calm: list[np.ndarray], turned: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights (V, 2, 2 R, 2 C) and bias (V,) of `Calm`, of the features (k, 2, V, 2 R, 2 C) of each
    episode as it is and with its cameras turned.

    Logistic regression; its value is 0 where calm pictures are on the average, and 1 at the end of
    what those of episodes that it was not learned from reach.
    """
    views, shape = calm[0].shape[2], (2, *calm[0].shape[3:])
    weights = np.zeros((views, *shape))
    bias = np.zeros(views)
    for view in range(views):
        x = [e[:, :, view].reshape(len(e), -1) for e in calm]
        y = [e[:, :, view].reshape(len(e), -1) for e in turned]
        held = []
        for known, unknown in _folds(len(x)):
            value = logistic(_of(x, known), _of(y, known))
            held.append(_of(x, unknown) @ value[:-1] + value[-1])
        values = np.concatenate(held)
        usual = float(np.median(values))
        end = usual + WHOLE_SLACK * (float(values.max()) - usual)
        value = logistic(np.concatenate(x), np.concatenate(y))
        weights[view] = (value[:-1] / (end - usual)).reshape(shape)
        bias[view] = (value[-1] - usual) / (end - usual)
    return weights, bias


def _of(rows: list[np.ndarray], which: np.ndarray) -> np.ndarray:
    return np.concatenate([row for row, taken in zip(rows, which, strict=True) if taken])


def logistic(no: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """(F + 1,) weights and bias whose value is above 0 for rows like `yes` (n, F) and below for
    those like `no` (m, F), both of one weight in all: ridge regression by Newton's method.
    """
    mean = no.mean(0)
    spread = no.std(0) + STEADY
    x = (np.concatenate([no, yes]) - mean) / spread
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    answer = np.repeat([0.0, 1.0], [len(no), len(yes)])
    share = np.repeat([0.5 / len(no), 0.5 / len(yes)], [len(no), len(yes)])
    ridge = np.full(x.shape[1], RIDGE)
    ridge[-1] = 1e-6
    value = np.zeros(x.shape[1])
    for _ in range(12):
        told = 1 / (1 + np.exp(-np.clip(x @ value, -30, 30)))
        slope = x.T @ (share * (told - answer)) + ridge * value
        curve = (x * (share * told * (1 - told) + 1e-6)[:, None]).T @ x + np.diag(ridge)
        value = value - np.linalg.solve(curve, slope)
    weights = value[:-1] / spread
    return np.append(weights, value[-1] - weights @ mean)


def _turned_features(
    episode: Episode, robot: Embodiment, pictures: int, rng: np.random.Generator
) -> np.ndarray:
    """(pictures, 2, V, 2 R, 2 C) of moments of an episode in which every camera turns."""
    frames = episode["frames"]
    due = np.flatnonzero(episode["due"])
    found = []
    for k in rng.choice(due[due > 0], pictures):
        axis = rng.normal(size=3)
        angle = rng.uniform(*TURNS)
        views = zip(frames[k], robot.cameras, strict=True)
        seen = np.stack([turned(frame, camera, axis, angle) for frame, camera in views])
        found.append(features(pixel_errors(episode["imagined"][k], frames[k - 1], seen, GRID)))
    return np.array(found)


def turned(frame: np.ndarray, camera: Camera, axis: np.ndarray, angle: float) -> np.ndarray:
    """What a camera that sees `frame` (H, W, 3) would see after a turn about an `axis` (3,) in its
    own frame by an angle in rad; beyond the edge of the frame what is at its edge.

    Rays meet the picture at K R K^-1 (Hartley and Zisserman, Multiple View Geometry, 8.4).
    """
    height, width = frame.shape[:2]
    fov = Mount.fov if camera.mount is None else camera.mount.fov
    lens = field_of_view(fov, width, height)
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
    x, y, depth = lens @ axangle2mat(axis, angle) @ np.linalg.inv(lens) @ rays
    # a ray behind the camera meets no picture
    depth = np.maximum(depth, 1e-3)
    at_row = np.clip(y / depth, 0, height - 1).astype(int)
    at_column = np.clip(x / depth, 0, width - 1).astype(int)
    return frame[at_row, at_column].reshape(frame.shape)
