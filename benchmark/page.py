"""What the page costs, and how long a stop takes to get through.

    python benchmark/page.py [--json page.json]

Rows: processor time of one moment (figures, plan, two views observed, expected and twice imagined),
with nobody watching, with pages, and with pages that do not read; then the time from a page's word
to the moment when the node can take it, beside peers that flood, hang and connect without end, each
in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from testing.peers import Deaf, Peer, free_port, until
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import write_json
from wam_ros.core.listening import listen
from wam_ros.core.types import NS, ImaginedFuture, JointState, Observation
from wam_ros.view.access import Access, make_token
from wam_ros.view.history import History
from wam_ros.view.model import ViewModel
from wam_ros.view.scene import make_scene
from wam_ros.view.server import PageServer
from wam_ros.view.wire import Encoder, pack

PANDA = load_embodiment("panda")
MOMENTS = 100
STOPS = 200


class Page:
    """A server, and a loop that tells it moments as view_node does."""

    def __init__(self) -> None:
        self.port = free_port()
        self.access = Access("127.0.0.1", self.port, make_token())
        self.history = History()
        self.model = ViewModel(PANDA.joint_names)
        self.model.joints = np.array(PANDA.home)
        self.encoder = Encoder()
        self.heard = threading.Event()
        self.server = PageServer(
            self.access, listen(self.port), make_scene(PANDA), self.history, self.heard.set
        )
        self.rng = np.random.default_rng(1)

    @property
    def cookie(self) -> str:
        return f"{self.access.cookie_name}={self.access.cookie}"

    def moment(self, k: int) -> None:
        """What view_node does five times a second."""
        if not self.server.watched:
            return
        self.see(k)
        head = self.model.head(k * NS // 10)
        columns = self.model.columns()
        images = [image for images in self.encoder.encode(columns) for image in images]
        head["columns"] = [{"kind": c.kind, "ahead_s": c.ahead_s} for c in columns]
        moment = pack({**head, "n": self.history.next_number, "t": k / 5, "objects": []}, images)
        self.history.add(k / 5, head["figures"], moment)
        self.server.show("moment", moment)

    def see(self, k: int) -> None:
        shape = (2, 2, 64, 64, 3)
        frames = self.rng.integers(0, 256, shape, np.uint8)
        joints = JointState(0, PANDA.joint_names, *[np.zeros(len(PANDA.joint_names))] * 3)
        now_ns = k * NS // 10
        self.model.on_observation(Observation(now_ns, PANDA.view_names, frames[0], (0, 0), joints))
        self.model.on_imagined(
            ImaginedFuture(
                chunk_seq=k,
                view_names=PANDA.view_names,
                frames=frames,
                instants_ns=(now_ns + 4 * NS // 10, now_ns + 8 * NS // 10),
                joint_names=PANDA.joint_names,
                joint_path=np.zeros((8, len(PANDA.joint_names))),
            )
        )


async def read(page: Any) -> None:
    """A page that takes all that it is told."""
    async for _ in page:
        pass


def cost(page: Page, readers: int, deaf: int) -> dict[str, float]:
    """Processor time of this process for one moment [ms], and of the thread that makes it."""

    async def play() -> dict[str, float]:
        async with Peer(page.port, page.access.token) as peer:
            pages = [await peer.open() for _ in range(readers)]
            tasks = [asyncio.ensure_future(read(p)) for p in pages]
            mute = [Deaf(page.port, page.cookie) for _ in range(deaf)]
            await until(lambda: len(page.server._clients) == readers + deaf)
            own_s = 0.0
            began_s = time.process_time()
            for k in range(MOMENTS):
                at_s = time.thread_time()
                page.moment(k)
                own_s += time.thread_time() - at_s
                await asyncio.sleep(0.02)
            all_s = time.process_time() - began_s
            for task in tasks:
                task.cancel()
            for one in mute:
                one.close()
        await until(lambda: not page.server.watched)
        return {"node_ms": 1e3 * own_s / MOMENTS, "process_ms": 1e3 * all_s / MOMENTS}

    return asyncio.run(play())


def flood(port: int, cookie: str, kind: str) -> None:
    """What one attacker does until it is killed."""
    while True:
        with contextlib.suppress(OSError, AssertionError):
            if kind == "messages":
                asyncio.run(say_much(port, cookie))
            elif kind == "requests":
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
                    s.recv(1000)
            elif kind == "silence":
                held = [socket.create_connection(("127.0.0.1", port), 1) for _ in range(100)]
                time.sleep(0.2)
                for s in held:
                    s.close()
            else:
                mute = [Deaf(port, cookie) for _ in range(8)]
                time.sleep(1.0)
                for one in mute:
                    one.close()


async def say_much(port: int, cookie: str) -> None:
    """Log in and send messages as fast as they go."""
    async with Peer(port) as peer:
        peer.cookie = cookie
        page = await peer.open()
        for _ in range(1000):
            await page.send_str('{"type": "ask", "action": "arm"}')


@contextlib.contextmanager
def attack(page: Page, kinds: list[str]) -> Iterator[None]:
    """Attackers in processes of their own."""
    spawn = multiprocessing.get_context("spawn")
    running = [
        spawn.Process(target=flood, args=(page.port, page.cookie, kind), daemon=True)
        for kind in kinds
    ]
    for process in running:
        process.start()
    time.sleep(3.0 if running else 0.0)  # until they have imported what they need
    yield
    for process in running:
        process.kill()
        process.join()


def stops(page: Page) -> dict[str, float]:
    """Time from a page's word to its arrival [ms], while moments are told at their pace."""

    async def play() -> list[float]:
        took_ms = []
        async with Peer(page.port) as peer:
            peer.cookie = page.cookie
            socket_ = await until_open(peer)
            reading = asyncio.ensure_future(read(socket_))
            for k in range(STOPS):
                if k % 4 == 0:
                    page.moment(k)
                page.heard.clear()
                page.server.take_actions()
                began_s = time.perf_counter()
                await socket_.send_str('{"type": "press", "action": "estop"}')
                while not any(a.name == "estop" for a in page.server.take_actions()):
                    await asyncio.sleep(0)
                took_ms.append(1e3 * (time.perf_counter() - began_s))
                await asyncio.sleep(0.12)  # a page may say ten things a second
            reading.cancel()
        return took_ms

    took = asyncio.run(play())
    return {f"p{p}_ms": float(np.percentile(took, p)) for p in (50, 99, 100)}


async def until_open(peer: Peer) -> Any:
    """The socket, as soon as there is room among the attackers."""
    while True:
        with contextlib.suppress(Exception):
            return await peer.open()
        await asyncio.sleep(0.1)


def main() -> None:
    """Print the rows; write them as JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    page = Page()
    for name, readers, deaf in (
        ("nobody watches", 0, 0),
        ("1 page", 1, 0),
        ("4 pages", 4, 0),
        ("4 pages, 4 that do not read", 4, 4),
    ):
        found[name] = cost(page, readers, deaf)
    for name, kinds in (
        ("stop, alone", []),
        ("stop, beside two floods of messages", ["messages"] * 2),
        ("stop, beside two floods of requests without the cookie", ["requests"] * 2),
        ("stop, beside 200 silent connections", ["silence"] * 2),
        ("stop, beside 8 pages that do not read", ["deaf"]),
    ):
        with attack(page, kinds):
            found[name] = stops(page)
    page.server.close()
    for name, row in found.items():
        figures = ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in row.items())
        print(f"{name:<58} {figures}")
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
