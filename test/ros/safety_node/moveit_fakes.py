"""Stand-ins for `moveit_py` and moveit_msgs: names, arguments, copies and refusals of the bindings
2.12.3 to 2.15.
"""

import copy
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header


def pose(x=0.0, y=0.0, z=0.0) -> Pose:
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0))


def box(*size) -> SolidPrimitive:
    return SolidPrimitive(type=SolidPrimitive.BOX, dimensions=list(size))


@dataclass
class CollisionObject:
    ADD, REMOVE, APPEND, MOVE = (bytes([k]) for k in range(4))
    header: Header = field(default_factory=Header)
    pose: Pose = field(default_factory=pose)
    id: str = ""
    primitives: list = field(default_factory=list)
    primitive_poses: list = field(default_factory=list)
    meshes: list = field(default_factory=list)
    mesh_poses: list = field(default_factory=list)
    planes: list = field(default_factory=list)
    plane_poses: list = field(default_factory=list)
    operation: bytes = b"\0"


@dataclass
class AttachedCollisionObject:
    link_name: str = ""
    object: CollisionObject = field(default_factory=CollisionObject)


@dataclass
class RobotState:
    attached_collision_objects: list = field(default_factory=list)
    is_diff: bool = False


@dataclass
class AllowedCollisionMatrix:
    entry_names: list = field(default_factory=list)
    entry_values: list = field(default_factory=list)
    default_entry_names: list = field(default_factory=list)
    default_entry_values: list = field(default_factory=list)


@dataclass
class Octomap:
    binary: bool = False
    id: str = ""
    resolution: float = 0.0
    data: list = field(default_factory=list)


@dataclass
class OctomapWithPose:
    origin: Pose = field(default_factory=pose)
    octomap: Octomap = field(default_factory=Octomap)


@dataclass
class PlanningSceneWorld:
    collision_objects: list = field(default_factory=list)
    octomap: OctomapWithPose = field(default_factory=OctomapWithPose)


@dataclass
class PlanningSceneMessage:
    robot_state: RobotState = field(default_factory=RobotState)
    allowed_collision_matrix: AllowedCollisionMatrix = field(default_factory=AllowedCollisionMatrix)
    world: PlanningSceneWorld = field(default_factory=PlanningSceneWorld)
    is_diff: bool = False


def collision_object(
    name, at=None, primitives=(), meshes=(), planes=(), frame="world"
) -> CollisionObject:
    """An object as `planning_scene_message` holds it."""
    shapes = {"primitives": primitives, "meshes": meshes, "planes": planes}
    poses = {
        f"{k}_poses": [pose()] * len(v)
        for k, v in (("primitive", primitives), ("mesh", meshes), ("plane", planes))
    }
    lists = {k: list(v) for k, v in shapes.items()}
    return CollisionObject(Header(frame_id=frame), at or pose(), name, **lists, **poses)


