"""The page's server against whoever may not, or does not behave. Each attack is a raw client's."""

import asyncio
import contextlib
import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

pytest.importorskip("aiohttp")
import aiohttp

from testing.peers import Deaf, Peer, free_port, hear, left, raw_head, until
from wam_ros.core.errors import WamError
from wam_ros.core.listening import listen, tls_context
from wam_ros.view import client as client_module
from wam_ros.view import server as server_module
from wam_ros.view.access import Access
from wam_ros.view.assets import Asset
from wam_ros.view.confirmation import Confirmation
from wam_ros.view.history import History
from wam_ros.view.protocol import HELD
from wam_ros.view.server import (
    MOST_CLIENTS,
    MOST_CONNECTIONS,
    Action,
    Actions,
    PageServer,
)
from wam_ros.web.server import AT_ONCE

TOKEN = "a-token-of-this-start-0123456789"
PATHS = ["/", "/main.js", "/three/three.core.min.js", "/scene.json", "/timeline.json", "/moment/0"]
STOP = Action("estop")


class Served:
    """A server and what was pressed on it so far."""

    def __init__(self):
        self.port = free_port()
        self.access = Access("127.0.0.1", self.port, TOKEN)
        self.history = History()
        self.pressed, self.heard = [], threading.Event()
        self.server = PageServer(
            self.access,
            listen(self.port),
            {"/scene.json": Asset("application/json", b"{}")},
            self.history,
            self.heard.set,
        )
        self.history.add(0.0, {}, b"frames")

    @property
    def cookie(self):
        return f"{self.access.cookie_name}={self.access.cookie}"

    def take(self):
        self.pressed += self.server.take_actions()
        return self.pressed


@pytest.fixture
def served():
    made = Served()
    yield made
    made.server.close()


def scenario(served, play, token=TOKEN):
    """Run `play(peer)` with a client that has opened the link."""

    async def run():
        async with Peer(served.port, token) as peer:
            return await asyncio.wait_for(play(peer), 60)

    return asyncio.run(run())


def say(**message):
    return json.dumps(message)


# Who may talk


@pytest.mark.parametrize("path", [*PATHS, "/press/estop", "/socket", "/nothing", "/open"])
def test_without_the_link_everything_is_403_also_on_localhost(served, path):
    async def play(peer):
        for method in ("GET", "POST", "PUT", "OPTIONS", "HEAD"):
            assert await peer.status(path, method) == 403, method
        assert await peer.status("/open?token=guess") == 403
        assert await peer.status("/open?token=") == 403
        peer.cookie = f"{served.access.cookie_name}={TOKEN}"
        assert await peer.status(path) == 403, "the token is not the cookie"

    scenario(served, play, token="")
    assert served.take() == []


def test_the_link_gives_a_cookie_that_no_script_reads_and_no_other_site_sends(served):
    async def play(peer):
        async with peer.ask(f"/open?token={TOKEN}") as answer:
            cookie = answer.headers["Set-Cookie"].lower()
            assert "Location" not in answer.headers, "the cookie would not be sent behind it"
        for path in PATHS:
            assert await peer.status(path) == 200, path
        return cookie

    cookie = scenario(served, play)
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "evil.test", "Origin": "http://evil.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_foreign_page_and_a_name_that_was_let_point_here_get_nothing_with_the_cookie(
    served, headers
):
    async def play(peer):
        for path in (*PATHS, "/socket"):
            assert await peer.status(path, **headers) == 403
        assert await peer.status("/press/estop", "POST", **headers) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await peer.open(**{k.replace("_", "-"): v for k, v in headers.items()})
        assert caught.value.status == 403

    scenario(served, play)
    assert served.take() == []
    assert not served.server.watched


def test_a_socket_without_an_origin_is_refused(served):
    async def play(peer):
        request = raw_head(served.port, peer.cookie).replace(b"Origin:", b"X-Origin:")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request)
        assert (await reader.readline()).split()[1] == b"403"
        writer.close()

    scenario(served, play)


