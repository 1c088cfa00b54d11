"""What a node tells a simulated world that waits for it (`wam_ros.core.lockstep`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration

from wam_ros.core.errors import WamError
from wam_ros.core.lockstep import Progress
from wam_ros.msg import LoopProgress
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.params import param

AGAIN_S = 0.25  # between two words that say the same: that the node lives


@dataclass(frozen=True)
class LockstepParams:
    """Of every node that a simulated world may wait for."""

    lockstep: bool = param(
        False, doc="a simulated world waits for this node (sim_node, lockstep); needs use_sim_time"
    )


class ProgressTeller:
    """Tells how far a node has come; without `lockstep` it says nothing and costs nothing.

    Made by the `configure` of the node, and started and stopped with it.

    Args:
        node: that tells; it has `LockstepParams`.
        on_clock: called whenever the world's clock has moved, before that is told.

    Raises:
        WamError: lock-step by a clock that no simulation gives: a real robot waits for nobody.
    """

    def __init__(self, node: WamNode, on_clock: Callable[[], None] = lambda: None) -> None:
        self.enabled = node.params_of(LockstepParams).lockstep
        self.heard = self.said = self.until_ns = 0
        self._node = node
        self._on_clock = on_clock
        self._at_ns = 0
        self._told: Progress | None = None
        self._started = False
        if not self.enabled:
            return
        if not node.get_parameter("use_sim_time").value:
            raise WamError(
                "lockstep needs use_sim_time: only a simulated world waits, a real robot does not"
            )
        self._publisher = node.create_publisher(LoopProgress, "loop_progress", qos.STATUS)

    def start(self) -> None:
        """From now on the world waits for the node."""
        self.heard = self.said = self.until_ns = 0
        self._told = None
        if not self.enabled:
            return
        threshold = JumpThreshold(
            min_forward=Duration(nanoseconds=1),
            min_backward=Duration(nanoseconds=-1),
            on_clock_change=False,
        )
        self._jump = self._node.get_clock().create_jump_callback(
            threshold, post_callback=lambda _jump: self._clock_moved()
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(AGAIN_S, self._again, clock=steady)
        self._started = True
        self.tell()

    def stop(self) -> None:
        """The world need not wait any more."""
        if not self._started:
            return
        self._started = False
        self._jump.unregister()
        self._node.destroy_timer(self._timer)
        self._publish(Progress(self._node.get_name(), leaves=True))

    def tell(self) -> None:
        """Say how far the node has come, where that is new."""
        if not self._started:
            return
        progress = Progress(
            node=self._node.get_name(),
            at_ns=self._at_ns,
            heard=self.heard,
            said=self.said,
            until_ns=self.until_ns,
        )
        if progress != self._told:
            self._told = progress
            self._publish(progress)

    def _again(self) -> None:
        self._told = None
        self.tell()

    def _clock_moved(self) -> None:
        self._at_ns = max(0, self._node.get_clock().now().nanoseconds)
        self._on_clock()
        self.tell()

    def _publish(self, progress: Progress) -> None:
        self._publisher.publish(convert.progress_to_msg(progress))
