"""`wam embodiment`: files are written once, what is wrong is said and counts as failure."""

from __future__ import annotations

import pytest

from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_names
from wam_ros.embodiments.review import DOUBTFUL, KEPT_LINKS, RESTING, RIGHT, WRONG, review_by_name
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.motion.bounds import REST
from wam_ros.safety.params import SafetyParams

from .body import INERTIAL, ROD, TURN, arm, write_body


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    write_body(tmp_path)
    return tmp_path


def run(*words) -> int:
    return cli.main(["embodiment", *map(str, words)])


def test_new_writes_what_loads_and_never_over_a_file(here, capsys):
    assert run("new", "body.urdf", "--arm", "left", "--further", "lift", "--name", "mine") == 0
    said = capsys.readouterr().out
    assert "mine.yaml and mine.srdf are written" in said
    e = load_embodiment("mine.yaml")
    assert e.joint_names[0] == "lift"
    assert load_safety_model(e).joints.parked["head_pan"] == 0.0
    before = (here / "mine.yaml").read_text()
    assert run("new", "body.urdf", "--name", "mine") == 2
    assert "mine.yaml is there already" in capsys.readouterr().err
    assert (here / "mine.yaml").read_text() == before


def test_flags_end_in_the_file(here):
    words = ["--effort-limit", "left_arm_2", "70", "--supported-by-spring", "left_arm_2"]
    words += ["--camera", "wrist", "wrist/image", "--parked", "head_pan", "0.5"]
    assert run("new", "body.urdf", "--arm", "left", *words) == 0
    e = load_embodiment("body.yaml")
    assert e.effort_limit == {"left_arm_2": 70.0}
    assert e.supported_by_spring == ("left_arm_2",)
    assert e.view_names == ("wrist",)
    assert e.parked["head_pan"] == 0.5


def test_a_xacro_file_stands_where_a_urdf_does(here, monkeypatch):
    pytest.importorskip("xacro")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    text = (
        (here / "body.urdf")
        .read_text()
        .replace(
            '<robot name="body">',
            (
                '<robot name="body" xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:arg '
                'name="pan" default="head_pan"/>'
            ),
        )
        .replace('joint name="head_pan"', 'joint name="$(arg pan)"')
    )
    (here / "arm.urdf.xacro").write_text(text)
    assert run("new", "arm.urdf.xacro", "--xacro-argument", "pan", "look") == 0
    e = load_embodiment("arm.yaml")
    assert "look" in e.parked
    assert (here / "arm.yaml").read_text().count("urdf: arm.urdf.xacro") == 1


def test_a_robot_that_cannot_hold_its_home_is_written_and_counts_as_wrong(here, capsys):
    write_body(here, arm("left", 0.35, effort=1))
    assert run("new", "body.urdf", "--home", "0", "1.5", "0", "0", "0", "0.02") == 1
    assert "spring carries it" in capsys.readouterr().out
    assert "# (!) home needs" in (here / "body.yaml").read_text()


def test_check_tells_right_doubtful_and_wrong_in_one_table(here, capsys):
    urdf = (here / "body.urdf").read_text()
    assert run("new", "body.urdf", "--arm", "left") == 0
    capsys.readouterr()
    assert run("check", "body.yaml", "--no-picture") == 0
    said = capsys.readouterr().out
    assert "right" in said
    assert "6 commanded, 1 of them grippers'; 1 follow, 19 stand" in said
    (here / "body.urdf").write_text(urdf.replace('radius="0.03"', 'radius="x"'))
    assert run("check", "body.yaml") == 1
    said = capsys.readouterr().out
    assert 'radius="x" in <cylinder> must be 1 finite number' in said
    assert not (here / "body.png").exists()


DOUBTS = {
    "left_arm_1": (
        '<child link="left_arm_1_link"/><axis xyz="0 0 1"/>' + TURN,
        (
            '<child link="left_arm_1_link"/><axis xyz="0 0 1"/>'
            + TURN.replace('2" upper="2', '9" upper="9')
        ),
        "turns by 18.0 rad",
    ),
    "left_arm_2": (
        '<child link="left_arm_2_link"/><axis xyz="0 1 0"/>' + TURN,
        ('<child link="left_arm_2_link"/><axis xyz="0 1 0"/>' + TURN.replace("90", "9000")),
        "may bear 9000 Nm: then its effort is not watched",
    ),
    "left_arm_5": (
        '<child link="left_arm_5_link"/><axis xyz="0 0 1"/>' + TURN,
        '<child link="left_arm_5_link"/><axis xyz="0 0 1"/>'
        + TURN
        + '<dynamics damping="10" friction="40"/>',
        "takes at the highest speed of left_arm_5 60 of 90 Nm",
    ),
    "left_arm_3_link": (
        f'<link name="left_arm_3_link">{INERTIAL}',
        '<link name="left_arm_3_link">' + INERTIAL.replace("0.01", "10").replace("0.005", "5"),
        "another unit?",
    ),
    "left_arm_4_link": (
        f'<link name="left_arm_4_link">{INERTIAL}',
        '<link name="left_arm_4_link">' + INERTIAL.replace('izz="0.005"', 'izz="0.5"'),
        "no body has these moments",
    ),
    "left_arm_3": (
        f'<link name="left_arm_3_link">{INERTIAL}{ROD}',
        f'<link name="left_arm_3_link">{INERTIAL}',
        "weighs 1 kg and has no shape: it is watched against nothing",
    ),
}


