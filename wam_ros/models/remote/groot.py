"""A policy server that speaks ZeroMQ, as GR00T's: one question, one answer, arrays of numpy.

Such a server is not told by its connection that somebody is there: `ping` asks. It has no TLS; its
token travels in each question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wam_ros.core.errors import WamError
from wam_ros.models.remote.address import TOKEN_VARIABLE, Address
from wam_ros.models.remote.link import CONNECT_S, GREETING_S, UnreachedError, printable
from wam_ros.wire.contract import WireContract
from wam_ros.wire.exchange import RESET_DONE
from wam_ros.wire.groot import (
    actions_of,
    observation_of,
    pack_asked,
    read_answer,
    require_contract,
)
from wam_ros.wire.packing import MOST_BYTES, WireError

try:
    import zmq
except ImportError as error:
    raise WamError("a server of GR00T is asked with pyzmq: pip install 'wam-ros[groot]'") from error


class GrootLink:
    """Asks one question at a time. Of one thread at a time.

    Args:
        address: of the server.
        token: that it is shown; '' none.
        contract: what its keys mean.
    """

    tells_reset = True  # whatever the contract says: the server has an endpoint for it

    def __init__(self, address: Address, token: str, contract: WireContract) -> None:
        self._address = address
        self._token = token
        self._contract = contract
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None

    @property
    def open(self) -> bool:
        """Whether there is somebody, as far as is known."""
        return self._socket is not None

    def connect(self, patience_s: float, on_wait: Callable[[str], None]) -> Any:
        """See that somebody is there, and that it has the keys of the contract.

        Args:
            patience_s: unused; such a server takes no connection while it loads.
            on_wait: likewise.

        Raises:
            WamError: nobody answers, or it wants others.
        """
        self.close()
        socket = self._context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # a question waits in no queue for a server to come
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        socket.setsockopt(zmq.SNDTIMEO, round(1e3 * CONNECT_S))
        socket.setsockopt(zmq.IPV6, 1)
        self._socket = socket
        try:
            socket.connect(self._address.url)
        except zmq.ZMQError as error:
            self.close()
            raise UnreachedError(self._words(f"cannot be reached: {error}")) from error
        for endpoint in ("ping", "get_modality_config"):
            said = self._call(endpoint, None, GREETING_S)
            if isinstance(said, str):
                self.close()
                raise WamError(self._words(said))
        try:
            require_contract(self._contract, said)
        except WireError as error:
            self.close()
            raise WamError(self._words(str(error))) from error
        return {}

    def ask(self, message: Mapping[str, Any], timeout_s: float) -> Any:
        """The actions for an observation, or a reset; a text where the server says an error.

        Raises:
            WamError: in words, with the server's address.
        """
        if message.get("endpoint") == "reset":
            answer = self._call("reset", {"options": None}, timeout_s)
            return answer if isinstance(answer, str) else RESET_DONE
        asked = {"observation": observation_of(message), "options": None}
        answer = self._call("get_action", asked, timeout_s)
        if isinstance(answer, str):
            return answer
        try:
            return actions_of(answer)
        except WireError as error:
            raise WamError(self._words(str(error))) from error

    def close(self) -> None:
        """Ask nothing more."""
        socket = self._socket
        self._socket = None
        if socket is not None:
            socket.close(0)

    def _call(self, endpoint: str, data: Mapping[str, Any] | None, timeout_s: float) -> Any:
        """What an endpoint answers, or its error as text.

        Whatever goes wrong, the socket is closed: an answer that comes late must not be taken for
        the next one, and a socket of this kind asks nothing more before it had one.
        """
        if self._socket is None:
            raise WamError(self._words("is not connected"))
        try:
            self._socket.send(pack_asked(endpoint, self._token, data))
            if not self._socket.poll(round(1e3 * timeout_s)):
                self.close()
                raise WamError(self._words(f"has not answered for {timeout_s:g} s"))
            said = self._socket.recv()
            if self._socket.getsockopt(zmq.RCVMORE):
                raise WireError("it has several parts")
            answer = read_answer(said)
        except zmq.Again as error:
            self.close()
            raise UnreachedError(self._words("cannot be reached")) from error
        except zmq.ZMQError as error:
            self.close()
            raise WamError(self._words(f"the connection is gone: {error}")) from error
        except WireError as error:
            self.close()
            raise WamError(self._words(f"its answer cannot be read: {error}")) from error
        if isinstance(answer, Mapping) and "error" in answer:
            words = printable(str(answer["error"])) or "an error"
            return f"{words} ({TOKEN_VARIABLE})" if "Unauthorized" in words else words
        return answer

    def _words(self, what: str) -> str:
        return f"the policy server {self._address.url}: {what}"
