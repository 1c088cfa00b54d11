"""What a wire's numbers mean: keys, joints, units, sizes and rates."""

import dataclasses

import numpy as np
import pytest
import yaml

from testing.policies import PANDA, observation
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_names, config_path
from wam_ros.core.yamlfile import load_yaml
from wam_ros.wire.contract import (
    WireContract,
    actions_of,
    describe_robot,
    frames_of,
    joints_of,
    load_contract,
    native,
    positions_of,
    request_of,
    require_robot,
)
from wam_ros.wire.packing import WireError

ARM = PANDA.joint_names[:7]
FINGER = PANDA.joint_names[7]
SEEN = observation(3)
NOW = SEEN.joints.positions
OTHER = WireContract(
    name="other",
    embodiment="panda",
    images={"cam": "front"},
    state={"arm": ARM, "hand": (FINGER,)},
    action_joints=(FINGER, *ARM),
    ends={FINGER: (0.04, 0.0)},
    image_height=32,
    image_width=48,
)


def answer(rows):
    return {"actions": np.asarray(rows)}


@pytest.mark.parametrize("name", config_names("wires"))
def test_every_shipped_contract_fits_the_robot_that_it_names(name):
    robot = load_embodiment(load_yaml(config_path("wires", name))["embodiment"])
    contract = load_contract(name, robot)
    assert contract.name == name
    assert contract.start  # whoever finds nobody there is told


@pytest.mark.parametrize("told", [NOW[None], NOW.tolist(), [NOW.tolist()]])
def test_joints_of_one_robot_may_be_a_list_and_have_a_batch_dimension(told):
    assert (joints_of(native(PANDA), {"observation/joint_position": told}, PANDA) == NOW).all()


def test_what_our_server_is_asked_it_reads_back_bit_for_bit():
    contract = native(PANDA)
    message = request_of(contract, SEEN, "go", "one")
    assert (frames_of(contract, message, PANDA)[0] == SEEN.frames).all()
    assert (joints_of(contract, message, PANDA) == NOW).all()
    assert (message["prompt"], message["session_id"]) == ("go", "one")
    rows = np.random.default_rng(0).normal(size=(8, 8))
    back = positions_of(contract, answer(actions_of(contract, rows, SEEN)), SEEN, PANDA)
    assert (back == rows).all()


def test_a_gripper_that_is_told_by_a_share_is_metres_on_the_robot_and_joints_keep_their_names():
    message = request_of(OTHER, SEEN, "go", "")
    assert message["hand"].tolist() == [pytest.approx(1 - NOW[7] / 0.04)]
    rows = np.c_[np.linspace(0, 1, 8), np.tile(np.arange(7.0), (8, 1))]
    q = positions_of(OTHER, answer(rows), SEEN, PANDA)
    assert q[:, 7].tolist() == pytest.approx(np.linspace(0.04, 0, 8).tolist())
    assert (q[:, :7] == np.arange(7)).all()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("relative", lambda d: NOW[0] + d),
        ("incremental", lambda d: NOW[0] + np.cumsum(d)),
    ],
)
def test_differences_become_joint_positions_and_go_back(how, expected):
    contract = dataclasses.replace(native(PANDA), **{how: ARM[:1]})
    rows = np.random.default_rng(1).normal(size=(8, 8)) * 0.01
    q = positions_of(contract, answer(rows), SEEN, PANDA)
    assert q[:, 0] == pytest.approx(expected(rows[:, 0]))
    assert (q[:, 1:] == rows[:, 1:]).all()
    assert actions_of(contract, q, SEEN) == pytest.approx(rows)


def test_a_policy_of_another_rate_is_followed_at_the_robot_s_instants():
    contract = dataclasses.replace(native(PANDA), step_period_s=0.05)
    ramp = NOW + np.arange(1, 17)[:, None] * 0.001
    q = positions_of(contract, answer(ramp), SEEN, PANDA)
    assert q == pytest.approx(NOW + np.arange(2, 17, 2)[:, None] * 0.001)
    with pytest.raises(WireError, match=r"for 0.75 s, the robot's horizon is 0.80 s"):
        positions_of(contract, answer(ramp[:15]), SEEN, PANDA)


def test_of_a_longer_chunk_there_are_as_many_steps_as_the_robot_has_whatever_their_period():
    rows = NOW + np.arange(1, 101)[:, None] * 0.001
    assert (positions_of(native(PANDA), answer(rows), SEEN, PANDA) == rows[:8]).all()
    half = dataclasses.replace(native(PANDA), step_period_s=0.05)
    assert positions_of(half, answer(rows), SEEN, PANDA) == pytest.approx(rows[1:16:2])


