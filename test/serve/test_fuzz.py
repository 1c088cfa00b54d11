"""Whatever is sent to the policy server is answered, or ends the connection with a reason."""

import contextlib
import threading

import msgpack
import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from testing.policies import PANDA, RememberingPolicy, observation, served
from wam_ros.serve import server as server_module
from wam_ros.wire.contract import native, request_of
from wam_ros.wire.packing import pack, unpack
from wam_ros.wire.vla_eval import pack_said

TOKEN = "secret-of-at-least-22-characters"
SEEN = observation()
REQUEST = request_of(native(PANDA), SEEN, "go", "")
SMALL = {key: v[:2, :2] if key.startswith("observation/f") else v for key, v in REQUEST.items()}
KEYS = [*REQUEST, "step", "predict", "plan", "committed", "deadline_s", "session_id", "endpoint"]
WRONG = [
    None,
    True,
    -1,
    1 << 63,
    float("nan"),
    1e308,
    "",
    "x" * 5000,
    [],
    {},
    [[[[[[[[[[1]]]]]]]]]],
    {str(k): [k] for k in range(600)},
    b"bytes",
    msgpack.ExtType(5, b"x"),
]


def array(rng):
    """The map of an array, parts of which are of no array."""
    found = {b"__ndarray__": True, b"data": rng.bytes(6), b"dtype": "|u1", b"shape": [1, 2, 3]}
    wrong = {
        b"dtype": ["|O", "<c16", "<f8", "<M8[s]", 5, "|u1"],
        b"shape": [[1 << 40, 1 << 40], [-1, 6], [6.0], "6", [0, 3], [6], list(range(20))],
        b"data": [b"", None, "text", bytes(7), rng.bytes(6)],
    }
    for key in rng.choice(list(wrong), rng.integers(0, 3)):
        found[key] = wrong[key][rng.integers(len(wrong[key]))]
    return found


def packed(value):
    return msgpack.packb(value, default=lambda a: unpackable(a), strict_types=False)


def unpackable(a):
    shape = list(a.shape)
    return {b"__ndarray__": True, b"data": a.tobytes(), b"dtype": a.dtype.str, b"shape": shape}


def hostile(rng):
    """One message, nearly always wrong in one way or another."""
    kind = rng.integers(8)
    if kind == 0:
        return rng.bytes(rng.integers(0, 300))
    if kind == 1:  # a header that claims what is not there
        return bytes([rng.integers(0x80, 0x100)]) + b"\xff" * rng.integers(0, 9)
    if kind == 2:
        return b"\x91" * rng.integers(1, 3000)
    if kind == 3:
        return "text " * rng.integers(1, 9)
    changed = dict(SMALL)
    for key in rng.choice(KEYS, rng.integers(1, 3)):
        pick = rng.integers(len(WRONG) + 4)
        changed[str(key)] = WRONG[pick] if pick < len(WRONG) else array(rng)
    if rng.integers(4) == 0:
        del changed[str(rng.choice(list(changed)))]
    data = packed(changed)
    if kind == 4:
        return data[: rng.integers(len(data))]
    if kind == 5:
        torn = bytearray(data)
        for at in rng.integers(0, len(torn), 3):
            torn[at] = rng.integers(256)
        return bytes(torn)
    if kind == 6:  # an evaluator's
        names = ["observation", "episode_start", "hello", "none"]
        payload = WRONG[rng.integers(len(WRONG) - 2)]
        inner = payload if rng.integers(2) else {"images": payload, "state": payload}
        with contextlib.suppress(Exception):
            return pack_said(str(rng.choice(names)), inner or {}, int(rng.integers(1 << 40)))
    return data


def storm(port, seed, n, silent):
    """Send `n` messages; how many were neither answered nor ended with a reason is left."""
    rng = np.random.default_rng(seed)
    path = ("", "/vla-eval")[seed % 2]
    url = f"ws://127.0.0.1:{port}{path}"
    wrong = {"Authorization": "Api-Key another-of-at-least-22-characters"}
    right = {"Authorization": f"Api-Key {TOKEN}"}
    sent = 0
    while sent < n:
        if rng.integers(4) == 0:
            with pytest.raises(InvalidStatus, match="401"):
                connect(url, additional_headers=wrong, compression=None)
            sent += 1
        peer = connect(url, additional_headers=right, compression=None, max_size=None).__enter__()
        try:
            if not path:
                peer.recv(timeout=60)
            while sent < n:
                message = hostile(rng)
                sent += 1
                peer.send(message)
                if path and (not isinstance(message, bytes) or b"episode_" in message):
                    # an episode's begin has no answer, unless it was refused
                    peer.send(b"")
                answer = peer.recv(timeout=60)
                silent += [] if answer else [message]
        except ConnectionClosed as closed:
            if closed.rcvd is None or not closed.rcvd.reason:
                silent.append(str(closed))
        except TimeoutError:
            silent.append(message)
        peer.close()


@pytest.mark.parametrize(
    "n", [2000, pytest.param(100_000, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_message_is_answered_or_ends_the_connection_with_a_reason(n, monkeypatch):
    monkeypatch.setattr(server_module, "REFUSED_S", 0.0)
    me = psutil.Process()
    silent = []
    with served(RememberingPolicy(), token=TOKEN, most_together=8) as (server, port):
        grown = []
        for part in range(5):  # in the first one libraries and buffers take what they keep
            before = me.memory_info().rss
            threads = [
                threading.Thread(target=storm, args=(port, 8 * part + k, n // 40, silent))
                for k in range(8)
            ]
            for t in threads:
                t.start()
            for t in threads:
                t.join(600)
            grown.append(me.memory_info().rss - before)
        assert server.trouble == ""
        assert silent == []
        assert sum(grown[1:]) < 64 << 20
        right = {"Authorization": f"Api-Key {TOKEN}"}
        url = f"ws://127.0.0.1:{port}"
        with connect(url, additional_headers=right, compression=None) as peer:
            peer.recv(timeout=20)
            peer.send(pack(REQUEST))
            assert unpack(peer.recv(timeout=20))["actions"].shape == (8, 8)
