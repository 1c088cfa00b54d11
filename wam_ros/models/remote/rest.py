"""A policy server that is asked by HTTP, as OpenVLA's `deploy.py`: POST /act, JSON with arrays.

Arrays are in base64, as the package json-numpy packs them: a map with `__numpy__`, `dtype` and
`shape`. Such a server says nothing of itself; text in place of an answer is an error.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.models.remote.address import Address
from wam_ros.models.remote.link import CONNECT_S, UnreachedError, line_of, printable
from wam_ros.wire.packing import MOST_BYTES, WireError, array_of


class RestLink:
    """Asks one message at a time, each on a connection of its own. Of one thread at a time.

    Args:
        address: of the server.
        token: that it is shown; '' none.
    """

    tells_reset = False

    def __init__(self, address: Address, token: str) -> None:
        self._parts = urlsplit(address.url)
        self._token = token
        self.open = False

    def connect(self, patience_s: float, on_wait: Callable[[str], None]) -> Any:
        """See that somebody is there; such a server says no more.

        Raises:
            WamError: nobody is.
        """
        connection = self._connection(CONNECT_S)
        try:
            connection.connect()
        except OSError as error:
            words = self._words(f"cannot be reached: {line_of(error)}")
            raise UnreachedError(words) from error
        finally:
            connection.close()
        self.open = True
        return {}

    def ask(self, message: Mapping[str, Any], timeout_s: float) -> Any:
        """The answer to a message.

        Raises:
            WamError: in words, with the server's address.
        """
        if not self.open:
            raise WamError(self._words("is not connected"))
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection(timeout_s)
        try:
            body = json.dumps(message, default=_packed)
            connection.request("POST", self._parts.path or "/act", body, headers)
            answer = connection.getresponse()
            said = answer.read(MOST_BYTES + 1)
        except TimeoutError as error:
            self.open = False
            raise WamError(self._words(f"has not answered for {timeout_s:g} s")) from error
        except (OSError, http.client.HTTPException) as error:
            self.open = False
            raise WamError(self._words(f"the connection is gone: {line_of(error)}")) from error
        finally:
            connection.close()
        if answer.status != 200 or len(said) > MOST_BYTES:
            raise WamError(self._words(f"answers with {answer.status} and {len(said)} bytes"))
        try:
            found = read_json(said)
        except WireError as error:
            raise WamError(self._words(f"its answer cannot be read: {error}")) from error
        return printable(found) if isinstance(found, str) else found

    def close(self) -> None:
        """Ask nothing more."""
        self.open = False

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        host = self._parts.hostname or ""
        return kinds[self._parts.scheme](host, self._parts.port, timeout=timeout_s)

    def _words(self, what: str) -> str:
        return f"the policy server {self._parts.geturl()}: {what}"


def read_json(data: bytes) -> Any:
    """What a server of OpenVLA's kind answers: an array, in the form of json-numpy or as lists.

    Raises:
        WireError: no JSON, or an array that is not read here.
    """
    try:
        found = json.loads(data, object_hook=_array)
        # a server that packs its answer twice, as it does with a request that says `encoded`
        found = json.loads(found, object_hook=_array) if _is_packed(found) else found
        return np.asarray(found, np.float64) if isinstance(found, list) else found
    except WireError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"no JSON of numbers: {line_of(error)[:80]}") from error


def _is_packed(found: Any) -> bool:
    return isinstance(found, str) and found.startswith("{")


def _packed(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} has no place in a message")
    data = base64.b64encode(np.ascontiguousarray(value).data).decode("ascii")
    return {"__numpy__": data, "dtype": value.dtype.str, "shape": list(value.shape)}


def _array(found: dict[str, Any]) -> Any:
    if "__numpy__" not in found:
        return found
    try:
        data = base64.b64decode(found["__numpy__"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise WireError("an array whose data is no base64") from error
    return array_of(found.get("dtype"), found.get("shape"), data)
