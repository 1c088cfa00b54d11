"""What a policy's messages mean for one robot: keys, joints, units, picture sizes and rates.

The policy wire of openpi (`openpi_client`) says how numbers travel and leaves open what they mean.
A contract of `config/wires/<name>.yaml` says it once, and both ends are made of it: the one that
asks a foreign server, and the one that answers a foreign client.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import Problems, UnknownNameError, WamError
from wam_ros.core.images import resize
from wam_ros.core.resources import config_path
from wam_ros.core.types import Observation
from wam_ros.core.yamlfile import from_mapping, load_yaml
from wam_ros.wire.packing import WireError

_ROTATIONS = {"axis_angle": 3, "rpy": 3, "quaternion": 4}  # columns


@dataclass(frozen=True)
class WireContract:
    """Keys of a request and of its answer. Values are rad or m unless `ends` says otherwise."""

    name: str
    embodiment: str
    images: dict[str, str]  # key: view of the embodiment
    state: dict[str, tuple[str, ...]]  # key: joints, in the order of its values
    action_joints: tuple[str, ...] = ()  # columns of the answer
    # key of the answer: its joints, where several arrays together are the actions; action_joints
    # and `actions` are left out then
    action_parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    actions: str = "actions"  # key of the answer; '' the answer is the array itself
    prompt: str = "prompt"
    session: str = ""  # key of the session's name; '': the connection is the session
    # whether a request says `endpoint`, as RoboArena's: infer or reset
    endpoint: bool = False
    image_height: int = 0  # px; 0: the embodiment's
    image_width: int = 0
    pad: bool = False  # keep the aspect ratio with black at two sides, instead of stretching
    step_period_s: float = 0.0  # between rows of the answer; 0: the embodiment's
    # control steps from the newest frame, of as many frames of a view; empty: the model's stride
    frame_offsets: tuple[int, ...] = ()
    # joints whose value is a difference from the observed position
    relative: tuple[str, ...] = ()
    # joints whose value is a difference from the row before
    incremental: tuple[str, ...] = ()
    # 'absolute' or 'incremental': the first columns of the answer are a pose of the robot's tool in
    # its base frame, x y z [m] and then the numbers of `rotation`; action_joints name those behind
    # it. Empty: there are joints only
    tool: str = ""
    rotation: str = "axis_angle"  # or rpy (about fixed axes, x first), quaternion (x y z w)
    # of a server that continues a plan under way (real-time chunking): the keys of its rows, as its
    # own actions are told, and of how many of them are executed before the answer is there
    plan: str = ""
    committed: str = ""
    constants: dict[str, str] = field(default_factory=dict)  # key: text that is always sent
    start: str = ""  # how its server is started, for whoever finds nobody there
    # rad or m where the wire says 0 and 1, of joints that are told by a share
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)


def native(robot: Embodiment) -> WireContract:
    """The contract of our own two ends: views by their names, all joints in the robot's order."""
    return WireContract(
        name="wam",
        embodiment=robot.name,
        images={f"observation/{view}": view for view in robot.view_names},
        state={"observation/joint_position": robot.joint_names},
        action_joints=robot.joint_names,
        session="session_id",
    )


