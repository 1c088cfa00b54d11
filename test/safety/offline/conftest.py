"""A file of chunks of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros import cli


def chunks(home: np.ndarray) -> dict[str, np.ndarray]:
    """Standing, moving, running into a limit, a step that is not a number, a first step far
    away.
    """
    k = np.arange(1, 9)[:, None]
    first = np.eye(8)[0]
    q = np.stack([home + rate * k * first for rate in (0.0, 0.02, 0.1, 0.02, 0.02)])
    start = np.tile(home, (5, 1))
    start[2, 0], q[2, :, 0] = 2.3, 2.3 + 0.1 * k[:, 0]
    q[3, 4, 2] = np.nan
    q[4, :, 1] += 2.0
    return {"positions": q, "q0": start, "dq0": np.zeros_like(start)}


@pytest.fixture
def arrays(model, home):
    return {
        **chunks(home),
        "step_period": np.array(0.1),
        "joint_names": np.array(model.joint_names),
    }


@pytest.fixture
def file(tmp_path, arrays):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays)
    return path


def run(*words: object) -> int:
    """What `wam safety` returns."""
    return cli.main(["safety", *map(str, words)])
