"""What our own two ends say beyond a contract's keys: the whole of `core.policy`.

A client that knows none of it is answered all the same, and a server that knows none of it is
asked by the contract alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wam_ros.core.appraisal import Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Conditioning
from wam_ros.core.yamlfile import from_mapping
from wam_ros.wire.packing import WireError

SUBPROTOCOL = "wam.policy.1"  # RFC 6455: asked for by our own clients, who are told everything
RESET_DONE = "reset successful"  # as RoboArena's server says it
OUTLOOK = ("done", "failed", "done_ahead", "failed_ahead")
MOST_STEPS = 1 << 40  # control steps; a count beyond it is none


@dataclass(frozen=True)
class Wanted:
    """What a client wants beside its observation."""

    request: Request
    deadline_s: float | None = None  # after which an answer is of no use; None: it waits
    imagined: bool = False  # whether it wants the imagined frames


def request_keys(request: Request, deadline_s: float) -> dict[str, Any]:
    """The keys of a request to a server of ours."""
    keys: dict[str, Any] = {
        "predict": request.predict,
        "committed": request.committed,
        "prefix": request.prefix,
        "deadline_s": deadline_s,
        "imagined": True,
    }
    if request.step is not None:
        keys["step"] = request.step
    if request.plan is not None and len(request.plan):
        keys["plan"] = np.asarray(request.plan, dtype=np.float64)
    return keys


def read_asked(message: Mapping[str, Any], joints: int) -> Wanted:
    """The other way round; a key that is not there has its default.

    Raises:
        WireError: a value of another type or out of its range.
    """
    step = _whole(message, "step", None)
    committed = _whole(message, "committed", 0)
    plan = message.get("plan")
    if plan is not None:
        fits = isinstance(plan, np.ndarray) and plan.dtype == np.float64 and plan.ndim == 2
        if not fits or plan.shape[1] != joints or not np.isfinite(plan).all():
            raise WireError(f"'plan' is no array (n, {joints}) of finite float64")
    deadline = message.get("deadline_s")
    if deadline is not None and not (type(deadline) in (int, float) and 0 < float(deadline) < 3600):
        raise WireError("'deadline_s' is a number above 0 and below 3600")
    request = Request(
        step=step,
        predict=_flag(message, "predict", True),
        plan=plan,
        committed=committed or 0,
        prefix=_flag(message, "prefix", False),
    )
    return Wanted(
        request,
        None if deadline is None else float(deadline),
        _flag(message, "imagined", False),
    )


def answer_keys(output: PolicyOutput, with_frames: bool) -> dict[str, Any]:
    """What an answer has beside its actions."""
    keys: dict[str, Any] = {
        "conditioning": int(output.conditioning),
        "evaluations": output.evaluations,
        "committed": output.committed,
        "guided": output.guided,
        "policy_timing": {f"{name}_ms": 1e3 * s for name, s in output.timing_s.items()},
        "outlook": {
            name: chance
            for name in OUTLOOK
            if np.isfinite(chance := float(getattr(output.outlook, name)))
        },
    }
    if with_frames:
        keys["imagined_frames"] = np.ascontiguousarray(output.frames)
        keys["imagined_ns"] = [int(ns) for ns in output.frame_offsets_ns]
    return keys


def read_output(answer: Any, positions: np.ndarray, no_frames: np.ndarray) -> PolicyOutput:
    """A prediction from the answer of any server; what it does not say is not made up.

    Args:
        answer: of the server.
        positions: (T, A) rad or m that were read from it.
        no_frames: (0, V, H, W, 3) where it imagined nothing.

    Raises:
        WireError: a value of another type or out of its range.
    """
    said = answer if isinstance(answer, Mapping) else {}
    frames = said.get("imagined_frames", no_frames)
    offsets = said.get("imagined_ns", [])
    fits = isinstance(frames, np.ndarray) and frames.dtype == np.uint8
    if not fits or frames.shape[1:] != no_frames.shape[1:]:
        raise WireError(f"'imagined_frames' are no uint8 (F, {str(no_frames.shape[1:])[1:]}")
    is_list = isinstance(offsets, list) and len(offsets) == len(frames)
    if not is_list or any(type(ns) is not int or not 0 <= ns < 1 << 60 for ns in offsets):
        raise WireError(f"'imagined_ns' are no {len(frames)} whole numbers from 0 on")
    kind = _whole(said, "conditioning", 0) or 0
    timing = said.get("policy_timing", {})
    timing = timing if isinstance(timing, Mapping) else {}
    return PolicyOutput(
        positions=positions,
        frames=frames,
        frame_offsets_ns=tuple(offsets),
        conditioning=Conditioning(kind if kind in list(Conditioning) else 0),
        evaluations=_whole(said, "evaluations", 0) or 0,
        timing_s={
            str(name).removesuffix("_ms"): float(ms) / 1e3
            for name, ms in timing.items()
            if isinstance(ms, int | float) and np.isfinite(ms)
        },
        committed=min(_whole(said, "committed", 0) or 0, len(positions)),
        guided=_flag(said, "guided", False),
        outlook=_outlook(said.get("outlook", {})),
    )


def _outlook(said: object) -> Outlook:
    """What a model makes of the task; what it does not say stays unknown."""
    if not isinstance(said, Mapping) or not {*said} <= {*OUTLOOK}:
        raise WireError(f"'outlook' is a map with some of {', '.join(OUTLOOK)}")
    for name, chance in said.items():
        if type(chance) is not float or not 0.0 <= chance <= 1.0:
            raise WireError(f"'outlook': '{name}' is a number from 0.0 to 1.0")
    return Outlook(**said)


def describe_abilities(abilities: Abilities) -> dict[str, Any]:
    """What a server of ours says of its model."""
    # a chunk that begins in the imagination, and a choice of several, stay with the model
    told = asdict(abilities) | {"ahead": [], "candidates": 1}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in told.items()}


def read_abilities(found: object) -> Abilities:
    """What a server says that its model can do; nothing beyond a prediction where it says nothing.

    Raises:
        WamError: a key or a value that is not known here.
    """
    if found is None:
        return Abilities()
    abilities = from_mapping(Abilities, found, "abilities")
    if abilities.ahead or abilities.candidates != 1 or not 0 <= abilities.frame_stride < 1000:
        raise WamError("abilities: ahead is empty, candidates is 1, frame_stride is 0 to 999")
    return abilities


def _flag(message: Mapping[str, Any], key: str, default: bool) -> bool:
    value = message.get(key, default)
    if not isinstance(value, bool):
        raise WireError(f"'{key}' is true or false")
    return value


def _whole(message: Mapping[str, Any], key: str, default: int | None) -> int | None:
    value = message.get(key, default)
    if value is not None and (type(value) is not int or not 0 <= value < MOST_STEPS):
        raise WireError(f"'{key}' is a whole number from 0 on")
    return value
