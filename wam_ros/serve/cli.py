"""`wam serve`: a model as a server, for robots and evaluators elsewhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.listening import is_loopback, listen, tls_context
from wam_ros.core.policy import runs_on
from wam_ros.core.resources import config_names, config_path
from wam_ros.core.yamlfile import load_yaml
from wam_ros.models import load_policy, read_description
from wam_ros.runtime.prediction import example_observation, warm_up
from wam_ros.serve.access import Access, read_token
from wam_ros.serve.server import BUFFER, PolicyServer
from wam_ros.serve.service import PolicyService
from wam_ros.serve.together import MOST, why_not_together
from wam_ros.wire.contract import WireContract, load_contract

WARMUPS = 2


@dataclass(frozen=True)
class Serve:
    """Serve a model to robots and evaluators: openpi's wire, a websocket with MessagePack.

    Ends with Ctrl-C. Exit code 2: an argument, file or port is wrong, or the model cannot be
    loaded.
    """

    model: str = "tiny"
    """Model, from config/models, or the path of a YAML file."""
    checkpoint: str = ""
    """Weights. Default: those of the model."""
    embodiment: str = ""
    """Robot that it is for. Default: the model's."""
    host: str = "127.0.0.1"
    """IP address to listen on; another than this machine's own needs --token-file."""
    port: int = 8000
    """TCP port."""
    token_file: Annotated[str, tyro.conf.arg(metavar="FILE")] = ""
    """File with the secret that clients send as `Authorization: Api-Key ...`."""
    tls_certificate: Annotated[str, tyro.conf.arg(metavar="FILE.pem")] = ""
    """Certificate; with --tls-key the server speaks TLS (wss://)."""
    tls_key: Annotated[str, tyro.conf.arg(metavar="FILE.pem")] = ""
    """Key of the certificate."""
    sessions: int = 8
    """Robots at a time, each with a memory of its own."""
    idle: float = 60.0
    """A session that asked nothing for so long [s] gives way to a new one."""
    steps: int = 0
    """Denoising steps; 0 takes the model's own number."""
    threads: int = 1
    """CPU threads of the model."""


def main(args: Serve) -> int:
    """Serve until Ctrl-C.

    Raises:
        WamError: an argument, file or port is wrong, or the model cannot be loaded.
    """
    require_within("--sessions", args.sessions, 1, 256)
    require_within("--idle", args.idle, 0.0, 86400.0)
    trained = str(read_description(args.model).get("embodiment", ""))
    if not (name := args.embodiment or trained):
        raise WamError(f"model '{args.model}' does not say for which robot: add --embodiment")
    robot = load_embodiment(name)
    if int(os.environ.get("RANK", "0")):
        return follow(args, robot)
    contracts = contracts_of(robot)
    access = Access(args.host, read_token(args.token_file))
    tls = tls_context(args.tls_certificate, args.tls_key)
    server = PolicyServer(
        access,
        listen(args.port, args.host, BUFFER),
        lambda say: load_service(args, robot, contracts, say),
        tls,
    )
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        address = f"{'ws' if tls is None else 'wss'}://{_written(args.host)}:{args.port}"
        print(f"{address}: loading '{args.model}'; clients may connect and wait", flush=True)
        if not is_loopback(args.host) and tls is None:
            print(
                "without TLS everybody on the network can read the token, the pictures and the "
                "actions: --tls-certificate and --tls-key, or a tunnel",
                flush=True,
            )
        while not server.loaded.done() and not ended.wait(0.2):
            pass
        if server.loaded.done():
            server.loaded.result()
            print(f"{address}: '{args.model}' answers", flush=True)
        ended.wait()
    finally:
        server.close()
    return 0


def follow(args: Serve, robot: Embodiment) -> int:
    """The second process of `torchrun`: it computes for the first, which serves.

    Raises:
        WamError: the model is not computed by two.
    """
    policy = load_policy(args.model, args.checkpoint, robot, threads=args.threads, steps=args.steps)
    if not hasattr(policy, "follow"):
        raise WamError(f"'{args.model}' is not computed on two GPUs: start it without torchrun")
    policy.follow()
    return 0


def contracts_of(robot: Embodiment) -> list[WireContract]:
    """Those of config/wires that are for this robot."""
    names = [
        name
        for name in config_names("wires")
        if (found := load_yaml(config_path("wires", name))).get("embodiment") == robot.name
        # which this server's models do not speak of
        and not {"tool", "action_parts"} & {*found}
    ]
    return [load_contract(name, robot) for name in names]


def load_service(
    args: Serve, robot: Embodiment, contracts: list[WireContract], say: Callable[[str], None]
) -> PolicyService:
    """Load the model and warm it up, saying how far it is; raises `WamError`."""
    say(f"loading '{args.model}'")
    policy = load_policy(args.model, args.checkpoint, robot, threads=args.threads, steps=args.steps)
    if said := runs_on(policy):
        print(said, flush=True)
    alone = "the model has no example to try"
    if example := getattr(policy, "example_instruction", ""):
        say(f"warming '{args.model}' up")
        warm_up(policy, example, example_observation(robot), WARMUPS)
        say("comparing robots that are answered together with each alone")
        alone = why_not_together(policy, example, robot) if args.sessions > 1 else "one session"
        print(f"robots are answered {f'one by one: {alone}' if alone else 'together'}", flush=True)
    return PolicyService(
        policy=policy,
        robot=robot,
        contracts=contracts,
        most_sessions=args.sessions,
        idle_s=args.idle,
        clock=time.monotonic,
        most_together=1 if alone else MOST,
    )


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
