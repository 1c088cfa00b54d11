"""An embodiment as a YAML file that a person can read and edit."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from wam_ros.core.embodiment import Embodiment
from wam_ros.embodiments.draft import Draft
from wam_ros.robot.joints import Limits


def as_yaml(draft: Draft, urdf: str, srdf: str, arguments: dict[str, str]) -> str:
    """The file; what was guessed is said in its comments.

    Args:
        draft: the embodiment and its model.
        urdf: the description as the file is to name it.
        srdf: the file of pairs.
        arguments: of a xacro file.
    """
    e = draft.embodiment
    model = draft.model
    lines = [
        f"# {e.name}: made by `wam embodiment new`. What is guessed is marked (?): look at it, and",
        "# then at what `wam embodiment check` says of this file.",
        f"name: {e.name}",
        f"urdf: {urdf}",
        f"srdf: {srdf} # pairs of links that are not watched: review it",
        f"base_frame: {e.base_frame} # (?)",
        f"tool_frame: {e.tool_frame} # (?)",
    ]
    if arguments:
        lines.append(f"xacro_arguments: {_flow(arguments)}")
    if e.packages:
        lines.append(f"packages: {_flow(e.packages)}")
    if e.other_tool_frames:
        lines.append(f"other_tool_frames: {_flow(e.other_tool_frames)}")
    lines += ["joint_names:", *_joints(e, model.limits, model.units)]
    lines.append(f"gripper_joints: {_flow(e.gripper_joints)}")
    lines.append(f"home: {_flow(e.home)} # rad or m (?): {draft.origin}")
    if e.parked:
        lines += ["# rad or m, where the other joints stand (?)", "parked:"]
        lines += [f"  {name}: {value:g}" for name, value in e.parked.items()]
    if e.sensed:
        lines += ["# rad or m at home (?), of joints that joint_states tells", "sensed:"]
        lines += [f"  {name}: {value:g}" for name, value in e.sensed.items()]
    lines += [
        "# where the URDF tells neither; these are calm values (?)",
        f"max_acceleration: {_flow(e.max_acceleration)} # rad/s^2 or m/s^2",
        f"max_jerk: {_flow(e.max_jerk)} # rad/s^3 or m/s^3",
    ]
    told = ("unguarded", "clearance", "effort_limit", "velocity_limit", "mass")
    for key in (*told, "supported_by_spring"):
        if getattr(e, key):
            lines.append(f"{key}: {_flow(getattr(e, key))}")
    for words in (*model.warnings, *model.why_not_at_home()):
        lines.append(f"# (!) {words}")
    lines += ["cameras: # in the order in which the model was trained (?)"]
    lines += [f"  - {{name: {c.name}, image_topic: {c.image_topic}}}" for c in e.cameras]
    lines += [
        f"image_height: {e.image_height}",
        f"image_width: {e.image_width}",
        f"frame_rate_hz: {e.frame_rate_hz}",
        f"step_period_s: {e.step_period_s}",
        f"action_horizon: {e.action_horizon}",
        f"controller: {e.controller}",
        f"world: {e.world} # what stands around it",
    ]
    return "\n".join(lines) + "\n"


def _joints(e: Embodiment, limits: Limits, units: tuple[str, ...]) -> Iterable[str]:
    """One line for each joint, with its limits."""
    width = max(map(len, e.joint_names))
    for k, name in enumerate(e.joint_names):
        unit = units[k]
        force = "Nm" if unit == "rad" else "N"
        yield (
            f"  - {name:<{width}} # {limits.lower[k]:g} to {limits.upper[k]:g} {unit}, "
            f"{limits.velocity[k]:g} {unit}/s, {limits.effort[k]:g} {force}"
        )


def _flow(value: object) -> str:
    """On one line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10**6, sort_keys=False).strip()
