"""Write locks/: the exact wheels that `make setup` installs, each with its hash.

For Linux on x86-64 and every Python that the project runs on; for other machines ROS 2 has no
wheels on PyPI. What is locked stays as it is, as far as the ranges of pyproject.toml and
tools/wheels.py still allow it; `--upgrade` takes the newest. torch has a file of its own, because
its CPU build comes from an index of its own.

`python -m tools.lock` needs uv in the PATH, or installed beside the Python that runs it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools.wheels import DISTROS, TORCH_NEEDS, ros_build, runtime
from wam_ros.core.files import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
TORCH_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
PROJECT = """
[project]
name = "locked"
version = "0"
requires-python = ">=3.10,<3.15"
[dependency-groups]
{groups}
[tool.uv]
package = false
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
constraint-dependencies = {constraints}
"""
HEAD = """# Written by `make lock`; edit the ranges in pyproject.toml and tools/wheels.py instead.
"""
Package = dict[str, Any]


def wanted(distro: str) -> dict[str, list[str]]:
    """Requirements by what they are for, in the order in which they are installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    return {
        "build": [*ros_build(distro), *project["build-system"]["requires"]],
        "demo": [*runtime(distro), *TORCH_NEEDS, *_without_torch(extras, "demo")],
        "dev": _without_torch(extras, "dev"),
    }


def _without_torch(extras: dict[str, list[str]], name: str) -> list[str]:
    """What an extra asks for, those that it names included."""
    found = []
    for text in extras[name]:
        requirement = Requirement(text)
        if requirement.name == "wam-ros":
            for other in sorted(requirement.extras):
                found += _without_torch(extras, other)
        elif requirement.name != "torch":
            found.append(text)
    return found


def resolve(
    wanted: dict[str, list[str]], constraints: list[str]
) -> tuple[dict[str, list[str]], list[Package]]:
    """For each group the lines `name==version ; marker` that those before it lack, and the packages
    as uv knows them.
    """
    groups = "\n".join(f"{name} = {found}" for name, found in wanted.items())
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(
            PROJECT.format(groups=groups, constraints=constraints)
        )
        _uv(folder, "lock")
        export = ("export", "--frozen", "--no-hashes", "--no-header", "--no-annotate")
        seen: set[str] = set()
        for name in wanted:
            lines = _uv(folder, *export, "--only-group", name).splitlines()
            found[name] = [line for line in lines if line not in seen]
            seen |= {*lines}
        packages = tomllib.loads((Path(folder) / "uv.lock").read_text())["package"]
    return found, packages


def _uv(folder: str, *words: str) -> str:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("lock: needs uv: pip install uv")
    done = subprocess.run(
        [uv, *words, "--directory", folder, "--no-python-downloads"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"lock: {done.stderr}\n`make lock UPGRADE=1` lets go of what is locked")
    return done.stdout


def files_of(packages: list[Package]) -> dict[tuple[str, str], list[Package]]:
    """By name and version, the files that can be installed on Linux on x86-64: wheels, or the
    source where there is none.
    """
    found = {}
    for package in packages:
        wheels = [w for w in package.get("wheels", []) if _fits(_name_of(w), PYTHONS)]
        sources = [package["sdist"]] if "sdist" in package and not wheels else []
        if wheels or sources:
            found[package["name"], package["version"]] = [*wheels, *sources]
    return found


def _name_of(file: Package) -> str:
    return str(file["url"]).rsplit("/", 1)[1]


def _fits(name: str, pythons: tuple[str, ...]) -> bool:
    return bool(parse_wheel_filename(name)[3] & set().union(*(_tags(p) for p in pythons)))


def _tags(python: str) -> set[Tag]:
    version = tuple(int(part) for part in python.split("."))
    linux = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 40)]
    linux += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    return {
        *cpython_tags(version, platforms=linux),
        *compatible_tags(version, interpreter=f"cp{version[0]}{version[1]}", platforms=linux),
    }