def load_contract(name: str, robot: Embodiment) -> WireContract:
    """A shipped contract by name, or the YAML file of a path, for `robot`.

    Raises:
        WamError: no such file, an unknown key, another robot, or what contradicts the robot or
            itself.
    """
    path = config_path("wires", name)
    contract = from_mapping(WireContract, load_yaml(path), str(path))
    problems = Problems(path)
    if contract.action_parts:
        if contract.action_joints:
            problems.add("action_parts name the joints of the answer: leave action_joints out")
        columns = [joint for joints in contract.action_parts.values() for joint in joints]
        contract = replace(contract, action_joints=tuple(columns))
    if contract.embodiment != robot.name:
        problems.add(f"it is for the robot '{contract.embodiment}', not for '{robot.name}'")
        problems.require_none()
    for view in contract.images.values():
        if view not in robot.view_names:
            problems.add(UnknownNameError("view", view, robot.view_names))
    told = [joint for joints in contract.state.values() for joint in joints]
    for what, joints in (("state", told), ("action_joints", contract.action_joints)):
        for joint in joints:
            if joint not in robot.joint_names:
                problems.add(f"{what}: {UnknownNameError('joint', joint, robot.joint_names)}")
        if len(set(joints)) != len(joints):
            problems.add(f"{what}: a joint is named twice")
    known = contract.action_joints
    if contract.tool:
        for problem in _tool_problems(contract, robot):
            problems.add(problem)
        known = (*known, *(j for j in robot.joint_names if j not in robot.gripper_joints))
    if missing := [j for j in robot.joint_names if j not in known]:
        problems.add(f"action_joints: joint '{missing[0]}' is missing")
    if not contract.images:
        problems.add("images: there are none")
    for what in ("relative", "incremental", "ends"):
        for joint in getattr(contract, what):
            if joint not in contract.action_joints:
                problems.add(f"{what}: joint '{joint}' is not in action_joints")
    if both := set(contract.relative) & set(contract.incremental):
        problems.add(f"joint '{min(both)}' is relative and incremental")
    for joint, (at_0, at_1) in contract.ends.items():
        if at_0 == at_1:
            problems.add(f"ends: joint '{joint}' does not move between 0 and 1")
    if min(contract.image_height, contract.image_width, contract.step_period_s) < 0:
        problems.add("image_height, image_width and step_period_s are 0 or more")
    offsets = contract.frame_offsets
    rising = all(a < b for a, b in itertools.pairwise(offsets))
    if offsets and (offsets[-1] != 0 or not rising):
        problems.add("frame_offsets rise to 0, the newest frame")
    if bool(contract.plan) != bool(contract.committed):
        problems.add("plan and committed go together")
    if bool(contract.image_height) != bool(contract.image_width):
        problems.add("image_height and image_width go together")
    problems.require_none()
    return contract


def _tool_problems(contract: WireContract, robot: Embodiment) -> list[str]:
    """What contradicts itself where poses of the tool are told."""
    problems = []
    for key, given, choices in (
        ("tool", contract.tool, ("absolute", "incremental")),
        ("rotation", contract.rotation, tuple(_ROTATIONS)),
    ):
        if given not in choices:
            problems.append(f"{key}: {UnknownNameError(key, given, choices)}")
    if arm := [j for j in contract.action_joints if j not in robot.gripper_joints]:
        problems.append(f"action_joints: '{arm[0]}' is of the arm, which follows the tool")
    if contract.plan:
        problems.append("plan: a plan is of joints, which a tool's poses are not")
    if contract.action_parts:
        problems.append("action_parts: a pose of the tool comes in one array")
    if contract.relative or contract.incremental:
        problems.append("relative, incremental: grippers are told as they are, beside a tool")
    return problems


def request_of(
    contract: WireContract, observation: Observation, prompt: str, session: str
) -> dict[str, Any]:
    """What is sent to a policy for an observation."""
    views = dict(zip(observation.view_names, observation.frames, strict=True))
    joints = dict(
        zip(observation.joints.joint_names, observation.joints.positions.tolist(), strict=True)
    )
    message: dict[str, Any] = {
        key: _sized(views[view], contract) for key, view in contract.images.items()
    }
    for key, names in contract.state.items():
        message[key] = np.array([_to_wire(contract, n, joints[n]) for n in names])
    message |= contract.constants
    message[contract.prompt] = prompt
    if contract.session:
        message[contract.session] = session
    if contract.endpoint:
        message["endpoint"] = "infer"
    return message


def view_order(contract: WireContract, view_names: Sequence[str]) -> list[int]:
    """Where each view of a robot is among those of a contract, in whose order a server imagines.

    Raises:
        WireError: it does not have each of them once.
    """
    told = list(contract.images.values())
    if sorted(told) != sorted(view_names):
        raise WireError(
            f"'imagined_frames' are of the views {', '.join(told)}; the robot has "
            f"{', '.join(view_names)}"
        )
    return [told.index(view) for view in view_names]


