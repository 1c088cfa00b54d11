"""The layers: who may import whom, what is registered, and what a process may bring with it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wam_ros"
FILES = sorted(PACKAGE.rglob("*.py"))

# layer: the layers it may import. What is not listed may not be imported.
ARROWS = {
    "core": set(),
    "robot": {"core"},
    "bridge": {"core", "robot"},
    "safety": {"core", "robot"},
    "models": {"core"},
    "runtime": {"core"},
    "sim": {"core"},
    "data": {"core"},
    "view": {"core"},
    "train": {"core", "models", "runtime", "data", "sim"},
    "serve": {"core", "models", "runtime"},
    "ros": {"core", "robot", "bridge", "safety", "models", "runtime", "sim", "data", "view"},
    "nodes": {
        "core",
        "robot",
        "bridge",
        "safety",
        "models",
        "runtime",
        "sim",
        "data",
        "view",
        "ros",
    },
    "tools": {"core", "models", "runtime", "ros"},
    "demo": {"core", "models", "runtime", "view", "tools", "ros"},
    "cli": {"core", "models", "data", "sim", "train", "serve", "tools", "demo", "safety"},
}
GENERATED = {"msg", "srv", "action"}
ROS = {"ros", "nodes"}
# A library that belongs to some layers; everything else must work without it.
OWNERS = {
    "torch": {"models", "train", "serve"},
    "safetensors": {"models", "train", "serve"},
    "mujoco": {"sim"},
    "coal": {"robot", "safety"},
    "pinocchio": {"robot", "safety", "sim", "view"},
    "ruckig": {"safety"},
    "viser": {"view"},
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
LEAN_NODES = {"camera_node", "safety_node", "bridge_node", "sim_node", "view_node"}


def layer_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if len(parts) > 1 else parts[-1]


def imports(path):
    """(module, line) of every import of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [a.name for a in node.names] if node.module == "wam_ros" else [""]
            yield from ((f"{node.module}.{n}".rstrip("."), node.lineno) for n in names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    layer, wrong = layer_of(path), []
    assert layer in ARROWS or layer == "__init__", (
        f"{layer} is not a known layer: give it its arrows"
    )
    for module, line in imports(path):
        top, _, rest = module.partition(".")
        target = rest.partition(".")[0]
        if top == "wam_ros":
            if target in GENERATED:
                allowed = layer in ROS
            else:
                allowed = target in ARROWS.get(layer, set()) | {layer, "__version__", ""}
        else:
            allowed = top not in FORBIDDEN and layer in OWNERS.get(top, {layer})
        if not allowed:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert wrong == []


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
        ("CHECKS", "safety/checks/__init__.py", "safety/checks", set()),
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


def test_the_generated_code_has_no_rival_in_the_source():
    assert [name for name in GENERATED if (PACKAGE / name).exists()] == []
