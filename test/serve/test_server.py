"""The policy server on a real socket, with clients that behave and clients that do not."""

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from aiohttp.web_protocol import RequestHandler
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from testing.policies import PANDA, RememberingPolicy, observation, served
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.policy import Request
from wam_ros.serve import server as server_module
from wam_ros.wire.contract import load_contract, native, request_of
from wam_ros.wire.exchange import request_keys
from wam_ros.wire.packing import MOST_BYTES, pack, unpack
from wam_ros.wire.vla_eval import pack_said

TOKEN = "secret-of-at-least-22-characters"
CONTRACT = native(PANDA)


class Client:
    """As openpi's: metadata first, then one answer for each message."""

    def __init__(self, port, token="", **options):
        headers = {"Authorization": f"Api-Key {token}"} if token else None
        url = f"ws://127.0.0.1:{port}"
        self.socket = connect(
            url, additional_headers=headers, compression=None, max_size=None, **options
        ).__enter__()

    def greeting(self):
        return unpack(self.socket.recv(timeout=20))

    def ask(self, message):
        return self.ask_bytes(pack(message))

    def ask_bytes(self, data):
        self.socket.send(data)
        answer = self.socket.recv(timeout=20)
        return answer if isinstance(answer, str) else unpack(answer)

    def look(self, k, session="", **more):
        return self.ask(request_of(CONTRACT, observation(k), "go", session) | more)


@contextlib.contextmanager
def client(port, **options):
    c = Client(port, **options)
    try:
        c.metadata = c.greeting()
        yield c
    finally:
        c.socket.close()


def get(port, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def alone(frames):
    policy = RememberingPolicy()
    policy.reset("go")
    return [policy.predict(observation(k), Request(step=4 * i)) for i, k in enumerate(frames)]


def test_metadata_first_then_the_model_s_own_chunk_bit_for_bit_with_its_time():
    with served(RememberingPolicy()) as (_, port), client(port) as c:
        assert c.metadata["model"] == "remembering"
        assert c.metadata["joint_names"] == list(PANDA.joint_names)
        assert c.metadata["keys"]["wam"][-2:] == ["prompt", "session_id"]
        for k, expected in zip((1, 2), alone((1, 2)), strict=True):
            answer = c.look(k)
            assert (answer["actions"] == expected.positions).all()
            assert answer["server_timing"]["infer_ms"] > 0
            assert "imagined_frames" not in answer
        assert (c.look(5, imagined=True)["imagined_frames"][0] == observation(5).frames).all()


@pytest.mark.parametrize("most_together", [1, 8])
def test_eight_robots_at_once_are_each_answered_as_if_alone(most_together):
    with served(RememberingPolicy(), most_together=most_together) as (_, port):
        wrong = []

        def run(n):
            with client(port) as c:
                for k, expected in enumerate(alone(range(n, n + 4))):
                    if not (c.look(n + k, f"robot {n}")["actions"] == expected.positions).all():
                        wrong.append((n, k))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert wrong == []


def test_those_that_wait_while_the_model_is_busy_are_answered_in_one_pass():
    policy = RememberingPolicy()
    with served(policy, most_together=8) as (server, port), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(port)) for _ in range(5)]
        policy.gate.clear()
        for k, c in enumerate(clients):
            c.socket.send(pack(request_of(CONTRACT, observation(k), "go", "")))
            until = time.monotonic() + 20
            while server._waiting <= k:  # the first one holds the model up
                assert time.monotonic() < until
        policy.gate.set()
        for k, c in enumerate(clients):
            answer = unpack(c.socket.recv(timeout=20))
            assert (answer["actions"] == alone([k])[0].positions).all()
        assert policy.passes == [4]


