"""DROID and AgiBot G1 in LeRobot form open with their contracts: columns, cameras and rates."""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")

from testing.recordings import episode, pictures
from wam_ros import cli
from wam_ros.core.errors import WamError
from wam_ros.data.contract import ContractEpisodes
from wam_ros.data.episodes import View
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.info import Feature
from wam_ros.data.lerobot.writer import Description, LeRobotWriter

ROWS = 6


def vector(width):
    return Feature("float32", (width,), tuple(map(str, range(width))))


def numbers(width, seed):
    return np.random.default_rng(seed).normal(size=(ROWS, width)).astype(np.float32)


def written(folder, description, rows):
    with LeRobotWriter(folder, description, "lossless") as writer:
        writer.add(rows, pictures(0, ROWS, description.views))
    return folder


@pytest.fixture
def port(tmp_path):
    """As LeRobot's port of DROID writes it: parts are columns of their own, beside wholes."""
    both = (("joint_position", 7), ("gripper_position", 1))
    parts = {
        **{f"{whole}.{n}": w for whole in ("observation.state", "action") for n, w in both},
        "observation.state.cartesian_position": 6,
        "action.joint_velocity": 7,
    }
    extra = {n: vector(w) for n, w in parts.items()}
    extra |= {n: Feature("bool", (1,), ()) for n in ("is_first", "is_episode_successful")}
    extra["language_instruction_2"] = Feature("string", (1,), ())
    names = ("joint_0", "joint_1", "joint_2", "joint_3", "joint_4", "joint_5", "joint_6", "gripper")
    views = [View(n, 18, 32) for n in ("wrist_left", "exterior_1_left", "exterior_2_left")]
    about = Description("Franka", 15.0, names, names, tuple(views), extra)
    values = {n: numbers(w, k) for k, (n, w) in enumerate(parts.items())}
    values = {n: v[:, 0] if v.shape[1] == 1 else v for n, v in values.items()}
    values |= {
        "is_first": np.arange(ROWS) == 0,
        "is_episode_successful": np.zeros(ROWS, bool),
        "language_instruction_2": np.array(["shove"] * ROWS, dtype=object),
    }
    rows = episode(0, ROWS, states=numbers(8, 90), actions=numbers(8, 91), extra=values)
    folder = written(tmp_path / "droid", about, rows)
    # the port has no columns of ours
    path = folder / "meta/info.json"
    info = json.loads(path.read_text())
    for name in ("labelled", "intervention", "success", "camera_seen"):
        del info["features"][name]
    path.write_text(json.dumps(info))
    return folder, values


def test_droid_opens_as_its_contract_has_it(port):
    folder, values = port
    found = ContractEpisodes(folder, "oxe_droid")
    exterior = ("exterior_image_1_left", "exterior_image_2_left")
    assert found.view_names == (*exterior, "wrist_image_left")
    assert found.joint_names[6:] == ("joint_position.6", "gripper_position")
    got = found[0]
    for name, shown in (("observation.state", got.states), ("action", got.actions)):
        whole = [values[f"{name}.{part}"] for part in ("joint_position", "gripper_position")]
        np.testing.assert_array_equal(shown, np.column_stack(whole))
    assert got.success is False and got.labelled.all()
    assert "observation.state.cartesian_position" in got.extra  # what it does not know comes along
    assert list(got.extra["language_instruction_2"]) == ["shove"] * ROWS
    frames = pictures(0, ROWS, open_episodes(folder).views)
    np.testing.assert_array_equal(list(found.pictures(0, "wrist_image_left")), frames["wrist_left"])


AGIBOT = {
    "left_arm_joint_position": (0, 7),
    "right_arm_joint_position": (7, 14),
    "left_effector_position": (14, 15),
    "right_effector_position": (15, 16),
    "head_position": (16, 18),
    "waist_pitch": (18, 19),
    "waist_lift": (19, 20),
}


@pytest.fixture
def agibot(tmp_path):
    """As DreamZero's converter writes it: wholes, of which `modality.json` says the parts."""
    names = {w: tuple(f"motor_{i}" for i in range(w)) for w in (32, 22)}
    views = tuple(View(n, 18, 32) for n in ("top_head", "hand_left", "hand_right"))
    about = Description("agibot", 30.0, names[32], names[22], views)
    rows = episode(0, ROWS, states=numbers(32, 1), actions=numbers(22, 2))
    folder = written(tmp_path / "agibot", about, rows)
    parts = {n: {"start": a, "end": b} for n, (a, b) in AGIBOT.items()}
    modality = {
        "state": parts,
        "action": parts | {"robot_velocity": {"start": 20, "end": 22}},
        "video": {v.name: {"original_key": f"observation.images.{v.name}"} for v in views},
    }
    (folder / "meta/modality.json").write_text(json.dumps(modality))
    return folder, rows, modality


def test_agibot_opens_as_its_contract_has_it_waist_and_all(agibot):
    folder, rows, _ = agibot
    found = ContractEpisodes(folder, "agibot")
    assert found.view_names == ("top_head", "hand_left", "hand_right")
    assert (len(found.joint_names), len(found.action_names)) == (20, 22)
    assert found.joint_names[-2:] == ("waist_position.0", "waist_position.1")
    np.testing.assert_array_equal(found[0].states, rows.states[:, :20])
    np.testing.assert_array_equal(found[0].actions, rows.actions)


def test_what_is_imported_through_a_contract_has_its_columns(agibot, tmp_path):
    folder, rows, _ = agibot
    words = ["import", folder, "--out", tmp_path / "out", "--contract", "agibot"]
    assert cli.main(["data", *map(str, words)]) == 0
    found = open_episodes(tmp_path / "out")
    assert found.joint_names[0] == "left_arm_joint_position.0"
    np.testing.assert_array_equal(found[0].states, rows.states[:, :20])


def spoil(kind, name, **changed):
    return lambda m: m[kind][name].update(changed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["state"].pop("waist_lift"), "state 'waist_position' .* has 1 values of 2"),
        (lambda m: m["state"].pop("head_position"), "state 'head_position' .* is not there"),
        (spoil("state", "head_position", end=17), "state 'head_position' .* has 1 values of 2"),
        (spoil("state", "head_position", end=40), "is 16 to 40 of 32 values of observation.state"),
        (spoil("state", "head_position", start="0"), "is '0' to 18 of 32"),
        (spoil("state", "head_position", original_key="nothing"), "unknown column 'nothing'"),
    ],
)
def test_a_part_that_is_not_as_the_contract_has_it_is_named(change, words, agibot):
    folder, _, modality = agibot
    change(modality)
    (folder / "meta/modality.json").write_text(json.dumps(modality))
    with pytest.raises(WamError, match=words):
        ContractEpisodes(folder, "agibot")


def test_another_rate_and_a_missing_camera_are_named(agibot, tmp_path):
    folder, rows, _ = agibot
    with pytest.raises(WamError, match="at 30 Hz, contract oxe_droid at 15"):
        ContractEpisodes(folder, "oxe_droid")
    inner = open_episodes(folder)
    about = Description("agibot", 30.0, inner.joint_names, inner.action_names, inner.views[:2])
    seen = dataclasses.replace(rows, seen=None)
    written(tmp_path / "two", about, seen)
    (tmp_path / "two/meta/modality.json").write_text((folder / "meta/modality.json").read_text())
    with pytest.raises(WamError, match="camera 'hand_right' of the contract is not there; there"):
        ContractEpisodes(tmp_path / "two", "agibot")