class PlanningScene:
    """moveit.core.planning_scene.PlanningScene; `message` is what it holds."""

    def __init__(self):
        self.message = PlanningSceneMessage()
        self.base = np.eye(4)  # pose of panda_link0 in the planning frame
        self.current_state, self.valid, self.asked, self.locked = object(), True, [], False

    @property
    def planning_scene_message(self):
        return copy.deepcopy(self.message)  # by way of its serialised form

    def knows_frame_transform(self, frame_id):
        return frame_id in ("world", "panda_link0")

    def get_frame_transform(self, frame_id):
        return self.base.copy()

    def is_path_valid(self, trajectory, joint_model_group_name, verbose=False, invalid_index=None):
        assert self.locked
        if not isinstance(invalid_index, list):
            # its own default, None, is none
            raise TypeError("is_path_valid(): incompatible function arguments")
        self.asked.append((trajectory, joint_model_group_name))
        return self.valid

    def take(self, change):
        """`setPlanningSceneDiffMsg`: attached objects, matrix, objects, octomap; whether all
        objects were taken.
        """
        message = self.message
        for attached in change.robot_state.attached_collision_objects:
            self._attach(
                attached,
                message.robot_state.attached_collision_objects,
                message.world.collision_objects,
            )
        if change.allowed_collision_matrix.entry_names:
            message.allowed_collision_matrix = change.allowed_collision_matrix
        taken = [self._object(body) for body in change.world.collision_objects]
        if change.world.octomap.octomap.id:
            message.world.octomap = (
                change.world.octomap if change.world.octomap.octomap.data else OctomapWithPose()
            )
        return all(taken)

    def _attach(self, attached, held, bodies):
        same = [a for a in held if attached.object.id in ("", a.object.id)]
        held[:] = [a for a in held if a not in same]
        if attached.object.operation == CollisionObject.REMOVE:
            bodies += [a.object for a in same]
        else:
            bodies[:] = [b for b in bodies if b.id != attached.object.id]
            held.append(attached)

    def _object(self, body):
        bodies, operation = self.message.world.collision_objects, body.operation
        same = [b for b in bodies if body.id in ("", b.id)]
        if operation == CollisionObject.MOVE:
            for b in same:
                b.pose = body.pose
            return bool(same)
        shapes = [*body.primitives, *body.meshes, *body.planes]
        if operation == CollisionObject.ADD and not (
            shapes and self.knows_frame_transform(body.header.frame_id)
        ):
            return False
        bodies[:] = [b for b in bodies if b not in same]
        if operation == CollisionObject.ADD:
            bodies.append(body)
            return True
        return bool(same) or not body.id


class PlanningSceneMonitor:
    """moveit.planning.PlanningSceneMonitor: what it shows is a difference to what it last
    published. `remappings` are those of its node.
    """

    # subscriptions in the order in which it makes them
    TOPICS = (
        "attached_collision_object",
        "planning_scene",
        "collision_object",
        "planning_scene_world",
    )

    def __init__(self, scene, remappings=None):
        self.scene, self._whole, self.told = scene, None, []
        self.frames = 0  # times that tf was asked
        aside = remappings or {}
        self.hears = {aside.get(topic, topic): topic for topic in self.TOPICS}

    def stop_scene_monitor(self):
        """It takes a subscription from a node that is spun already: those that were made after it
        are deaf from then on.
        """
        made = self.TOPICS[: self.TOPICS.index("planning_scene")]
        self.hears = {topic: own for topic, own in self.hears.items() if own in made}

    def update_frame_transforms(self):
        self.frames += 1

    def hear(self, topic, message):
        """What somebody says on a topic."""
        own = self.hears.get(topic)
        if own == "planning_scene":
            self.new_planning_scene_message(message)
        elif own == "planning_scene_world":
            self.scene.message.world = PlanningSceneWorld()
            self.scene.take(PlanningSceneMessage(world=message, is_diff=True))
        elif own is not None:
            change = PlanningSceneMessage(is_diff=True)
            if own == "collision_object":
                change.world.collision_objects = [message]
            else:
                change.robot_state.attached_collision_objects = [message]
            self.scene.take(change)

    def read_only(self):
        return Lock(self.scene)

    def new_planning_scene_message(self, scene):
        if type(scene).__name__ not in ("PlanningScene", "PlanningSceneMessage"):
            raise TypeError("new_planning_scene_message(): incompatible function arguments")
        self.told.append(copy.deepcopy(scene))
        if scene.is_diff:
            return self.scene.take(copy.deepcopy(scene))
        self._whole = copy.deepcopy(scene)  # goes into the parent of what is shown
        return True

    def publish(self):
        """Its own thread does, at most twice a second; only then is a whole scene seen."""
        if self._whole is not None:
            self.scene.message, self._whole = self._whole, None


class Lock:
    """moveit.planning.LockedPlanningSceneContextManagerRO."""

    def __init__(self, scene):
        self._scene = scene
        scene.locked = True

    def __enter__(self):
        return self._scene

    def __exit__(self, kind, value, trace):
        self._scene.locked = False


