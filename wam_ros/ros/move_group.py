"""What move_group knows of the planning scene, told to a planning scene monitor of our own.

`moveit_py` listens to `planning_scene` and `collision_object` only. What reaches move_group by its service
`apply_planning_scene`, by its sensors or before we began is heard here: once as a whole, then change by change.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from wam_ros.core.errors import WamError
from wam_ros.ros import qos

MONITORED = "monitored_planning_scene"  # where move_group tells every change
WHOLE = "get_planning_scene"


class MoveGroup:
    """Follows move_group's scene where there is a move_group; asks anew when it comes back.

    Args:
        node: that listens.
        monitor: `PlanningSceneMonitor` that is told.

    Raises:
        WamError: moveit_msgs is not installed.
    """

    def __init__(self, node: Node, monitor: Any) -> None:
        try:
            from moveit_msgs.msg import PlanningScene
            from moveit_msgs.srv import GetPlanningScene
        except ImportError as error:
            words = "install ros-$ROS_DISTRO-moveit-msgs or choose 'builtin'"
            raise WamError(f"collision_backend 'moveit' needs moveit_msgs ({error}); {words}") from error
        self._monitor, self._everything = monitor, GetPlanningScene.Request()  # no component named: all of them
        self._client = node.create_client(GetPlanningScene, WHOLE)
        self._asked = self._told = False
        self._meanwhile: list[Any] = []  # changes that came between question and answer, which may be older
        node.create_subscription(PlanningScene, MONITORED, self._on_change, qos.SCENE)

    def poll(self) -> str:
        """Ask for the whole scene when move_group has appeared; why it is not known yet, else empty."""
        if not self._client.service_is_ready():
            self._asked = self._told = False
            return ""
        if not self._asked:
            self._asked, self._meanwhile = True, []
            self._client.call_async(self._everything).add_done_callback(self._on_scene)
        return "" if self._told else f"move_group has not answered {WHOLE} yet"

    def _on_change(self, scene: Any) -> None:
        self._monitor.new_planning_scene_message(scene)
        if self._asked and not self._told:
            self._meanwhile.append(scene)

    def _on_scene(self, future: Any) -> None:
        response = future.result()
        if response is None:
            return
        for scene in (response.scene, *self._meanwhile):
            self._monitor.new_planning_scene_message(scene)
        self._told, self._meanwhile = True, []
