"""A server of openpi's wire that is not ours: metadata, then bytes for bytes; it can be made to
lie.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from wam_ros.wire.packing import pack, unpack


class OpenpiServer:
    """As openpi's `WebsocketPolicyServer`: `act` makes an answer of an observation.

    An answer of bytes or text is sent as it is.
    """

    def __init__(self, act: Callable[[dict[str, Any]], Any], metadata: Any) -> None:
        self.act = act
        self.metadata = metadata
        self.asked: list[dict[str, Any]] = []
        self.connections: list[ServerConnection] = []

    def handle(self, connection: ServerConnection) -> None:
        """One client."""
        self.connections.append(connection)
        said = self.metadata if isinstance(self.metadata, str | bytes) else pack(self.metadata)
        with contextlib.suppress(ConnectionClosed):
            connection.send(said)
            for data in connection:
                self.asked.append(unpack(data))
                answer = self.act(self.asked[-1])
                connection.send(answer if isinstance(answer, str | bytes) else pack(answer))

    def drop(self) -> None:
        """End every connection."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()


@contextlib.contextmanager
def openpi_server(
    act: Callable[[dict[str, Any]], Any],
    metadata: Any = None,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[tuple[OpenpiServer, int]]:
    """A server, and its port."""
    ours = OpenpiServer(act, {} if metadata is None else metadata)
    with serve(ours.handle, host, port, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield ours, server.socket.getsockname()[1]
        ours.drop()
        server.shutdown()
        thread.join(10)


def ramp(message: dict[str, Any], key: str = "state", rate: float = 0.002) -> dict[str, Any]:
    """A chunk from the joints of a message on, each a little further at every step."""
    return {"actions": message[key] + rate * np.arange(1, 9)[:, None]}
