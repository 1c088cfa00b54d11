"""The rooms: who may import whom, what is registered, and what a process loads."""

import ast
import functools
import graphlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wam_ros"
FILES = sorted(PACKAGE.rglob("*.py"))

# room: what it may import. A room is a folder, or a module for the pages that stand outside of one;
# the longest name that fits says which. A name on the right stands for its own room only: "ros"
# does not bring "ros.bridge_node" along, and "robot.joints" is one file of its room. What is not
# listed may not be imported.
ARROWS = {
    "__init__": {"__version__"},
    "core": set(),
    "robot": {"core"},
    # the independent last look: it shares no more with the filter than the reading of a URDF
    "bridge": {"core", "robot.joints"},
    "safety": {"core", "robot", "safety.checks", "safety.motion"},
    "safety.motion": {"core", "robot", "safety"},
    "safety.checks": {"core", "robot", "safety", "safety.motion"},
    "safety.machine": {"core", "robot", "safety", "safety.motion"},
    "safety.offline": {"core", "robot", "safety", "safety.motion", "safety.machine"},
    "embodiments": {"core", "robot"},
    "calibration": {"core", "robot", "ros"},
    "rehearsal": {"core", "robot", "data", "models", "runtime", "sim", "ros"},
    "models": {"core", "robot", "models.remote"},
    # what travels to a policy elsewhere and back, for both ends
    "wire": {"core"},
    "models.remote": {"core", "robot", "wire"},
    "models.bench": {"core", "models", *(f"models.dreamzero.{n}" for n in ("shared", "released"))},
    "models.dreamzero": set(),
    "models.dreamzero.shared": {"core", "models"},
    "models.dreamzero.small": {"core", "models", "models.dreamzero.shared"},
    "models.dreamzero.released": {"core", "models", "models.dreamzero.shared"},
    "runtime": {"core", "runtime.values"},
    "runtime.values": {"core"},
    "sim": {"core", "robot", "sim.tasks", "sim.libero"},
    "sim.tasks": {"core", "robot", "sim"},
    "sim.libero": {"core", "robot", "sim"},
    "data": {"core", "robot.urdf", "ros.recording", "ros.takes"},
    # what servers that speak HTTP share
    "web": {"core"},
    "view": {"core", "web"},
    "train": {
        "core",
        "models",
        "models.dreamzero.shared",
        "models.dreamzero.small",
        "models.dreamzero.released",
        "runtime",
        "runtime.values",
        "data",
        "sim",
        "sim.libero.suites",
        "sim.tasks",
        "view",
    },
    "serve": {"core", "models", "runtime", "web", "wire"},
    # what every node shares knows no node's business: each process loads all of it
    "ros": {"core"},
    "ros.controllers": {"core", "ros"},
    "ros.safety_node": {"core", "robot", "safety", "safety.machine", "ros"},
    "ros.bridge_node": {"core", "robot.joints", "bridge", "ros", "ros.controllers"},
    "ros.inference_node": {"core", "models", "runtime", "runtime.values", "ros"},
    "ros.camera_node": {"core", "ros"},
    "ros.sim_node": {"core", "sim", "ros"},
    "ros.task_node": {"core", "ros"},
    "ros.recorder_node": {"core", "ros"},
    "ros.teleop_node": {"core", "ros"},
    "ros.view_node": {"core", "robot.obstacles", "view", "ros"},
    # what a launch is told is judged by whoever it is for
    "ros.launching": {
        *("core", "robot.joints", "embodiments", "models", "sim", "ros", "ros.controllers"),
        *("ros.bridge_node", "ros.camera_node", "ros.inference_node", "ros.safety_node"),
        *("ros.recorder_node", "ros.sim_node", "ros.task_node", "ros.teleop_node"),
        *("ros.view_node", "safety"),
    },
    "nodes": {"core.threads"},
    "nodes.camera_node": {"core", "ros", "ros.camera_node"},
    "nodes.safety_node": {"core", "safety", "safety.machine", "ros", "ros.safety_node"},
    "nodes.bridge_node": {"core", "bridge", "ros", "ros.bridge_node", "ros.controllers"},
    "nodes.inference_node": {"core", "runtime", "ros", "ros.inference_node"},
    "nodes.sim_node": {"core", "sim", "ros", "ros.sim_node"},
    "nodes.recorder_node": {"core", "ros", "ros.recorder_node"},
    "nodes.teleop_node": {"core", "robot.joints", "ros", "ros.teleop_node"},
    "nodes.task_node": {"core", "robot.joints", "ros", "ros.task_node"},
    "nodes.view_node": {"core", "view", "ros", "ros.view_node"},
    "tools": {"core", "models", "runtime", "ros", "embodiments"},
    "demo": {"core", "embodiments", "models", "sim", "view", "tools", "ros"},
    # a run that is over
    "runs": {"core", "robot.joints", "models", "data", "view", "tools", "ros", "ros.view_node"},
    "cli": {
        "core",
        "models",
        "data",
        "sim",
        "train",
        "serve",
        "tools",
        "runs",
        "demo",
        "safety",
        "embodiments",
        "rehearsal",
        "calibration",
    },
}
GENERATED = {"msg", "srv", "action"}
ROS = {"ros", "nodes"}
# A library that belongs to some layers; everything else must work without it.
OWNERS = {
    "torch": {"models", "train", "serve"},
    "safetensors": {"models", "train", "serve"},
    "mujoco": {"sim", "embodiments", "rehearsal"},
    "libero": {"sim"},
    "robosuite": {"sim"},
    "pyarrow": {"data"},
    "av": {"data"},
    "coal": {"robot", "safety", "embodiments"},
    "pinocchio": {"robot", "safety", "sim", "embodiments", "calibration"},
    "ruckig": {"safety"},
    "aiohttp": {"web", "view", "serve"},
    "matplotlib": {"runs", "data", "train"},
    "rosbags": {"ros", "data"},
    "mcap": {"ros"},
    "msgpack": {"wire"},
    "websockets": {"models"},
    "trimesh": {"robot", "view"},
    "vhacdx": {"robot"},
    "rclpy": ROS,
    **dict.fromkeys(
        ("rcl_interfaces", "builtin_interfaces", "lifecycle_msgs", "rosgraph_msgs", "action_msgs"),
        ROS,
    ),
    **dict.fromkeys(
        ("std_msgs", "sensor_msgs", "geometry_msgs", "nav_msgs", "trajectory_msgs", "std_srvs"), ROS
    ),
    **dict.fromkeys(
        ("visualization_msgs", "diagnostic_msgs", "shape_msgs", "control_msgs", "cv_bridge"), ROS
    ),
    **dict.fromkeys(("moveit", "moveit_msgs", "tf2_ros", "ament_index_python"), ROS),
}
FORBIDDEN = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
# Processes that must stay small: their nodes may not bring the model's library with them.
LEAN_NODES = {
    *("camera_node", "safety_node", "bridge_node", "sim_node", "task_node", "view_node"),
    *("recorder_node", "teleop_node"),
}


