"""A second machine for programs of tests: a network namespace of its own, at the end of a cable
that counts and can be cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SecondMachine:
    """What runs with `prefix` in front of it is there."""

    name: str
    here: str  # addresses of this machine and of that one, on the cable between them
    there: str

    @property
    def prefix(self) -> list[str]:
        """In front of a command line."""
        return ["ip", "netns", "exec", self.name]

    def plug(self, in_place: bool) -> None:
        """The cable, at its far end: here a route remains that leads nowhere."""
        _ip("-n", self.name, "link", "set", "robot", "up" if in_place else "down")

    def sent(self) -> tuple[int, int]:
        """Bytes so far, from here and from there."""
        counts = Path("/sys/class/net") / self.name / "statistics"
        return tuple(int((counts / f"{way}_bytes").read_text()) for way in ("tx", "rx"))  # type: ignore[return-value]


def why_no_second_machine() -> str:
    """Why there can be none here; '' where there can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    tried = f"wam-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", tried], capture_output=True).returncode:
        return "this machine makes no network namespaces"
    _ip("netns", "delete", tried)
    return ""


@contextlib.contextmanager
def second_machine() -> Iterator[SecondMachine]:
    """One that is gone afterwards, with all that runs there."""
    number = os.getpid() % 250
    machine = SecondMachine(f"wam{os.getpid()}", f"10.213.{number}.1", f"10.213.{number}.2")
    there = ["-n", machine.name]
    _ip("netns", "add", machine.name)
    try:
        _ip("link", "add", machine.name, "type", "veth", "peer", "robot", "netns", machine.name)
        _ip("address", "add", f"{machine.here}/30", "dev", machine.name)
        _ip(*there, "address", "add", f"{machine.there}/30", "dev", "robot")
        _ip("link", "set", machine.name, "up")
        _ip(*there, "link", "set", "robot", "up")
        _ip(*there, "link", "set", "lo", "up")
        yield machine
    finally:
        left = subprocess.run(
            ["ip", "netns", "pids", machine.name], capture_output=True, text=True, check=True
        )
        for process in left.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), 9)
        # a namespace goes with its last process, some time later; the cable goes at once
        subprocess.run(["ip", "link", "delete", machine.name], check=False)
        _ip("netns", "delete", machine.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
