"""`wam latency`: where the time goes from camera to motion, live or from a recording."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.trace import TOTALS, ServoLag, Trace, chunk_number
from wam_ros.core.types import NS
from wam_ros.ros.fields import read_header
from wam_ros.ros.recording import Recorded, Recording, expecting
from wam_ros.tools.latency_plot import write_plot

COMMAND = "joint_trajectory_controller/joint_trajectory"
MAX_GAP_S = 0.05  # between a measured and a commanded state that are compared
BAR = 12  # characters: the table fits a terminal of 80


@dataclass(frozen=True)
class Latency:
    """Measure the running loop, or read a recording made with `ros2 launch ... record:=FOLDER`."""

    seconds: float = 10.0  # how long to listen
    bag: str = ""  # recording to read instead of listening
    plot: str = ""  # .svg to draw
    json: str = ""  # file to write the numbers to
    command: str = COMMAND  # topic on which the bridge sends trajectories to the controller
    namespace: str = ""  # that the loop was launched in; a recording of one loop needs none
    domain_id: int | None = None  # ROS domain; default: that of the environment


class Feed:
    """Hands what the topics say to a `Trace`; every method takes a message's content and when it
    was published [ns].

    Args:
        trace: that joins them.
        joints: gives the newest measured joint state message, None before the first.
        command: topic on which the controller is sent trajectories.
    """

    def __init__(self, trace: Trace, joints: Callable[[], Any], command: str = COMMAND) -> None:
        self.trace = trace
        self._joints = joints
        self._servo = ServoLag()
        self._command = command

    def handlers(self) -> dict[str, Callable[[Any, int], None]]:
        """Topic -> method."""
        return {
            "observation": self.observation,
            "action_chunk": self.chunk,
            "safe_trajectory": self.safe,
            self._command: self.command,
            "commanded_state": self.commanded,
        }

    def observation(self, observation: Any, published_ns: int) -> None:
        """A model frame."""
        self.trace.on_observation(observation.stamp_ns, observation.frame_stamps_ns, published_ns)

    def chunk(self, chunk: Any, published_ns: int) -> None:
        """The model's answer."""
        self.trace.on_chunk(chunk.seq, chunk.observation_ns, published_ns)

    def safe(self, header: tuple[int, str], published_ns: int) -> None:
        """Start [ns] and frame id of a safe trajectory."""
        if (seq := chunk_number(header[1])) is not None:
            self.trace.on_safe(seq, header[0], published_ns)

    def command(self, header: tuple[int, str], published_ns: int) -> None:
        """Start [ns] and frame id of what the controller was sent."""
        if (seq := chunk_number(header[1])) is not None:
            self.trace.on_command(seq, published_ns)

    def commanded(self, told: Any, _published_ns: int) -> None:
        """Joint state message of what is commanded; compared with what is measured."""
        measured = self._joints()
        if measured is None or not told.velocity:
            return
        index = {name: k for k, name in enumerate(measured.name)}
        gap_s = (time_ns(measured.header.stamp) - time_ns(told.header.stamp)) / NS
        if abs(gap_s) > MAX_GAP_S or not set(told.name) <= set(index):
            return
        dq = np.asarray(told.velocity, float)
        now = np.asarray(told.position, float) + dq * gap_s
        self._servo.on_error(
            now - np.asarray(measured.position, float)[[index[n] for n in told.name]], dq
        )
        self.trace.lag_s = self._servo.lag_s


def time_ns(stamp: Any) -> int:
    """ROS time as ns, of a live or a recorded message."""
    return stamp.sec * NS + stamp.nanosec


