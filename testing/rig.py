"""A state machine, a robot that follows it, and their clock."""

from __future__ import annotations

import dataclasses

import numpy as np

from testing.tools import START, make_chunk
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.types import Decision, JointState, SafetyState
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.params import SafetyParams

MS = 1_000_000
LEAD_NS = round(SafetyParams().lead_s * 1e9)
TURN = np.r_[0.03, 0.02, 0, 0, 0, 0, 0.02, 0]  # rad per step


def untimed(model: SafetyModel, params: SafetyParams) -> SafetyFilter:
    """A filter for which no time passes while it looks: a busy computer changes no answer."""
    safety = SafetyFilter(model, params, stopwatch=lambda: 0.0)
    safety.attention.clock = lambda: 0.0
    return safety


class Rig:
    """A machine, a robot that follows it, and their clock."""

    def __init__(
        self,
        panda: SafetyFilter,
        home,
        dry_run: bool = False,
        admission: Admission = SHIPPED,
        **params,
    ) -> None:
        self.filter = untimed(panda.model, SafetyParams(**params))
        self.machine = SafetyMachine(self.filter, dry_run, admission)
        self.home, self.now, self.seq = np.array(home), START, 0
        self.measured = np.array(home)
        self.follow = True
        self.emitted: list = []

    def joints(self, q=None, dq=None, stamp=None):
        commanded = self.machine.commanded(self.now)
        if self.follow and commanded is not None and q is None:
            self.measured = commanded.q
            dq = commanded.dq
        q = self.measured if q is None else np.asarray(q, dtype=float)
        dq = np.zeros(len(q)) if dq is None else dq
        names = self.filter.model.joint_names
        state = JointState(stamp or self.now, names, q, dq, np.zeros(len(q)))
        return self.keep(self.machine.on_joints(state, self.now))

    def keep(self, output):
        trajectory = getattr(output, "trajectory", None)
        if trajectory is not None:
            self.emitted.append(trajectory)
        return output

    def run(self, seconds: float, joints: bool = True, step_ms: int = 10):
        """Let time pass; returns the reports of the ticks."""
        reports = []
        for _ in range(round(seconds * 1000 / step_ms)):
            self.now += step_ms * MS
            if joints:
                self.joints()
            reports.append(self.keep(self.machine.tick(self.now)).report)
        return reports

    def chunk(self, path=None, rate=TURN, **more):
        self.seq += 1
        if path is None:
            q = (
                self.machine.commanded(self.now).q
                if self.machine.commanded(self.now)
                else self.measured
            )
            path = q + np.outer(np.arange(1, 9), rate)
        chunk = make_chunk(self.filter.model.joint_names, path, age=0, now=self.now, seq=self.seq)
        return self.keep(self.machine.on_chunk(dataclasses.replace(chunk, **more), self.now))

    def held(self):
        self.machine.enable(self.now)
        self.joints()
        self.keep(self.machine.tick(self.now))
        return self

    def armed(self):
        answer = self.held().machine.arm(True, self.now)
        assert answer.ok, answer.message
        return self

    def moving(self):
        assert self.armed().chunk().report.decision == Decision.PASS
        self.run(0.2)
        return self

    def brought_to(self, state: SafetyState):
        if state in (SafetyState.SHADOW, SafetyState.HOLD):
            self.held()
        elif state != SafetyState.DISABLED:
            self.moving()
        if state == SafetyState.BRAKING:
            self.machine.arm(False, self.now)
        elif state == SafetyState.FAULT:
            self.run(0.8, joints=False)
        elif state == SafetyState.ESTOP:
            self.machine.estop(self.now)
        return self

    @property
    def state(self):
        return self.machine.state

    @property
    def at_rest(self) -> bool:
        commanded = self.machine.commanded(self.now)
        return commanded is None or not commanded.dq.any()
