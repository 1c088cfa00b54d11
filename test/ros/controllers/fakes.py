"""Controllers by the rules of the real ones, and an arm that follows them, behind real topics,
actions and services.
"""

from __future__ import annotations

import numpy as np
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import JointState

from wam_ros.core import types
from wam_ros.core.admission import SHIPPED
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, Decision, SafetyReport, SafetyState
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.sim_node.controller_server import (
    ControllerServer,
    make_sim_controller,
    read_trajectory,
)
from wam_ros.sim.forward_controller import ForwardController
from wam_ros.sim.trajectory_controller import TrajectoryController

PREEMPTED, PATH = -1, -4  # error codes of FollowJointTrajectory
REASONS = {
    PREEMPTED: "Current goal preempted by new incoming action.",
    PATH: "Aborted due to path tolerance violation",
}
LABELS = ("unknown", "unconfigured", "inactive", "active")  # of lifecycle_msgs/State
PANDA = load_embodiment("panda")
HOME = np.array(PANDA.home)
HOMES = {
    name: q
    for e in (PANDA, load_embodiment("bimanual"))
    for name, q in zip(e.joint_names, e.home, strict=True)
}


def homes(names):
    """Where joints of the Panda, or of two arms, are at home."""
    return np.array([HOMES[n] for n in names])


class Robot:
    """Publishes joint states of what its controllers say, and signs of life of a safety node.

    Args:
        arena: it lives in.
        lag_s: the joints do what was commanded this long ago.
        admission: what the safety node takes the bridge to admit.
        names: its joints.
    """

    def __init__(self, arena, lag_s=0.0, admission=SHIPPED, names=PANDA.joint_names):
        self.names = names
        self.admission = admission
        self.arena, self._lag_ns = arena, round(lag_s * NS)
        self.node = Node("robot", context=arena.context)
        arena.executor.add_node(self.node)
        arena.nodes.append(self.node)
        self._joints = self.node.create_publisher(JointState, "joint_states", qos.JOINTS)
        self._reports = self.node.create_publisher(SafetyReportMsg, "safety_report", qos.STATUS)
        self.parts, self._past, self._activity = [], [], None
        self.state = SafetyState.ARMED

    def control(self, kind, names=PANDA.joint_names, name="", **parameters):
        """Give it a controller of some joints, in their order."""
        node = Node(f"{name.partition('/')[0] or kind}_of_robot", context=self.arena.context)
        self.arena.executor.add_node(node)
        part = SERVERS.get(kind, Simple)(node, kind, list(names), name, self.arena.now_ns)
        self.arena.nodes.append(part)
        part.parameters.update(parameters)
        self.parts.append(part)
        return part

    def manage(self, **parameters):
        """A controller manager that tells its parameters."""
        service = "controller_manager/get_parameters"
        self.node.create_service(GetParameters, service, lambda q, r: answer(parameters, q, r))

    def tell_activity(self, **labels):
        """A controller manager that says in what state its controllers are: active, inactive or
        unconfigured.
        """
        from controller_manager_msgs.msg import ControllerManagerActivity, NamedLifecycleState
        from lifecycle_msgs.msg import State

        self._activity = self._activity or self.node.create_publisher(
            ControllerManagerActivity, "controller_manager/activity", qos.LATCHED
        )
        states = {
            name: State(id=LABELS.index(label), label=label) for name, label in labels.items()
        }
        listed = [NamedLifecycleState(name=name, state=state) for name, state in states.items()]
        self._activity.publish(ControllerManagerActivity(controllers=listed))

    def q(self, now_ns=None):
        """(A,) where the joints are."""
        q = homes(self.names)
        for part in self.parts:
            q[[self.names.index(n) for n in part.joint_names]] = part.sample(
                now_ns or self.arena.now_ns()
            )
        self._past = [*self._past[-500:], (self.arena.now_ns(), q)]
        due = [old for ns, old in self._past if ns <= self.arena.now_ns() - self._lag_ns]
        return due[-1] if due else self._past[0][1]

    def live(self):
        """Joint states and a sign of life, now."""
        now_ns = self.arena.now_ns()
        unknown = np.full(len(self.names), np.nan)
        self._joints.publish(
            convert.joint_state_to_msg(
                types.JointState(now_ns, self.names, self.q(), unknown, unknown)
            )
        )
        report = SafetyReport(now_ns, 0, self.state, Decision.UNKNOWN)
        self._reports.publish(convert.report_to_msg(report, admission=self.admission))


def answer(parameters, request, response):
    """As rclcpp answers: with nothing at all when one name is unknown."""
    if all(name in parameters for name in request.names):
        found = [Parameter(name, value=parameters[name]) for name in request.names]
        response.values = [p.get_parameter_value() for p in found]
    return response


class Part:
    """One controller of the robot."""

    def __init__(self, node, joint_names):
        self.node, self.joint_names, self.deaf, self.dead = node, joint_names, False, False

    def die(self):
        """Leave the network."""
        self.dead = True
        self.node.destroy_node()

    def destroy_node(self):
        """As the arena ends its nodes; a node does not know its actions."""
        if not self.dead:
            self.die()


