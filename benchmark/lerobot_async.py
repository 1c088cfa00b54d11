"""The same policy of LeRobot on the same simulated Panda, behind our loop and behind LeRobot's own
asynchronous inference (`policy_server` and `RobotClient`), both in real time on this machine.

    tools/foreign.sh lerobot
    python -m benchmark.lerobot_async --policy FOLDER --json docs/results/lerobot_async.json

Side by side: what became of the episodes, chunks per second, from an image to the first command
that comes from it, how far a chunk is from the one before where they meet, and what the arm did:
its largest accelerations as a share of its limits, and steps of the physics beyond a limit. Then an
episode in which the server is stopped for two seconds.

LeRobot's arm takes each action as the goal of its servos when it comes, as LeRobot's own arms do.
Its settings are LeRobot's own but for the rate, which is the policy's, and the pause that its
server makes after each answer, which is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from testing.foreign import ROOT, program, until_answers
from testing.peers import free_port
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.images import resize
from wam_ros.core.types import NS, ActionChunk
from wam_ros.demo.domain import hold_domain
from wam_ros.robot.joints import load_joints
from wam_ros.sim.forward_controller import ForwardController
from wam_ros.sim.stepper import Stepper
from wam_ros.sim.worlds import make_world
from wam_ros.tools.latency import time_ns

PANDA = load_embodiment("panda")
WORDS = "pick up the red block"
ARMS = [k for k, name in enumerate(PANDA.joint_names) if name not in PANDA.gripper_joints]
DEGREES = 180 / np.pi
SAMPLE_S = 0.01  # between two looks at what the arm does
PAUSE_AFTER_S = 1.0  # of the first chunk: it is still on its way to the block
PAUSE_S = 2.0
PAUSED_EPISODE_S = 9.0
MOVES = 0.02  # rad/s
SET_RAD = 0.1  # between two joint states: no joint moves so fast
SEAM_S = 0.3  # in which a new chunk shows
READY_S = 120.0


@dataclass
class Seen:
    """What was seen of a run; all times in s of one clock."""

    episodes: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[tuple[float, float]] = field(default_factory=list)  # when, rad from the one before
    # of the image that each command comes from, to its first one
    image_to_action_s: list[float] = field(default_factory=list)
    joints: list[tuple[float, np.ndarray]] = field(default_factory=list)  # when, rad/s of the arm
    running_s: float = 0.0
    paused: tuple[float, float] | None = None


class RealTimeWorld:
    """The simulated arm for LeRobot's client, in this thread: physics, pictures and questions."""

    def __init__(self, listening: socket.socket) -> None:
        size = (128, 128)
        self.world = make_world(PANDA, "pick_block", size)
        self.world.reset(0)
        self.controller = ForwardController(PANDA.joint_names, self.world.q)
        self.stepper = Stepper(self.world, self.controller, time.monotonic_ns())
        self.stepper.every(SAMPLE_S, self._sample)
        self.seen = Seen()
        self.began_s: list[float] = []
        self._first: set[int] = set()  # images of which a command came
        self._watched = False
        self._ended = False
        self._files = selectors.DefaultSelector()
        self._files.register(listening, selectors.EVENT_READ, None)

    def run(self, until: Callable[[], bool]) -> None:
        """Until LeRobot's client says that it is done, or something else ends it."""
        while not self._ended and not until():
            for key, _ in self._files.select(0.001):
                if key.data is None:
                    peer, _ = key.fileobj.accept()  # type: ignore[union-attr]
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._files.register(peer, selectors.EVENT_READ, peer.makefile("rb"))
                else:
                    self._answer(key)
            self.stepper.advance(time.monotonic_ns())

    def _answer(self, key: selectors.SelectorKey) -> None:
        head = key.data.read(4)
        if not head:
            self._files.unregister(key.fileobj)
            return
        asked = msgpack.unpackb(key.data.read(struct.unpack(">I", head)[0]))
        data = msgpack.packb(getattr(self, f"_do_{asked.pop('do')}")(**asked))
        key.fileobj.sendall(struct.pack(">I", len(data)) + data)  # type: ignore[union-attr]

    def _do_reset(self, seed: int) -> dict[str, Any]:
        self.world.reset(seed, colour="red")
        self.stepper.restart()
        self._watched = False
        return {}

    def _do_began(self) -> dict[str, Any]:
        self._watched = True
        self.began_s.append(time.monotonic())
        return {}

    def _do_look(self) -> dict[str, Any]:
        stamp_ns = time.monotonic_ns()
        size = PANDA.image_height, PANDA.image_width
        frames = np.stack([resize(self.world.render(v), *size) for v in PANDA.view_names])
        q = self.world.q.tolist()
        return {"stamp_ns": stamp_ns, "frames": frames.tobytes(), "q": q}

    def _do_act(self, q: list[float], seen_ns: int) -> dict[str, Any]:
        now_ns = time.monotonic_ns()
        self.controller.command(np.array(q), now_ns)
        if seen_ns not in self._first:
            self._first.add(seen_ns)
            self.seen.image_to_action_s.append((now_ns - seen_ns) / NS)
        return {}

    def _do_state(self) -> dict[str, Any]:
        found = self.world.episode()
        told = {"success": found.success, "wrong": found.wrong}
        return told | {"violations": dict(found.violations)}

    def _do_end(self) -> dict[str, Any]:
        self._ended = True
        return {}

    def _sample(self, now_ns: int) -> None:
        if self._watched:
            velocities = self.world.joint_state(now_ns).velocities
            self.seen.joints.append((now_ns / NS, velocities[ARMS]))