@pytest.mark.parametrize("subject", DOUBTS)
def test_what_is_hard_to_believe_is_doubtful_by_name(here, subject):
    old, new, words = DOUBTS[subject]
    text = (here / "body.urdf").read_text()
    assert text.count(old) == 1
    run("new", "body.urdf", "--arm", "left")
    _, rows = review_by_name("body.yaml")
    assert not any(words in row.words for row in rows)
    (here / "body.urdf").write_text(text.replace(old, new))
    _, rows = review_by_name("body.yaml")
    found = [r for r in rows if r.level == DOUBTFUL and words in r.words]
    assert found and subject in f"{found[0].subject} {found[0].words}", rows
    assert {row.level for row in rows} >= {RIGHT}
    assert WRONG not in {row.level for row in rows}


def test_links_nearer_than_the_filter_keeps_are_doubtful_with_the_way_out(here):
    ball = '<collision><origin xyz="0.064 0 0.5"/><geometry><sphere radius="0.03"/></geometry>'
    place = f'<link name="left_arm_1_link">{INERTIAL}'
    text = (here / "body.urdf").read_text()
    assert text.count(place) == 1
    words = ["--arm", "left", "--home", "0", "0", "0", "0", "0", "0.02"]

    def close(name: str) -> dict[str, str]:
        rows = review_by_name(name)[1]
        return {r.subject: r.words for r in rows if "disable_collisions" in r.words}

    run("new", "body.urdf", "--name", "free", *words)
    assert close("free.yaml") == {}
    (here / "body.urdf").write_text(text.replace(place, f"{place}{ball}</collision>"))
    run("new", "body.urdf", "--name", "tight", *words)
    found = close("tight.yaml")
    assert list(found) == ["left_arm_1_link, left_arm_3_link"]
    said = found["left_arm_1_link, left_arm_3_link"]
    assert "4.0 mm apart at home" in said
    assert "Nothing then keeps these two apart" in said
    told = 'clearance: {"left_arm_1_link, left_arm_3_link": 0.001}'
    assert told in said
    text = (here / "tight.yaml").read_text()
    (here / "kept.yaml").write_text(f"{text}{told}\n")
    assert close("kept.yaml") == {}, "the first way out that is told is one"
    line = '<disable_collisions link1="left_arm_1_link" link2="left_arm_3_link"/>'
    assert line in said
    srdf = (here / "tight.srdf").read_text()
    (here / "tight.srdf").write_text(srdf.replace("</robot>", f"{line}</robot>"))
    assert close("tight.yaml") == {}, "the way out that is told is one"


def test_what_counts_as_close_is_what_the_filter_keeps():
    params = SafetyParams()
    assert params.self_clearance_m == KEPT_LINKS
    assert pytest.approx(params.distance_error_m + REST) == RESTING


def test_the_shipped_robots_are_listed(capsys):
    assert cli.main(["embodiment", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in config_names("embodiments"))
    assert "joint_trajectory" in said


def test_a_robot_is_drawn_as_it_is_watched(here):
    pytest.importorskip("mujoco")
    image = pytest.importorskip("PIL.Image")
    import numpy as np

    run("new", "body.urdf", "--arm", "left")
    assert run("check", "body.yaml", "--picture", "two.png") == 0
    pixels = np.asarray(image.open(here / "two.png").convert("RGB")).astype(int)
    half = pixels.shape[1] // 2
    drawn, watched = pixels[60:, :half], pixels[60:, half:]
    coloured = (watched.max(axis=2) - watched.min(axis=2) > 60).mean()
    assert coloured > 0.002, "bodies in colours"
    assert (drawn < 250).mean() < 0.001, "this robot has nothing to look at"


MOUNT = "{parent: PARENT, xyz: [0, 0, 0.3], rpy: [0, 0, 0], fov: 50, size: [160, 120]}"


def mount(here, parent: str):
    text = (here / "body.yaml").read_text()
    old = "{name: front, image_topic: front/image_raw}"
    assert text.count(old) == 1
    told = MOUNT.replace("PARENT", parent)
    (here / "eyes.yaml").write_text(text.replace(old, f"{old[:-1]}, mount: {told}}}"))


def test_what_a_camera_sees_is_drawn_where_it_is_mounted(here):
    pytest.importorskip("mujoco")
    image = pytest.importorskip("PIL.Image")
    import numpy as np

    run("new", "body.urdf", "--arm", "left")
    mount(here, "left_arm_4_link")
    assert run("check", "eyes.yaml", "--picture", "eyes.png") == 0
    pixels = np.asarray(image.open(here / "eyes.png").convert("RGB")).astype(int)
    drawn = np.split(pixels[60:], 2, axis=1)[0]
    blue = drawn[..., 2] - drawn[..., 0] > 60
    assert blue.sum() > 500, "the edges of the field of view; this robot has nothing else to see"


def test_a_camera_on_a_link_that_is_not_there_is_wrong_by_name(here):
    run("new", "body.urdf", "--arm", "left")
    mount(here, "left_arm_9_link")
    _, rows = review_by_name("eyes.yaml")
    wrong = [row for row in rows if row.level == WRONG]
    assert [row.subject for row in wrong] == ["camera front"]
    assert "unknown parent 'left_arm_9_link'" in wrong[0].words