def main(args: Latency) -> int:
    """Print the table; 1 when nothing was seen.

    Raises:
        WamError: an argument is wrong, or the recording cannot be read.
    """
    require_within("--seconds", args.seconds, 0.1, 86_400)
    require_within("--domain-id", args.domain_id or 0, 0, 232)  # beyond, DDS ends the process
    if args.plot and not args.plot.endswith(".svg"):
        raise WamError(f"--plot must end in .svg, found {args.plot}")
    if not re.fullmatch(r"/?([A-Za-z]\w*/)+joint_trajectory", args.command, re.ASCII):
        raise WamError(f"--command is a topic that ends in /joint_trajectory, found {args.command}")
    for option in ("plot", "json"):
        require_writable(f"--{option}", getattr(args, option))
    trace = Trace()
    if args.bag:
        read_bag(Path(args.bag), trace, args.command.lstrip("/"), args.namespace or None)
    else:
        listen(args, trace)
    if trace.why_not_comparable:
        raise WamError(trace.why_not_comparable)
    summary = trace.summary()
    console = Console()
    if not summary:
        console.print(
            "no chunk was followed to its command: does the loop run, armed, on this ROS domain "
            "and clock, with a "
            "trajectory controller heard on --command? Of streams and actions /diagnostics tells "
            "the same."
        )
        return 1
    print_summary(summary, console)
    if args.plot:
        write_plot(trace.values_ms(), Path(args.plot))
    if args.json:
        write_json(args.json, summary)
    return 0


def print_summary(summary: dict[str, dict[str, float]], console: Console) -> None:
    """Stages as a table, with the share of each in the whole as a bar."""
    table = Table()
    for column in ("stage", "n", "p50 ms", "p95 ms", "p99 ms", "share of p50"):
        table.add_column(
            column,
            no_wrap=True,
            justify="right" if column != "stage" and "share" not in column else "left",
        )
    stages = [name for name in summary if name not in TOTALS]
    whole = sum(summary[name]["p50_ms"] for name in stages) or 1.0
    for name, v in summary.items():
        numbers = (f"{v['n']:.0f}", *(f"{v[p]:.1f}" for p in ("p50_ms", "p95_ms", "p99_ms")))
        bar = "" if name in TOTALS else "█" * round(BAR * v["p50_ms"] / whole)
        table.add_row(name, *numbers, bar, style="bold" if name in TOTALS else None)
    console.print(table)


def listen(args: Latency, trace: Trace) -> None:
    """Feed the trace from the topics of the running loop."""
    from wam_ros.ros.environment import ensure

    ensure()
    from wam_ros.ros.link import Link

    feed = Feed(trace, lambda: link.joints(), args.command)
    link = Link("wam_latency", feed.handlers(), args.domain_id, args.namespace)
    try:
        end = time.monotonic() + args.seconds
        while (left := end - time.monotonic()) > 0:
            link.spin(min(left, 0.1))
    except KeyboardInterrupt:
        pass  # what was seen so far is printed
    finally:
        link.close()


def read_bag(
    path: Path, trace: Trace, command: str = COMMAND, namespace: str | None = None
) -> None:
    """Feed the trace from a recording; `command` as in `Feed`.

    Raises:
        WamError: it does not exist, is not a recording, or has several loops and `namespace` names
            none of them.
    """
    newest: list[Any] = [None]
    handlers = Feed(trace, lambda: newest[0], command).handlers()
    with Recording(path, namespace) as recording:
        for recorded in recording.messages({*handlers, "joint_states"}, handlers):
            feed_recorded(recorded, handlers, newest)


def feed_recorded(
    recorded: Recorded, handlers: dict[str, Callable[[Any, int], None]], newest: list[Any]
) -> None:
    """Hand one recorded message to the handlers of a `Feed`, whose joints are `newest[0]`.

    Raises:
        WamError: it is of another type than its topic has in the loop.
    """
    if recorded.topic == "joint_states":
        newest[0] = recorded.message
    elif recorded.topic in handlers:
        with expecting(recorded):
            handlers[recorded.topic](_content(recorded), recorded.recorded_ns)


def _content(recorded: Recorded) -> Any:
    """What `Feed` reads of a recorded message."""
    if recorded.topic not in ("observation", "action_chunk", "commanded_state"):
        return read_header(recorded.data)
    message = recorded.message
    if recorded.topic == "observation":
        return SimpleNamespace(
            stamp_ns=time_ns(message.header.stamp),
            frame_stamps_ns=[time_ns(s) for s in message.frame_stamps],
        )
    if recorded.topic == "action_chunk":
        return SimpleNamespace(seq=message.seq, observation_ns=time_ns(message.observation_stamp))
    return SimpleNamespace(
        header=message.header,
        name=list(message.name),
        position=message.position,
        velocity=list(message.velocity),
    )