def in_degrees(policy: Path, folder: Path) -> Path:
    """The same policy, told in degrees: its statistics say what a number is."""
    from safetensors.numpy import load_file, save_file

    other = folder / "in_degrees"
    shutil.copytree(policy, other)
    for file in other.glob("policy_*processor*.safetensors"):
        numbers = load_file(file)
        for key in numbers:
            if key.startswith(("observation.state.", "action.")) and not key.endswith(".count"):
                numbers[key] = (numbers[key] * DEGREES).astype(numbers[key].dtype)
        save_file(numbers, file)
    return other


@contextlib.contextmanager
def running(argv: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with what it started."""
    told = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment}
    with log.open("wb") as file:
        process = subprocess.Popen(argv, stdout=file, stderr=file, env=told, cwd=log.parent)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listens(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        time.sleep(0.1)
    raise WamError(f"nobody listens on port {port}")


class Pause(threading.Thread):
    """Stops a process for a while, some time after a run has begun."""

    def __init__(self, pid: int, began_s: Callable[[], float | None]) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._began_s = began_s
        self.stopped_s: tuple[float, float] | None = None

    def run(self) -> None:
        """Once."""
        while (began := self._began_s()) is None or time.monotonic() < began + PAUSE_AFTER_S:
            time.sleep(0.01)
        first = time.monotonic()
        os.kill(self._pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.kill(self._pid, signal.SIGCONT)
        self.stopped_s = (first, time.monotonic())


def of_lerobot(policy: Path, kind: str, seeds: list[int], seconds: float, pause: bool) -> Seen:
    """LeRobot's own asynchronous inference."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        degrees = in_degrees(policy, folder)
        home = {"HF_HOME": str(folder / "hf")}
        port = free_port()
        rate = round(1 / PANDA.step_period_s)
        argv = [program("lerobot"), "-m", "lerobot.async_inference.policy_server"]
        argv += ["--host=127.0.0.1", f"--port={port}", f"--fps={rate}", "--inference_latency=0"]
        with running(argv, folder / "server.log", **home) as server:
            listens(port, server)
            with socket.create_server(("127.0.0.1", 0)) as listening:
                world = RealTimeWorld(listening)
                told = {
                    "seeds": seeds,
                    "seconds": seconds,
                    "until_success": not pause,
                    "arms": ARMS,
                    "arm": {
                        "port": listening.getsockname()[1],
                        "joints": list(PANDA.joint_names),
                        "views": list(PANDA.view_names),
                        "height": PANDA.image_height,
                        "width": PANDA.image_width,
                    },
                    "client": {
                        "policy_type": kind,
                        "pretrained_name_or_path": str(degrees),
                        "actions_per_chunk": PANDA.action_horizon,
                        "task": WORDS,
                        "server_address": f"127.0.0.1:{port}",
                        "fps": rate,
                    },
                }
                out = folder / "out.json"
                client = str(ROOT / "benchmark" / "lerobot_client.py")
                argv = [program("lerobot"), client, "--told", json.dumps(told), "--out", str(out)]
                with running(argv, folder / "client.log", **home) as process:
                    stopper = Pause(server.pid, lambda: next(iter(world.began_s), None))
                    if pause:
                        stopper.start()
                    world.run(lambda: process.poll() is not None)
                    if not out.exists():
                        said = (folder / "client.log").read_text()[-2000:]
                        raise WamError(f"LeRobot's client ended: {said}")
        seen = world.seen
        for found in json.loads(out.read_text()):
            seen.running_s += found["s"]
            seen.episodes.append(
                {key: found[key] for key in ("seed", "success", "wrong", "violations")}
                | {"starved": sum(c["starved"] for c in found["chunks"])}
            )
            seen.chunks += [
                (c["now_ns"] / NS, c["jump"]) for c in found["chunks"] if c["jump"] is not None
            ]
        seen.paused = stopper.stopped_s
        return seen


class Listener:
    """Hears our loop in a thread of its own."""

    def __init__(self, domain_id: int) -> None:
        from sensor_msgs.msg import JointState

        from wam_ros.ros import qos
        from wam_ros.ros.link import Link

        self.seen = Seen()
        self.began_s: float | None = None
        self.said: list[tuple[float, str]] = []
        self._before: ActionChunk | None = None
        self._at: dict[str, float] = {}  # newest joint state, rad or m
        self._set_ns = 0  # when an episode began elsewhere than the one before had ended
        self._ahead_s = time.time() - time.monotonic()  # of the clock of stamps
        self._ended = threading.Event()
        handlers = {"action_chunk": self._on_chunk, "safety_report": self._on_report}
        self._link = Link("bench", handlers, domain_id)
        self._link.node.create_subscription(
            JointState, "joint_states", self._on_joints, qos.JOINT_STATES
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._link.spin(0.05)

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()
        self._thread.join(5)
        self._link.close()

    def _on_chunk(self, chunk: ActionChunk, published_ns: int) -> None:
        now = time.monotonic()
        self.began_s = self.began_s or now
        before = self._before
        if before is not None and self._continues(before, chunk, published_ns):
            at = np.array([published_ns])
            jump = rows_of(chunk, at) - rows_of(before, at)
            self.seen.chunks.append((now, float(np.abs(jump[0, ARMS]).max())))
        self._before = chunk

    def _continues(self, before: ActionChunk, chunk: ActionChunk, now_ns: int) -> bool:
        """Whether both are of one motion: the first lasts, and the arm was set nowhere else in
        between.
        """
        same = before.epoch == chunk.epoch and now_ns <= end_of(before)
        return same and not before.observation_ns < self._set_ns <= chunk.observation_ns

    def _on_report(self, report: Any, _published_ns: int) -> None:
        if report.sentence and (not self.said or self.said[-1][1] != report.sentence):
            self.said.append((time.monotonic(), report.sentence))

    def _on_joints(self, message: Any) -> None:
        at = dict(zip(message.name, message.position, strict=True))
        if any(abs(q - self._at.get(name, q)) > SET_RAD for name, q in at.items()):
            self._set_ns = time_ns(message.header.stamp)
        self._at = at
        if self.began_s is not None:
            speed = dict(zip(message.name, message.velocity, strict=True))
            dq = np.array([speed[PANDA.joint_names[k]] for k in ARMS])
            self.seen.joints.append((time_ns(message.header.stamp) / NS - self._ahead_s, dq))


def end_of(chunk: ActionChunk) -> int:
    """When its last step is due, ns."""
    return chunk.anchor_ns + chunk.step_period_ns * chunk.n_steps


def rows_of(chunk: ActionChunk, at_ns: np.ndarray) -> np.ndarray:
    """(N, A) of a chunk at instants, on straight lines; its ends beyond them."""
    steps = chunk.anchor_ns + chunk.step_period_ns * np.arange(1, chunk.n_steps + 1)
    return np.stack(
        [np.interp(at_ns, steps, chunk.positions[:, k]) for k in range(chunk.positions.shape[1])],
        axis=1,
    )


def of_ours(policy: Path, seeds: list[int], seconds: float, pause: bool) -> Seen:
    """Our loop, with all its processes, and the policy behind `tools/lerobot_server.py`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        script = str(ROOT / "tools" / "lerobot_server.py")
        argv = [program("lerobot"), script, "--policy", str(policy), "--port", str(port)]
        with running(argv, folder / "server.log", HF_HOME=str(folder / "hf")) as server:
            until_answers(server, port)
            out = folder / "out.json"
            domain_id = hold_domain()
            listener = Listener(domain_id)
            argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", "--real-time"]
            argv += ["--domain-id", str(domain_id), "--logs", str(folder)]
            argv += ["--model", f"lerobot_panda@ws://127.0.0.1:{port}", "--instruction", WORDS]
            argv += ["--seed", str(seeds[0]), "--episodes", str(len(seeds))]
            argv += ["--time-limit", str(seconds), "--json", str(out)]
            path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
            try:
                with running(argv, folder / "demo.log", PYTHONPATH=path) as demo:
                    stopper = Pause(server.pid, lambda: listener.began_s)
                    if pause:
                        stopper.start()
                    if demo.wait() and not out.exists():
                        said = (folder / "demo.log").read_text()[-2000:]
                        raise WamError(f"the demo ended: {said}")
            finally:
                listener.close()
            found = json.loads(out.read_text())
    seen = listener.seen
    seen.running_s = found["summary"]["chunks"] / max(1e-9, found["summary"]["chunk_rate_hz"])
    latency = found["latency"].get("camera to command", {})
    seen.episodes = found["episodes"]
    seen.paused = stopper.stopped_s
    for episode in seen.episodes:
        episode["latency"] = found["latency"]
    seen.image_to_action_s = [1e-3 * latency[p] for p in ("p50_ms", "p95_ms") if p in latency]
    return seen


def accelerations(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """When (N,), and the largest of all joints as a share of its limit (N,)."""
    limits = load_joints(PANDA).limits.acceleration[ARMS]
    times = np.array([t for t, _ in seen.joints])
    dq = np.array([v for _, v in seen.joints])
    # of two samples that come late together the second tells nothing of a span
    spans = np.maximum(np.diff(times), SAMPLE_S)
    keep = np.diff(times) < 5 * SAMPLE_S
    share = np.abs(np.diff(dq, axis=0) / spans[:, None] / limits).max(axis=1)
    return times[1:][keep], share[keep]


def figures(seen: Seen, ours: bool) -> dict[str, Any]:
    """The numbers of a run."""
    jumps = 1e3 * np.array([jump for _, jump in seen.chunks] or [0.0])
    _, share = accelerations(seen)
    beyond: dict[str, int] = {}
    for episode in seen.episodes:
        for limit, steps in episode["violations"].items():
            beyond[limit] = beyond.get(limit, 0) + steps
    first = seen.image_to_action_s  # of ours the two numbers, of LeRobot's each
    p50, p95 = first if ours and first else np.percentile(first or [np.nan], [50, 95])
    n_chunks = sum(e["chunks"] for e in seen.episodes) if ours else len(seen.chunks)
    return {
        "episodes": len(seen.episodes),
        "picked up": sum(bool(e["success"]) for e in seen.episodes),
        "chunks/s": round(n_chunks / max(1e-9, seen.running_s), 2),
        # nothing where no chunk was executed
        "image to action, p50 [ms]": round(1e3 * float(p50), 1) if first else None,
        "image to action, p95 [ms]": round(1e3 * float(p95), 1) if first else None,
        "times without an action": sum(e.get("starved", 0) for e in seen.episodes),
        "chunk from the one before, median [mrad]": round(float(np.median(jumps)), 2),
        "chunk from the one before, most [mrad]": round(float(jumps.max()), 2),
        "acceleration, 99 % [of the limit]": round(float(np.percentile(share, 99)), 2),
        "acceleration, most [of the limit]": round(float(share.max()), 2),
        "steps of physics beyond a limit": beyond,
    }


def while_stopped(seen: Seen) -> dict[str, Any]:
    """What the arm did when its server was stopped."""
    assert seen.paused is not None
    first, last = seen.paused
    times = np.array([t for t, _ in seen.joints])
    speed = np.array([np.abs(v).max() for _, v in seen.joints])
    moving = times[(speed > MOVES) & (times > first) & (times < last)]
    again = times[(speed > MOVES) & (times > last)]
    at, share = accelerations(seen)
    near = (at > first) & (at < last + 2.0)
    return {
        "at rest after [s]": round(float(moving.max() - first), 2) if len(moving) else 0.0,
        "moves again after its return [s]": round(float(again.min() - last), 2)
        if len(again)
        else None,
        "acceleration meanwhile, most [of the limit]": round(float(share[near].max()), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", type=Path, required=True, help="folder of a LeRobot policy")
    parser.add_argument("--kind", default="act", help="its type")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0, help="longest episode")
    parser.add_argument("--seed", type=int, default=900_000)
    parser.add_argument("--json", default="", help="file for the numbers")
    args = parser.parse_args()
    try:
        require_writable("--json", args.json)
    except WamError as problem:
        parser.error(str(problem))
    seeds = list(range(args.seed, args.seed + args.episodes))
    policy = args.policy.resolve()
    runs = {
        "ours": lambda s, t, p: of_ours(policy, s, t, p),
        "LeRobot's": lambda s, t, p: of_lerobot(policy, args.kind, s, t, p),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        seen = run(seeds, args.seconds, False)
        stopped = run(seeds[:1], PAUSED_EPISODE_S, True)
        found[name] = {
            "figures": figures(seen, name == "ours"),
            "stopped for 2 s": while_stopped(stopped),
            "episodes": seen.episodes,
        }
    table = Table("", *found)
    for part in ("figures", "stopped for 2 s"):
        for key in found["ours"][part]:
            cells = [key, *(str(f[part][key]) for f in found.values())]
            table.add_row(*(escape(cell) for cell in cells))  # a unit in brackets is no markup
    Console().print(table)
    if args.json:
        setting = {"cpus": os.cpu_count(), "load": os.getloadavg(), "seconds": args.seconds}
        write_json(args.json, {"setting": setting, **found})


if __name__ == "__main__":
    main()
