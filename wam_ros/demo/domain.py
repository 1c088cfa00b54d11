"""A ROS domain of one's own on this machine: two loops in one would stop each other's arms."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

from wam_ros.core.errors import WamError

DOMAINS = 101  # 1 to 101; above, Linux gives their ports away
LOCK = "wam_ros_domain_{}"  # in the folder for temporary files

_held: list[IO[str]] = []  # for as long as this process lives


def hold_domain(start: int | None = None) -> int:
    """A ROS domain between 1 and 101 that is this process's until it ends: no other one has got it
    here, and nobody listens at the port of its first participant.

    Args:
        start: where the search begins; None for a place that differs between processes.

    Raises:
        WamError: none is left.
    """
    first = os.getpid() if start is None else start
    for k in range(DOMAINS):
        domain = 1 + (first + k) % DOMAINS
        if _is_silent(domain) and _lock(domain):
            return domain
    raise WamError("no free ROS domain on this machine; choose one with --domain-id")


def _is_silent(domain: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind(("", 7400 + 250 * domain + 10))
        except OSError:
            return False
    return True


def _lock(domain: int) -> bool:
    try:
        file = (Path(tempfile.gettempdir()) / LOCK.format(domain)).open("a")
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _held.append(file)
    return True
