"""Programs of others in environments of their own (`make foreign`), and `wam serve` for them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from testing.peers import free_port

ROOT = Path(__file__).resolve().parents[1]
READY_S = 120.0


def program(name: str, command: str = "python") -> str:
    """The path of a command of the environment `name`; fails where it was not made."""
    path = ROOT / os.environ.get("FOREIGN", ".venv-foreign") / name / "bin" / command
    assert path.exists(), f"run `tools/foreign.sh {name}` first"
    return str(path)


@contextlib.contextmanager
def wam_serve(*options: str) -> Iterator[int]:
    """The port of `wam serve` as a process, when it answers; it must end well."""
    port = free_port()
    argv = [sys.executable, "-m", "wam_ros.cli", "serve", "--port", str(port), *options]
    process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        until_answers(process, port)
        yield port
    finally:
        process.terminate()
        assert process.wait(30) == 0


def until_answers(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a policy server says that it is ready."""
    until = time.monotonic() + READY_S
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            return
