"""What move_group knows of the planning scene, told to a planning scene monitor of our own.

`moveit_py` listens to `planning_scene`, `collision_object` and `attached_collision_object`. What
reaches move_group by its service `apply_planning_scene`, by its sensors or before we began is heard
here: once as a whole, then change by change. `planning_scene`, `planning_scene_world` and
`collision_object` are heard here too, in the monitor's place, whose own are put `ASIDE`: an object
that it does not take from there is a line in its log and nothing else, and a whole scene that it
takes as one is seen no sooner than it publishes again, half a second later. As two changes, all
gone and all of this, it is seen at once. To stop the monitor from hearing them instead would deafen
it: that takes a subscription from a node that is spun already, and those that were made after it
are never heard again (2.12.4).
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.ros import qos

MONITORED = "monitored_planning_scene"  # where move_group tells every change
WHOLE = "get_planning_scene"
CHANGES = "planning_scene"  # where everybody may tell one
WORLD = "planning_scene_world"  # where everybody may tell what is around instead of all there was
OBJECT = "collision_object"  # where everybody may tell one object
ASIDE = (
    MONITORED,
    CHANGES,
    WORLD,
    OBJECT,
)  # topics that the monitor neither tells nor hears itself
PATIENCE_S = 2.0  # until what was not answered, or not taken, is asked for again
PULSE_S = 0.5  # between two questions to a move_group that has told its scene


class MoveGroup:
    """Follows move_group's scene where there is a move_group; asks anew when it comes back.

    One that was found and is gone, or answers no more, may have died: the scene stands still from
    then on, whatever happens around the robot, and is a doubt until a move_group tells it again.

    Args:
        node: that listens.
        monitor: `PlanningSceneMonitor` that is told.

    Raises:
        WamError: moveit_msgs is not installed.
    """

    def __init__(self, node: Node, monitor: Any) -> None:
        try:
            from moveit_msgs import msg, srv
        except ImportError as error:
            words = "install ros-$ROS_DISTRO-moveit-msgs or choose 'builtin'"
            raise WamError(
                f"collision_backend 'moveit' needs moveit_msgs ({error}); {words}"
            ) from error
        self._node = node
        self._monitor = monitor
        self._msg = msg
        self._everything = srv.GetPlanningScene.Request()  # no component named: all of them
        self._little = srv.GetPlanningScene.Request()
        self._little.components.components = msg.PlanningSceneComponents.SCENE_SETTINGS
        self._client = node.create_client(srv.GetPlanningScene, WHOLE)
        self._question: Any = None  # that is not answered yet
        self._asked_ns = 0
        self._found = False
        self._told = False
        # changes since the question, which the answer may not have yet
        self._meanwhile: list[Any] | None = None
        self._refused: set[str] = set()  # objects that the monitor did not take
        self._monitored, _ = (
            node.create_subscription(msg.PlanningScene, topic, self._on_change, qos.SCENE)
            for topic in (MONITORED, CHANGES)
        )
        node.create_subscription(msg.PlanningSceneWorld, WORLD, self._on_world, qos.SCENE)
        node.create_subscription(msg.CollisionObject, OBJECT, self._on_object, qos.SCENE)

    def poll(self, now_ns: int) -> str:
        """Ask for the whole scene when move_group has appeared, and now and then whether it is
        still there; why the scene is not known, else empty.
        """
        ready = self._client.service_is_ready()
        self._found |= ready
        if why := self._why_not_one() or self._why_gone(ready):
            self._give_up()
            return why
        if not self._found:
            return self._why_not_whole()
        waited_s = (now_ns - self._asked_ns) / NS
        if self._question is not None and not 0 <= waited_s <= PATIENCE_S:
            self._give_up()
        if self._question is None:
            self._ask(waited_s, now_ns)
        return self._why_not_whole() if self._told else f"move_group has not answered {WHOLE} yet"

    @property
    def words(self) -> str:
        """Whose scene it is."""
        service = self._client.service_name
        if self._found:
            return f"the scene of the move_group on {service}"
        return f"no move_group found on {service}: the scene is what its topics tell"

    def _why_gone(self, ready: bool) -> str:
        if ready or not self._found:
            return ""
        return (
            f"move_group is gone: {self._client.service_name} is offered no more, what is around "
            "may have changed; start it again, or configure the safety node anew to go on without"
        )

    def _give_up(self) -> None:
        """What was asked is not waited for, and what was told counts no more."""
        if self._question is not None:
            self._client.remove_pending_request(self._question)
        self._question = None
        self._told = False
        self._meanwhile = None

    def _why_not_one(self) -> str:
        """Why nobody knows whose scene is seen: two say what is there; empty otherwise."""
        topic = self._monitored.topic_name
        service = self._client.service_name
        counts = (
            (service, self._node.count_services(service)),
            (topic, self._node.count_publishers(topic)),
        )
        advice = (
            "only move_group may offer it (Servo: is_primary_planning_scene_monitor; "
            "MoveItPy: remappings)"
        )
        return "; ".join(f"{name} comes from {n} nodes, {advice}" for name, n in counts if n > 1)

    def _ask(self, waited_s: float, now_ns: int) -> None:
        again = not 0 <= waited_s <= (PATIENCE_S if self._refused else PULSE_S)
        if self._told and not again:
            return
        whole = not self._told or bool(self._refused)
        if whole:
            self._meanwhile = []
        self._asked_ns = now_ns
        self._question = self._client.call_async(self._everything if whole else self._little)
        self._question.add_done_callback(self._on_scene if whole else self._on_pulse)

    def _why_not_whole(self) -> str:
        """Why the scene lacks what move_group told; empty when all of it was taken."""
        if not self._refused:
            return ""
        return (
            f"MoveIt did not take '{min(self._refused)}': has it move_group's "
            "robot_description? Its log says why"
        )

    def _on_change(self, scene: Any) -> None:
        self._tell(scene)
        if self._meanwhile is not None:
            self._meanwhile.append(scene)

    def _on_world(self, world: Any) -> None:
        """A world instead of the one that there was; what is attached stays."""
        self._on_change(self._no_world())
        self._on_bodies(world)

    def _on_object(self, body: Any) -> None:
        self._on_bodies(self._msg.PlanningSceneWorld(collision_objects=[body]))

    def _on_bodies(self, world: Any) -> None:
        self._monitor.update_frame_transforms()  # they may be in any frame that tf knows
        scene = self._msg.PlanningScene(is_diff=True, world=world)
        scene.robot_state.is_diff = True
        self._on_change(scene)

    def _on_pulse(self, future: Any) -> None:
        if future is self._question and future.result() is not None:
            self._question = None

    def _on_scene(self, future: Any) -> None:
        if future is not self._question or future.result() is None:
            return
        self._question = None
        meanwhile = self._meanwhile or []
        self._meanwhile = None
        for scene in (future.result().scene, *meanwhile):
            self._tell(scene)
        self._told = True

    def _tell(self, scene: Any) -> None:
        if not scene.is_diff:
            self._monitor.new_planning_scene_message(self._nothing())
            self._refused.clear()
            scene.is_diff = scene.robot_state.is_diff = True
        taken = self._monitor.new_planning_scene_message(scene)
        bodies = scene.world.collision_objects
        remove = self._msg.CollisionObject.REMOVE
        self._refused -= {body.id for body in bodies}
        if any(body.operation == remove and not body.id for body in bodies):
            self._refused.clear()
        if not taken:  # also where what is to be removed is gone already
            with self._monitor.read_only() as seen:
                there = {body.id for body in seen.planning_scene_message.world.collision_objects}
            self._refused |= {body.id for body in bodies if body.operation != remove} - there

    def _nothing(self) -> Any:
        """A change after which nothing is left; what was attached falls into the world first, so it
        goes first.
        """
        scene = self._no_world()
        scene.robot_state.attached_collision_objects = [
            self._msg.AttachedCollisionObject(object=scene.world.collision_objects[0])
        ]
        return scene

    def _no_world(self) -> Any:
        """A change after which nothing is left but what is attached."""
        # without an id: all
        body = self._msg.CollisionObject(operation=self._msg.CollisionObject.REMOVE)
        scene = self._msg.PlanningScene(is_diff=True)
        scene.robot_state.is_diff = True
        scene.world.collision_objects = [body]
        scene.world.octomap.octomap.id = "cleared"  # as MoveIt itself says it
        return scene
