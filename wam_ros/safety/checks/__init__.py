"""The checks, one per file: what a chunk, its seam and the motion through it must satisfy."""

from __future__ import annotations

import importlib
from types import ModuleType

# Message checks first, in this order: each may rely on those before it.
CHECKS = {
    "schema": "wam_ros.safety.checks.schema",
    "finite": "wam_ros.safety.checks.finite",
    "fresh": "wam_ros.safety.checks.fresh",
    "order": "wam_ros.safety.checks.order",
    "seam": "wam_ros.safety.checks.seam",
    "velocity": "wam_ros.safety.checks.velocity",
    "acceleration": "wam_ros.safety.checks.acceleration",
    "jerk": "wam_ros.safety.checks.jerk",
    "position": "wam_ros.safety.checks.position",
    "tcp_speed": "wam_ros.safety.checks.tcp_speed",
    "torque": "wam_ros.safety.checks.torque",
    "workspace": "wam_ros.safety.checks.workspace",
    "singularity": "wam_ros.safety.checks.singularity",
    "self_collision": "wam_ros.safety.checks.self_collision",
    "environment": "wam_ros.safety.checks.environment",
}


def load_checks(stage: str, names: tuple[str, ...] = tuple(CHECKS)) -> list[ModuleType]:
    """The checks of a stage ('message', 'seam' or 'motion') among `names`, in the order of
    `CHECKS`.
    """
    modules = [importlib.import_module(path) for name, path in CHECKS.items() if name in names]
    return [m for m in modules if stage == m.STAGE]
