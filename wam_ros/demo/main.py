"""`wam demo` from start to exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.demo.args import DemoArgs, check_args, make_log_folder
from wam_ros.demo.domain import hold_domain
from wam_ros.demo.errors import LoopError, ProcessDiedError
from wam_ros.demo.plan import commands, environment, model_of
from wam_ros.demo.results import RunResults, print_results
from wam_ros.demo.supervisor import Death, Supervisor
from wam_ros.embodiments.stand_in import stand_in
from wam_ros.models import SCRIPT, read_description
from wam_ros.sim.names import has_colours
from wam_ros.view.access import TOKEN_VARIABLE, make_token, page_address

if TYPE_CHECKING:
    from wam_ros.demo.runner import Runner
    from wam_ros.demo.session import Session

# what a family of models needs, where that is not torch
_MODULES = {SCRIPT: (), "remote": ("msgpack", "websockets")}
READY_S = 120.0  # a cold start on a slow machine
# to begin with; of the simulated task
SENTENCES = ("pick up the green block", "lift the red cube", "please take the blue one")
_REST_FOR_S = 0.2  # a joint that only passes through zero speed does not rest
# longest wait for the arm to rest before the processes are ended; longer in slow motion
_REST_S = 10.0


def main(args: DemoArgs) -> int:
    """Run the demo; returns the exit code.

    Raises:
        WamError: an argument, file or port is wrong, or a process could not be configured.
    """
    robot = stand_in(args.embodiment)
    args = replace(args, embodiment=robot.embodiment)
    check_args(args)
    family = read_description(model_of(args))["family"]
    scripted = family == SCRIPT
    _require_modules(
        "rclpy",
        "wam_ros.msg",
        *_MODULES.get(family, ("torch", "safetensors")),
        "mujoco",
        "PIL",
        *([] if args.headless else ["aiohttp"]),
    )
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = make_log_folder(args.logs)
    domain_id = hold_domain() if args.domain_id is None else args.domain_id
    # also when a shell started us in the background, deaf to Ctrl-C
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # This process sees the same network as its children: set before anything of ROS is loaded.
    env = environment(domain_id, folder)
    if not args.headless:
        env[TOKEN_VARIABLE] = make_token()
    os.environ.update(env)
    if scripted:
        asked = "" if has_colours(args.task) else f"; it does nothing of '{args.task}'"
        console.print(
            f"no model is shipped for '{args.embodiment}': a script moves it between poses that it "
            f"reaches, and imagines nothing{asked}",
            highlight=False,
        )
    supervisor = Supervisor(commands(args), folder, env)
    try:
        supervisor.start()
        console.print(
            f"starting {len(supervisor.commands)} processes; logs in {folder}; "
            f"ROS_DOMAIN_ID={domain_id}"
        )
        return _run(args, supervisor, domain_id, console)
    finally:
        if killed := supervisor.stop():
            console.print(f"[yellow]had to kill {', '.join(killed)}[/]")


def _require_modules(*names: str) -> None:
    """Says before anything is started what one of the processes would miss."""
    for name in names:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"no module named '{name}'", name=name)


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _run(args: DemoArgs, supervisor: Supervisor, domain_id: int, console: Console) -> int:
    from wam_ros.demo.runner import Runner
    from wam_ros.demo.session import Session
    from wam_ros.ros.link import Link

    embodiment = load_embodiment(args.embodiment)
    started = time.monotonic()
    session = Session(
        args,
        embodiment,
        supervisor,
        lambda handlers: Link("wam_demo", handlers, domain_id, waiting=not args.real_time),
    )
    runner = Runner(session, args, embodiment, console)
    code = 0
    ready = False
    failure = ""
    try:
        session.wait_ready(READY_S)
        ready = True
        console.print(f"ready after {time.monotonic() - started:.1f} s")
        if not args.headless:
            link = page_address("127.0.0.1", args.port, os.environ[TOKEN_VARIABLE])
            console.print(f"open {link}", soft_wrap=True, highlight=False)
            words = session.status.vocabulary if session.status else ()
            for line in first_minute(words, has_colours(args.task)):
                console.print(line, soft_wrap=True, highlight=False)
        runner.run()
    except KeyboardInterrupt:
        code = 130
        failure = "stopped by the person"
        console.print("\nstopping")
        _bring_to_rest(session, args.rate, "", console)
    except ProcessDiedError as died:
        if not ready and died.death.returncode > 0:
            raise WamError(f"{died.death.name}: {died.death.error}") from died
        code = 1
        failure = str(died)
        _bring_to_rest(session, args.rate, died.death.name, console)
        _print_death(died.death, supervisor)
    except LoopError as error:
        code = 1
        failure = str(error)
        _bring_to_rest(session, args.rate, "", console)
        print(f"wam demo: {error}; logs in {supervisor.folder}", file=sys.stderr)
    finally:
        session.close()
    whole = _finish(args, runner, session, failure, console)
    return code or int(not whole)


def first_minute(vocabulary: Collection[str], colours: bool = True) -> list[str]:
    """What to do with the page, for whoever sees it for the first time.

    Args:
        vocabulary: words that the model knows; empty: any.
        colours: whether there are blocks or markers to be named.
    """
    sentences = [s for s in SENTENCES if not vocabulary or set(s.split()) <= set(vocabulary)]
    sentences = sentences if colours else []
    box = "  type in its box, also while the arm moves: "
    return [
        *([box + "  |  ".join(sentences)] if sentences else []),
        "  left, what the cameras see beside what the model imagines; a slider says how far ahead",
        "  middle, the arm: the green ghost is where it will be, the lines what safety allows",
        "  below, the last minute: point at a moment and everything shows it again",
        "  the space bar stops the arm (then reset, arm); Ctrl-C here ends the demo",
    ]


def _bring_to_rest(session: Session, rate: float, dead: str, console: Console) -> None:
    """Stop the arm while the processes that can do it still run, and say how long it took of its
    own time.
    """
    if dead == "sim_node":
        console.print("the simulated arm is gone with its process")
        return
    promised_s = session.report.stop_time_s if session.report else 0.0
    session.go_on()  # an arm comes to rest in a world that goes on
    try:
        if dead != "safety_node" and "safety_node/arm" not in session.link.missing_services():
            if dead:
                session.link.call("safety_node/estop")
            else:
                session.link.call("safety_node/arm", data=False)
        limit_s = _REST_S / min(rate, 1.0)
        took_s = _wait_for_rest(session, limit_s)
    except KeyboardInterrupt:
        return  # a second Ctrl-C: end the processes now
    if took_s is None:
        console.print(f"[red]the arm still moves after {limit_s:.0f} s[/]")
    else:
        console.print(
            f"arm at rest after {took_s:.2f} s (safety reported {promised_s:.2f} s)",
            highlight=False,
        )


def _wait_for_rest(session: Session, limit_s: float) -> float | None:
    """Wait until the arm rests for good; None when it does not within `limit_s` of wall time.

    Returns:
        The time until its joints stood still, s of the stamps of the joint states. 0 when nothing
        is known of them.
    """
    started = time.monotonic()
    began_ns = session.joints_ns
    rested_since: float | None = None
    still_ns: int | None = None
    while (now := time.monotonic()) - started < limit_s:
        if session.moving:
            still_ns = None
        elif still_ns is None:
            still_ns = session.joints_ns
        if session.at_rest is False:
            rested_since = None
        elif rested_since is None:
            rested_since = now
        elif still_ns is not None and now - rested_since > _REST_FOR_S:
            return (still_ns - began_ns) / NS
        session.link.spin(0.02)
    return None


def _print_death(death: Death, supervisor: Supervisor) -> None:
    print(
        f"wam demo: {death.cause}; last lines of {supervisor.log_path(death.name)}:",
        file=sys.stderr,
    )
    for line in death.tail or ("(it is empty)",):
        print(f"  {line}", file=sys.stderr)


def _finish(
    args: DemoArgs, runner: Runner, session: Session, failure: str, console: Console
) -> bool:
    """Print and write what came of it; whether every file that can be is written."""
    settings = {
        k: v
        for k, v in asdict(args).items()
        if k not in ("json", "record", "strip", "logs", "port")
    }
    if session.status is not None:
        settings["running_model"] = session.status.model
    results = RunResults(
        episodes=tuple(runner.results),
        chunk_rate_hz=session.chunk_rate.rate_hz,
        settings=settings,
        latency=session.latency.summary(),
        imagination=session.imagination.summary(),
        speed=0.0 if args.real_time else session.speed.speed,
        failure=failure,
    )
    if results.episodes:
        print_results(results, console)
    recorders = [r for r in (session.video, session.strip) if r is not None]
    for r in recorders:
        told = f"wrote {escape(r.file)}"
        if r.failed:
            told = f"[yellow]{escape(r.why_not)}[/]"
        elif r.why_not:
            told = f"[yellow]{escape(r.file)} was not written: {r.why_not}[/]"
        console.print(told, highlight=False, soft_wrap=True)
    if args.json:
        results.write(args.json)
        console.print(f"wrote {escape(args.json)}", highlight=False)
    return not any(r.failed for r in recorders)