def told_plan(
    contract: WireContract, plan: np.ndarray, observation: Observation, robot: Embodiment
) -> np.ndarray:
    """(m, A) of a plan (n, A) under way at the steps of a server, on straight lines; none where it
    ends before the first.
    """
    period_s = contract.step_period_s or robot.step_period_s
    if period_s == robot.step_period_s:
        return plan
    steps = int(len(plan) * robot.step_period_s / period_s + 1e-9)
    return _on_lines(observation, plan, robot.step_period_s, period_s * np.arange(1, steps + 1))


def as_told(
    contract: WireContract, told: np.ndarray, observation: Observation, robot: Embodiment
) -> np.ndarray:
    """(n, A) of what `told_plan` gave at the robot's own steps, as an answer that repeats it is."""
    period_s = contract.step_period_s or robot.step_period_s
    if period_s == robot.step_period_s:
        return told
    steps = int(len(told) * period_s / robot.step_period_s + 1e-9)
    due_s = robot.step_period_s * np.arange(1, steps + 1)
    return _on_lines(observation, told, period_s, due_s)


def _on_lines(
    observation: Observation, rows: np.ndarray, period_s: float, due_s: np.ndarray
) -> np.ndarray:
    path = np.vstack((np.asarray(observation.joints.positions, float), rows))
    known_s = period_s * np.arange(len(path))
    return np.stack([np.interp(due_s, known_s, column) for column in path.T], axis=1)


def plan_keys(
    contract: WireContract,
    told: np.ndarray,
    committed: int,
    observation: Observation,
    robot: Embodiment,
) -> dict[str, Any]:
    """What a server that continues plans is told of the one under way.

    Args:
        contract: of the server.
        told: (m, A) of `told_plan`, not empty.
        committed: steps of the robot that are executed before the answer is there.
        observation: where the plan goes on from.
        robot: whose steps they are.
    """
    ratio = robot.step_period_s / (contract.step_period_s or robot.step_period_s)
    return {
        contract.plan: actions_of(contract, told, observation),
        contract.committed: min(len(told), math.ceil(committed * ratio - 1e-9)),
    }


def positions_of(
    contract: WireContract, answer: Any, observation: Observation, robot: Embodiment
) -> np.ndarray:
    """(T, A) rad or m of the robot's joints and step periods, from what a policy answered.

    Raises:
        WireError: the array is missing, of another size or type, not finite, or ends before the
            robot's horizon at periods of its own.
    """
    joints = contract.action_joints
    rows = _rows_of(contract, answer, joints)
    observed = dict(
        zip(observation.joints.joint_names, observation.joints.positions.tolist(), strict=True)
    )
    now = np.array([observed[name] for name in joints])
    for k, name in enumerate(joints):
        at_0, at_1 = contract.ends.get(name, (0.0, 1.0))
        if name in contract.relative:
            rows[:, k] = now[k] + (at_1 - at_0) * rows[:, k]
        elif name in contract.incremental:
            rows[:, k] = now[k] + (at_1 - at_0) * np.cumsum(rows[:, k])
        elif name in contract.ends:
            rows[:, k] = at_0 + (at_1 - at_0) * rows[:, k]
    return at_steps(contract, now, rows, robot)[:, [joints.index(n) for n in robot.joint_names]]


