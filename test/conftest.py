"""What must be set before any test module is imported, and which tests need ROS."""

import collections
import fcntl
import importlib.util
import os
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

import pytest

from wam_ros.demo.domain import hold_domain

ROOT = Path(__file__).resolve().parents[1]
HAS_ROS = importlib.util.find_spec("rclpy") is not None

# MuJoCo chooses its GL when it is first imported, by whichever test
os.environ.setdefault("MUJOCO_GL", "egl")
MACHINE = os.open(__file__, os.O_RDONLY)  # what workers lock who share it
# One domain per session: sessions and demos beside each other, and robots on the network, must not
# meet.
os.environ["ROS_DOMAIN_ID"] = str(hold_domain())
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="wam_ros_log_"))
if HAS_ROS:
    from wam_ros.ros.environment import ensure

    ensure()


def pytest_addoption(parser):
    """Options of the whole suite; pytest takes them only from this first conftest."""
    parser.addoption(
        "--golden", type=Path, metavar="DIR", help="reference numbers of the DreamZero family"
    )


def pytest_configure(config):
    """A folder that is not there is said once, not by every test that reads from it."""
    folder = config.getoption("--golden")
    if folder and not folder.is_dir():
        raise pytest.UsageError(f"--golden: no folder '{folder}'")


# the last to see them: what -k and -m leave out is gone
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Tests marked `ros` are skipped where there is no ROS.

    They run in real time over DDS, where a processor busy with something else proves nothing: then
    they run again. Workers of pytest-xdist take them last, and files of both kinds just before:
    whoever waits for the machine does so when there is little else to do.
    """
    skipped = pytest.mark.skip(reason="rclpy is not installed")
    kinds = collections.defaultdict(set)
    for item in items:
        kinds[item.path].add(needs_machine(item))
        if item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.flaky(reruns=2) if HAS_ROS else skipped)
    if is_worker(config):
        items.sort(key=lambda item: statistics.mean(kinds[item.path]))


def needs_machine(item):
    """Whether a test needs a machine on which no other runs."""
    marks = {mark.name for mark in item.iter_markers()}
    return "gpu" in marks or ("ros" in marks and "untimed" not in marks)


def is_worker(config):
    """Whether this process is one of those among which pytest-xdist shares the tests."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A worker has the machine to itself for a test that needs that, and keeps it from one to the
    next of a file: nodes live as long as the file's fixtures.
    """
    if not is_worker(item.config):
        return (yield)
    fcntl.flock(MACHINE, fcntl.LOCK_EX if needs_machine(item) else fcntl.LOCK_SH)
    try:
        return (yield)
    finally:
        if not needs_machine(item) or nextitem is None or nextitem.path != item.path:
            fcntl.flock(MACHINE, fcntl.LOCK_UN)


def pytest_terminal_summary(terminalreporter):
    """Why a test ran again: that it passed then does not tell what it met before."""
    for report in terminalreporter.stats.get("rerun", ()):
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash:
            terminalreporter.write_line(f"{report.nodeid}: {crash.message} ({crash.lineno})")


@pytest.fixture(params=["full disk", "limit of the system"])
def small_disk(request, tmp_path):
    """A folder in which no file fits that is larger than 256 kB: really none."""
    if request.param == "limit of the system":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256_000, before[1]))
        yield tmp_path
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def full_disk(tmp_path):
    """A folder of 4 MB, and a switch that fills it to the last byte and empties it again."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    ballast = folder / "ballast"

    def fill(full):
        if not full:
            ballast.unlink()
            return
        with ballast.open("wb", buffering=0) as file:
            for size in (65536, 1):  # to the last byte
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    yield folder, fill
    # who writes into it may end only after this
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def root():
    """Folder of the checkout."""
    return ROOT
