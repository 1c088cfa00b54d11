"""The picture of the worst answers: what was decided is seen, and names are whole."""

from __future__ import annotations

import pytest

from wam_ros.core.embodiment import load_embodiment

from .conftest import run


def test_a_picture_of_the_worst(file, tmp_path):
    image = pytest.importorskip("PIL.Image")
    assert run("filter", file, tmp_path / "out.npz", "--picture", tmp_path / "worst.png") == 0
    colours = {c for _, c in image.open(tmp_path / "worst.png").convert("RGB").getcolors(100_000)}
    assert {(46, 158, 79), (214, 40, 40), (42, 111, 219)} <= colours, "green, red and blue"


def test_the_sentence_of_a_long_named_pair_is_whole_in_the_picture():
    picture = pytest.importorskip("wam_ros.safety.offline.picture")
    pair = "left_robotiq_85_left_finger_tip_link to right_robotiq_85_right_finger_tip_link 0.006 m"
    sentence = (
        f"chunk 12: cut after 10 of 16 steps, slowed 1.26 times: {'joint ' * 15}; then "
        f"stops, nearest {pair}"
    )
    lines = picture.in_lines(sentence).split("\n")
    assert " ".join(lines) == sentence
    assert len(lines) == 2
    assert (
        max(picture._font(14).getlength(line) for line in lines) < picture.WIDTH - 2 * picture.EDGE
    )
    assert picture.in_lines(4 * sentence).endswith("...")


def test_the_name_of_a_joint_is_whole_beside_its_strip_and_a_longer_one_keeps_its_end():
    picture = pytest.importorskip("wam_ros.safety.offline.picture")
    for name in load_embodiment("bimanual").joint_names:
        assert picture.label(name) == name
    long = "right_gripper_right_inner_knuckle_joint"
    assert long.endswith(picture.label(long))
    assert 0.8 * picture.NAMES < picture._font(11).getlength(picture.label(long)) < picture.NAMES
