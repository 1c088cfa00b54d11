"""What the loop costs without its model: camera stamp -> safe trajectory, frames delivered, and the
bridge's period.

Two runs, each with the real camera_node, safety_node and bridge_node in processes of their own and
in the place of inference_node one that reads the observation and knows its answer: first with two
VGA cameras and an exact robot, then with the simulated arm.

    python benchmark/pipeline.py --seconds 20
"""

from __future__ import annotations

import argparse
import array
import itertools
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.resources import share_dir
from wam_ros.core.trace import Trace, chunk_number, percentiles_ms
from wam_ros.core.types import NS, ActionChunk, JointState, Observation, SafetyReport
from wam_ros.demo.domain import hold_domain
from wam_ros.demo.plan import environment, node_command
from wam_ros.demo.supervisor import Command, Supervisor
from wam_ros.tools.latency import Feed, print_summary

HEIGHT, WIDTH, JOINTS_HZ, BRIDGE_HZ = 480, 640, 100.0, 250.0
# as cameras keep 30: in step with the joint states and the bridge, a run would see one phase only
CAMERA_HZ = 29.97
READY_S = 60.0
CDR_HEADER = 4  # bytes before the first field of a serialised message, here the stamp
SWAY, SWAY_HZ = 0.08, 0.15  # rad, 1/s: what the chunks make the arm do


def run_drivers(seconds: float) -> None:
    """Two VGA cameras and a robot that does at once what its controller says, until `seconds` have
    passed.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image
    from sensor_msgs.msg import JointState as JointStateMsg

    from wam_ros.ros import convert, qos
    from wam_ros.ros.sim_node.controller_server import ControllerServer, make_sim_controller

    robot = load_embodiment("panda")
    rclpy.init(args=[])
    node, executor = Node("drivers"), SingleThreadedExecutor()
    executor.add_node(node)
    controller = make_sim_controller("joint_trajectory", robot.joint_names, np.array(robot.home))

    def now_ns() -> int:
        return node.get_clock().now().nanoseconds

    ControllerServer(node, "joint_trajectory", controller, now_ns)
    joints = node.create_publisher(JointStateMsg, "joint_states", qos.JOINTS)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    image = Image(
        height=HEIGHT,
        width=WIDTH,
        encoding="rgb8",
        step=3 * WIDTH,
        data=array.array("B", noise.tobytes()),
    )
    # a driver is no Python program: it does not take 1 ms to serialise
    wire = bytearray(serialize_message(image))
    cameras = [node.create_publisher(Image, c.image_topic, qos.IMAGE) for c in robot.cameras]

    def see() -> None:
        struct.pack_into("<iI", wire, CDR_HEADER, *divmod(now_ns(), NS))
        message = bytes(wire)
        for camera in cameras:
            camera.publish(message)

    def feel() -> None:
        t = now_ns()
        q, dq, _ = controller.sample(t).arrays
        joints.publish(
            convert.joint_state_to_msg(
                JointState(t, robot.joint_names, q, dq, np.full(len(q), np.nan))
            )
        )

    due = [[time.monotonic(), 1 / CAMERA_HZ, see], [time.monotonic(), 1 / JOINTS_HZ, feel]]
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for task in due:
            if now >= task[0]:
                task[0] = max(task[0] + task[1], now - task[1])
                task[2]()
        executor.spin_once(timeout_sec=max(0.0, min(task[0] for task in due) - time.monotonic()))


def run_answers(seconds: float, embodiment: str, chunk_hz: float) -> None:
    """Answer observations with chunks at once, until `seconds` have passed."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

    from wam_ros.msg import ActionChunk as ActionChunkMsg
    from wam_ros.msg import Observation as ObservationMsg
    from wam_ros.ros import convert, qos

    robot, session = load_embodiment(embodiment), os.urandom(16)
    rclpy.init(args=[])
    node, executor = Node("answers"), SingleThreadedExecutor()
    executor.add_node(node)
    chunks = node.create_publisher(ActionChunkMsg, "action_chunk", qos.CHUNK)
    asked: list[Observation] = []  # the first and the newest one that was answered
    numbers = itertools.count(1)

    def on_observation(msg: Any) -> None:
        observation = convert.observation_from_msg(msg)
        if asked and observation.stamp_ns - asked[-1].stamp_ns < NS / chunk_hz * 3 / 4:
            return
        asked[1:] = [observation]
        chunks.publish(
            convert.chunk_to_msg(sway(robot, next(numbers), asked[0], observation, session))
        )

    node.create_subscription(ObservationMsg, "observation", on_observation, qos.OBSERVATION)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)


