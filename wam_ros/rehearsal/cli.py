"""`wam embodiment rehearse`: replays recorded seconds through a robot and a model, and names what
they do not mean the same by.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from wam_ros.core.angles import TURN
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import require_writable
from wam_ros.rehearsal.findings import RIGHT, SIGN, UNCLEAR, WRONG, ZERO, Finding
from wam_ros.rehearsal.motion import GRID_S, Told, find_lag_s, judge_limits, judge_motion
from wam_ros.rehearsal.take import Series, Take, load_take
from wam_ros.robot.joints import load_joints

if TYPE_CHECKING:
    from wam_ros.core.policy import Policy
    from wam_ros.rehearsal.sight import Scene, View

COLOURS = {RIGHT: "green", UNCLEAR: "yellow", WRONG: "red"}
PREDICTED = "(model)"  # behind the name of a joint
GAINED = 0.2  # of the change, that a joint turned round must explain more of in every view
SEEN = 0.05  # rad or m, of a joint whose direction pictures may tell


@dataclass(frozen=True)
class Rehearse:
    """Replay recorded seconds through a robot and, if given, a model: where commanded, measured and
    predicted joints and pictures do not mean the same, sign, order, unit, zero, gripper direction
    or camera are named. Nothing moves.

    Exit code 0: nothing is wrong, 1: something is, 2: an argument or file is.
    """

    # a name in config/embodiments or the path of a YAML file
    embodiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    # folder of `wam record-sim`, or a recording of `ros2 bag record` with joint_states, commands
    # and pictures
    recording: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="EPISODE|BAG")]
    seconds: float = 10.0  # that are replayed, those with the most motion
    episode: int = 0  # of a folder of demonstrations
    # topic of a bag that the commands are on, trajectories or joint states; empty: that of a
    # trajectory controller, else commanded_state
    command: str = ""
    model: str = ""  # name in config/models, or a path ending in .yaml; empty: none
    checkpoint: str = ""  # its weights; empty: the shipped ones
    instruction: str = ""  # told to the model; empty: what was recorded
    picture: Path | None = None  # draw the joints as curves into this .png


def main(args: Rehearse) -> int:
    """Print the table; 1 when a mistake is named.

    Raises:
        WamError: an argument, the robot, the recording or the model is wrong.
    """
    require_within("--seconds", args.seconds, 1.0, 60.0)
    require_writable("--picture", args.picture)
    if args.picture and args.picture.suffix != ".png":
        raise WamError(f"--picture must end in .png, found {args.picture}")
    embodiment = load_embodiment(args.embodiment)
    recording = load_take(args.recording, embodiment, args.seconds, args.episode, args.command)
    rehearsal = Rehearsal(embodiment, recording)
    findings = rehearsal.judge()
    if args.model:
        from wam_ros.models import load_policy

        policy = load_policy(args.model, args.checkpoint, embodiment)
        findings += rehearsal.judge_model(policy, args.instruction)
    _tell(f"{embodiment.name}: {recording.length_s:.1f} s of {args.recording}", findings)
    if args.picture:
        from wam_ros.rehearsal.curves import draw_curves, save

        told = rehearsal.told
        save(draw_curves(told.names, told.units, rehearsal.curves, findings), args.picture)
    return int(any(f.level == WRONG for f in findings))


class Rehearsal:
    """One recording of one robot.

    Args:
        embodiment: the robot, by whose conventions everything should be.
        recording: of it.
    """

    def __init__(self, embodiment: Embodiment, recording: Take) -> None:
        self.embodiment = embodiment
        self.recording = recording
        self.told = joints_of(embodiment)
        self.t = np.arange(0.0, recording.length_s, GRID_S)
        names = embodiment.joint_names
        measured = {n: self._unwound(n, recording.measured[n]) for n in names}
        self.measured = np.column_stack([measured[n].at(self.t) for n in names])
        self.commanded = np.full(self.measured.shape, np.nan)
        for k, name in enumerate(names):
            if name in recording.commanded:
                asked = self._unwound(name, recording.commanded[name]).at(self.t)
                if self.told.endless[k]:  # whole turns apart is the same
                    turns = np.round(np.median(self.measured[:, k] - asked) / TURN)
                    asked = asked + TURN * turns
                self.commanded[:, k] = asked
        said = ~np.isnan(self.commanded).any(axis=0)
        self.lag_s = (
            find_lag_s(self.commanded[:, said], self.measured[:, said]) if said.any() else 0
        )
        self.curves = {"commanded": (self.t + self.lag_s, self.commanded)} if said.any() else {}
        self.curves["measured"] = (self.t, self.measured)

    def _unwound(self, name: str, series: Series) -> Series:
        """Values of a joint that turns without end, without the leaps of a whole turn."""
        if not self.told.endless[self.told.names.index(name)]:
            return series
        return replace(series, values=np.unwrap(series.values))

    def judge(self) -> list[Finding]:
        """What is found about joints and cameras."""
        found = self._judge_joints()
        return [*found, *self._judge_cameras(any(f.level == WRONG for f in found))]

    def _judge_joints(self) -> list[Finding]:
        shift = round(self.lag_s / GRID_S)
        begins = max((s.t[0] for s in self.recording.commanded.values()), default=0.0)
        first = min(int(np.searchsorted(self.t, begins)), len(self.t) - shift - 2)
        commanded = self.commanded[first : len(self.t) - shift]
        found = {
            f.subject: f for f in judge_motion(commanded, self.measured[first + shift :], self.told)
        }
        beyond = judge_limits(self.measured, self.told, "measured")
        asked = ~np.isnan(commanded).any(axis=0)
        for one in beyond:
            if found[one.subject].level != WRONG or found[one.subject].mistake == ZERO:
                found[one.subject] = one
        filled = np.where(asked, self.commanded, self.measured)
        for one in judge_limits(filled, self.told, "commanded"):
            if found[one.subject].level != WRONG:
                found[one.subject] = one
        return list(found.values())

    def _q_at(self, values: np.ndarray, lag_s: float) -> Callable[[float], np.ndarray]:
        columns = [np.ascontiguousarray(c) for c in values.T]
        return lambda t: np.array([np.interp(t - lag_s, self.t, c) for c in columns])

    def _judge_cameras(self, doubted: bool) -> list[Finding]:
        """Pictures against kinematics; where joints are doubted, by what fits them better."""
        films = self.recording.films
        mounted = [c.name for c in self.embodiment.cameras if c.mount is not None]
        lost = [n for n in self.embodiment.view_names if n not in films]
        found = [Finding(UNCLEAR, n, "no pictures of it were recorded") for n in lost]
        missing = [m for m in ("mujoco", "cv2") if importlib.util.find_spec(m) is None]
        if missing and films:
            words = f"seeing needs the Python module '{missing[0]}': `pip install '.[sim,view]'`"
            return [*found, *(Finding(UNCLEAR, n, words) for n in films)]
        if not films or not mounted:
            words = "no mount tells where this camera stands: `wam calibrate camera` finds it"
            return [*found, *(Finding(UNCLEAR, n, words) for n in films)]
        os.environ.setdefault("MUJOCO_GL", "egl")  # there need not be a screen
        from wam_ros.rehearsal.sight import EXPLAINS, Scene, judge_views, look

        scene = Scene(self.embodiment)
        try:
            views = look(scene, self.recording, self._q_at(self.measured, 0.0))
            if doubted and not np.isnan(self.commanded).any():
                told = look(scene, self.recording, self._q_at(self.commanded, self.lag_s))
                better = sum(v.own for v in told) > sum(v.own for v in views)
                views = told if better else views
                words = f"the pictures fit the {'commanded' if better else 'measured'} joints: it "
                words += f"is the {'measured' if better else 'commanded'} ones that are wrong"
                if max(v.own for v in views) > EXPLAINS:
                    found.append(Finding(RIGHT, "pictures", words))
            judged = judge_views(views, scene.mounted)
            seen = [f for f in judged if f.subject in mounted]
            if not doubted and len(seen) > 1 and any(f.level != RIGHT for f in seen):
                judged = self._turned_joint(scene, judged, views)
        finally:
            scene.close()
        return [*found, *judged]

    def _turned_joint(
        self, scene: Scene, judged: list[Finding], before: list[View]
    ) -> list[Finding]:
        """The same, or the one joint that turns the other way, measured and commanded, where that
        explains all of several views that do not fit.
        """
        from wam_ros.rehearsal.sight import AS_TOLD, judge_views, look

        for k, name in enumerate(self.told.names):
            if self.told.gripper[k] or np.ptp(self.measured[:, k]) < SEEN:
                continue
            turned = self.measured.copy()
            turned[:, k] *= -1
            views = look(scene, self.recording, self._q_at(turned, 0.0), AS_TOLD)
            again = judge_views(views, scene.mounted)
            seen = [f for f in again if f.subject in scene.mounted]
            gained = [
                after.own - max(was.own, 0.0)
                for after, was in zip(views, before, strict=True)
                if was.name in scene.mounted
            ]
            if all(f.level == RIGHT for f in seen) and min(gained) > GAINED:
                words = "turned the other way, measured and commanded, all pictures fit"
                return [Finding(WRONG, name, words, SIGN), *again]
        return judged

    def judge_model(self, policy: Policy, instruction: str) -> list[Finding]:
        """What is found about a model's answers to the recording."""
        from wam_ros.rehearsal.prediction import first_steps

        at = self._q_at(self.measured, 0.0)
        due, steps = first_steps(policy, self.embodiment, self.recording, at, instruction)
        self.curves["predicted"] = (due, steps)
        inside = due < self.recording.length_s
        measured = np.stack([at(t) for t in due[inside]])
        told = replace(self.told, reference="what was recorded")
        found = {f.subject: f for f in judge_motion(measured, steps[inside], told)}
        for one in judge_limits(steps, told, "predicted"):
            if found[one.subject].level != WRONG:
                found[one.subject] = one
        return [replace(f, subject=f"{f.subject} {PREDICTED}") for f in found.values()]