def poses_of(contract: WireContract, answer: Any) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3 + n) poses of the tool and (T, K) rad or m of `action_joints`, as a policy answered.

    Raises:
        WireError: as `positions_of`.
    """
    turn = [f"rotation {k}" for k in range(_ROTATIONS[contract.rotation])]
    names = ("x", "y", "z", *turn)
    rows = _rows_of(contract, answer, (*names, *contract.action_joints))
    others = rows[:, len(names) :]
    for k, name in enumerate(contract.action_joints):
        at_0, at_1 = contract.ends.get(name, (0.0, 1.0))
        others[:, k] = at_0 + (at_1 - at_0) * others[:, k]
    return rows[:, : len(names)], others


def _rows_of(contract: WireContract, answer: Any, names: tuple[str, ...]) -> np.ndarray:
    """(T, K) finite numbers of an answer; raises `WireError`."""
    if isinstance(answer, Mapping) and isinstance(said := answer.get("error"), str) and said:
        raise WireError(f"it answers with an error: {said[-200:]!r}")
    if contract.action_parts:
        parts = [_rows(_value(answer, k), v) for k, v in contract.action_parts.items()]
        if len(sizes := {len(rows) for rows in parts}) > 1:
            raise WireError(f"the actions have parts of {sorted(sizes)} steps")
        return np.concatenate(parts, axis=1)
    array = _value(answer, contract.actions) if contract.actions else answer
    if contract.tool and isinstance(array, np.ndarray) and array.ndim == 1:
        array = array[None]  # one step
    return _rows(array, names)


def _value(answer: Any, key: str) -> Any:
    if not isinstance(answer, Mapping) or key not in answer:
        found = ", ".join(map(str, answer)) if isinstance(answer, Mapping) else "no map"
        raise WireError(f"the answer has no '{key}'; it has {found[:200]}")
    return answer[key]


def _rows(array: Any, names: tuple[str, ...]) -> np.ndarray:
    # whole numbers were rounded, or are tokens
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise WireError(f"the actions are no array of floats, found {_kind(array)}")
    if array.ndim != 2 or not len(array) or array.shape[1] != len(names):
        raise WireError(
            f"the actions are {array.shape}, expected (T, {len(names)}): {', '.join(names)}"
        )
    rows: np.ndarray = array.astype(np.float64)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise WireError(f"the actions have a {rows[row, column]} for '{names[column]}'")
    return rows


def actions_of(
    contract: WireContract, positions: np.ndarray, observation: Observation
) -> np.ndarray:
    """(T, K) what a client with this contract is answered, from (T, A) rad or m."""
    names = observation.joints.joint_names
    columns = [names.index(name) for name in contract.action_joints]
    rows = positions[:, columns]
    now = np.asarray(observation.joints.positions, dtype=float)[columns]
    for k, name in enumerate(contract.action_joints):
        at_0, at_1 = contract.ends.get(name, (0.0, 1.0))
        if name in contract.relative:
            rows[:, k] = (rows[:, k] - now[k]) / (at_1 - at_0)
        elif name in contract.incremental:
            rows[:, k] = np.diff(rows[:, k], prepend=now[k]) / (at_1 - at_0)
        elif name in contract.ends:
            rows[:, k] = (rows[:, k] - at_0) / (at_1 - at_0)
    return rows


def frames_of(contract: WireContract, message: Mapping[str, Any], robot: Embodiment) -> np.ndarray:
    """(N, V, H, W, 3) uint8 frames of a request in the robot's size, the newest last.

    Raises:
        WireError: a key is missing, no RGB picture, or as many frames are not there of each view.
    """
    found: dict[str, np.ndarray] = {}
    for key, view in contract.images.items():
        value = message.get(key)
        if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
            raise WireError(f"'{key}' is no array of uint8, found {_kind(value)}")
        if value.ndim not in (3, 4) or value.shape[-1] != 3 or 0 in value.shape:
            raise WireError(f"'{key}' is {value.shape}, expected (H, W, 3) or (N, H, W, 3)")
        found[view] = value if value.ndim == 4 else value[None]
    sizes = {view: len(value) for view, value in found.items()}
    if len(set(sizes.values())) > 1:
        raise WireError(f"as many frames of each view, found {sizes}")
    black = np.zeros((1, 1, 1, 3), np.uint8).repeat(next(iter(sizes.values())), 0)
    size = (robot.image_height, robot.image_width)
    views = [found.get(view, black) for view in robot.view_names]
    # stacking copies what is in size already
    pictures = [v if v.shape[1:3] == size else resize(v, *size) for v in views]
    return np.stack(pictures, axis=1)


def joints_of(contract: WireContract, message: Mapping[str, Any], robot: Embodiment) -> np.ndarray:
    """(A,) rad or m of a request; nothing is made up for what is missing.

    Raises:
        WireError: a key is missing, no numbers, of another size, not finite, or a joint is in no
            key.
    """
    found: dict[str, float] = {}
    for key, names in contract.state.items():
        values = _numbers(message.get(key), len(names))
        if values is None:
            listed = ", ".join(names)
            raise WireError(
                f"'{key}' is no array of {len(names)} numbers: {listed}; found "
                f"{_kind(message.get(key))}"
            )
        for name, number in zip(names, values, strict=True):
            if not math.isfinite(number):
                raise WireError(f"'{key}' has a {number} for '{name}'")
            at_0, at_1 = contract.ends.get(name, (0.0, 1.0))
            found[name] = at_0 + (at_1 - at_0) * number
    if missing := [name for name in robot.joint_names if name not in found]:
        raise WireError(f"the contract '{contract.name}' has no state of '{missing[0]}'")
    return np.array([found[name] for name in robot.joint_names])


def _numbers(value: Any, n: int) -> list[float] | None:
    """`n` numbers, with or without a batch dimension of one robot; None for anything else.

    An array has floats: one of whole numbers was rounded, or is of another unit. Another order of
    axes than (n,) or (1, n) is another meaning.
    """
    if isinstance(value, np.ndarray):
        fits = value.dtype.kind == "f" and value.shape in ((n,), (1, n), ())
        return value.reshape(-1).tolist() if fits and value.size == n else None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        (value,) = value
    numbers = value if isinstance(value, list) else [value]
    fits = len(numbers) == n and all(type(x) in (int, float) for x in numbers)
    return [float(x) for x in numbers] if fits else None


def _kind(value: Any) -> str:
    """What a value is, in a word or two."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return "nothing" if value is None else type(value).__name__