def test_roboarena_s_clients_get_an_array_and_reset_by_words():
    droid = load_embodiment("droid")
    contract = load_contract("roboarena", droid)
    policy = RememberingPolicy(droid)
    seen = observation(1, robot=droid)
    frames = {key: np.stack([seen.frames[0]] * 4) for key in contract.images}
    with served(policy, [contract], robot=droid) as (_, port), client(port) as c:
        # their configuration is made of these keys and takes no other
        assert c.metadata == {
            "image_resolution": [180, 320],
            "needs_wrist_camera": True,
            "n_external_cameras": 2,
            "needs_stereo_camera": False,
            "needs_session_id": True,
            "action_space": "joint_position",
        }
        with client(port, subprotocols=["wam.policy.1"]) as ours:
            assert ours.metadata["embodiment"] == "droid"
        message = request_of(contract, seen, "go", "one")
        actions = c.ask(message)
        assert (actions.shape, actions.dtype) == ((24, 8), np.float32)
        policy.reset("go")
        expected = policy.predict(seen, Request(step=0)).positions
        assert actions[:, :7] == pytest.approx(expected[:, :7], abs=1e-6)
        assert actions[:, 7] == pytest.approx(1 - expected[:, 7] / 0.04, abs=1e-4)
        assert c.ask(message | frames).shape == (24, 8)
        assert c.ask({"endpoint": "reset", "session_id": "one"}) == "reset successful"
        assert (c.ask(message) == actions).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no message of MessagePack"),
        (b"\xdd\xff\xff\xff\xff", "exceeds"),
        (pack([1]), "a message is a map"),
        (pack({"prompt": "go"}), "keys are of no contract of this server .wam: observation/front"),
        (pack({"endpoint": "shutdown"}), "'endpoint' is infer or reset"),
        (pack({"endpoint": np.zeros(2)}), "'endpoint' is infer or reset"),
        (
            pack(request_of(CONTRACT, observation(), "go", "") | {"session_id": "a\nb"}),
            "printable characters",
        ),
        (pack(request_of(CONTRACT, observation(), "go", "") | {"prompt": 5}), "'prompt' is text"),
        (pack(request_of(CONTRACT, observation(), "fly", "")), "never learned 'fly'"),
        (pack(request_of(CONTRACT, observation(), "go", "") | {"step": -1}), "'step' is a whole"),
    ],
)
def test_what_cannot_be_answered_is_answered_in_words_and_the_connection_lives(data, words):
    with served(RememberingPolicy()) as (_, port), client(port) as c:
        assert words.replace(".", "") in c.ask_bytes(data).replace("(", "")
        assert c.look(1)["actions"].shape == (8, 8)


def test_text_and_a_long_row_of_refusals_end_with_a_reason():
    with served(RememberingPolicy()) as (_, port), client(port) as c:
        for _ in range(server_module.MOST_REFUSED):
            assert "not text" in c.ask_bytes("hello")
        with pytest.raises(ConnectionClosed, match="20 messages in a row could not be answered"):
            c.socket.recv(timeout=20)