def joints_of(embodiment: Embodiment) -> Told:
    """Limits and units of a robot's joints.

    Raises:
        WamError: what is wrong with its description.
    """
    joints = load_joints(embodiment)
    names = embodiment.joint_names
    chosen = [joints.urdf.joints[n] for n in names]
    endless = np.array([j.kind == "continuous" for j in chosen])
    return Told(
        names=names,
        units=tuple("m" if j.sliding else "rad" for j in chosen),
        lower=np.where(endless, -np.inf, joints.limits.lower),
        upper=np.where(endless, np.inf, joints.limits.upper),
        gripper=np.array([n in embodiment.gripper_joints for n in names]),
        endless=endless,
    )


def _tell(title: str, findings: list[Finding]) -> None:
    table = Table("", "what", "mistake", "", title=title, title_justify="left")
    for f in findings:
        plain = f.words.replace("[", "\\[")
        table.add_row(f"[{COLOURS[f.level]}]{f.level}", f.subject, f.mistake, plain)
    console = Console()
    console.print(table)
    wrong = sum(f.level == WRONG for f in findings)
    words = f"{wrong} wrong" if wrong else "nothing is wrong"
    unclear = sum(f.level == UNCLEAR for f in findings)
    words += f"; {unclear} could not be told" if unclear else ""
    console.print(words, markup=False)
