"""The layout for Foxglove: every panel has its place, and what it shows is what the nodes publish.

The tables of docs/architecture.md are held to the nodes themselves by test_docs.py.
"""

import importlib
import json
import re
from pathlib import Path

import pytest

from wam_ros.core.resources import share_dir

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
LAYOUT = json.loads((share_dir() / "config" / "foxglove" / "wam.json").read_text())
PANELS = LAYOUT["configById"]
# told by robot_state_publisher
OTHERS = {"robot_description": "std_msgs/String"}
# kinds of panels that Foxglove has, and this file uses
KINDS = {
    *("3D", "Image", "Plot", "StateTransitions", "RawMessages", "DiagnosticSummary"),
    "CallService",
}
# what a service may be asked by one click: what stops
STOPS = {
    "safety_node/estop": {},
    "safety_node/arm": {"data": False},
    "bridge_node/pause": {"data": True},
}


def known():
    """{topic or service: kind} of the tables of the documentation."""
    text = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([\w/]+)` \| `(\w+/\w+)` \|", text, re.MULTILINE)
    return {name.lstrip("/"): kind for name, kind in rows} | OTHERS


KNOWN = known()


def placed(node):
    """Names of the panels in a tree of splits."""
    if isinstance(node, str):
        return [node]
    assert set(node) == {"direction", "first", "second", "splitPercentage"}
    assert node["direction"] in ("row", "column")
    assert 0 < node["splitPercentage"] < 100
    return [*placed(node["first"]), *placed(node["second"])]


def test_every_panel_has_one_place_and_is_of_a_kind_that_there_is():
    names = placed(LAYOUT["layout"])
    assert sorted(names) == sorted(PANELS)
    assert {name.partition("!")[0] for name in names} == KINDS


def shown(panel):
    """Topics that a panel shows, some with a path into the message."""
    told = PANELS[panel]
    yield from told.get("topics", {})
    yield from (path["value"] for path in told.get("paths", []))
    yield from (told[key] for key in ("topicPath", "topicToRender") if key in told)
    if "imageTopic" in told.get("imageMode", {}):
        yield told["imageMode"]["imageTopic"]
    yield from (layer["topic"] for layer in told.get("layers", {}).values() if "topic" in layer)


@pytest.mark.parametrize("panel", [p for p in PANELS if not p.startswith("CallService")])
def test_what_a_panel_shows_is_published_and_has_that_field(panel):
    found = list(shown(panel))
    assert found, "a panel that shows nothing"
    for path in found:
        topic, *fields = path.removeprefix("/").split(".")
        assert topic in KNOWN, f"{path}: nobody publishes {topic}"
        package, name = KNOWN[topic].split("/")
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
        for field in fields:
            assert field in kind.get_fields_and_field_types(), f"{path}: {name} has no {field}"


@pytest.mark.parametrize("panel", [p for p in PANELS if p.startswith("CallService")])
def test_one_click_asks_only_for_what_stops(panel):
    told = PANELS[panel]
    service = told["serviceName"].removeprefix("/")
    assert json.loads(told["requestPayload"]) == STOPS[service]
    package, name = KNOWN[service].split("/")
    request = getattr(importlib.import_module(f"{package}.srv"), name).Request
    assert set(STOPS[service]) <= set(request.get_fields_and_field_types())
    assert told["editingMode"] is False