@pytest.mark.parametrize("token", ["", TOKEN])
def test_every_answer_forbids_frames_foreign_scripts_and_referrers(served, token):
    async def play(peer):
        for path in (*PATHS, "/nothing", "/socket"):
            async with peer.ask(path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert answer.headers["Cache-Control"] == "no-store"
                assert not [h for h in answer.headers if h.startswith("Access-Control")]

    scenario(served, play, token)


def test_nothing_of_the_disk_but_the_page_is_served(served):
    paths = ["/../server.py", "/%2e%2e/server.py", "/three/../../server.py", "//etc/passwd"]
    paths += ["/index.html/..", "/three/", "/three/LICENSE", "/main.js%00.html", "/moment/../x"]

    async def play(peer):
        for path in paths:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(raw_head(served.port, peer.cookie, path=path))
            assert (await reader.readline()).split()[1] in (b"404", b"400"), path
            writer.close()

    scenario(served, play)


# What may be said


def test_a_stop_is_taken_at_once_by_socket_and_by_post(served):
    async def play(peer):
        assert await peer.status("/press/estop", "POST") == 202
        assert served.take() == [STOP]
        assert await peer.status("/press/pause", "POST", Origin=peer.origin) == 202
        page = await peer.open()
        await page.send_str(say(type="press", action="estop"))
        await until(lambda: len(served.take()) == 3)

    scenario(served, play)
    assert sorted(a.name for a in served.pressed) == ["estop", "estop", "pause"]


@pytest.mark.parametrize("action", [*HELD, "instruct", "x", ""])
def test_nothing_that_moves_the_arm_goes_by_post(served, action):
    async def play(peer):
        assert await peer.status(f"/press/{action}", "POST") == 404
        assert await peer.status(f"/{action}", "POST") == 404

    scenario(served, play)
    assert served.take() == []


def test_a_link_presses_nothing(served):
    async def play(peer):
        for path in ("/press/estop", "/press/arm", "/press/disarm"):
            assert await peer.status(path) == 404

    scenario(served, play)
    assert served.take() == []


def test_what_is_no_message_is_answered_and_the_page_goes_on(served):
    async def play(peer):
        page = await peer.open()
        for data in (
            *("", "7", "{", '{"type": "gui", "remove": "stop"}', '{"type": "share"}', "[" * 900),
            *(say(type="press", action="arm"), say(type="confirm", action="arm", nonce="guess")),
        ):
            await page.send_str(data)
            if data:
                assert (await hear(page, "answer"))["text"]
        await page.send_str(say(type="press", action="estop"))
        await until(served.take)

    scenario(served, play)
    assert served.pressed == [STOP]


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_a_message_that_is_too_large_or_no_text_ends_only_its_own_connection(served, kind):
    async def play(peer):
        page, other = await peer.open(), await peer.open()
        if kind == "text":
            await page.send_str(say(type="press", action="estop") + " " * 5000)
        else:
            await page.send_bytes(say(type="press", action="estop").encode())
        assert await left(page)
        await other.send_str(say(type="press", action="pause"))
        await until(served.take)

    scenario(served, play)
    assert served.pressed == [Action("pause")]


def test_an_instruction_is_passed_on(served):
    async def play(peer):
        page = await peer.open()
        await page.send_str(say(type="instruct", text="pick up the red block"))
        await until(served.take)

    scenario(served, play)
    assert served.pressed == [Action("instruct", "pick up the red block")]


# What takes two steps


@pytest.fixture
def at_once(monkeypatch):
    """A person that is as fast as a test."""
    monkeypatch.setattr(Confirmation, "SOONEST_S", 0.0)


@pytest.mark.parametrize("action", HELD)
def test_what_lets_the_arm_move_takes_a_number_that_only_this_page_is_told(served, at_once, action):
    async def play(peer):
        page, other = await peer.open(), await peer.open()
        await page.send_str(say(type="ask", action=action))
        nonce = (await hear(page, "question"))["nonce"]
        assert served.take() == [], "one message is not enough"
        await other.send_str(say(type="confirm", action=action, nonce=nonce))
        assert "nothing was asked" in (await hear(other, "answer"))["text"]
        assert served.take() == []
        await page.send_str(say(type="confirm", action=action, nonce=nonce))
        await until(served.take)
        await page.send_str(say(type="confirm", action=action, nonce=nonce))
        assert "nothing was asked" in (await hear(page, "answer"))["text"]

    scenario(served, play)
    assert served.take() == [Action(action)]


def test_a_number_is_about_one_action_and_is_used_up_by_a_wrong_answer(served, at_once):
    async def play(peer):
        page = await peer.open()
        for wrong in ({"action": "arm"}, {"nonce": "guess"}):
            await page.send_str(say(type="ask", action="reset"))
            told = await hear(page, "question")
            good = {"type": "confirm", "action": "reset", "nonce": told["nonce"]}
            await page.send_str(json.dumps(good | wrong))
            assert (await hear(page, "answer"))["text"]
            await page.send_str(json.dumps(good))
            assert "nothing was asked" in (await hear(page, "answer"))["text"]

    scenario(served, play)
    assert served.take() == []


def test_both_steps_in_one_breath_are_refused(served):
    async def play(peer):
        page = await peer.open()
        await page.send_str(say(type="ask", action="arm"))
        nonce = (await hear(page, "question"))["nonce"]
        await page.send_str(say(type="confirm", action="arm", nonce=nonce))
        assert "after pressing" in (await hear(page, "answer"))["text"]

    scenario(served, play)
    assert served.take() == []


# Whoever does not behave


def test_what_stops_is_done_before_what_moves():
    actions = Actions(lambda: None)
    for name in ("arm", "instruct", "disarm", "pause", "estop", "arm"):
        actions.put(Action(name))
    assert [a.name for a in actions.take()] == ["estop", "pause", "disarm", "instruct", "arm"]
    assert actions.take() == []


def test_of_a_thousand_presses_one_of_each_waits():
    actions = Actions(lambda: None)
    for k in range(1000):
        actions.put(Action("estop"))
        actions.put(Action("instruct", str(k)))
    assert actions.take() == [STOP, Action("instruct", "999")]


def test_a_flood_ends_the_flooder_and_the_stop_of_another_page_is_heard(served):
    async def play(peer):
        flooder, other = await peer.open(), await peer.open()

        async def flood():
            with contextlib.suppress(ConnectionError):
                for _ in range(20_000):
                    await flooder.send_str(say(type="ask", action="arm"))

        flooding = asyncio.ensure_future(flood())
        await other.send_str(say(type="press", action="estop"))
        await until(served.take)
        assert await left(flooder)
        await flooding
        await other.send_str(say(type="press", action="pause"))
        await until(lambda: len(served.take()) == 2)

    scenario(served, play)
    assert served.pressed == [STOP, Action("pause")]


@pytest.mark.parametrize("frame", ["ping", "pong"])
def test_a_flood_of_pings_ends_too(served, frame):
    async def play(peer):
        page = await peer.open()
        with contextlib.suppress(ConnectionError):
            for _ in range(500):
                await getattr(page, frame)(b"x" * 100)
        assert await left(page)

    scenario(served, play)


def test_a_stop_is_heard_from_a_page_that_has_said_too_much(served):
    async def play(peer):
        page = await peer.open()
        for _ in range(client_module.Allowance().burst):
            await page.send_str(say(type="ask", action="arm"))
        await page.send_str(say(type="press", action="estop"))
        assert await left(page)

    scenario(served, play)
    assert served.take() == [STOP]


def test_a_page_that_does_not_read_is_dropped_and_holds_up_nobody(served, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(server_module, "BEAT_S", 1000.0)
    blob = bytes(200_000)

    async def play(peer):
        deaf = Deaf(served.port, served.cookie)
        page = await peer.open()
        numbers = []

        async def read():
            async for message in page:
                numbers.append(int.from_bytes(message.data[:4], "little"))

        reading = asyncio.ensure_future(read())
        for k in range(400):
            served.server.show("moment", k.to_bytes(4, "little") + blob)
            await asyncio.sleep(0.005)
        await until(lambda: numbers and numbers[-1] == 399)
        await until(lambda: len(served.server._clients) == 1)
        assert numbers == sorted(numbers)
        reading.cancel()
        deaf.close()

    scenario(served, play)


def test_a_slow_page_misses_frames_and_is_told_the_newest(served):
    blob = bytes(300_000)

    async def play(peer):
        page = await peer.open()
        await until(lambda: served.server.watched)
        for k in range(200):  # nobody reads yet: more than all buffers together hold
            served.server.show("moment", k.to_bytes(4, "little") + blob)
            await asyncio.sleep(0.001)
        numbers = []
        while not numbers or numbers[-1] != 199:
            message = await asyncio.wait_for(page.receive(), 10)
            numbers.append(int.from_bytes(message.data[:4], "little"))
        assert len(numbers) < 100

    scenario(served, play)


def test_who_comes_late_is_told_the_newest_of_everything(served):
    async def play(peer):
        first = await peer.open()
        served.server.show("pose", say(type="pose", n=1))
        served.server.show("moment", say(type="moment", n=1))
        await hear(first, "moment")
        late = await peer.open()
        assert {(await late.receive_json())["type"] for _ in range(2)} == {"pose", "moment"}
        await first.close()
        await late.close()
        await until(lambda: not served.server.watched)
        again = await peer.open()
        served.server.show("moment", say(type="moment", n=2))
        assert (await again.receive_json()) == {"type": "moment", "n": 2}, "nothing long past"

    scenario(served, play)


def test_pages_have_a_bound_and_the_next_one_is_told(served):
    async def play(peer):
        pages = [await peer.open() for _ in range(MOST_CLIENTS)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await peer.open()
        assert caught.value.status == 503
        assert await peer.status("/press/estop", "POST") == 202, "a stop needs no page"
        await pages[0].close()
        await until(lambda: len(served.server._clients) < MOST_CLIENTS)
        await peer.open()

    scenario(served, play)


def test_connections_that_say_nothing_keep_nobody_out(served):
    idle = []
    for _ in range(3 * MOST_CONNECTIONS):
        s = socket.create_connection(("127.0.0.1", served.port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: local")
        idle.append(s)

    async def play(peer):
        page = await peer.open()
        for _ in range(MOST_CONNECTIONS):
            idle.append(socket.create_connection(("127.0.0.1", served.port)))
        assert await peer.status("/press/estop", "POST") == 202
        await page.send_str(say(type="press", action="pause"))
        await until(lambda: len(served.take()) == 2)

    scenario(served, play)
    end = time.monotonic() + 20
    while len(idle) > MOST_CONNECTIONS + AT_ONCE:
        ready, _, _ = select.select(idle, [], [], max(0.0, end - time.monotonic()))
        assert ready, "the oldest leave for the newer ones"
        for s in filter(ended, ready):
            s.close()
            idle.remove(s)
    for s in idle:
        s.close()


def ended(s):
    """Whether the other end of a socket has closed it."""
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_an_answer_ends_its_connection_so_that_nothing_queues_behind_it(served):
    requests = raw_head(served.port, served.cookie, "POST", "/press/pause") * 500
    with socket.create_connection(("127.0.0.1", served.port)) as s:
        s.settimeout(20)
        s.sendall(requests)
        answers = b""
        with contextlib.suppress(ConnectionError):
            while data := s.recv(65536):
                answers += data
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\0" * 9000, b"GET / HTTP/9.9\r\n\r\n"),
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /press/estop HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 1000,
    ],
)
def test_what_is_no_request_is_survived_in_silence(served, data, caplog):
    with socket.create_connection(("127.0.0.1", served.port)) as s, contextlib.suppress(OSError):
        s.settimeout(20)
        s.sendall(data)
        s.recv(1000)

    async def play(peer):
        assert await peer.status("/") == 200

    scenario(served, play)
    assert served.take() == []
    assert caplog.records == []


def test_an_error_in_the_server_is_an_answer_and_is_told(served, monkeypatch):
    def broken(number):
        raise ValueError("broken")

    monkeypatch.setattr(served.history, "frames", broken)

    async def play(peer):
        async with peer.ask("/moment/0") as answer:
            assert answer.status == 500
            assert "ValueError" not in await answer.text()
        assert await peer.status("/") == 200

    scenario(served, play)
    assert "ValueError: broken" in served.server.trouble


def test_closing_does_not_wait_for_pages_that_do_not_read(served):
    async def play(peer):
        deaf = [Deaf(served.port, served.cookie) for _ in range(3)]
        idle = socket.create_connection(("127.0.0.1", served.port))
        page = await peer.open()
        await until(lambda: len(served.server._clients) == 4)
        for _ in range(20):
            served.server.show("moment", bytes(300_000))
            await asyncio.sleep(0.005)
        served.server.close()
        assert not any(thread.name == "page" for thread in threading.enumerate())
        listen(served.port).close()
        assert await left(page)
        idle.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert idle.recv(1) == b""
        for one in (idle, *deaf):
            one.close()

    scenario(served, play)


def test_the_same_port_twice_is_refused_by_name(served):
    with pytest.raises(WamError, match=f"port {served.port} on 127.0.0.1 is in use"):
        listen(served.port)


@pytest.mark.parametrize("host", ["nowhere.test", "8.8.8.8", ""])
def test_an_address_that_is_not_of_this_machine_is_named(host):
    with pytest.raises(WamError, match="host|port") as caught:
        listen(free_port(), host)
    assert "\n" not in str(caught.value)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]]
    subprocess.run([str(w) for w in words], check=True, capture_output=True)
    return tuple(map(str, files))


def test_with_a_certificate_the_page_is_tls_and_its_cookie_goes_no_other_way(certificate):
    port = free_port()
    access = Access("127.0.0.1", port, TOKEN, secure=True)
    server = PageServer(
        access, listen(port), {}, History(), on_action=lambda: None, tls=tls_context(*certificate)
    )
    trusted = ssl.create_default_context(cafile=certificate[0])

    async def play():
        async with (
            aiohttp.ClientSession() as session,
            session.get(access.address, ssl=trusted) as answer,
        ):
            assert answer.status == 200
            return answer.headers["Set-Cookie"].lower()

    try:
        assert "secure" in asyncio.run(play())
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(20)
            s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert not s.recv(100).startswith(b"HTTP")
    finally:
        server.close()


def test_tls_files_that_cannot_be_used_are_named(certificate, tmp_path):
    assert tls_context("", "") is None
    other = tmp_path / "no.pem"
    other.write_text("no key")
    for files, words in (
        ((certificate[0], ""), "both files"),
        ((certificate[0], "/nowhere.pem"), "tls_key '/nowhere.pem' does not exist"),
        ((certificate[0], str(other)), "cannot be used"),
    ):
        with pytest.raises(WamError, match=words):
            tls_context(*files)