def _to_wire(contract: WireContract, joint: str, value: float) -> float:
    at_0, at_1 = contract.ends.get(joint, (0.0, 1.0))
    return (value - at_0) / (at_1 - at_0)


def _sized(image: np.ndarray, contract: WireContract) -> np.ndarray:
    """A picture in the size of the contract."""
    height, width = contract.image_height, contract.image_width
    if not height or image.shape[:2] == (height, width):
        return image
    if not contract.pad:
        return resize(image, height, width)
    share = min(height / image.shape[0], width / image.shape[1])
    inner = [max(1, round(n * share)) for n in image.shape[:2]]
    top = (height - inner[0]) // 2
    left = (width - inner[1]) // 2
    padded = np.zeros((height, width, 3), np.uint8)
    padded[top : top + inner[0], left : left + inner[1]] = resize(image, *inner)
    return padded


def at_steps(
    contract: WireContract, now: np.ndarray, rows: np.ndarray, robot: Embodiment
) -> np.ndarray:
    """(T, K) at the robot's step periods and within its horizon, on straight lines from where it
    was observed. Rows at these periods stay as they are, also where they are fewer.

    Raises:
        WireError: rows at other periods end before the robot's horizon.
    """
    period_s = contract.step_period_s or robot.step_period_s
    if period_s == robot.step_period_s:
        return rows[: robot.action_horizon]
    due_s = robot.step_period_s * np.arange(1, robot.action_horizon + 1)
    known_s = period_s * np.arange(len(rows) + 1)
    if due_s[-1] > known_s[-1] + 1e-9:
        raise WireError(
            f"the actions are for {known_s[-1]:.2f} s, the robot's horizon is {due_s[-1]:.2f} s"
        )
    path = np.vstack((now, rows))
    return np.stack([np.interp(due_s, known_s, column) for column in path.T], axis=1)


def require_robot(found: object, robot: Embodiment) -> None:
    """Refuse a server's description of itself that is not of this robot.

    Raises:
        WamError: naming what differs.
    """
    if not isinstance(found, Mapping):
        raise WamError("it says nothing of its robot")
    wanted = describe_robot(robot)
    for key, value in wanted.items():
        if found.get(key) != value:
            raise WamError(f"its {key} is {found.get(key)!r:.200}, that of the robot {value!r}")


def describe_robot(robot: Embodiment) -> dict[str, Any]:
    """What `require_robot` compares."""
    return {
        "embodiment": robot.name,
        "joint_names": list(robot.joint_names),
        "view_names": list(robot.view_names),
        "image_height": robot.image_height,
        "image_width": robot.image_width,
        "step_period_s": robot.step_period_s,
        "action_horizon": robot.action_horizon,
    }
