"""The wire of Genie Sim's benchmark (AgiBot), as `CoRobotPolicy` of genie_sim 0e659ad speaks it:
the client asks first, `{method: infer, params}` in MessagePack with pictures as JPEG, and executes
all of the chunk that it is answered.

Its robot is `agibot_g1`. What its numbers mean is in `utils/infer_post_process.py` of the same
source: grippers depend on the robot's type, and those of the OmniPicker are told otherwise than
they are commanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.wire.contract import native
from wam_ros.wire.packing import WireError, pack, unpack
from wam_ros.wire.pictures import Pictures

ROBOT = "agibot_g1"
VIEWS = {"head": "top_head", "hand_left": "hand_left", "hand_right": "hand_right"}
# sizes of what is told, which in this order is the robot's order of joints
STATES = {"arm_joint_states": 14, "gripper_states": 2, "head_joint_states": 2}
STATES |= {"waist_joint_states": 2}
ARMS = slice(0, 14)
GRIPPERS = slice(14, 16)
LIMIT = 0.78  # rad, of an open OmniPicker, as the source has it
MOST_STATE = 120.0  # what a closed one would be told as
TYPES = ("G1_omnipicker", "G1_120s")  # of a robot; the second tells and takes rad
MOST_EPISODES = 1 << 40


@dataclass(frozen=True)
class Asked:
    """One question."""

    robot_type: str  # one of TYPES
    episode: int
    keys: dict[str, Any]  # an observation by the keys of our own contract


def read_asked(data: bytes, robot: Embodiment) -> Asked:
    """What is asked.

    Raises:
        WireError: it is no question, lacks a part, or is of another robot; named.
    """
    if robot.name != ROBOT:
        raise WireError(f"the model is for the robot '{robot.name}', Genie Sim's is {ROBOT}")
    pictures = Pictures()
    found = unpack(data, lambda part: _read_map(part, pictures))
    if not isinstance(found, dict) or found.get("method") != "infer":
        raise WireError("a message is a map with the method infer and params")
    params = found.get("params")
    if not isinstance(params, dict):
        raise WireError("'params' is a map")
    robot_type = params.get("robot_type")
    if not isinstance(robot_type, str) or robot_type not in TYPES:
        raise WireError(f"'robot_type' is {str(robot_type)[:40]!r}, expected {' or '.join(TYPES)}")
    episode = params.get("episode_idx")
    if type(episode) is not int or not 0 <= episode < MOST_EPISODES:
        raise WireError("'episode_idx' is a whole number from 0 on")
    words = params.get("prompt")
    if not isinstance(words, str):
        raise WireError("'prompt' is text")
    contract = native(robot)
    images = _images(params.get("images"))
    keys: dict[str, Any] = {key: images[view] for key, view in contract.images.items()}
    keys |= dict.fromkeys(contract.state, _joints(params.get("states"), robot_type))
    return Asked(robot_type, episode, keys | {contract.prompt: words})


def pack_answer(robot_type: str, actions: np.ndarray) -> bytes:
    """The bytes of an answer.

    Args:
        robot_type: as it was asked.
        actions: (T, 20) rad and m in the robot's order.
    """
    grippers = actions[:, GRIPPERS]
    if robot_type == "G1_omnipicker":
        grippers = 1.0 - grippers / LIMIT  # 0 open, 1 closed
    arms = actions[:, ARMS]
    rest = GRIPPERS.stop
    return pack(
        {
            "result": {
                "left_arm": _joints_of(arms[:, :7]),
                "right_arm": _joints_of(arms[:, 7:]),
                "left_effector": grippers[:, :1].tolist(),
                "right_effector": grippers[:, 1:].tolist(),
                "head": _joints_of(actions[:, rest : rest + 2]),
                "waist": _joints_of(actions[:, rest + 2 : rest + 4]),
                # it would collect frames of the head alone, and a memory is of every view
                "hist_frame_interval": 0,
            }
        }
    )


def _joints_of(rows: np.ndarray) -> dict[str, Any]:
    return {"kind": "JOINT_ABS", "values": rows.tolist()}


def _read_map(found: dict[Any, Any], pictures: Pictures) -> Any:
    """A map as it was read, or the picture that it stands for."""
    if "image_data" not in found:
        return found
    if found.get("encoding") != "JPEG":
        raise WireError(f"pictures as {str(found.get('encoding'))[:20]!r} are not read, JPEG is")
    return pictures.opened("jpeg", found["image_data"])


def _images(found: object) -> dict[str, np.ndarray]:
    """(H, W, 3) by view of the robot."""
    if not isinstance(found, Mapping):
        raise WireError("'images' is a map")
    for name in VIEWS:
        if not isinstance(found.get(name), np.ndarray):
            raise WireError(f"'images' has no picture '{name}'")
    return {view: found[name] for name, view in VIEWS.items()}


def _joints(found: object, robot_type: str) -> np.ndarray:
    """(20,) rad and m."""
    if not isinstance(found, Mapping):
        raise WireError("'states' is a map")
    parts: list[float] = []
    for key, size in STATES.items():
        part = found.get(key)
        if not isinstance(part, list) or [type(x) in (int, float) for x in part] != [True] * size:
            raise WireError(f"'{key}' of 'states' is no list of {size} numbers")
        parts += part
    joints = np.array(parts, dtype=np.float64)
    if robot_type == "G1_omnipicker":
        joints[GRIPPERS] = LIMIT * (LIMIT - joints[GRIPPERS] / MOST_STATE)
    return joints
