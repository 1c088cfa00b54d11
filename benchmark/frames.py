"""What it costs that frames are copied on their way from a camera to the model, and what would be
left of it if they stayed in one place.

Two ways are measured between two processes, as the nodes speak: a VGA image from a driver to
camera_node, and an observation of three views of 180 x 320 from there to inference_node. Beside
each: the same frames written once into a ring of shared memory and read where they lie, with a
message that has all but them; and that message alone. The difference to it is what a ring could
save, no more. A bare copy of the bytes says how much of that is copying.

    python -m benchmark.frames --tries 300 --json docs/results/frames.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import struct
import tempfile
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from testing.policies import observation
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.types import NS, Observation
from wam_ros.demo.domain import hold_domain
from wam_ros.demo.plan import environment

ROBOT = load_embodiment("droid")  # three views of 180 x 320
SHAPES = {"observation": (3, 180, 320, 3), "image": (1, 480, 640, 3)}
WORDS = {
    "observation": "three views of 180 x 320, camera_node to inference_node",
    "image": "a VGA image, driver to camera_node",
}
WAYS = ("as it is", "ring", "no frames")
SLOTS = 8  # frames that a reader may still look at
PERIOD_S = 1 / 29.97
FIRST = 20  # messages that are not counted
CDR_HEADER = 4  # bytes before the first field of a serialised message, here the stamp


def ring_of(memory: SharedMemory, kind: str) -> np.ndarray:
    """(SLOTS, V, H, W, 3) uint8 in shared memory."""
    return np.ndarray((SLOTS, *SHAPES[kind]), np.uint8, memory.buf)


def seen(kind: str, way: str) -> Observation:
    """What is sent; without frames where they go another way."""
    whole = observation(1, robot=ROBOT)
    if kind == "observation" and way == "as it is":
        return whole
    return Observation(
        stamp_ns=0,
        view_names=whole.view_names,
        frames=whole.frames[:, :0, :0],
        frame_stamps_ns=whole.frame_stamps_ns,
        joints=whole.joints,
    )


def send(kind: str, way: str, name: str, used: Any, done: Any) -> None:
    """Send frames until `done`; then say how much processor time each took [s]."""
    import rclpy
    from rclpy.node import Node
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import Image

    from wam_ros.msg import Observation as ObservationMsg
    from wam_ros.ros import convert, qos

    rclpy.init(args=[])
    node = Node("sender")
    frames = np.random.default_rng(0).integers(0, 256, SHAPES[kind], np.uint8)
    memory = SharedMemory(name)
    as_image = kind == "image" and way == "as it is"
    publisher = (
        node.create_publisher(Image, "frames", qos.IMAGE)
        if as_image
        else node.create_publisher(ObservationMsg, "frames", qos.OBSERVATION)
    )
    # a driver is no Python program: it does not take 1 ms to serialise
    wire = (
        bytearray(serialize_message(convert.numpy_to_image(frames[0], 0, ""))) if as_image else b""
    )
    said = seen(kind, way)
    count = 0
    due = time.monotonic()
    began_s = time.process_time()
    while not done.is_set():
        due += PERIOD_S
        time.sleep(max(0.0, due - time.monotonic()))
        now_ns = time.monotonic_ns()
        if isinstance(wire, bytearray):
            struct.pack_into("<iI", wire, CDR_HEADER, *divmod(now_ns, NS))
            publisher.publish(bytes(wire))
        else:
            if way == "ring":
                ring_of(memory, kind)[count % SLOTS] = frames
            told = (count % SLOTS,) * len(said.view_names)
            publisher.publish(
                convert.observation_to_msg(
                    Observation(
                        stamp_ns=now_ns,
                        view_names=said.view_names,
                        frames=said.frames,
                        frame_stamps_ns=told,
                        joints=said.joints,
                    )
                )
            )
        count += 1
    used.put((time.process_time() - began_s) / max(1, count))
    memory.close()


def between(kind: str, way: str, tries: int) -> dict[str, Any]:
    """From before a frame is handed over to when it can be read, in another process."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    from wam_ros.msg import Observation as ObservationMsg
    from wam_ros.ros import convert, qos
    from wam_ros.ros.fields import read_header

    took: list[float] = []
    processor: list[float] = []
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = Node("receiver", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    memory = SharedMemory(create=True, size=SLOTS * int(np.prod(SHAPES[kind])))

    def on_observation(message: Any) -> None:
        found = convert.observation_from_msg(message)
        slot = found.frame_stamps_ns[0]
        arrived(found.stamp_ns, ring_of(memory, kind)[slot] if way == "ring" else found.frames)

    def on_image(data: bytes) -> None:
        arrived(read_header(data)[0], convert.image_to_numpy(convert.image_from_wire(data)))

    def arrived(sent_ns: int, frames: np.ndarray) -> None:
        took.append((time.monotonic_ns() - sent_ns) / NS)
        processor.append(time.process_time())
        assert way == "no frames" or frames.size == np.prod(SHAPES[kind])

    if kind == "image" and way == "as it is":
        node.create_subscription(Image, "frames", on_image, qos.IMAGE, raw=True)
    else:
        node.create_subscription(ObservationMsg, "frames", on_observation, qos.OBSERVATION)
    spawn = multiprocessing.get_context("spawn")
    used = spawn.Queue()
    done = spawn.Event()
    other = spawn.Process(target=send, args=(kind, way, memory.name, used, done), daemon=True)
    other.start()
    try:
        end = time.monotonic() + 60 + 2 * tries * PERIOD_S
        while len(took) < tries + FIRST:
            if time.monotonic() > end:
                raise WamError(f"{kind}, {way}: {len(took)} messages came in time")
            executor.spin_once(timeout_sec=0.1)
        done.set()
        sender_s = used.get(timeout=10)
        other.join(10)
    finally:
        other.kill()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
        memory.close()
        memory.unlink()
    p50, p99 = np.percentile(took[FIRST:], [50, 99])
    return {
        "p50_ms": round(1e3 * p50, 3),
        "p99_ms": round(1e3 * p99, 3),
        "sender_ms": round(1e3 * sender_s, 3),
        "receiver_ms": round(1e3 * (processor[-1] - processor[FIRST]) / (tries - 1), 3),
    }


def copy_ms(kind: str) -> float:
    """One copy of the frames, in the middle of many that alternate with other memory."""
    frames = np.random.default_rng(0).integers(0, 256, (SLOTS, *SHAPES[kind]), np.uint8)
    other = np.empty_like(frames)
    took = []
    for k in range(400):
        began = time.perf_counter()
        other[k % SLOTS] = frames[(3 * k) % SLOTS]
        took.append(time.perf_counter() - began)
    return round(1e3 * float(np.median(took)), 4)


def measured(kind: str, tries: int) -> dict[str, dict[str, Any]]:
    """Every way, each with a ROS domain of its own."""
    found = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(environment(hold_domain(), Path(folder)))
            found[way] = between(kind, way, tries)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=300, help="frames of each way")
    parser.add_argument("--json", default="", help="file for the numbers")
    args = parser.parse_args()
    try:
        require_writable("--json", args.json)
    except WamError as problem:
        parser.error(str(problem))
    console = Console()
    found: dict[str, Any] = {}
    for kind, words in WORDS.items():
        rows = measured(kind, args.tries)
        table = Table(words, "p50 / p99, ms", "p50, no frames = 1", "processor, both, ms")
        for way, row in rows.items():
            row["ratio"] = round(row["p50_ms"] / rows["no frames"]["p50_ms"], 2)
            both = row["sender_ms"] + row["receiver_ms"]
            times = f"{row['p50_ms']:.2f} / {row['p99_ms']:.2f}"
            table.add_row(way, times, f"{row['ratio']:.2f}", f"{both:.2f}")
        console.print(table)
        once = copy_ms(kind)
        console.print(f"one copy of these bytes: {once:.3f} ms", highlight=False)
        found[kind] = {"what": words, "ways": rows, "copy_ms": once}
    if args.json:
        setting = {"tries": args.tries, "cpus": os.cpu_count(), "load": os.getloadavg()}
        write_json(args.json, {"setting": setting, **found})


if __name__ == "__main__":
    main()
