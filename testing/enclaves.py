"""What each node of the loop says, hears, answers and asks, as a policy of SROS2.

`python -m testing.enclaves` writes it to config/sros2/policy.xml; a test fails when the real nodes
have other names than that file.
"""

from __future__ import annotations

import importlib
import os
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testing.peers import free_port
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import write_whole
from wam_ros.ros.environment import RANGE, ensure
from wam_ros.ros.simulated import simulated_time

POLICY = Path(__file__).resolve().parents[1] / "config" / "sros2" / "policy.xml"
# node: its class
NODES = {
    "sim_node": "SimNode",
    "camera_node": "CameraNode",
    "inference_node": "InferenceNode",
    "safety_node": "SafetyNode",
    "bridge_node": "BridgeNode",
    "task_node": "TaskNode",
    "view_node": "ViewNode",
}
HEAD = """<!-- SROS2: what each node of the simulated loop may do, and no more, with the embodiment
     panda, a trajectory controller and no namespace (docs/security.md). The enclave / is that of
     ros2 launch. Written by `python -m testing.enclaves` from the nodes themselves. -->
"""
# element and attribute of the policy: the node's names
SAYS = {
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}
NAMESPACE = "cell"  # of the nodes while they are asked: it tells relative names from absolute ones
# services of every node
OF_PARAMETERS = (
    *("describe_parameters", "get_parameters", "get_parameter_types", "list_parameters"),
    *("set_parameters", "set_parameters_atomically", "get_type_description"),
)
Names = dict[tuple[str, str], set[str]]


def names_of(node: Any) -> Names:
    """Names as in the source: `~/x` is the node's own, one with a slash in front is absolute, the
    rest goes with the namespace.
    """
    return {
        kind: {
            _as_written(name, node.get_name())
            for name, _ in getattr(node, method)(node.get_name(), node.get_namespace())
        }
        for kind, method in SAYS.items()
    }


def _as_written(name: str, node: str) -> str:
    own = f"/{NAMESPACE}/{node}/"
    if name.startswith(own):
        return f"~/{name.removeprefix(own)}"
    return name.removeprefix(f"/{NAMESPACE}/")


def of_launch(nodes: dict[str, Names]) -> Names:
    """Those of the node that `ros2 launch` makes, whose name ends with the number of its process:
    it follows the states of the nodes, and answers for the parameters that every node has.
    """
    return {
        ("topics", "publish"): {"/rosout", "/parameter_events"},
        ("topics", "subscribe"): {f"{name}/transition_event" for name in nodes},
        ("services", "reply"): {f"/launch_ros_*/{name}" for name in OF_PARAMETERS},
        ("services", "request"): {f"{name}/change_state" for name in nodes},
    }


@contextmanager
def loop() -> Iterator[dict[str, Any]]:
    """Every node of the loop in this process, active, on a domain where nobody else is."""
    os.environ[RANGE] = "LOCALHOST"
    ensure()
    import rclpy
    from rclpy.context import Context
    from rclpy.parameter import Parameter

    context = Context()
    rclpy.init(args=[], context=context, domain_id=random.SystemRandom().randint(1, 99))
    nodes: dict[str, Any] = {}
    time = simulated_time(load_embodiment("panda"), real_time=False)
    try:
        for name, cls in NODES.items():
            make = getattr(importlib.import_module(f"wam_ros.nodes.{name}"), cls)
            given = dict(time[name])
            if name == "view_node":
                given["port"] = free_port()
            overrides = [Parameter(key, value=value) for key, value in given.items()]
            nodes[name] = make(context=context, namespace=NAMESPACE, parameter_overrides=overrides)
            nodes[name].trigger_configure()
            nodes[name].trigger_activate()
            if not nodes[name].active:
                raise RuntimeError(f"{name} did not become active")
            if name == "view_node":
                nodes[name].listener.attend(True)  # as while a page is open
                nodes[name].frames.attend(True)  # as while RViz shows them
        yield nodes
    finally:
        for node in nodes.values():
            node.on_shutdown(None)
            node.destroy_node()
        rclpy.shutdown(context=context)


def policy() -> str:
    """The policy of the nodes as they are."""
    with loop() as nodes:
        found = {name: names_of(node) for name, node in nodes.items()}
    root = ET.Element("policy", version="0.2.0")
    enclaves = ET.SubElement(root, "enclaves")
    for path, (node, names) in {
        "/": ("launch_ros", of_launch(found)),
        **{f"/{name}": (name, names) for name, names in found.items()},
    }.items():
        profiles = ET.SubElement(ET.SubElement(enclaves, "enclave", path=path), "profiles")
        profile = ET.SubElement(profiles, "profile", ns="/", node=node)
        for (kind, rule), listed in names.items():
            if listed:
                group = ET.SubElement(profile, kind, {rule: "ALLOW"})
                for name in sorted(listed):
                    ET.SubElement(group, kind.removesuffix("s")).text = name
    ET.indent(root)
    return HEAD + ET.tostring(root, encoding="unicode") + "\n"


if __name__ == "__main__":
    POLICY.parent.mkdir(exist_ok=True)
    write_whole(POLICY, policy())
