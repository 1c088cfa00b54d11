"""Where the page listens, asked for before anything is started."""

from __future__ import annotations

import errno
import ipaddress
import socket

from wam_ros.core.errors import WamError, require_within

_BUFFER = 1 << 16  # bytes of the kernel for each connection and direction


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens on an address of this machine.

    Its connections have small buffers: what waits in a large one is old when it is read, and what
    arrives in one piece holds up the others while it is read.

    Raises:
        WamError: it names the port or the address, and why it cannot be used.
    """
    require_within("port", port, 1, 65535)
    try:
        six = host != "localhost" and ipaddress.ip_address(host).version == 6
    except ValueError as error:
        raise WamError(
            f"host '{host}' is no IP address; 127.0.0.1 is this machine alone, 0.0.0.0 everybody"
        ) from error
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        s.bind(("127.0.0.1" if host == "localhost" else host, port))
        s.listen()
    except OSError as error:
        s.close()
        reason = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        )
        raise WamError(f"port {port} on {host} {reason}; choose another port") from error
    return s


def require_free_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise a `WamError` that names the TCP port unless it can be listened on."""
    listen(port, host).close()
