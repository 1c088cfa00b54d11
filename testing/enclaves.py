"""What each node of the loop says, hears, answers and asks, as a policy of SROS2.

`python -m testing.enclaves` writes it to config/sros2/policy.xml; a test fails when the real nodes
have other names than that file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from tools.docs.interfaces import Names, read_interfaces
from wam_ros.core.files import write_whole

POLICY = Path(__file__).resolve().parents[1] / "config" / "sros2" / "policy.xml"
HEAD = """<!-- SROS2: what each node of the simulated loop may do, and no more, with the embodiment
     panda, a trajectory controller and no namespace (docs/security.md). The enclave / is that of
     ros2 launch. Written by `python -m testing.enclaves` from the nodes themselves. -->
"""
# services of every node
OF_PARAMETERS = (
    *("describe_parameters", "get_parameters", "get_parameter_types", "list_parameters"),
    *("set_parameters", "set_parameters_atomically", "get_type_description"),
)


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


def policy() -> str:
    """The policy of the nodes as they are."""
    found = read_interfaces().names
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
