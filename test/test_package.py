"""The manifests agree with each other and with the code."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import PYTHONS, wanted
from tools.wheels import DISTROS, RUNTIME, TORCH_NEEDS

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = sorted(p for kind in ("msg", "srv", "action") for p in (ROOT / kind).glob(f"*.{kind}"))
ASSIGNMENT = re.compile(r"^(?P<type>\w+)\s+(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>\d+)")
FIELD = re.compile(r"^(?P<type>[\w/\[\]<>=]+)\s+(?P<name>[a-z]\w*)\s*(?P<comment>#.*)?$")


def manifest():
    return ElementTree.parse(ROOT / "package.xml").getroot()


def test_every_interface_file_is_in_the_list_of_cmake():
    listed = re.findall(
        r"^\s+((?:msg|srv|action)/\S+)$", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(str(p.relative_to(ROOT)) for p in INTERFACES)


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_every_field_has_a_comment_and_every_number_a_unit(path):
    bare = []
    for line in path.read_text().splitlines():
        if match := FIELD.match(line):
            comment = match["comment"] or ""
            if len(comment) < 4 or (
                "float" in match["type"] and not re.search(r"\[[^\]]+\]", comment)
            ):
                bare.append(line)
    assert bare == []


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_enumerations_begin_with_unknown_or_none_and_are_distinct(path):
    groups = {}
    for line in path.read_text().splitlines():
        if match := ASSIGNMENT.match(line):
            groups.setdefault((match["type"], match["name"].partition("_")[0]), []).append(match)
    for members in groups.values():
        values = [int(m["value"]) for m in members]
        zeros = [m["name"] for m in members if int(m["value"]) == 0]
        assert zeros
        assert all(name.endswith(("_UNKNOWN", "_NONE")) for name in zeros)
        prefixes = {name.removesuffix("_UNKNOWN").removesuffix("_NONE") for name in zeros}
        named = {}
        for m in members:
            prefix = max((p for p in prefixes if m["name"].startswith(p + "_")), key=len)
            named.setdefault(prefix, []).append(int(m["value"]))
        assert all(len(set(v)) == len(v) for v in named.values()), values


def test_one_version_everywhere():
    source = (ROOT / "wam_ros" / "__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)[1]
    assert manifest().findtext("version") == version
    changelog = (ROOT / "CHANGELOG.rst").read_text()
    assert re.search(
        rf"^({re.escape(version)} \(\d{{4}}-\d\d-\d\d\)|Forthcoming)\n-+\n", changelog, re.MULTILINE
    )


def test_the_manifest_is_an_interface_package_under_the_licence_of_the_file():
    root = manifest()
    assert root.get("format") == "3"
    assert root.findtext("member_of_group") == "rosidl_interface_packages"
    assert root.findtext("export/build_type") == "ament_cmake"
    assert root.findtext("license") == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def imports(*paths):
    """Top-level modules that the files import."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {n.partition(".")[0] for n in names}
    return found


def ros_imports():
    """Top-level modules that wam_ros.ros, wam_ros.nodes and the launch files import and that ROS
    brings.
    """
    known = {
        *("rclpy", "cv_bridge", "launch", "launch_ros", "moveit", "tf2_ros"),
        *("ament_index_python", "rcl_interfaces", "builtin_interfaces"),
    }
    found = imports(*(ROOT / "wam_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py"))
    return {n for n in found if n in known or re.search(r"_(msgs|srvs)$", n)}


def test_every_ros_package_that_is_imported_is_a_dependency():
    tags = ("depend", "exec_depend", "build_depend")
    declared = {e.text for tag in tags for e in manifest().iter(tag)}
    renamed = {"moveit": "moveit_py"}
    assert {renamed.get(n, n) for n in ros_imports()} - declared == set()


def test_what_only_the_tests_import_comes_with_the_manifest_too():
    tools = imports(*(ROOT / "test").rglob("*.py")) & {
        "pytest",
        "hypothesis",
        "pytest_rerunfailures",
    }
    assert "pytest" in tools
    assert {f"python3-{name}" for name in tools} <= {e.text for e in manifest().iter("test_depend")}


def test_cmake_depends_on_what_the_messages_use():
    used = {m for p in INTERFACES for m in re.findall(r"^(\w+)/\w+", p.read_text(), re.MULTILINE)}
    text = (ROOT / "CMakeLists.txt").read_text()
    listed = set(re.search(r"DEPENDENCIES ([\w ]+)", text)[1].split())
    assert used <= listed
    assert all(f"find_package({name} REQUIRED)" in text for name in listed)


def test_a_link_to_a_node_can_be_executed_as_symlink_installs_need():
    text = (ROOT / "CMakeLists.txt").read_text()
    stub = text[text.index("file(GENERATE") : text.index("install(PROGRAMS")]
    permissions = set(re.search(r"FILE_PERMISSIONS ([A-Z_ ]+)", stub)[1].split())
    assert permissions >= {"OWNER_EXECUTE", "GROUP_EXECUTE", "WORLD_EXECUTE"}


