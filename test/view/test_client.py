import asyncio

import pytest

pytest.importorskip("aiohttp")
from wam_ros.view import client as module
from wam_ros.view.client import Allowance, Client


class Wire:
    """A socket and its transport: what is sent waits until `flowing` is set."""

    def __init__(self):
        self.sent, self.aborted, self.flowing = [], False, asyncio.Event()

    async def send_str(self, message):
        await self.flowing.wait()
        if self.aborted:
            raise ConnectionResetError
        self.sent.append(message)

    send_bytes = send_str

    def abort(self):
        self.aborted = True
        self.flowing.set()


def run(play):
    async def whole():
        wire = Wire()
        client = Client(wire, wire)
        writing = asyncio.ensure_future(client.write())
        await play(client, wire, writing)
        writing.cancel()

    asyncio.run(whole())


async def turns(n=20):
    for _ in range(n):
        await asyncio.sleep(0)


def test_of_each_kind_the_newest_waits_and_nothing_more():
    async def play(client, wire, writing):
        client.offer("moment", "0")
        await turns()  # it is on its way now
        for k in range(1, 1000):
            client.offer("moment", str(k))
            client.offer("pose", b"%d" % k)
        wire.flowing.set()
        await turns()
        assert wire.sent == ["0", "999", b"999"]

    run(play)


def test_what_comes_while_something_is_sent_is_sent_next():
    async def play(client, wire, writing):
        wire.flowing.set()
        for k in range(3):
            client.offer("pose", str(k))
            await turns()
        assert wire.sent == ["0", "1", "2"]

    run(play)


def test_who_does_not_take_a_message_in_time_is_dropped(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)

    async def play(client, wire, writing):
        client.offer("moment", "0")
        await asyncio.wait_for(writing, 20)
        assert wire.aborted
        assert wire.sent == []

    run(play)


@pytest.mark.parametrize("error", [ConnectionResetError, RuntimeError])
def test_a_connection_that_breaks_ends_its_writer(error):
    async def play(client, wire, writing):
        async def broken(message):
            raise error

        wire.send_str = broken
        client.offer("moment", "0")
        await asyncio.wait_for(writing, 20)
        assert wire.aborted

    run(play)


def test_a_writer_that_is_cancelled_leaves_no_connection():
    async def play(client, wire, writing):
        client.offer("moment", "0")
        await turns()
        writing.cancel()
        await asyncio.wait([writing])
        assert wire.aborted

    run(play)


def test_messages_are_allowed_at_a_rate_and_some_at_once():
    allowance = Allowance(burst=3, per_s=2.0)
    assert [allowance.take(10.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [allowance.take(10.6) for _ in range(2)] == [True, False]
    assert [allowance.take(99.0) for _ in range(4)] == [True] * 3 + [False]