def test_pictures_are_sent_in_the_contract_s_size_with_or_without_the_aspect_ratio():
    assert request_of(OTHER, SEEN, "go", "")["cam"].shape == (32, 48, 3)
    padded = request_of(dataclasses.replace(OTHER, pad=True), SEEN, "go", "")["cam"]
    assert padded.shape == (32, 48, 3)
    assert not padded[:, :8].any()
    assert not padded[:, 40:].any()
    assert padded[:, 8:40].any(axis=(0, 2)).all()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("text", "no map"),
        ({"action": np.zeros((8, 8))}, "has no 'actions'; it has action"),
        (answer(np.zeros(8)), r"the actions are \(8,\), expected \(T, 8\): panda_joint1"),
        (answer(np.zeros((8, 7))), r"the actions are \(8, 7\)"),
        (answer(np.zeros((0, 8))), r"the actions are \(0, 8\)"),
        (answer(np.zeros((8, 8), bool)), "no array of floats, found bool"),
        ({"actions": [[0.0] * 8]}, "no array of floats, found list"),
        (answer(np.zeros((8, 8), int)), r"no array of floats, found int64 \(8, 8\)"),
        (answer(np.zeros((8, 8))) | {"error": "out of memory"}, "an error: 'out of memory'"),
        ({"error": "out of memory"}, "an error: 'out of memory'"),
        (answer(np.where(np.eye(8) > 0, np.nan, 0)), "have a nan for 'panda_joint1'"),
        (answer(np.full((8, 8), -np.inf)), "have a -inf for 'panda_joint1'"),
    ],
)
def test_an_answer_that_is_no_chunk_of_this_robot_is_refused_by_name(found, words):
    with pytest.raises(WireError, match=words):
        positions_of(native(PANDA), found, SEEN, PANDA)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"observation/front": None}, "'observation/front' is no array of uint8"),
        ({"observation/front": np.zeros((64, 64, 3))}, "is no array of uint8"),
        ({"observation/front": np.zeros((64, 64), np.uint8)}, r"is \(64, 64\), expected"),
        ({"observation/front": np.zeros((0, 64, 3), np.uint8)}, r"is \(0, 64, 3\), expected"),
        ({"observation/front": np.zeros((2, 64, 64, 3), np.uint8)}, "as many frames of each view"),
        ({"observation/joint_position": None}, "no array of 8 numbers: panda_joint1"),
        ({"observation/joint_position": np.zeros(7)}, "no array of 8 numbers"),
        ({"observation/joint_position": np.full(8, np.nan)}, "has a nan for 'panda_joint1'"),
        ({"observation/joint_position": "12345678"}, "no array of 8 numbers"),
        # other axes are another meaning, and whole numbers were rounded
        ({"observation/joint_position": NOW.reshape(2, 4)}, r"found float64 \(2, 4\)"),
        ({"observation/joint_position": NOW[:, None]}, r"found float64 \(8, 1\)"),
        ({"observation/joint_position": np.arange(8)}, r"found int64 \(8,\)"),
        ({"observation/joint_position": [[1.0, 2.0], [3.0]]}, "found list"),
        ({"observation/joint_position": [True, *NOW[1:].tolist()]}, "found list"),
    ],
)
def test_a_request_that_lacks_something_is_refused_and_nothing_is_made_up(changed, words):
    contract = native(PANDA)
    message = request_of(contract, SEEN, "go", "") | changed
    read = joints_of if "joint_position" in next(iter(changed)) else frames_of
    with pytest.raises(WireError, match=words):
        read(contract, message, PANDA)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"embodiment": "ur5e"}, "for the robot 'ur5e', not for 'panda'"),
        ({"images": {"cam": "wirst"}}, "unknown view 'wirst'. Did you mean 'wrist'"),
        ({"images": {}}, "there are none"),
        ({"action_joints": [*ARM]}, "joint 'panda_finger_joint1' is missing"),
        ({"action_joints": [*ARM, ARM[0], FINGER]}, "a joint is named twice"),
        ({"action_joints": [*ARM, "elbow"]}, "unknown joint 'elbow'"),
        ({"relative": ["elbow"]}, "joint 'elbow' is not in action_joints"),
        ({"relative": [ARM[0]], "incremental": [ARM[0]]}, "is relative and incremental"),
        ({"ends": {FINGER: [0.04, 0.04]}}, "does not move between 0 and 1"),
        ({"step_period_s": -0.1}, "are 0 or more"),
        ({"image_height": 32}, "go together"),
        ({"frame_offsets": [0, -8]}, "rise to 0"),
        ({"frame_offsets": [-8, -8, 0]}, "rise to 0"),
        ({"plan": "rows"}, "plan and committed go together"),
        (
            {"plan": "rows", "committed": "n", "tool": "absolute", "action_joints": [FINGER]},
            "plan: a plan is of joints",
        ),
        ({"action_parts": {"arm": ARM}}, "leave action_joints out"),
        ({"acton_joints": []}, "Did you mean 'action_joints'"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused_at_load(changed, words, tmp_path):
    file = tmp_path / "mine.yaml"
    data = {
        "name": "mine",
        "embodiment": "panda",
        "images": {"cam": "front"},
        "state": {"q": list(PANDA.joint_names)},
        "action_joints": list(PANDA.joint_names),
    }
    file.write_text(yaml.safe_dump(data | changed))
    with pytest.raises(WamError, match=words):
        load_contract(str(file), PANDA)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("embodiment", "so101"),
        ("joint_names", list(PANDA.joint_names[::-1])),
        ("view_names", ["wrist", "front"]),
        ("step_period_s", 0.05),
        ("action_horizon", 16),
    ],
)
def test_a_server_of_another_robot_is_refused_by_what_differs(key, value):
    said = describe_robot(PANDA)
    require_robot(said, PANDA)
    with pytest.raises(WamError, match=f"its {key} is"):
        require_robot(said | {key: value}, PANDA)
    with pytest.raises(WamError, match="says nothing of its robot"):
        require_robot(None, PANDA)