def name_of(path):
    """The module of a file, without `wam_ros`; a folder's own file has the name of the folder."""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def inside(name, home):
    """Whether a module is `home` or lies in it."""
    return name == home or name.startswith(f"{home}.")


def room_of(name):
    """The room of a module; empty for one that has none."""
    return max((room for room in ARROWS if inside(name, room)), key=len, default="")


def layer_of(path):
    return name_of(path).partition(".")[0]


def is_typing(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(path, typing=True):
    """(module, line) of every import of a file, those inside functions too; those that only mypy
    reads where `typing` says so.
    """
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if is_typing(node) and not typing:
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                known = whole.removeprefix("wam_ros.") in MODULES or node.module == "wam_ros"
                yield whole if known else node.module, node.lineno


def allowed(room, target):
    """Whether a module of `room` may import the module `target`, both without `wam_ros`."""
    if target.partition(".")[0] in GENERATED:
        return room.partition(".")[0] in ROS
    home = room_of(target)
    return home == room or any(
        inside(target, arrow) and room_of(arrow) == home for arrow in ARROWS[room]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    room = room_of(name_of(path))
    wrong = []
    assert room, f"{name_of(path)} is in no known room: give it its arrows"
    for module, line in imports(path):
        top, _, target = module.partition(".")
        if top == "wam_ros":
            fits = allowed(room, target) if target not in ("", "__version__") else True
        else:
            fits = top not in FORBIDDEN and layer_of(path) in OWNERS.get(top, {layer_of(path)})
        if not fits:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("ruff.toml")), ids=lambda p: p.parent.name)
