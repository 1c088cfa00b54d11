"""The wire of Genie Sim's benchmark: its questions are read in the robot's units, answers go back
in its own, and what is no question of its robot is refused in words.
"""

import io

import msgpack
import numpy as np
import pytest
from PIL import Image

from testing.policies import PANDA
from wam_ros.core.embodiment import load_embodiment
from wam_ros.wire.genie_sim import pack_answer, read_asked
from wam_ros.wire.packing import WireError

AGIBOT = load_embodiment("agibot_g1")
LEFT, RIGHT = (AGIBOT.joint_names.index(j) for j in AGIBOT.gripper_joints)


def picture(value=0):
    data = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), value, np.uint8)).save(data, "JPEG")
    return {"encoding": "JPEG", "image_data": data.getvalue(), "height": 48, "width": 64}


def params(**changed):
    """As `CoRobotPolicy.get_payload` makes them."""
    found = {
        "timestamps": {"head": 1, "states": 1},
        "images": {"head": picture(200), "hand_left": picture(100), "hand_right": picture(50)},
        "states": {
            "head_joint_states": [0.0, 0.4],
            "arm_joint_states": [0.01 * k for k in range(14)],
            "waist_joint_states": [0.3, 0.25],
            "gripper_states": [0.0, 60.0],
        },
        "prompt": "go",
        "robot_type": "G1_omnipicker",
        "task_name": "",
        "episode_idx": 0,
        "episode_done": False,
        "task_progress": [],
    }
    return found | changed


def message(**changed):
    return msgpack.packb({"method": "infer", "params": params(**changed)})


def test_an_observation_has_the_robot_s_joints_in_its_order_and_each_picture_its_view():
    asked = read_asked(message(), AGIBOT)
    assert (asked.robot_type, asked.episode, asked.keys["prompt"]) == ("G1_omnipicker", 0, "go")
    q = dict(zip(AGIBOT.joint_names, asked.keys["observation/joint_position"], strict=True))
    assert [q[f"idx2{k}_arm_l_joint{k}"] for k in range(1, 8)] == [0.01 * k for k in range(7)]
    assert q["idx67_arm_r_joint7"] == 0.13
    assert (q["idx11_head_joint1"], q["idx12_head_joint2"]) == (0.0, 0.4)
    assert (q["idx02_body_joint2"], q["idx01_body_joint1"]) == (0.3, 0.25)
    views = {view: asked.keys[f"observation/{view}"].mean().round() for view in AGIBOT.view_names}
    assert views == {"top_head": 200, "hand_left": 100, "hand_right": 50}


def told_as(radians, limit=0.78):
    """`relabel_gripper_state` of genie_sim 0e659ad."""
    return min(max(limit - radians / limit, 0), 1) * 120


@pytest.mark.parametrize("radians", [0.0, 0.2, 0.6])
def test_what_an_omnipicker_is_told_as_is_read_in_radians(radians):
    states = params()["states"] | {"gripper_states": [told_as(radians), told_as(0.3)]}
    q = read_asked(message(states=states), AGIBOT).keys["observation/joint_position"]
    assert q[[LEFT, RIGHT]] == pytest.approx([radians, 0.3])


def test_the_other_type_of_robot_tells_and_takes_radians():
    states = params()["states"] | {"gripper_states": [0.2, 0.3]}
    asked = read_asked(message(states=states, robot_type="G1_120s"), AGIBOT)
    q = asked.keys["observation/joint_position"]
    assert q[[LEFT, RIGHT]].tolist() == [0.2, 0.3]
    answer = msgpack.unpackb(pack_answer("G1_120s", q[None]))["result"]
    assert (answer["left_effector"], answer["right_effector"]) == ([[0.2]], [[0.3]])


def test_a_chunk_goes_back_by_part_and_its_client_makes_the_same_radians_of_the_grippers():
    rows = np.random.default_rng(0).uniform(0.0, 0.7, (24, 20))
    answer = msgpack.unpackb(pack_answer("G1_omnipicker", rows))["result"]
    arms = [answer[f"{side}_arm"] for side in ("left", "right")]
    assert {arm["kind"] for arm in arms} == {"JOINT_ABS"}
    assert np.hstack([arm["values"] for arm in arms]).tolist() == rows[:, :14].tolist()
    told = np.hstack([answer["left_effector"], answer["right_effector"]])
    # `relabel_gripper_action` of genie_sim 0e659ad
    assert (1 - told) * 0.78 == pytest.approx(rows[:, [LEFT, RIGHT]])
    assert answer["head"]["values"] == rows[:, 16:18].tolist()
    assert answer["waist"]["values"] == rows[:, 18:].tolist()
    assert answer["hist_frame_interval"] == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"robot_type": "G2_90d"}, "'robot_type' is 'G2_90d', expected G1_omnipicker or G1_120s"),
        ({"robot_type": []}, "'robot_type' is"),
        ({"episode_idx": -1}, "'episode_idx' is a whole number"),
        ({"prompt": None}, "'prompt' is text"),
        ({"images": []}, "'images' is a map"),
        ({"images": {"head": picture()}}, "'images' has no picture 'hand_left'"),
        ({"images": {"head": {"image_data": b"x", "encoding": "PNG"}}}, "as 'PNG' are not read"),
        ({"images": {"head": picture() | {"image_data": b"x"}}}, "a picture that cannot be read"),
        ({"states": None}, "'states' is a map"),
        ({"states": params()["states"] | {"arm_joint_states": [0.0] * 13}}, "list of 14 numbers"),
        ({"states": params()["states"] | {"gripper_states": [True, 0.0]}}, "list of 2 numbers"),
    ],
)
def test_a_question_that_lacks_something_or_is_of_another_robot_is_refused_by_name(changed, words):
    with pytest.raises(WireError, match=words):
        read_asked(message(**changed), AGIBOT)


@pytest.mark.parametrize(
    ("data", "robot", "words"),
    [
        (msgpack.packb({"method": "reset"}), AGIBOT, "with the method infer"),
        (msgpack.packb([1]), AGIBOT, "with the method infer"),
        (msgpack.packb({"method": "infer", "params": 1}), AGIBOT, "'params' is a map"),
        (b"\xc1", AGIBOT, "no message of MessagePack"),
        (message(), PANDA, "the model is for the robot 'panda', Genie Sim's is agibot_g1"),
    ],
)
def test_what_is_no_question_is_refused_in_words(data, robot, words):
    with pytest.raises(WireError, match=words):
        read_asked(data, robot)
