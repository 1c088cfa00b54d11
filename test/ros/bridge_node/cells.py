"""A simulated arm behind its safety node and its bridge, each a process."""

from std_srvs.srv import SetBool, Trigger

from wam_ros.core.types import SafetyState
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.ros import convert, qos

PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}


class Cell:
    """They, and a model's chunks."""

    def __init__(self, arena, arm, controller="joint_trajectory", embodiment="panda"):
        self.arena, self.arm = arena, arm
        self.chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self.reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        arena.spawn("sim_node", camera_hz=0.5, controller=controller)
        arena.spawn("bridge_node", controller=controller, embodiment=embodiment, **PATIENT)
        arena.spawn("safety_node", joint_timeout_s=2.0, observation_timeout_s=60.0, **PATIENT)
        arena.until(lambda: self.arm.state is not None and self.state == SafetyState.HOLD)
        arena.until_forwarding()
        self._sent_ns = self._begun = 0

    @property
    def state(self):
        return SafetyState(self.reports[-1].state) if self.reports else SafetyState.UNKNOWN

    @property
    def heard(self):
        """Reports since the test began."""
        return self.reports[self._begun :]

    def arm_it(self):
        self.arena.until(lambda: self.arena.call(SetBool, "safety_node/arm", data=True).success)

    def begin_anew(self):
        """Disarmed and at rest, whatever a test before has left."""
        self.arena.call(SetBool, "safety_node/arm", data=False)
        self.arena.call(SetBool, "bridge_node/pause", data=False)
        self.arena.until(self.arm.at_rest)
        if self.state in (SafetyState.FAULT, SafetyState.ESTOP):
            self.arena.until(lambda: self.arena.call(Trigger, "safety_node/reset").success)
        self.arena.until(lambda: self.state == SafetyState.HOLD)
        self._begun = len(self.reports)

    def sway(self):
        """A chunk each 0.3 s that moves on from where the arm is."""
        if self.arena.now_ns() - self._sent_ns > 300_000_000:
            self._sent_ns = self.arena.now_ns()
            self.chunks.publish(convert.chunk_to_msg(self.arm.chunk(0.02, embodiment="panda")))