def test_what_an_editor_refuses_is_what_the_arrows_refuse(path):
    hall = path.parent.name
    banned = tomllib.loads(path.read_text())["lint"]["flake8-tidy-imports"]["banned-api"]
    ours = [name.removeprefix("wam_ros.") for name in banned if name.startswith("wam_ros.")]
    libraries = banned.keys() - {f"wam_ros.{name}" for name in ours}
    assert [name for name in ours if allowed(hall, name)] == []
    assert [name for name in libraries if hall in OWNERS[name]] == []


def circle(graph):
    """One circle of a graph {name: names it needs}, in the order of need; empty without one."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1][::-1]
    return []


@functools.cache
def needs(name):
    """The modules of ours that importing a module brings, sooner or later."""
    found = {m.removeprefix("wam_ros.") for m, _ in imports(MODULES[name], typing=False)}
    return (found & MODULES.keys()) - {name}


def test_no_file_imports_one_that_imports_it():
    assert circle({name: needs(name) for name in MODULES}) == []


def hall(name):
    """The first folder of a module."""
    return name.partition(".")[0]


def folder(name):
    """The folder of a module; one that lies beside folders, as `safety/filter.py` does, stands for
    itself.
    """
    found = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    has_rooms = any(other.count(".") > 1 and inside(other, found) for other in MODULES)
    return name if has_rooms and not found.count(".") else found


@pytest.mark.parametrize("place", [hall, folder])
def test_no_folder_imports_one_that_imports_it(place):
    graph = {}
    for name in MODULES:
        graph.setdefault(place(name), set()).update({place(n) for n in needs(name)} - {place(name)})
    assert circle(graph) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("folder", "foreign"),
    [
        ("wam_ros", {"testing", "test", "benchmark"}),
        ("testing", {"benchmark"}),
        ("test", {"benchmark"}),
    ],
)
def test_nothing_leans_on_who_looks_at_it(folder, foreign):
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            wrong += [
                f"{path.relative_to(ROOT)}:{node.lineno} imports {name}"
                for name in names
                if name.partition(".")[0] in foreign
            ]
    assert wrong == []


# the tests of what stands between a policy and an arm are where the code is, under its name
MIRRORED = ("robot", "bridge", "safety")
# about a room as a whole
OF_ROOMS = {"safety/test_fail_closed.py"}


def does_something(path):
    """Whether a file has a function: one that only says what things are cannot do wrong."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize("room", MIRRORED)
def test_every_module_has_the_tests_of_its_name_and_every_test_file_its_module(room):
    """`motion/stops.py` has `motion/test_stops.py`, and perhaps `test_stops_<subject>.py`."""
    modules = {
        path.relative_to(PACKAGE).with_suffix("")
        for path in (PACKAGE / room).rglob("*.py")
        if path.name != "__init__.py"
    }
    tests = {path.relative_to(ROOT / "test") for path in (ROOT / "test" / room).rglob("test_*.py")}
    untested = [
        f"wam_ros/{module}.py"
        for module in sorted(modules)
        if module.parent / f"test_{module.name}.py" not in tests
        and does_something(PACKAGE / module.with_suffix(".py"))
    ]
    assert untested == []
    astray = [
        f"test/{test}"
        for test in sorted(tests)
        if test.as_posix() not in OF_ROOMS
        and not any(
            module.parent == test.parent and f"{test.stem}_".startswith(f"test_{module.name}_")
            for module in modules
        )
    ]
    assert astray == []


