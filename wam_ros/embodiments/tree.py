"""Arms, grippers and tools guessed from the tree of a robot description."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wam_ros.core.errors import WamError
from wam_ros.robot.inertias import rigid_groups
from wam_ros.robot.urdf import Urdf, UrdfJoint

ARM = 4  # joints in a row that make an arm
HAND = 2  # joints of a gripper that is commanded; more are a hand, which stands
LEGS = re.compile(r"hip|knee|ankle|leg|foot|thigh|calf|wheel|caster|haa|hfe|kfe", re.IGNORECASE)
FINGERS = re.compile(r"grip|finger|jaw|claw|thumb", re.IGNORECASE)
# names of the frame that a tool is told by, the best first
TOOLS = ("tcp", "tool", "ee", "end_effector", "gripper_frame", "grasp", "gripper", "hand", "flange")
BASES = ("base_link", "base")


@dataclass(frozen=True)
class Arm:
    """Joints from the body to the hand, and those of its gripper."""

    joints: tuple[str, ...]
    gripper: tuple[str, ...]
    hand: tuple[str, ...]  # joints behind the arm that are too many for a gripper
    tool: str  # link

    def called(self, word: str) -> bool:
        """Whether a person who says `word` means it: a name of it has a part that begins so."""
        begins = re.compile(rf"(^|[_\-/]){re.escape(word)}", re.IGNORECASE)
        return any(begins.search(name) for name in (*self.joints, self.tool))


def find_arms(urdf: Urdf) -> list[Arm]:
    """Every arm of a robot, in the order of its description.

    An arm is four joints or more in a row, none of them called like a leg's, and not the trunk of
    longer ones; a joint that turns and carries an arm, and beside it no other, is its first. What
    follows it in the row and is called like a finger, or slides as another one does that follows
    it, or what branches off at its end, is its gripper.
    """
    arms = []
    starts = _next(urdf, _root(urdf))
    while starts:
        row, after = _row(urdf, starts.pop(0))
        # what pans a head may hang on the first joints of an arm
        long = [j for j in after if len(_row(urdf, j)[0]) >= ARM]
        if len(row) < ARM and len(long) == 1 and not any(j.sliding for j in row):
            starts = [*(j for j in after if j not in long), *starts]
            on, after = _row(urdf, long[0])
            row += on
        own = [j for j in row if not FINGERS.search(j.name)]
        if own and own[-1].sliding and any(j.mimic == own[-1].name for j in urdf.joints.values()):
            own.pop()
        # a lift and a waist may be as many joints as an arm; what they carry is longer
        trunk = any(len(_row(urdf, j)[0]) > len(row) for j in after)
        if len(own) < ARM or trunk or any(LEGS.search(j.name) for j in own):
            starts = [*after, *starts]
            continue
        rest = [j.name for j in row if j not in own] + [j.name for j in _below(urdf, row[-1])]
        few = len(rest) <= HAND
        arms.append(
            Arm(
                joints=tuple(j.name for j in own),
                gripper=tuple(rest) if few else (),
                hand=() if few else tuple(rest),
                tool=find_tool(urdf, own[-1].child),
            )
        )
    return arms


def _row(urdf: Urdf, first: UrdfJoint) -> tuple[list[UrdfJoint], list[UrdfJoint]]:
    """Joints one after another from `first` on, and those that branch off behind the last one."""
    row = [first]
    while len(after := _next(urdf, row[-1].child)) == 1:
        row += after
    return row, after


def choose_arms(arms: list[Arm], words: tuple[str, ...]) -> list[Arm]:
    """The arms that are meant; all of them if nothing is said.

    Raises:
        WamError: there is none, or a word fits none; lists them.
    """
    listed = "; ".join(", ".join(arm.joints) for arm in arms)
    if not arms:
        raise WamError(f"no arm is found ({ARM} joints in a row); name its joints with --joint")
    for word in words:
        if not any(arm.called(word) for arm in arms):
            raise WamError(f"no arm is called '{word}'; found are: {listed}")
    return [arm for arm in arms if not words or any(arm.called(w) for w in words)]


def stuck_joints(urdf: Urdf) -> list[str]:
    """Joints whose limits leave them no way to go; they are no part of an arm."""
    return [n for n, j in urdf.joints.items() if _stuck(j)]


def _stuck(joint: UrdfJoint) -> bool:
    return joint.lower >= joint.upper and not joint.mimic


def find_tool(urdf: Urdf, link: str) -> str:
    """The frame of a tool among the links fixed to `link`; the farthest of the best name."""
    fixed = next(group for group in rigid_groups(urdf, ()) if link in group)
    for name in TOOLS:
        word = re.compile(rf"(^|[_\-/\d]){name}($|[_\-/\d])", re.IGNORECASE)
        if found := [n for n in fixed if word.search(n)]:
            return next((n for n in found if n.lower().endswith(name)), found[-1])
    children = {parent for parent, _ in urdf.fixed()}
    return next((n for n in reversed(fixed) if n not in children), link)


def find_base(urdf: Urdf) -> str:
    """A link that stands, by the usual names; else the root."""
    root = _root(urdf)
    standing = next(group for group in rigid_groups(urdf, ()) if root in group)
    return next((name for name in BASES if name in standing), root)


def _root(urdf: Urdf) -> str:
    hung = {child for _, child in urdf.fixed()} | {j.child for j in urdf.joints.values()}
    return next(name for name in urdf.links() if name not in hung)


def _next(urdf: Urdf, link: str) -> list[UrdfJoint]:
    """Joints that are not reached through another one from a link; followers are passed by, and
    what is stuck.
    """
    found = []
    stack = [link]
    below: dict[str, list[tuple[str, UrdfJoint | None]]] = {}
    for parent, child in urdf.fixed():
        below.setdefault(parent, []).append((child, None))
    for moving in urdf.joints.values():
        below.setdefault(moving.parent, []).append((moving.child, moving))
    while stack:
        for child, joint in below.get(stack.pop(), []):
            if joint is None or joint.mimic or _stuck(joint):
                stack.append(child)
            else:
                found.append(joint)
    order = list(urdf.joints)
    return sorted(found, key=lambda j: order.index(j.name))


def _below(urdf: Urdf, joint: UrdfJoint) -> list[UrdfJoint]:
    """All joints behind one, but for followers."""
    found = _next(urdf, joint.child)
    for j in found:  # it grows meanwhile
        found += _next(urdf, j.child)
    return found
