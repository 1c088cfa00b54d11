"""LIBERO's environment of a task, and its scenes: what is drawn, and what judges begin with."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.sim.libero.suites import OFFICIAL, not_installed

TRIES = 20  # of LIBERO's own placing, which may find no room


def open_task(suite: str, number: int) -> tuple[Any, np.ndarray]:
    """LIBERO's environment of a task without pictures, and its official initial states (N, S).

    Raises:
        WamError: LIBERO is not installed, or finds no room for the objects.
    """
    with _quiet():
        try:
            from libero.libero import benchmark, get_libero_path
            from libero.libero.envs.env_wrapper import ControlEnv
        except ModuleNotFoundError as error:
            raise not_installed(f"{suite}/{number}", error.name or "libero") from error
        found = benchmark.get_benchmark(suite)(task_order_index=0)
        task = found.get_task(number)
        file = Path(get_libero_path("bddl_files")) / task.problem_folder / task.bddl_file
        for attempt in range(TRIES):
            np.random.seed(attempt)
            with contextlib.suppress(_no_room()):
                env = ControlEnv(
                    bddl_file_name=str(file),
                    controller="JOINT_POSITION",
                    has_offscreen_renderer=False,
                    use_camera_obs=False,
                    hard_reset=False,
                    ignore_done=True,
                )
                return env, found.get_task_init_states(number)
    raise WamError(f"LIBERO finds no room for the objects of '{suite}/{number}'")


def place(env: Any, official: np.ndarray, task: str, seed: int) -> None:
    """Put everything where the scene of `seed` has it: one of `official` (N, S), in their order,
    from OFFICIAL on, else what LIBERO's own sampler draws.

    Raises:
        WamError: LIBERO finds no room for the objects.
    """
    # LIBERO draws from numpy's own generator
    before = np.random.get_state()
    try:
        # what stands fixed is drawn for official scenes too; LIBERO's evaluation has it at seed 0
        env.seed(0 if seed >= OFFICIAL else seed)
        for _ in range(TRIES):
            _unplace_fixtures(env)
            # not that of the wrapper, which tries for ever, whatever the error
            with contextlib.suppress(_no_room()):
                env.env.reset()
                break
        else:
            raise WamError(f"LIBERO finds no room for the objects of '{task}', seed {seed}")
        if seed >= OFFICIAL:
            env.set_init_state(official[(seed - OFFICIAL) % len(official)])
    finally:
        np.random.set_state(before)


def _unplace_fixtures(env: Any) -> None:
    """What stands fixed at the origin, as in a scene that was just read: LIBERO's sampler adds
    where things lie on it to where it stands.
    """
    for fixture in env.env.fixtures_dict.values():
        body = env.sim.model._model.body(fixture.root_body)
        body.pos = np.zeros(3)
        body.quat = (1.0, 0.0, 0.0, 0.0)


def _no_room() -> type[Exception]:
    """What robosuite raises when it finds no place for an object."""
    from robosuite.utils.errors import RandomizationError

    error: type[Exception] = RandomizationError
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What LIBERO and robosuite print while they are opened is of no use to who runs a task."""
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
