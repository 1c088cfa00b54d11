"""Several copies of a model behind one port, by Ray Serve: a router where one process is too few.

A websocket stays with the copy that took it, and with it the memory of its robot: sessions stick to
a copy for as long as they are connected. Runs in an environment with `ray[serve]` and what the
model needs, this project beside it:

    tools/foreign.sh ray
    PYTHONPATH=. .venv-foreign/ray/bin/python tools/ray_serve.py --model tiny --replicas 2

More machines: `ray start` on each, and this with `--cluster` on one of them. Ray runs whatever is
sent to its own ports: they belong behind a firewall. docs/scale.md says more.
"""

import argparse
import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

# it would tell its makers
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from fastapi import FastAPI, WebSocket
from ray import serve
from starlette.websockets import WebSocketDisconnect, WebSocketState

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.models import read_description
from wam_ros.serve.access import Access, read_token
from wam_ros.serve.cli import Serve, contracts_of, load_service
from wam_ros.serve.dialogue import Dialogue, begin
from wam_ros.wire.exchange import SUBPROTOCOL

STORE = 80 << 20  # bytes of Ray's shared memory; nothing of ours is in it
PAUSE_S = 0.02  # after a message that could not be answered
app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@serve.deployment
@serve.ingress(app)
class Copy:
    """One model with the sessions of the robots that are connected to it."""

    def __init__(self, model: str, sessions: int, access: Access) -> None:
        args = Serve(model=model, sessions=sessions)
        robot = load_embodiment(str(read_description(model)["embodiment"]))
        self._access = access
        self._service = load_service(args, robot, contracts_of(robot), print)
        self._thread = ThreadPoolExecutor(1, "model")
        self._count = 0

    @app.get("/healthz")
    async def health(self) -> str:
        """Some copy answers."""
        return "OK"

    @app.websocket("/")
    async def talk(self, ws: WebSocket) -> None:
        """One robot, one message at a time."""
        heads = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in ws.scope["headers"]]
        if self._access.why_not_admitted(heads):
            await ws.close()  # before it is accepted: 403
            return
        ours = SUBPROTOCOL in ws.scope["subprotocols"]
        await ws.accept(subprotocol=SUBPROTOCOL if ours else None)
        self._count += 1
        connection = f"connection {self._count}"
        dialogue = begin("/", ours, self._service, connection)
        try:
            await ws.send_bytes(dialogue.greeting)
            while True:
                data = await ws.receive_bytes()
                answer = await asyncio.wrap_future(
                    self._thread.submit(self._answer, dialogue, data, time.monotonic())
                )
                if isinstance(answer, str):
                    await ws.send_text(answer)
                    await asyncio.sleep(PAUSE_S)
                else:
                    await ws.send_bytes(answer)
        except (WebSocketDisconnect, KeyError):  # it left, or sent text
            pass
        finally:
            self._service.sessions.release(connection)
            if ws.client_state is WebSocketState.CONNECTED:
                await ws.close()

    def _answer(self, dialogue: Dialogue, data: bytes, arrived_s: float) -> bytes | str:
        try:
            query = dialogue.read(data)
            (answer,) = self._service.answer([(query, arrived_s)])
            if isinstance(answer, Exception):
                raise answer
            return dialogue.reply(answer)
        except WamError as error:
            return dialogue.refuse(str(error))
        except Exception:
            return dialogue.refuse("an error in the server")


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=8, help="of each copy")
    parser.add_argument("--cpus", type=float, default=1.0, help="of each copy")
    parser.add_argument("--gpus", type=float, default=0.0, help="of each copy")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--token-file", default="")
    parser.add_argument("--cluster", default="", help="address of one that runs; default: its own")
    args = parser.parse_args()
    access = Access(args.host, read_token(args.token_file))
    if args.cluster:
        ray.init(args.cluster, log_to_driver=False)
    else:
        cpus = max(1, round(args.replicas * args.cpus) + 1)
        ray.init(
            num_cpus=cpus,
            object_store_memory=STORE,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
    serve.start(http_options={"host": args.host, "port": args.port})
    copies = Copy.options(
        num_replicas=args.replicas,
        max_ongoing_requests=args.sessions,
        ray_actor_options={"num_cpus": args.cpus, "num_gpus": args.gpus},
    )
    serve.run(copies.bind(args.model, args.sessions, access))
    print(f"ws://{args.host}:{args.port}: {args.replicas} x '{args.model}' answer", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
