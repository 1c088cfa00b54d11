"""A body with two arms, a head, a lift and legs, as a maker may describe one."""

from __future__ import annotations

from pathlib import Path

INERTIAL = (
    '<inertial><origin xyz="0 0 0.1"/><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.005" '
    'ixy="0" ixz="0" iyz="0"/></inertial>'
)
ROD = (
    '<collision><origin xyz="0 0 0.1"/><geometry><cylinder radius="0.03" '
    'length="0.14"/></geometry></collision>'
)
TURN = '<limit lower="-2" upper="2" velocity="2" effort="90"/>'
SLIDE = '<limit lower="0" upper="0.3" velocity="0.2" effort="900"/>'


def link(name: str, body: str = ROD, inertial: str = INERTIAL) -> str:
    return f'<link name="{name}">{inertial}{body}</link>'


def joint(
    name: str,
    parent: str,
    child: str,
    xyz: str = "0 0 0.2",
    axis: str = "0 1 0",
    kind: str = "revolute",
    more: str = TURN,
) -> str:
    return (
        f'<joint name="{name}" type="{kind}"><origin xyz="{xyz}"/><parent link="{parent}"/><child '
        f'link="{child}"/><axis xyz="{axis}"/>{more}</joint>'
    )


def arm(side: str, y: float, n: int = 5, effort: int = 90) -> str:
    """An arm of n joints with a gripper of two fingers, of which one follows, and a tool frame."""
    text = ""
    before = "torso"
    for k in range(n):
        name = f"{side}_arm_{k + 1}"
        turn = TURN.replace('effort="90"', f'effort="{effort}"')
        place = f"0 {y} 0.4" if k == 0 else "0 0 0.2"
        axis = ("0 0 1", "0 1 0")[k % 2]
        text += link(f"{name}_link") + joint(name, before, f"{name}_link", place, axis, more=turn)
        before = f"{name}_link"
    text += f'<link name="{side}_tool0"/>' + joint(
        f"{side}_flange", before, f"{side}_tool0", kind="fixed", more=""
    )
    small = ROD.replace("0.03", "0.01").replace("0.14", "0.05")
    light = INERTIAL.replace('mass value="1"', 'mass value="0.05"').replace("0.01", "0.0001")
    for finger, mimic in (("open", ""), ("mirror", f'<mimic joint="{side}_finger_open"/>')):
        name = f"{side}_finger_{finger}"
        text += link(f"{name}_link", small, light.replace("0.005", "0.0001"))
        place = f"0 {0.03 if mimic else -0.03} 0.2"
        more = SLIDE.replace("0.3", "0.04") + mimic
        text += joint(name, before, f"{name}_link", place, "0 1 0", "prismatic", more)
    return text


def leg(side: str, y: float) -> str:
    text = ""
    before = "base_link"
    for k, name in enumerate(("hip", "thigh", "calf", "knee", "ankle")):
        place = f"0 {y} -0.1" if k == 0 else "0 0 -0.2"
        text += link(f"{side}_{name}_link") + joint(
            f"{side}_{name}", before, f"{side}_{name}_link", place
        )
        before = f"{side}_{name}_link"
    return text


def write_body(folder: Path, changed: str = "") -> Path:
    """The description of it; `changed` replaces everything but the base and the torso."""
    parts = changed or arm("left", 0.35) + arm("right", -0.35) + leg("left", 0.1) + leg(
        "right", -0.1
    )
    head = link("head") + joint("head_pan", "torso", "head", "0 0 0.7", "0 0 1")
    lift = joint("lift", "base_link", "torso", "0 0 0.3", "0 0 1", "prismatic", SLIDE)
    text = f'<robot name="body">{link("base_link")}{link("torso")}{lift}{head}{parts}</robot>'
    path = folder / "body.urdf"
    path.write_text(text)
    return path


STATES = (
    '<robot name="body"><group_state name="ready" group="all"><joint name="left_arm_2" '
    'value="0.5"/><joint name="left_arm_1" value="0.1"/><joint name="lift" value="0.2"/>'
    '<joint name="left_arm_4" value="0.3"/><joint name="root" value="0 0 1"/></group_state></robot>'
)
