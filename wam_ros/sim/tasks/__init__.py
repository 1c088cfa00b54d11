"""Tasks on the simulated table; one file and one line each."""

from __future__ import annotations

import importlib

from wam_ros.core.errors import require_known
from wam_ros.sim.tasks.base import Task

TASKS = {
    "pick_block": "wam_ros.sim.tasks.pick_block:PickBlock",
    "reach": "wam_ros.sim.tasks.reach:Reach",
}


def make_task(name: str) -> Task:
    """Build the task called `name`, or raise `UnknownNameError` with the choices."""
    module, _, cls = TASKS[require_known("task", name, TASKS)].partition(":")
    return getattr(importlib.import_module(module), cls)()