def says_why(node):
    """Whether a function says why something is not so, '' where it is."""
    told = isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name)
    return told and node.returns.id == "str" and (ast.get_docstring(node) or "").startswith("Why ")


def test_what_says_why_not_is_named_so():
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if says_why(node) and not node.name.lstrip("_").startswith("why_not_")
    ]
    assert wrong == []


def dictionary(path, name):
    """The literal dictionary that a file assigns to `name`."""
    for node in ast.parse(path.read_text()).body:
        target = (
            node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        )
        if isinstance(target, ast.Name) and target.id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no {name}")


@pytest.mark.parametrize(
    ("name", "home", "folder", "bases"),
    [
        ("CHECKS", "safety/checks/__init__.py", "safety/checks", {"base"}),
        ("CONTROLLERS", "ros/controllers/__init__.py", "ros/controllers", {"base"}),
        ("TASKS", "sim/tasks/__init__.py", "sim/tasks", {"base"}),
        ("MODELS", "models/__init__.py", "models", set()),
        ("VALUES", "runtime/values/__init__.py", "runtime/values", set()),
    ],
)
def test_every_extension_is_in_its_dictionary(name, home, folder, bases):
    registered = {value.partition(":")[0] for value in dictionary(PACKAGE / home, name).values()}
    if name == "MODELS":  # a family is a folder
        found = {p.name for p in (PACKAGE / folder).iterdir() if (p / "__init__.py").is_file()}
        registered = {module.split(".")[2] for module in registered}
    else:
        found = {p.stem for p in (PACKAGE / folder).glob("*.py")} - {"__init__"} - bases
        registered = {module.rpartition(".")[2] for module in registered}
    assert found == registered


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "nodes").glob("*_node.py")), ids=lambda p: p.stem
)
def test_a_node_file_can_be_run(path):
    functions = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
    assert "main" in functions
    assert 'if __name__ == "__main__":' in path.read_text()


def loads(code, *blocked):
    """Run Python with the named libraries missing."""
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    program = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{block}{code}"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def modules(*layers):
    paths = [p for p in FILES if layer_of(p) in layers]
    return sorted(
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in paths
    )


def test_core_needs_neither_torch_nor_ros():
    code = f"import wam_ros, {', '.join(modules('core'))}"
    blocked = [library for library in OWNERS if library != "wam_ros"]
    done = loads(code, *blocked)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("layer", "needs"),
    [("runtime", "numpy"), ("robot", "pinocchio"), ("bridge", "numpy"), ("safety", "pinocchio")],
)
def test_safety_and_runtime_need_neither_torch_nor_ros(layer, needs):
    pytest.importorskip(needs)
    done = loads(f"import {', '.join(modules(layer))}", "torch", "rclpy", "mujoco", "sensor_msgs")
    assert done.returncode == 0, done.stderr


@pytest.mark.ros
@pytest.mark.parametrize("node", sorted(LEAN_NODES))
def test_only_the_inference_node_brings_torch(node):
    pytest.importorskip("rclpy")
    done = loads(f"import wam_ros.nodes.{node}", "torch")
    assert done.returncode == 0, done.stderr