def test_a_message_that_is_too_large_is_refused_in_words_and_one_beyond_measure_ends():
    with served(RememberingPolicy()) as (_, port), client(port) as c, client(port) as other:
        assert f"at most {MOST_BYTES} are read" in c.ask_bytes(bytes(MOST_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            c.ask_bytes(bytes(2 * MOST_BYTES + 1))
        assert other.look(1)["actions"].shape == (8, 8)


def test_one_that_sends_large_messages_is_read_at_a_rate_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(server_module, "RATE", 1.0)
    large = {"a": np.zeros(server_module.AT_ONCE + 100, np.uint8)}
    hasty = {"close_timeout": 0.1}  # the server does not listen to it for long
    with (
        served(RememberingPolicy()) as (_, port),
        client(port, **hasty) as c,
        client(port) as other,
    ):
        assert "keys are of no contract" in c.ask(large)
        c.socket.send(pack(large))
        with pytest.raises(TimeoutError):
            c.socket.recv(timeout=0.1)
        assert other.look(1)["actions"].shape == (8, 8)


def test_of_a_flood_most_is_left_unread_and_it_ends_with_a_reason(monkeypatch):
    read = []
    inner = RequestHandler.data_received

    def watched(self, data):
        read.append(len(data))
        inner(self, data)

    monkeypatch.setattr(RequestHandler, "data_received", watched)
    empty = b"\x82\x80\0\0\0\0"  # a masked frame without content
    flood = empty * 400_000
    with served(RememberingPolicy()) as (_, port), client(port) as c, client(port) as other:
        sender = threading.Thread(target=send_all, args=(c.socket.socket, flood))
        sender.start()
        with pytest.raises(ConnectionClosed, match="20 messages in a row could not be answered"):
            recv_all(c.socket)
        assert other.look(1)["actions"].shape == (8, 8)
        sender.join(20)
        assert sum(read) < len(flood) / 2


def send_all(peer, data):
    with contextlib.suppress(OSError):
        peer.sendall(data)


def recv_all(socket):
    while True:
        socket.recv(timeout=20)


def test_an_evaluator_speaks_first_on_a_path_of_its_own_and_is_told_errors_in_its_own_way():
    with served(RememberingPolicy()) as (_, port):
        with connect(f"ws://127.0.0.1:{port}/vla-eval", compression=None) as socket:
            socket.send(pack_said("hello", {}, 1))
            assert b"remembering" in socket.recv(timeout=20)
            socket.send(pack_said("episode_start", {}, 2))  # is not answered
            socket.send(pack_said("observation", {}, 3))
            said = unpack(socket.recv(timeout=20))
        assert (said["type"], said["seq"]) == ("error", 3)
        assert "'images' has no 'front" in said["payload"]["error"]


def test_without_the_token_nothing_is_answered_but_health():
    with served(RememberingPolicy(), token=TOKEN) as (_, port):
        for token in ("", "wrong-of-at-least-22-characters"):
            with pytest.raises(InvalidStatus) as refused:
                Client(port, token)
            assert refused.value.response.status_code == 401
        assert get(port, "/status")[0] == 401
        assert get(port, "/healthz") == (200, "OK\n")
        with client(port, token=TOKEN) as c:
            assert c.look(1)["actions"].shape == (8, 8)


def test_a_web_page_gets_nothing():
    with served(RememberingPolicy()) as (_, port):
        with pytest.raises(InvalidStatus) as refused:
            Client(port, origin="http://127.0.0.1")
        assert refused.value.response.status_code == 403
        assert "no web pages" in get(port, "/status", Origin="http://evil")[1]
        # neither does one whose name was made to point here: it says no Origin
        for path in ("/healthz", "/status", "/"):
            status, words = get(port, path, Host=f"evil.test:{port}")
            assert status == 403, path
            assert "not known by that name" in words


def test_who_comes_while_the_model_is_loaded_waits_and_can_see_how_far_it_is():
    gate = threading.Event()
    with served(RememberingPolicy(), load=lambda: gate.wait(20)) as (server, port):
        c = Client(port)
        assert get(port, "/healthz")[0] == 503
        assert "loading 'it' since" in get(port, "/healthz")[1]
        with pytest.raises(TimeoutError):
            c.socket.recv(timeout=0.1)
        gate.set()
        assert c.greeting()["model"] == "remembering"
        assert get(port, "/healthz") == (200, "OK\n")
        assert server.progress == ""
        c.socket.close()


def test_a_model_that_cannot_be_loaded_is_said_to_those_who_wait():
    def fail():
        raise ValueError("no such weights")

    with served(RememberingPolicy(), load=fail) as (server, port):
        c = Client(port)
        with pytest.raises(ConnectionClosed, match="no such weights"):
            c.socket.recv(timeout=20)
        assert "no such weights" in get(port, "/healthz")[1]
        with pytest.raises(ValueError, match="no such weights"):
            server.loaded.result()


def test_an_answer_that_would_come_too_late_is_refused_before_it_is_computed():
    policy = RememberingPolicy()
    with served(policy) as (server, port), client(port) as a, client(port) as b:
        a.look(1, "a")
        for _ in range(3):  # what an answer of a slow model takes
            server._service._took.add(0.9)
        assert a.look(1, "a", **request_keys(Request(), 0.8))["actions"].shape == (8, 8)
        policy.gate.clear()
        a.socket.send(pack(request_of(CONTRACT, observation(2), "go", "a")))
        while json.loads(get(port, "/status")[1])["waiting"] < 1:
            pass
        assert "busy: an answer would take" in b.look(1, "b", **request_keys(Request(), 0.8))
        policy.gate.set()
        assert isinstance(unpack(a.socket.recv(timeout=20)), dict)
        assert b.look(1, "b", **request_keys(Request(), 0.8))["actions"].shape == (8, 8)


def test_one_that_does_not_read_is_dropped_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(server_module, "SEND_S", 0.2)
    with served(RememberingPolicy()) as (_, port), client(port) as other:
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        head = (
            f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n"
        )
        deaf.sendall(head.encode())
        message = pack(request_of(CONTRACT, observation(), "go", "") | {"imagined": True})
        frame = b"\x82\xff" + len(message).to_bytes(8, "big") + bytes(4) + message
        with contextlib.suppress(OSError):  # until the server has had enough
            deaf.settimeout(5)
            for _ in range(2000):
                deaf.sendall(frame)
                other.look(1)
                if json.loads(get(port, "/status")[1])["connections"] == 1:
                    break
        assert json.loads(get(port, "/status")[1])["connections"] == 1
        deaf.close()


def test_those_who_connect_and_say_nothing_keep_nobody_out():
    with served(RememberingPolicy()) as (_, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
        with client(port) as c:
            assert c.look(1)["actions"].shape == (8, 8)
        for s in idle:
            s.close()


def test_only_get_and_known_paths():
    with served(RememberingPolicy()) as (_, port):
        assert get(port, "/secrets")[0] == 404
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=b"x")
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=10)
