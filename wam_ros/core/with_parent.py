"""A process that ends with the one that started it, however that one ends.

`python .../with_parent.py PID COMMAND...` becomes COMMAND, as a child of the process PID.
The launch files put it in front of every command: `ros2 launch` that is killed, or that fails
before it knows what it has started, would leave the nodes running behind a returned prompt.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of sys/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Be sent SIGTERM as soon as the process `parent`, which started this one, is gone (Linux
    only). The kernel keeps to it when this process becomes another program.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # gone already: nobody would tell us
        os.kill(os.getpid(), signal.SIGTERM)


def prefix(parent: int) -> tuple[str, ...]:
    """Words to put in front of a command that a process `parent` starts. Nothing of the environment
    is needed for them, or changed by them.
    """
    return sys.executable, "-I", "-S", __file__, str(parent)


def main(words: list[str]) -> None:
    """Become the command `words[1:]`, which ends with the process `words[0]`."""
    end_with_parent(int(words[0]))
    os.execvp(words[1], words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
