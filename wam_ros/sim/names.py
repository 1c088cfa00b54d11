"""Tasks of simulated worlds by their names; without MuJoCo, so that a launch can judge them."""

from __future__ import annotations

from importlib.util import find_spec

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.sim.grasping import grasping_of
from wam_ros.sim.libero.suites import (
    CAMERAS,
    SUITES,
    is_libero,
    limit_s,
    not_installed,
    read_task,
    surroundings,
)
from wam_ros.sim.robots import HAND, links_of
from wam_ros.sim.tasks import TASKS


def require_task(task: str, embodiment: Embodiment) -> None:
    """Raise a `WamError` unless there is a task of this name, and this robot can be simulated in
    its world as far as that is known without opening it.
    """
    if not is_libero(task):
        require_known("task", task, (*TASKS, *(f"{suite}/0" for suite in SUITES)))
        if task == "pick_block":
            grasping_of(embodiment.name, links_of(embodiment))
        return
    read_task(task)
    e = embodiment
    why = ""
    if others := [view for view in e.view_names if view not in CAMERAS]:
        why = f"'{e.name}' has view '{others[0]}', LIBERO {', '.join(CAMERAS)}"
    elif HAND not in links_of(e) or len(e.joint_names) != 8:
        why = f"'{e.name}' is another robot"
    if why:
        raise WamError(f"task '{task}' is for embodiment 'libero_panda': {why}")


def require_installed(task: str) -> None:
    """Raise a `WamError` where a task is one of LIBERO, and LIBERO is not there."""
    if is_libero(task) and find_spec("libero") is None:
        raise not_installed(task, "libero")


def has_colours(task: str) -> bool:
    """Whether a scene of a task has things of three colours, of which one is named."""
    return not is_libero(task)


def longest_s(task: str, ours: float) -> float:
    """How long an episode of a task may last, s: what LIBERO's judges allow, else `ours`."""
    return limit_s(task) if is_libero(task) else ours


def world_of(task: str) -> dict[str, str]:
    """Parameters by which nodes know what stands around the arm in a task; none where that is
    what its embodiment says.
    """
    return {"world": surroundings(task)} if is_libero(task) else {}