class Simple(Part):
    """Trajectories by topic, or forwarded commands."""

    def __init__(self, node, kind, joint_names, name, now_ns):
        super().__init__(node, joint_names)
        self.controller = make_sim_controller(kind, joint_names, homes(joint_names))
        self.parameters = ControllerServer(
            node, kind, self.controller, self._clock, name
        ).parameters
        self._now_ns = now_ns

    def _clock(self):
        return None if self.deaf else self._now_ns()

    def sample(self, now_ns):
        """(J,) where its joints are told to be."""
        return self.controller.sample(now_ns).q


class Goals(Part):
    """An action whose newest goal replaces the one before, which ends as aborted."""

    def __init__(self, node, joint_names, kind, topic, name):
        from rclpy.action import ActionServer, GoalResponse

        super().__init__(node, joint_names)
        self._answers = GoalResponse
        self._kind = kind
        self._server = ActionServer(
            node, kind, f"{name}/{topic}", self._execute, goal_callback=self._on_goal
        )
        self.parameters = {"joints": joint_names}
        node.create_service(
            GetParameters, f"{name}/get_parameters", lambda q, r: answer(self.parameters, q, r)
        )
        self.goals, self._future = [], None

    def _on_goal(self, goal):
        accepted = not self.deaf and self.take(goal)
        return self._answers.ACCEPT if accepted else self._answers.REJECT

    async def _execute(self, handle):
        self.end(PREEMPTED)
        self._future = future = Future()
        result = self._kind.Result()
        code = await future
        if code and hasattr(result, "error_code"):
            result.error_code, result.error_string = code, REASONS[code]
        (handle.abort if code else handle.succeed)()
        return result

    def end(self, code=0):
        """The running goal ends, by success or with one of `REASONS`."""
        future, self._future = self._future, None
        if future is not None:
            future.set_result(code)

    def die(self):
        self._server.destroy()
        super().die()


class FollowServer(Goals):
    """`joint_trajectory_controller` by its action."""

    def __init__(self, node, kind, joint_names, name, now_ns):
        from control_msgs.action import FollowJointTrajectory

        name = name or "joint_trajectory_controller"
        super().__init__(node, joint_names, FollowJointTrajectory, "follow_joint_trajectory", name)
        self.controller, self._now_ns = (
            TrajectoryController(joint_names, homes(joint_names)),
            now_ns,
        )

    def take(self, goal):
        self.goals.append(goal)
        why = self.controller.set_trajectory(*read_trajectory(goal.trajectory), self._now_ns())
        return not why

    def sample(self, now_ns):
        if self.controller.active and now_ns > self.controller.end_ns():
            self.end()
        return self.controller.sample(now_ns).q


class GripperServer(Goals):
    """A gripper that closes until something is between its fingers."""

    def __init__(self, node, kind, joint_names, name, now_ns):
        import control_msgs.action

        action = {
            "gripper_command": "GripperCommand",
            "parallel_gripper_command": "ParallelGripperCommand",
        }[kind]
        name, _, own = (name or "gripper_controller").partition("/")
        super().__init__(
            node, joint_names, getattr(control_msgs.action, action), own or "gripper_cmd", name
        )
        self.parameters = {"joint": joint_names[0], "allow_stalling": True}
        self.position, self.least = homes(joint_names), 0.0

    def take(self, goal):
        self.goals.append(goal)
        told = goal.command.position
        self.position[:] = max(self.least, told if isinstance(told, float) else told[0])
        return True

    def sample(self, now_ns):
        return self.position


class ServoServer(Part):
    """MoveIt Servo: takes no command before it was told of what kind, integrates jogs, stops when
    they stop coming.
    """

    TIMEOUT_NS = 100_000_000

    def __init__(self, node, kind, joint_names, name, now_ns):
        from control_msgs.msg import JointJog
        from moveit_msgs.srv import ServoCommandType

        super().__init__(node, joint_names)
        self._integral, self._now_ns = (
            ForwardController(joint_names, homes(joint_names), "velocity"),
            now_ns,
        )
        self._heard_ns, self.kind, self.kinds = 0, None, (0, 1, 2)
        self.parameters = {
            "moveit_servo.command_in_type": "speed_units",
            "moveit_servo.incoming_command_timeout": 0.1,
        }
        name = name or "servo_node"
        node.create_subscription(JointJog, f"{name}/delta_joint_cmds", self._on_jog, qos.STREAM)
        node.create_service(
            GetParameters, f"{name}/get_parameters", lambda q, r: answer(self.parameters, q, r)
        )
        node.create_service(ServoCommandType, f"{name}/switch_command_type", self._on_kind)

    def _on_kind(self, request, response):
        if request.command_type in self.kinds:
            self.kind = request.command_type
        response.success = request.command_type == self.kind
        return response

    def _on_jog(self, msg):
        by_name = dict(zip(msg.joint_names, msg.velocities, strict=True))
        if self.deaf or self.kind != 0 or not set(by_name) <= set(self.joint_names):
            return
        self._heard_ns = convert.time_to_ns(msg.header.stamp)
        self._integral.command([by_name.get(n, 0.0) for n in self.joint_names], self._now_ns())

    def sample(self, now_ns):
        if now_ns - self._heard_ns > self.TIMEOUT_NS:
            self._integral.command([0.0] * len(self.joint_names), now_ns)
        return self._integral.sample(now_ns).q


SERVERS = {
    "follow_joint_trajectory": FollowServer,
    "servo": ServoServer,
    "gripper_command": GripperServer,
    "parallel_gripper_command": GripperServer,
}