def sway(
    robot: Embodiment, seq: int, first: Observation, observation: Observation, session: bytes
) -> ActionChunk:
    """Part of one endless calm motion about where the arm first stood: every chunk continues the
    one before.
    """
    since_s = (observation.stamp_ns - first.stamp_ns) / NS
    phase = (
        2
        * np.pi
        * SWAY_HZ
        * (since_s + np.arange(1, robot.action_horizon + 1) * robot.step_period_s)
    )
    arm = np.array([name not in robot.gripper_joints for name in robot.joint_names])
    q = first.joints.positions + SWAY * np.sin(phase)[:, None] * arm
    return ActionChunk(
        anchor_ns=observation.stamp_ns,
        step_period_ns=round(robot.step_period_s * NS),
        joint_names=robot.joint_names,
        positions=q,
        session_id=session,
        seq=seq,
        embodiment=robot.name,
        observation_ns=observation.stamp_ns,
    )


class Loop:
    """Listens to the loop; belongs to one thread.

    Args:
        domain_id: ROS domain.
    """

    def __init__(self, domain_id: int) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        from wam_ros.ros.link import Link

        self.feed = Feed(Trace(), lambda: self.link.joints())
        handlers: dict[str, Callable[[Any, int], None]] = {
            **self.feed.handlers(),
            "observation": self._on_observation,
            "action_chunk": self._on_chunk,
            "safe_trajectory": self._on_safe,
            "safety_report": self._on_report,
        }
        self.link = Link("pipeline", handlers, domain_id)
        self.link.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
        )
        self.bridge: dict[str, str] = {}
        self.said = ""
        self.clear()

    def clear(self) -> None:
        """Begin to measure."""
        self._camera_ns: dict[int, int] = {}  # by stamp of the observation
        self._observation_ns: dict[int, int] = {}  # by number of the chunk, like what follows
        self._safe_ns: dict[int, int] = {}
        self.stamps: list[int] = []  # of the instants observed
        self.frames: set[tuple[int, int]] = set()  # (view, stamp)
        self.filter_ms: list[float] = []  # the part of it in which the chunk is judged

    def _on_observation(self, observation: Observation, published_ns: int) -> None:
        self.stamps.append(observation.stamp_ns)
        self.frames.update(enumerate(observation.frame_stamps_ns))
        self._camera_ns[observation.stamp_ns] = min(observation.frame_stamps_ns)
        self.feed.observation(observation, published_ns)

    def _on_chunk(self, chunk: ActionChunk, published_ns: int) -> None:
        self._observation_ns[chunk.seq] = chunk.observation_ns
        self.feed.chunk(chunk, published_ns)

    def _on_safe(self, header: tuple[int, str], published_ns: int) -> None:
        self._safe_ns.setdefault(chunk_number(header[1]) or 0, published_ns)
        self.feed.safe(header, published_ns)

    def to_safe_ms(self) -> list[float]:
        """Camera stamp to safe trajectory, of each chunk; messages of different topics come in any
        order.
        """
        asked = (
            (safe_ns, self._observation_ns.get(seq, 0)) for seq, safe_ns in self._safe_ns.items()
        )
        return [
            (safe_ns - self._camera_ns[ns]) / 1e6 for safe_ns, ns in asked if ns in self._camera_ns
        ]

    def _on_report(self, report: SafetyReport, published_ns: int) -> None:
        self.said = report.sentence
        if report.steps_total:
            self.filter_ms.append(report.compute_s * 1e3)

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            if status.name == "bridge_node: forwarding":
                self.bridge = {"message": status.message} | {v.key: v.value for v in status.values}

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Handle messages for a while, or until something holds; returns whether it does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            self.link.spin(0.05)
        return until()


