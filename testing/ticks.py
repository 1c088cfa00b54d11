"""What controllers make of trajectories, tick by tick: how smooth the motion is where one follows
another.

A trajectory goes through the bridge's gate to simulated trajectory controllers that are sent
accelerations, velocities or positions only. Nothing but their positions is read, at the rate of a
controller: velocity and acceleration are differences of what the arm is told. A change between two
ticks is given as share of what the limit of the joint allows in one (velocity, acceleration and
jerk times the tick): above 1 is a jump that the limit does not explain.
"""

from __future__ import annotations

import numpy as np

from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.core.types import NS, JointState, SafeTrajectory
from wam_ros.robot.model import SafetyModel
from wam_ros.sim.trajectory_controller import TrajectoryController

TICK_NS = NS // 1000
MARGIN = 20  # ticks before a trajectory comes and after it begins
# what points carry: all, no accelerations, positions only
POINTS = {"quintic": 5, "cubic": 3, "linear": 1}


def shares(q: np.ndarray, limits: np.ndarray, tick_s: float) -> np.ndarray:
    """(3,) largest change of position, velocity and acceleration between ticks, as share of what
    limits allow in one.

    Args:
        q: (N, A) positions at neighbouring ticks, rad or m.
        limits: (3, A) of velocity, acceleration and jerk.
        tick_s: between two positions.
    """
    found = [np.abs(np.diff(q, n + 1, axis=0)) / tick_s ** (n + 1) / limits[n] for n in range(3)]
    return np.array([change.max(initial=0.0) for change in found])


class Controllers:
    """The bridge's gate and three controllers behind it; the clock comes by argument.

    Args:
        model: whose joints and limits they have.
        q0: (A,) where the arm stands.
    """

    def __init__(self, model: SafetyModel, q0: np.ndarray) -> None:
        own = model.limits
        self.limits = np.stack((own.velocity, own.acceleration, own.jerk))
        self.names, self._held = model.joint_names, np.array(q0, dtype=float)
        self.gate = Gate(load_gate_limits(model.embodiment, 0.05, 0.01))
        self.outputs = {points: TrajectoryController(self.names, q0) for points in POINTS}

    def take(
        self, trajectory: SafeTrajectory, now_ns: int, arm: np.ndarray
    ) -> tuple[str, dict[str, np.ndarray]]:
        """Send a trajectory and watch it begin.

        Args:
            trajectory: in the order of the model's joints.
            now_ns: when it comes.
            arm: (A,) bool, joints that count.

        Returns:
            Why the gate refused it, or '', and the shares (3,) by what points carry.
        """
        ahead = max(0, trajectory.start_ns - now_ns) // TICK_NS
        ticks = now_ns + TICK_NS * np.arange(-MARGIN, ahead + MARGIN + 1)
        before = {p: [c.sample(int(t)).q for t in ticks[:MARGIN]] for p, c in self.outputs.items()}
        self.gate.on_heartbeat(now_ns)
        measured, unknown = before["quintic"][-1], np.zeros(len(self._held))
        self.gate.on_joints(JointState(now_ns, self.names, measured, unknown, unknown))
        sent, refusal = self.gate.admit(trajectory, now_ns, now_ns)
        if sent is None:
            return refusal, {}
        found = {}
        for points, controller in self.outputs.items():
            dq, ddq = (
                (sent.dq if POINTS[points] > 1 else None),
                (sent.ddq if POINTS[points] > 3 else None),
            )
            error = controller.set_trajectory(
                start_ns=sent.start_ns,
                joint_names=sent.joint_names,
                t=sent.t,
                q=sent.q,
                dq=dq,
                ddq=ddq,
                now_ns=now_ns,
            )
            assert error == ""
            path = np.array(
                [*before[points], *(controller.sample(int(t)).q for t in ticks[MARGIN:])]
            )
            found[points] = shares(path[:, arm], self.limits[:, arm], TICK_NS / NS)
        return "", found