class RobotTrajectory:
    """moveit.core.robot_trajectory.RobotTrajectory."""

    def __init__(self, robot_model):
        self.msg = None

    def get_robot_trajectory_msg(self, joint_filter=()):
        return SimpleNamespace(joint_trajectory=None)

    def set_robot_trajectory_msg(self, robot_state, msg):
        made = RobotTrajectory(None)
        made.msg = msg
        return made


class MoveItPy:
    """moveit.planning.MoveItPy, whose end is the end of what keeps the scene up to date."""

    made: ClassVar[dict] = {}
    count = 0
    scene = None  # that the next one has

    def __init__(
        self,
        node_name="moveit_py",
        name_space="",
        launch_params_filepaths=(),
        config_dict=None,
        provide_planning_service=True,
        remappings=None,
    ):
        MoveItPy.count += 1
        self.made.update(
            name=node_name,
            space=name_space,
            service=provide_planning_service,
            remappings=remappings,
        )
        self.made.update(files=list(launch_params_filepaths))
        self.monitor = PlanningSceneMonitor(self.scene or PlanningScene(), remappings)

    def get_robot_model(self):
        return SimpleNamespace(joint_model_group_names=["panda_arm", "hand"])

    def get_planning_scene_monitor(self):
        return self.monitor

    def shutdown(self):
        self.monitor = None


def moveit(scene) -> MoveItPy:
    made = MoveItPy()
    made.monitor = PlanningSceneMonitor(scene)
    return made


def say(monitor, node, topic, message):
    """Somebody publishes: whoever listens to that topic hears it."""
    monitor.hear(topic, copy.deepcopy(message))
    if topic in node.hear:
        node.hear[topic](copy.deepcopy(message))


class Request:
    """Of GetPlanningScene; no component named: all of them."""

    def __init__(self):
        self.components = SimpleNamespace(components=0)


class Future:
    """Of a service call; `answer` is what the executor does with the response."""

    def __init__(self, components):
        self._response, self._calls, self.components = None, [], components

    def add_done_callback(self, call):
        self._calls.append(call)

    def result(self):
        return self._response

    def answer(self, scene):
        self._response = SimpleNamespace(scene=copy.deepcopy(scene))
        for call in self._calls:
            call(self)


class MoveGroupNode:
    """A node beside a move_group: the client of its service and what listens to topics."""

    def __init__(self, now_ns):
        self._now_ns, self.here, self.asked, self.hear = now_ns, False, [], {}
        self.given_up = []
        self.logged = []
        self.offers = {"/get_planning_scene": 1, "/monitored_planning_scene": 1}

    def get_logger(self):
        return SimpleNamespace(info=self.logged.append, warning=self.logged.append)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self._now_ns()))

    def create_timer(self, period, call):
        pass

    def create_client(self, kind, name):
        return SimpleNamespace(
            service_name=f"/{name}",
            service_is_ready=lambda: self.here,
            call_async=self._ask,
            remove_pending_request=lambda future: self.given_up.append(future),
        )

    def create_subscription(self, kind, topic, callback, profile):
        self.hear[topic] = callback
        return SimpleNamespace(topic_name=f"/{topic}")

    def count_services(self, name):
        return self.offers[name]

    def count_publishers(self, name):
        return self.offers[name]

    def _ask(self, request):
        self.asked.append(Future(request.components.components))
        return self.asked[-1]


def install(monkeypatch) -> None:
    """Make the stand-ins what an import finds."""
    contents = {
        "moveit": {},
        "moveit.core": {},
        "moveit.core.robot_trajectory": {"RobotTrajectory": RobotTrajectory},
        "moveit.planning": {"MoveItPy": MoveItPy},
        "moveit_msgs": {},
        "moveit_msgs.msg": {
            "PlanningScene": PlanningSceneMessage,
            "PlanningSceneComponents": SimpleNamespace(SCENE_SETTINGS=1),
            "PlanningSceneWorld": PlanningSceneWorld,
            "CollisionObject": CollisionObject,
            "AttachedCollisionObject": AttachedCollisionObject,
        },
        "moveit_msgs.srv": {"GetPlanningScene": SimpleNamespace(Request=Request)},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
