"""Where a server listens and what it speaks, looked at before anything is started."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from pathlib import Path

from wam_ros.core.errors import WamError, require_within


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(port: int, host: str = "127.0.0.1", buffer: int = 1 << 16) -> socket.socket:
    """A socket that listens on an address of this machine.

    Its connections have small buffers: what waits in a large one is old when it is read, and what
    arrives in one piece holds up the others while it is read.

    Args:
        port: TCP port.
        host: IP address of this machine.
        buffer: bytes of the kernel for each connection and direction.

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
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
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


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """TLS of a server with these PEM files; None without both.

    Raises:
        WamError: only one is named, or one cannot be used.
    """
    if not certificate and not key:
        return None
    if not (certificate and key):
        raise WamError("TLS takes both files: tls_certificate and tls_key")
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        if not Path(path).is_file():
            raise WamError(f"{name} '{path}' does not exist")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise WamError(
            f"tls_certificate '{certificate}' with tls_key '{key}' cannot be used: {error}"
        ) from error
    return context
