"""The checks, one per file: what a chunk, its seam and the motion through it must satisfy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import (
    KINDS,
    MessageCheck,
    MotionCheck,
    RefusingCheck,
    SeamCheck,
    Seen,
)
from wam_ros.safety.finding import Finding, Measure
from wam_ros.safety.message import Message
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.motion import Motion

# Those of the message first, in this order: each may rely on those before it. Of those of motion
# the first that refuses gives the reason; those that slowing helps come first.
CHECKS = {
    "schema": "wam_ros.safety.checks.schema",
    "finite": "wam_ros.safety.checks.finite",
    "fresh": "wam_ros.safety.checks.fresh",
    "order": "wam_ros.safety.checks.order",
    "seam": "wam_ros.safety.checks.seam",
    "velocity": "wam_ros.safety.checks.velocity",
    "acceleration": "wam_ros.safety.checks.acceleration",
    "jerk": "wam_ros.safety.checks.jerk",
    "tcp_speed": "wam_ros.safety.checks.tcp_speed",
    "torque": "wam_ros.safety.checks.torque",
    "position": "wam_ros.safety.checks.position",
    "workspace": "wam_ros.safety.checks.workspace",
    "singularity": "wam_ros.safety.checks.singularity",
    "self_collision": "wam_ros.safety.checks.self_collision",
    "environment": "wam_ros.safety.checks.environment",
}


@dataclass(frozen=True)
class Checks:
    """The checks that judge, by name and stage, each in the order of `CHECKS`."""

    message: dict[str, MessageCheck]
    seam: dict[str, SeamCheck]
    motion: dict[str, MotionCheck]

    @property
    def again(self) -> list[MotionCheck]:
        """Those of motion that must look again when the world, or what is held, has changed."""
        return [c for c in self.motion.values() if c.again]

    def read(self, message: Message) -> Finding | None:
        """The first refusal of a message; None when it is a chunk for this robot and for now."""
        try:
            return first_refusal(self.message, message)
        # what breaks a check was not a chunk, and a hostile message must never end the process that
        # guards the arm
        except Exception as error:
            return Finding(
                Reason.SCHEMA, f"cannot be read: {type(error).__name__} {str(error)[:120]}"
            )

    def require_answers(self, motion: Motion, bounds: Bounds) -> None:
        """Let every check of motion look once, before anything depends on it.

        Raises:
            WamError: a check fails, as one does that reaches for what its kind is not given, or
                does not answer for every sample.
        """
        for name, check in self.motion.items():
            kind = type(check).__name__
            try:
                measure = check.look(motion, bounds)
            except Exception as error:
                given = ", ".join(vars(check.facts(bounds)))
                raise WamError(
                    f"safety check '{name}' fails: {error}; a {kind} is given {given}"
                ) from error
            if not isinstance(measure, Measure) or measure.ratio.shape != (len(motion),):
                raise WamError(
                    f"safety check '{name}' does not answer with a Measure of every sample"
                )


def first_refusal(checks: Mapping[str, RefusingCheck[Seen]], seen: Seen) -> Finding | None:
    """Why the first of some checks that refuses what they are shown does so."""
    for check in checks.values():
        finding = check.refuse(seen)
        if finding is not None:
            return finding
    return None


def load_checks(names: tuple[str, ...] = tuple(CHECKS)) -> Checks:
    """The checks among `names`.

    Raises:
        WamError: a name that is not in `CHECKS`, or a file that is not a check.
    """
    for name in names:
        require_known("safety check", name, CHECKS)
    found = {name: _load(name, module) for name, module in CHECKS.items() if name in names}
    return Checks(
        message={n: c for n, c in found.items() if isinstance(c, MessageCheck)},
        seam={n: c for n, c in found.items() if isinstance(c, SeamCheck)},
        motion={n: c for n, c in found.items() if isinstance(c, MotionCheck)},
    )


def _load(name: str, module: str) -> object:
    try:
        check = getattr(importlib.import_module(module), "CHECK", None)
    except Exception as error:
        raise WamError(
            f"safety check '{name}' cannot be loaded: {type(error).__name__} {error}"
        ) from error
    # of exactly these: a kind of its own could be given what it does not say
    if type(check) not in KINDS:
        kinds = ", ".join(kind.__name__ for kind in KINDS)
        raise WamError(
            f"safety check '{name}' is none: CHECK of {module} is {check!r:.80}, not one of {kinds}"
        )
    return check