def test_colcon_brings_the_command_too_and_pip_only_its_own():
    text = (ROOT / "CMakeLists.txt").read_text()
    block = text[text.index("if(NOT WAM_ROS_BY_PIP)") :].partition("endif()")[0]
    assert "from wam_ros.cli import main" in block
    assert re.search(r"install\(PROGRAMS \S+/wam DESTINATION bin\)", block)
    assert "WORLD_EXECUTE" in block
    assert "set(WAM_ROS_BY_PIP TRUE)" in (ROOT / "cmake" / "wheel_environment.cmake").read_text()


def test_a_pinned_torch_is_asked_for():
    assert re.search(r'"torch==[\d.]+"', (ROOT / "pyproject.toml").read_text())


def test_the_requirements_of_a_ros_machine_are_those_of_the_package():
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set()
    for extra in ("torch", "sim", "view", "serve"):
        wanted |= set(
            re.findall(r'"([^"]+)"', re.search(rf"^{extra} = \[(.*)\]", project, re.MULTILINE)[1])
        )
    wanted |= {*RUNTIME}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith(("#", "-"))} == wanted


def locked(name):
    """{(name, Python): (version, number of hashes)} of a file of locks/."""
    found = {}
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "locks" / f"{name}.txt").read_text())
    for entry in entries[1:]:
        requirement = Requirement(entry.partition(" \\\n")[0])
        ((operator, version),) = ((s.operator, s.version) for s in requirement.specifier)
        assert operator == "=="
        for python in PYTHONS:
            environment = {"python_full_version": f"{python}.9", "python_version": python}
            if requirement.marker is None or requirement.marker.evaluate(environment):
                key = (canonicalize_name(requirement.name), python)
                assert key not in found, f"{key} twice in {name}"
                found[key] = version, entry.count("--hash=sha256:")
    return found


@pytest.mark.parametrize("distro", DISTROS)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_locked_is_what_the_package_asks_for_with_a_hash_for_each(distro, python):
    found = {}
    for name, requirements in wanted(distro).items():
        found |= locked(f"{distro}-{name}")
        for requirement in map(Requirement, requirements):
            key = canonicalize_name(requirement.name), python
            assert key in found, f"{requirement} is not locked: make lock"
            version, _ = found[key]
            assert requirement.specifier.contains(version), f"{requirement}: {version}: make lock"
    assert all(hashes for _, hashes in found.values())
    other = "kilted" if distro == "jazzy" else "jazzy"
    assert not [name for name, _ in found if name.startswith(f"ros-{other}-")]


def test_the_torch_that_is_locked_is_the_pinned_one_and_what_it_asks_for_is_locked_too():
    pinned = re.search(r'"torch==([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    found = locked("torch-cpu")
    assert {version for version, _ in found.values()} == {f"{pinned}+cpu"}
    pytest.importorskip("torch")
    asked = [r for r in importlib.metadata.requires("torch") if ";" not in r]
    assert sorted(asked) == sorted(TORCH_NEEDS)


def test_nothing_that_is_locked_asks_for_what_is_not():
    """It is installed without looking at what it asks for; seen from the Python that runs this."""
    python = "{}.{}".format(*sys.version_info)
    distro = os.environ.get("ROS_DISTRO", "jazzy")
    files = (f"{distro}-build", f"{distro}-demo", f"{distro}-dev", "torch-cpu")
    names = {name for file in files for name, p in locked(file) if p == python}
    missing = set()
    for name in names:
        try:
            asked = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, asked):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(requirement.name)} - names
    assert missing == set()


@pytest.mark.long
@pytest.mark.ros
def test_a_normal_installation_has_messages_data_and_command(tmp_path):
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, env=environment
    )
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", str(source)],
        check=True,
        env=environment,
        timeout=900,
    )
    code = (
        "from wam_ros.ros.environment import ensure; ensure()\n"
        "from wam_ros.msg import ActionChunk\n"
        "from wam_ros.srv import SetInstruction\n"
        "from wam_ros.action import ExecuteTask\n"
        "from wam_ros.core.embodiment import load_embodiment\n"
        "from ament_index_python import get_package_share_directory\n"
        "assert load_embodiment('panda').urdf_path.is_file()\n"
        "from wam_ros.view.assets import page_assets\n"
        "assert {'/', '/main.js', '/three/three.core.min.js'} <= set(page_assets())\n"
        "import rclpy; rclpy.init()\n"
        "rclpy.create_node('n').create_publisher(ActionChunk, 'c', 1).publish(ActionChunk())\n"
        "print(get_package_share_directory('wam_ros'))"
    )
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    share = Path(done.stdout.strip())
    assert share == tmp_path / "venv" / "share" / "wam_ros"
    assert (share / "launch" / "bringup.launch.py").is_file()
    assert (tmp_path / "venv" / "lib" / "wam_ros" / "safety_node").is_file()
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "wam", "--help"], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_the_wheel_runs_the_demo_from_an_empty_folder_without_a_compiler(tmp_path):
    """Of what is committed, for this Python; `TORCH_INDEX` may be empty."""
    if not importlib.util.find_spec("ensurepip"):
        pytest.skip("this Python makes no environments")
    env = {**os.environ, "PYTHON": sys.base_prefix + "/bin/python3"}
    done = subprocess.run(
        [ROOT / "tools" / "try_wheel.sh", tmp_path], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1/1 picked the named block" in done.stdout
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert [tag in w.name for w in tmp_path.glob("*.whl")] == [True]
