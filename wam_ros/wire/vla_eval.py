"""The wire of `vla-eval`: maps with a type and a payload, arrays and pictures in MessagePack.

As `vla_eval.protocol` 0.8.0 packs them: an array is a map with the text keys `__ndarray__`, `data`,
`dtype` and `shape`, a picture one with `__image__`, `format`, `data` and `shape`, PNG unless its
user chose otherwise. Read with the bounds of `wam_ros.wire.packing` and `wam_ros.wire.pictures`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.wire.contract import native
from wam_ros.wire.packing import WireError, array_of, pack, unpack
from wam_ros.wire.pictures import CODED, Pictures

PROTOCOL = 1
ASKED = ("hello", "observation", "episode_start", "episode_end")
_IMAGE = {"__image__", "format", "data", "shape"}


@dataclass(frozen=True)
class Said:
    """One message of an evaluator."""

    kind: str  # one of ASKED
    payload: Mapping[str, Any]
    number: int  # the answer has the same


def read_said(data: bytes) -> Said:
    """What an evaluator said.

    Raises:
        WireError: it is none of its messages.
    """
    found = unpack(data, _reader(Pictures()))
    if not isinstance(found, dict):
        raise WireError("a message is a map with type, payload and seq")
    kind = found.get("type")
    if not isinstance(kind, str) or kind not in ASKED:
        raise WireError(f"'type' is one of {', '.join(ASKED)}")
    payload = found.get("payload")
    number = found.get("seq")
    if not isinstance(payload, dict) or type(number) is not int or not 0 <= number < 1 << 62:
        raise WireError("'payload' is a map, and 'seq' a whole number from 0 on")
    return Said(kind, payload, number)


def pack_said(kind: str, payload: Mapping[str, Any], number: int) -> bytes:
    """The bytes of an answer; arrays as the evaluator reads them."""
    plain = {key: _plain(value) for key, value in payload.items()}
    return pack({"type": kind, "payload": plain, "seq": number, "timestamp": time.time()})


def native_keys(payload: Mapping[str, Any], robot: Embodiment) -> dict[str, Any]:
    """An observation by the keys of our own contract, as `vla_eval.types` names its parts.

    Pictures are found by the names of the robot's views, all joints in the robot's order under
    `state` (or `states`, as LIBERO's has it), rad and m.

    Raises:
        WireError: a part is missing.
    """
    images = payload.get("images")
    state = payload.get("state", payload.get("states"))
    words = payload.get("task_description")
    if not isinstance(images, dict) or (gone := [v for v in robot.view_names if v not in images]):
        found = ", ".join(map(str, images))[:200] if isinstance(images, dict) else "none"
        wanted = gone[0] if isinstance(images, dict) else ", ".join(robot.view_names)
        raise WireError(f"'images' has no '{wanted}'; it has {found}")
    if state is None:
        raise WireError(f"'state' is missing: {', '.join(robot.joint_names)}")
    if not isinstance(words, str):
        raise WireError("'task_description' is text")
    contract = native(robot)
    keys: dict[str, Any] = {key: images[view] for key, view in contract.images.items()}
    return keys | dict.fromkeys(contract.state, state) | {contract.prompt: words}


def describe(robot: Embodiment, server: str) -> dict[str, Any]:
    """What an evaluator is told of a model for `robot`, by the forms of `vla_eval.specs`."""
    picture = {"name": "image", "dims": 0, "format": "rgb_hwc_uint8"}
    joints = {
        "dims": len(robot.joint_names),
        "description": f"rad and m, absolute: {', '.join(robot.joint_names)}",
    }
    return {
        "harness_version": server,
        "protocol_version": PROTOCOL,
        "model_server": server,
        "capabilities": {},
        # keys that a benchmark's constructor may know
        "observation_params": {"send_wrist_image": len(robot.view_names) > 1, "send_state": True},
        "action_spec": {
            "joint_position": {"name": "joint_position", "format": "absolute", **joints}
        },
        "observation_spec": {
            **dict.fromkeys(robot.view_names, picture),
            "state": {"name": "state", "format": "joint_positions", **joints},
            "language": {"name": "language", "dims": 0, "format": "language"},
        },
    }


def _reader(pictures: Pictures) -> Callable[[dict[Any, Any]], Any]:
    """What a map stands for: itself, an array, or a picture."""

    def read(found: dict[Any, Any]) -> Any:
        if "__ndarray__" in found:
            if set(found) != {"__ndarray__", "data", "dtype", "shape"}:
                raise WireError("an array has exactly the keys __ndarray__, data, dtype and shape")
            return array_of(found["dtype"], found["shape"], found["data"])
        return _picture(pictures, found) if "__image__" in found else found

    return read


def _picture(pictures: Pictures, found: dict[Any, Any]) -> np.ndarray:
    kind = str(found.get("format"))
    if kind == "raw" and set(found) == _IMAGE | {"dtype"}:
        return array_of(found["dtype"], found["shape"], found["data"])
    if kind not in CODED or set(found) != _IMAGE:
        raise WireError("a picture has a format (raw, png or jpeg), its data and its shape")
    return pictures.opened(kind, found["data"])


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    shape = list(value.shape)
    return {"__ndarray__": True, "data": value.tobytes(), "dtype": value.dtype.str, "shape": shape}
