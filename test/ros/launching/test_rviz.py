"""The shipped configuration of RViz against what the real one was seen to need.

The layout was loaded, looked at and saved by RViz 2 (Jazzy); a dock is found by the name of its
panel or Image display, so that a name changed by hand breaks its place.
"""

import re

import pytest
import yaml

pytest.importorskip("rclpy")

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from testing.shipped import shipped
from wam_ros.core.embodiment import load_embodiment
from wam_ros.ros import qos
from wam_ros.ros.launching.rviz import BOARD, IMAGE, config_for, shipped_config

PANDA = load_embodiment("panda")
BOARD_PX = 720  # of a board, and so of its dock
# what our nodes publish, and how
PUBLISHED = {
    "sim/objects": qos.STATUS,
    "safety/markers": qos.STATUS,
    "safety/surroundings": qos.STATUS,
    "safety/ghost_path": qos.STATUS,
    "imagination/markers": qos.STATUS,
    "imagination/frames": qos.OBSERVATION,
    "imagination/board/image": qos.OBSERVATION,
    **{camera.image_topic: qos.IMAGE for camera in PANDA.cameras},
}


def load(text=None):
    """A configuration, and its displays by name."""
    config = yaml.safe_load(text or shipped_config().read_text())
    shown = config["Visualization Manager"]["Displays"]
    assert len({d["Name"] for d in shown}) == len(shown)
    return config, {d["Name"]: d for d in shown}


def docks(config):
    """Name of every dock in Qt's state of the window: whether it is shown."""
    state = bytes.fromhex(config["Window Geometry"]["QMainWindow State"])
    found = {}
    for mark in re.finditer(b"\xfb", state):
        at = mark.end() + 4
        length = int.from_bytes(state[mark.end() : at], "big")
        if 0 < length < 100 and length % 2 == 0 and state[at] == 0:
            name = state[at : at + length].decode("utf-16-be")
            found[name] = bool(state[at + length] & 1)
    return found


def images(shown):
    return {name: d for name, d in shown.items() if d["Class"] == IMAGE}


@pytest.mark.parametrize("robot", [None, *shipped()])
def test_every_dock_is_a_panel_or_a_picture_and_only_the_board_is_open(robot):
    text = config_for(load_embodiment(robot), "") if robot else None
    config, shown = load(text)
    panels = {p["Name"] for p in config["Panels"]}
    assert set(docks(config)) >= panels | set(images(shown))
    if robot is None or len(load_embodiment(robot).cameras) > 1:
        assert set(docks(config)) == panels | set(images(shown))
    assert {name for name, open_ in docks(config).items() if open_} == {BOARD}
    # the state wins over `Enabled`: a ticked and hidden picture would be subscribed to all the same
    assert {name for name, d in images(shown).items() if d["Enabled"]} == {BOARD}
    for d in images(shown).values():
        assert d["Enabled"] == d["Value"]


def test_the_arrow_at_the_edge_opens_displays_and_views():
    config, _ = load()
    geometry = config["Window Geometry"]
    collapsed = {name: v["collapsed"] for name, v in geometry.items() if isinstance(v, dict)}
    assert set(collapsed) == set(docks(config))
    assert {name for name, value in collapsed.items() if value} == {"Displays", "Views"}
    assert geometry["Hide Right Dock"] is True and geometry["Hide Left Dock"] is False


def test_the_board_has_its_own_width_in_a_window_that_fits_most_screens():
    config, _ = load()
    geometry = config["Window Geometry"]
    assert (geometry["Width"], geometry["Height"]) == (1600, 900)
    state = bytes.fromhex(geometry["QMainWindow State"])
    at = state.index(b"\xfc", 20) - 8  # before the first dock area: its place and its width
    assert int.from_bytes(state[at : at + 4], "big") == BOARD_PX
    view = pytest.importorskip("wam_ros.view.board")
    assert view.WIDTH == BOARD_PX


def test_what_is_shown_is_published_with_a_quality_that_rviz_hears():
    _, shown = load()
    topics = {}
    for d in shown.values():
        if "Topic" in d:
            topics[d["Topic"]["Value"]] = asked = d["Topic"]
            profile = QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=asked["Depth"],
                reliability=ReliabilityPolicy.RELIABLE
                if asked["Reliability Policy"] == "Reliable"
                else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.VOLATILE
                if asked["Durability Policy"] == "Volatile"
                else DurabilityPolicy.TRANSIENT_LOCAL,
            )
            offered = PUBLISHED[asked["Value"]]
            found, why = qos_check_compatible(offered, profile)
            assert found != QoSCompatibility.ERROR, f"{asked['Value']}: {why}"
            assert asked["History Policy"] == "Keep Last"
    assert set(topics) == set(PUBLISHED)
    # large images got lost by the dozen where RViz asked for best effort
    assert topics["imagination/board/image"]["Reliability Policy"] == "Reliable"
    assert shown["Robot"]["Description Topic"]["Durability Policy"] == "Transient Local"


@pytest.mark.parametrize("robot", shipped())
def test_topics_are_relative_so_that_a_namespace_reaches_them(robot):
    for text in (None, config_for(load_embodiment(robot), "left/")):
        for display in load(text)[1].values():
            assert not display.get("Topic", {}).get("Value", "").startswith("/")


def test_the_panda_is_shown_as_in_the_layout_that_was_looked_at():
    assert load(config_for(PANDA, ""))[0] == load()[0]


def test_another_robot_has_its_own_cameras_and_base():
    droid = load_embodiment("droid")
    config, shown = load(config_for(droid, "cell/left/"))
    manager = config["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == f"cell/left/{droid.base_frame}"
    assert shown["Robot"]["TF Prefix"] == "cell/left", "RViz puts the slash"
    assert shown["Exterior 1 camera"]["Topic"]["Value"] == "exterior_1/image_raw"
    assert "Exterior 2 camera" in docks(config) and "Front camera" not in docks(config)


def test_pictures_are_shown_as_they_are():
    _, shown = load()
    for d in images(shown).values():
        assert d["Normalize Range"] is False