def embodiment_file(folder: Path, rate_hz: float) -> Path:
    """The Panda with as many observations per second as the cameras give frames."""
    text = (share_dir() / "config" / "embodiments" / "panda.yaml").read_text(encoding="utf-8")
    lines = [
        f"frame_rate_hz: {rate_hz}" if line.startswith("frame_rate_hz:") else line
        for line in text.splitlines()
    ]
    file = folder / "panda_fast.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def measure(name: str, seconds: float, chunk_hz: float, console: Console) -> dict[str, Any]:
    """One run; prints where the time went and returns figures, stages and processor time."""
    folder = Path(tempfile.mkdtemp(prefix=f"wam-pipeline-{name}-"))
    domain_id = hold_domain()
    env = environment(domain_id, folder)
    os.environ.update(env)
    robot = str(embodiment_file(folder, CAMERA_HZ)) if name == "vga" else "panda"
    nodes: dict[str, dict[str, Any]] = {
        "camera_node": {},
        # a robot on this machine may be late
        "safety_node": {"arm_on_start": True, "joint_timeout_s": 2.0},
        "bridge_node": {"rate_hz": BRIDGE_HZ},
    }
    if name == "sim":
        nodes = {"sim_node": {}, **nodes}
    commands = [node_command(node, {"embodiment": robot, **own}) for node, own in nodes.items()]
    longest = str(seconds + READY_S + 60)
    answers = (
        sys.executable,
        __file__,
        "--answers",
        longest,
        "--embodiment",
        robot,
        "--chunk-hz",
        str(chunk_hz),
    )
    commands.append(Command("answers", answers))
    if name == "vga":
        commands.insert(0, Command("drivers", (sys.executable, __file__, "--drivers", longest)))
    supervisor = Supervisor(commands, folder, env)
    supervisor.start()
    try:
        loop = Loop(domain_id)
        if not loop.spin(READY_S, lambda: len(loop.to_safe_ms()) > 10):
            dead = [d.cause for d in supervisor.deaths()]
            raise SystemExit(
                f"{name}: no safe trajectories after {READY_S:.0f} s ({dead or loop.said}); logs "
                f"in {folder}"
            )
        loop.feed.trace = loop.feed.trace.__class__()
        loop.clear()
        before = {c.name: cpu_s(supervisor.pid(c.name)) for c in commands}
        loop.spin(seconds)
        load = {
            c.name: (cpu_s(supervisor.pid(c.name)) - before[c.name]) / seconds for c in commands
        }
        console.print(
            f"[bold]{name}[/]: {len(loop.to_safe_ms())} chunks answered, logs in {folder}",
            highlight=False,
        )
        console.print(
            "processor: " + ", ".join(f"{k} {v:.0%}" for k, v in load.items()), highlight=False
        )
        stages = loop.feed.trace.summary() | {"of which the filter": percentiles_ms(loop.filter_ms)}
        print_summary(stages, console)
        return {
            "figures": figures(name, loop),
            "stages": stages,
            "processor": load,
            "bridge": loop.bridge,
        }
    finally:
        supervisor.stop()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, s (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(name: str, loop: Loop) -> dict[str, Any]:
    """The numbers that have goals."""
    found: dict[str, Any] = {
        "bridge period error p99 ms": float(loop.bridge.get("period_error_p99_ms", "nan"))
    }
    if name == "vga":
        p50, p99 = np.percentile(loop.to_safe_ms(), [50, 99])
        sent = 2 * (1 + round((loop.stamps[-1] - loop.stamps[0]) / NS * CAMERA_HZ))
        found |= {
            "camera to safe trajectory p50 ms": float(p50),
            "camera to safe trajectory p99 ms": float(p99),
            "frames delivered %": 100 * min(1.0, len(loop.frames) / sent),
        }
    return found


GOALS = {
    "camera to safe trajectory p50 ms": (8.0, False),
    "camera to safe trajectory p99 ms": (20.0, False),
    "frames delivered %": (99.0, True),
    "bridge period error p99 ms": (1.0, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    parser.add_argument("--chunk-hz", type=float, default=10.0, help="chunks per second")
    parser.add_argument("--run", choices=("vga", "sim", "both"), default="both")
    parser.add_argument("--json", default="", help="file for the numbers")
    for part in ("--drivers", "--answers"):
        parser.add_argument(part, type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--embodiment", default="panda", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.drivers:
        return run_drivers(args.drivers)
    if args.answers:
        return run_answers(args.answers, args.embodiment, args.chunk_hz)
    try:
        require_writable("--json", args.json)
    except WamError as problem:
        parser.error(str(problem))
    console = Console()
    runs = ("vga", "sim") if args.run == "both" else (args.run,)
    results = {name: measure(name, args.seconds, args.chunk_hz, console) for name in runs}
    show(results, console)
    if args.json:
        setting = {
            "seconds": args.seconds,
            "chunk_hz": args.chunk_hz,
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
        }
        goals = {
            figure: f"{'>=' if at_least else '<='} {goal:g}"
            for figure, (goal, at_least) in GOALS.items()
        }
        write_json(args.json, {"setting": setting, "goals": goals, "runs": results})


def show(results: dict[str, Any], console: Console) -> None:
    """Measured beside wanted; what misses its goal is yellow."""
    table = Table("run", "figure", "measured", "goal")
    for name, found in results.items():
        for figure, value in found["figures"].items():
            goal, at_least = GOALS[figure]
            met = value >= goal if at_least else value <= goal
            words = f"{'>=' if at_least else '<='} {goal:g}"
            table.add_row(name, figure, f"{value:.2f}", words, style=None if met else "yellow")
    console.print(table)


if __name__ == "__main__":
    main()