# A bridge of every kind of controller, in one process: configured, activated, with a robot and a
# safety node that it hears, paused, and led home.
BRIDGE_LIFE = """
import json, time
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import SetBool, Trigger
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision, JointState, SafetyReport, SafetyState
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.ros import convert, qos
import numpy as np

def cell(executor, robot, node):
    other = Node("cell")
    executor.add_node(other)
    joints = other.create_publisher(JointStateMsg, "joint_states", qos.JOINTS)
    reports = other.create_publisher(SafetyReportMsg, "safety_report", qos.STATUS)
    still = np.zeros(len(robot.joint_names))
    until = time.monotonic() + 30.0
    while node._home._state != SafetyState.ARMED or node._gate.measured is None:
        assert time.monotonic() < until, "the bridge hears nobody"
        now_ns = node.get_clock().now().nanoseconds
        measured = JointState(now_ns, robot.joint_names, np.array(robot.home), still, still)
        joints.publish(convert.joint_state_to_msg(measured))
        report = SafetyReport(now_ns, 0, SafetyState.ARMED, Decision.PASS)
        reports.publish(convert.report_to_msg(report, "safety_node"))
        executor.spin_once(timeout_sec=0.01)
    return other

rclpy.init()
robot = load_embodiment("panda")
for kind in CONTROLLERS:
    node = BridgeNode(parameter_overrides=[Parameter("controller", value=kind)])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        continue  # its messages are not installed, or it is of a gripper
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    other = cell(executor, robot, node)
    assert node._on_home(Trigger.Request(), Trigger.Response()).success
    assert node._on_pause(SetBool.Request(data=True), SetBool.Response()).success
    for _ in range(10):
        executor.spin_once(timeout_sec=0.1)
    other.destroy_node()
    node.on_shutdown(None)
    node.destroy_node()
    ran.append(kind)
rclpy.shutdown()
"""


def loaded(code):
    """(what ran, the modules that a fresh interpreter holds afterwards)."""
    begin = "import json\nimport sys\nran = []\n"
    end = "\nprint(json.dumps([ran, sorted(sys.modules)]))"
    done = loads(begin + code + end)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def of_the_filter(names):
    """Those that belong to the safety filter, or to the libraries that it computes with."""
    homes = ("wam_ros.safety", "wam_ros.ros.safety_node", "pinocchio", "coal", "hppfcl", "ruckig")
    return [name for name in names if any(inside(name, home) for home in homes)]


@pytest.mark.ros
def test_the_bridge_is_loaded_without_any_part_of_the_filter():
    """One fault in what both share would pass the look of both."""
    _, names = loaded("import wam_ros.nodes.bridge_node")
    assert "wam_ros.bridge.gate" in names
    assert of_the_filter(names) == []


@pytest.mark.ros
def test_a_bridge_at_work_holds_no_part_of_the_filter():
    controllers = dictionary(PACKAGE / "ros/controllers/__init__.py", "CONTROLLERS")
    ran, names = loaded(f"CONTROLLERS = {list(controllers)}\n{BRIDGE_LIFE}")
    assert {"joint_trajectory", "forward_position", "forward_velocity"} <= set(ran)
    assert of_the_filter(names) == []


def test_what_belongs_to_the_filter_is_known_by_name():
    seen = ["wam_ros.safety.motion.path", "wam_ros.bridge.gate", "coal.coal_pywrap", "coals"]
    assert of_the_filter(seen) == ["wam_ros.safety.motion.path", "coal.coal_pywrap"]


# logs, what grows and is whole chunk by chunk, and a folder that is gone when the command ends
NOT_WHOLE = {
    "wam_ros/ros/takes.py",
    "wam_ros/demo/supervisor.py",
    "wam_ros/train/train.py",
    "wam_ros/embodiments/draft.py",
    "benchmark/pipeline.py",
    "benchmark/lerobot_async.py",
    "benchmark/lerobot_client.py",
}
WRITES = re.compile(
    r"""\.write_(text|bytes)\(|open\([^)]*["'][wx]|\.save(z\w*|fig)?\(|\bsave_file\("""
)


def test_every_file_is_written_whole_or_not_at_all():
    """By `core/files.py`: a full disk, or an end in the middle, leaves no half of a file."""
    writers = set()
    for path in [*FILES, *(ROOT / "benchmark").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if WRITES.search(text) and "whole_file" not in text and "BytesIO" not in text:
            writers.add(path.relative_to(ROOT).as_posix())
    assert writers <= NOT_WHOLE


def test_the_generated_code_has_no_rival_in_the_source():
    assert [name for name in GENERATED if (PACKAGE / name).exists()] == []
