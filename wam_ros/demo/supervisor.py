"""Runs the loop's processes: own log each, the first death noticed and named, everything stopped in
order.

Built on `subprocess` because the stop has an order here: when one process dies the safety process
must outlive it until the arm rests, and the cause is the log of the one that died. Process managers
such as honcho stop all at once.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wam_ros.core.with_parent import end_with_parent

_ROS_LINE = re.compile(r"^\[(?P<level>[A-Z]+)\] (?:\[[\d.]+\] )?\[[^\]]*\]: (?P<text>.*)")


@dataclass(frozen=True)
class Command:
    """One process: a short unique name and its argument list."""

    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Death:
    """A process that ended although nobody asked it to."""

    name: str
    returncode: int
    tail: tuple[str, ...]  # last lines of its log

    @property
    def cause(self) -> str:
        """How it ended, in words."""
        if self.returncode < 0:
            # DDS writes to memory files
            hint = " (is /dev/shm full?)" if self.returncode == -signal.SIGBUS else ""
            return f"{self.name} was killed by {signal_name(-self.returncode)}{hint}"
        return f"{self.name} exited with code {self.returncode}"

    @property
    def error(self) -> str:
        """The process's own one-line error: what it logged last as an error, else its last line."""
        lines = [line.strip() for line in self.tail if line.strip()]
        logged = [m for m in map(_ROS_LINE.match, lines) if m]
        if errors := [m["text"] for m in logged if m["level"] in ("ERROR", "FATAL")]:
            return errors[-1]
        return lines[-1] if lines else self.cause


def signal_name(number: int) -> str:
    """`SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Supervisor:
    """Owns the processes; every method belongs to the main thread.

    Args:
        commands: what to run; names must differ.
        folder: existing folder for `<name>.log`.
        environment: of every process.
    """

    def __init__(
        self, commands: Sequence[Command], folder: Path, environment: Mapping[str, str]
    ) -> None:
        if len({c.name for c in commands}) != len(commands):
            raise ValueError("process names must differ")
        self.commands = tuple(commands)
        self.folder = folder
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def start(self) -> None:
        """Start all processes at once. They form own sessions, so Ctrl-C in the terminal reaches
        only the parent.
        """
        for command in self.commands:
            with self.log_path(command.name).open("wb") as log:
                self._running[command.name] = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                    # when we vanish without a chance to stop them
                    preexec_fn=partial(end_with_parent, os.getpid()),
                )

    def log_path(self, name: str) -> Path:
        """Log file of one process."""
        return self.folder / f"{name}.log"

    def pid(self, name: str) -> int:
        """Process id of a started process."""
        return self._running[name].pid

    def tail(self, name: str, lines: int = 12) -> tuple[str, ...]:
        """Last lines of a process's log."""
        try:
            with self.log_path(name).open(encoding="utf-8", errors="replace") as log:
                return tuple(line.rstrip("\n") for line in deque(log, maxlen=lines))
        except OSError:
            return ()

    def deaths(self) -> list[Death]:
        """Processes that ended by themselves, killed ones first; empty while all run or once `stop`
        was called.
        """
        if self._stopping:
            return []
        ended = [(n, p.poll()) for n, p in self._running.items()]
        found = [Death(n, code, self.tail(n)) for n, code in ended if code is not None]
        return sorted(found, key=lambda d: d.returncode >= 0)

    def stop(self, timeout_s: float = 5.0) -> list[str]:
        """Ask all processes to end, kill those that do not within `timeout_s`; returns the names
        killed.
        """
        self._stopping = True
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + timeout_s
        killed = []
        for name, process in self._running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed.append(name)
        return killed