def render(lines: list[str], files: dict[tuple[str, str], list[Package]]) -> str:
    """A file for `--require-hashes`, and at its head how much it is for each Python."""
    text = ""
    for line in lines:
        requirement = Requirement(line)
        (version,) = (s.version for s in requirement.specifier)
        hashes = sorted(f["hash"] for f in files[canonicalize_name(requirement.name), version])
        marker = f" ; {_python_of(requirement.marker)}" if _python_of(requirement.marker) else ""
        text += f"{requirement.name}=={version}{marker}"
        text += "".join(f" \\\n    --hash={found}" for found in hashes) + "\n"
    return HEAD + "".join(f"# {_sum(lines, files, python)}\n" for python in PYTHONS) + text


def _python_of(marker: Marker | None) -> str:
    """The part of a marker about Python: the machine is the one that the file is for."""
    if marker is None:
        return ""
    parts = [p for p in re.split(r" and ", str(marker).replace('"', "'")) if "python" in p]
    return " and ".join(parts)


def _sum(lines: list[str], files: dict[tuple[str, str], list[Package]], python: str) -> str:
    environment = {"python_full_version": f"{python}.0", "python_version": python}
    environment |= {"sys_platform": "linux", "platform_machine": "x86_64"}
    count = size = 0
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        (version,) = (s.version for s in requirement.specifier)
        fitting = [
            f["size"]
            for f in files[canonicalize_name(requirement.name), version]
            if not _name_of(f).endswith(".whl") or _fits(_name_of(f), (python,))
        ]
        count += 1
        size += min(fitting, default=0)
    return f"Python {python}: {count} wheels, {size / 1e6:.0f} MB"


def pins(path: Path) -> list[str]:
    """What a file of locks/ holds now."""
    text = path.read_text() if path.is_file() else ""
    return [line.removesuffix(" \\") for line in text.splitlines() if re.match(r"[A-Za-z]", line)]


def lock_torch() -> str:
    """The hashes of torch's CPU build, as its index tells them; '' where that is out of reach."""
    pinned = re.search(r'"torch==([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    try:
        with urllib.request.urlopen(TORCH_INDEX, timeout=30) as answer:
            page = answer.read().decode()
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"lock: {TORCH_INDEX} cannot be reached ({error}): locks/torch-cpu.txt stays")
        return ""
    found = re.findall(r'href="([^"]*/)?(torch-[^"#/]+\.whl)#sha256=([0-9a-f]{64})"', page)
    wheels = {
        urljoin(TORCH_INDEX, f"{folder}{name}"): digest
        for folder, name, digest in found
        if name.startswith(f"torch-{pinned[1]}%2Bcpu-") and _fits(name.replace("%2B", "+"), PYTHONS)
    }
    with urllib.request.urlopen(
        urllib.request.Request(max(wheels), method="HEAD"), timeout=30
    ) as answer:
        size = int(answer.headers["Content-Length"])
    text = f"torch=={pinned[1]}+cpu"
    text += "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(wheels.values()))
    return (
        HEAD
        + "".join(f"# Python {p}: 1 wheels, {size / 1e6:.0f} MB\n" for p in PYTHONS)
        + f"{text}\n"
    )


def write(wanted: dict[str, list[str]], prefix: str, upgrade: bool) -> None:
    """Lock what is wanted, each group in the file of its name."""
    paths = {name: LOCKS / f"{prefix}{name}.txt" for name in wanted}
    constraints = [] if upgrade else [pin for path in paths.values() for pin in pins(path)]
    found, packages = resolve(wanted, constraints)
    files = files_of(packages)
    for name, path in paths.items():
        write_whole(path, render(found[name], files))
        print(f"lock: {path.relative_to(ROOT)}: {len(found[name])} packages")


def main() -> None:
    """Write every file of locks/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    upgrade = parser.parse_args().upgrade
    LOCKS.mkdir(exist_ok=True)
    for distro in DISTROS:
        write(wanted(distro), f"{distro}-", upgrade)
    write({"uv": ["uv"]}, "", upgrade)
    if text := lock_torch():
        write_whole(LOCKS / "torch-cpu.txt", text)


if __name__ == "__main__":
    main()
