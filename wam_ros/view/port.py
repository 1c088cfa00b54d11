"""Whether the page can be served, asked before anything is started."""

from __future__ import annotations

import errno
import socket

from wam_ros.core.errors import WamError, require_within


def require_free_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise a `WamError` that names the TCP port unless it can be listened on."""
    require_within("port", port, 1, 65535)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as error:
            reason = (
                "is in use"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used ({error.strerror})"
            )
            raise WamError(f"port {port} on {host} {reason}; choose another port") from error
