"""What every node publishes, hears, offers and asks for, asked of the nodes themselves.

The nodes run in this process as those of the simulated loop do, in lock-step, one after another and
in a domain of their own; no process is started and nothing moves.
"""

from __future__ import annotations

import functools
import importlib
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import Conditioning, Observation
from wam_ros.ros.environment import ensure
from wam_ros.ros.lifecycle import NodeParams, WamNode
from wam_ros.ros.simulated import simulated_time
from wam_ros.ros.view_node.listener import EVERYTHING

# in the order of the loop
NODES = ("camera", "inference", "safety", "bridge", "task", "sim", "teleop", "recorder", "view")
TAKES = tempfile.TemporaryDirectory(prefix="wam_takes_")  # gone with this process
NAMESPACE = "/somewhere"  # tells names that follow a namespace from those that do not
# element and attribute of a policy of SROS2: what rclpy tells of a node
SAYS = {
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}
Names = dict[tuple[str, str], set[str]]


class StandStill:
    """A model for a node that is only looked at: it holds the arm where it is."""

    name = "stand still"
    checkpoint_hash = "0" * 16

    def reset(self, instruction: str) -> None:
        """Take any instruction."""

    def predict(self, observation: Observation) -> PolicyOutput:
        """One step, no frames."""
        here = observation.joints.positions[None]
        return PolicyOutput(here, observation.frames[None][:0], (), Conditioning.REAL, 0)


@dataclass
class Ends:
    """Both ends of a topic or service: {node: its quality of service}, empty for a service."""

    kind: str  # as in `ros2 interface show`
    givers: dict[str, list[str]] = field(default_factory=dict)  # publish it, or offer it
    takers: dict[str, list[str]] = field(default_factory=dict)  # hear it, or ask for it


@dataclass
class Interfaces:
    """Of all nodes, by name."""

    topics: dict[str, Ends] = field(default_factory=dict)
    services: dict[str, Ends] = field(default_factory=dict)
    parameters: dict[str, tuple[type, ...]] = field(default_factory=dict)  # by node
    # by node, those of rclpy too, as in its source: `~/x` is the node's own
    names: dict[str, Names] = field(default_factory=dict)


@functools.cache
def read_interfaces() -> Interfaces:
    """Start every node, read what it has, and end it; once in a process."""
    found = Interfaces()
    with a_domain() as context:
        for name in NODES:
            node = start(name, context)
            read(node, found)
            node.on_shutdown(None)
            node.destroy_node()
    return found


@contextmanager
def a_domain() -> Iterator[Context]:
    """A context that meets no other nodes, on this machine only."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    ensure()
    context = Context()
    # 102 to 231 have ports that Linux gives away
    context.init(args=[], domain_id=random.SystemRandom().randint(1, 99))
    try:
        yield context
    finally:
        context.try_shutdown()


def start(name: str, context: Context) -> WamNode:
    """A node of this name, configured and active."""
    cls = getattr(importlib.import_module(f"wam_ros.nodes.{name}_node"), f"{name.title()}Node")
    given = dict(simulated_time(load_embodiment("panda"), real_time=False)[f"{name}_node"])
    if name == "view":
        given["port"] = free_port()
    if name == "recorder":
        given["folder"] = TAKES.name
    overrides = [Parameter(key, value=value) for key, value in given.items()]
    node = cls(context=context, namespace=NAMESPACE, parameter_overrides=overrides)
    if name == "inference":
        node.make_policy = lambda robot, model, checkpoint: StandStill()
    for trigger in (node.trigger_configure, node.trigger_activate):
        if trigger() != TransitionCallbackReturn.SUCCESS:
            raise SystemExit(f"{name}_node does not start; it has said why")
    if name == "view":
        node.listener.attend(EVERYTHING)  # as while a page is open
        node.frames.attend(True)  # as while RViz shows them
    return node


def read(node: WamNode, found: Interfaces) -> None:
    """Add what a node has and rclpy does not give to every node."""
    name = node.get_name()
    found.names[name] = names_of(node)
    found.parameters[name] = tuple(cls for cls in node.params_classes if cls is not NodeParams)
    made = node.made_entities()
    for kind, giving in (("_publishers", True), ("_subscriptions", False)):
        for entity in made[kind]:
            ends = found.topics.setdefault(
                relative(entity.topic_name), Ends(interface(entity.msg_type))
            )
            qualities = (ends.givers if giving else ends.takers).setdefault(name, [])
            if (words := in_words(entity.qos_profile)) not in qualities:
                qualities.append(words)
    for kind, giving in (("_services", True), ("_clients", False)):
        for entity in made[kind]:
            service = node.resolve_service_name(entity.srv_name)
            ends = found.services.setdefault(relative(service), Ends(interface(entity.srv_type)))
            (ends.givers if giving else ends.takers).setdefault(name, [])


def names_of(node: WamNode) -> Names:
    """All names that a node says, hears, answers and asks."""
    own = f"{node.get_name()}/"
    return {
        kind: {
            f"~/{name.removeprefix(own)}" if (name := relative(full)).startswith(own) else name
            for full, _ in getattr(node, method)(node.get_name(), node.get_namespace())
        }
        for kind, method in SAYS.items()
    }


def relative(name: str) -> str:
    """A name without the namespace; one that does not follow it keeps its slash."""
    return name.removeprefix(f"{NAMESPACE}/")


def interface(kind: type) -> str:
    """`package/Name`."""
    return f"{kind.__module__.partition('.')[0]}/{kind.__name__}"


def in_words(profile: QoSProfile) -> str:
    """What differs from topic to topic."""
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    words = ["reliable" if reliable else "best effort"]
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        words.append("latched")
    words.append(f"last {profile.depth}")
    lifespan_s = profile.lifespan.nanoseconds / 1e9
    if 0 < lifespan_s < 1e6:
        words.append(f"for {lifespan_s:g} s")
    return ", ".join(words)


def free_port() -> int:
    """A port that nobody listens to."""
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def topics_table(found: Interfaces) -> str:
    """Topics in the order in which the loop comes upon them."""
    lines = [
        "| topic | type | published by | heard by | quality of service |",
        "|---|---|---|---|---|",
    ]
    for name, ends in found.topics.items():
        lines.append(
            f"| `{name}` | `{ends.kind}` | {nodes(ends.givers)} | {nodes(ends.takers)} | "
            f"{quality(ends)} |"
        )
    return "\n".join(lines) + "\n"


def quality(ends: Ends) -> str:
    """What is offered, and what is asked for where that is something else."""
    offered = unique(ends.givers)
    asked = [words for words in unique(ends.takers) if words not in offered]
    if not offered:
        return f"asked: {'; or '.join(asked)}"
    return "; ".join(offered) + (f" (asked: {'; '.join(asked)})" if asked else "")


def unique(side: dict[str, list[str]]) -> list[str]:
    """Each quality once."""
    return list(dict.fromkeys(words for qualities in side.values() for words in qualities))


def services_table(found: Interfaces) -> str:
    """Services of the nodes, and those of others that they ask."""
    lines = ["| service | type | offered by | asked by |", "|---|---|---|---|"]
    for name, ends in found.services.items():
        lines.append(f"| `{name}` | `{ends.kind}` | {nodes(ends.givers)} | {nodes(ends.takers)} |")
    return "\n".join(lines) + "\n"


def nodes(side: dict[str, list[str]]) -> str:
    """Their names; others than the nodes of this package where it has none."""
    return ", ".join(name.removesuffix("_node") for name in side) or "others"
