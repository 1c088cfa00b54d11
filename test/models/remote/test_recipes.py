"""The recipes of docs/policies.md and docs/scale.md, asked as they stand there but for the host: of
servers that keep the joints where they are.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from testing.openpi import openpi_server
from testing.policies import observation
from wam_ros.core.embodiment import load_embodiment
from wam_ros.models import load_policy
from wam_ros.wire.contract import load_contract

DOCS = Path(__file__).resolve().parents[3] / "docs"
STEPS = 40  # more than any horizon


def recipes():
    """(contract, robot, address) of every launch line that asks anybody's server."""
    text = "".join((DOCS / name).read_text() for name in ("policies.md", "scale.md"))
    found = set()
    for line in text.replace("\\\n", " ").splitlines():
        model = re.search(r"model:=(\w+)@(\w+)://[^/ ]+(\S*)", line)
        if "ros2 launch" in line and model:
            robot = re.search(r"embodiment:=(\w+)", line)
            found.add((*model.groups(), robot[1] if robot else "panda"))
    return sorted(found)


def test_the_pages_have_the_recipes():
    assert [r[0] for r in recipes()] == [
        "groot_panda", "lerobot_panda", "openpi_droid", "roboarena", "roboarena",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "scheme", "path", "robot"), recipes())
def test_a_recipe_is_of_its_robot_and_means_what_the_server_says(name, scheme, path, robot):
    robot = load_embodiment(robot)
    contract = load_contract(name, robot)
    if scheme != "ws":
        return  # test_groot asks it

    def still(message):
        if message.get("endpoint") == "reset":
            return "reset successful"
        told = {
            joint: value
            for key, joints in contract.state.items()
            for joint, value in zip(joints, message[key], strict=True)
        }
        row = [told[joint] for joint in contract.action_joints]
        rows = np.tile(np.array(row, np.float32), (STEPS, 1))
        return {contract.actions: rows} if contract.actions else rows

    with openpi_server(still) as (server, port):
        policy = load_policy(f"{name}@{scheme}://127.0.0.1:{port}{path}", "", robot)
        policy.reset("put it in the bowl")
        seen = observation(3, robot=robot)
        rows = policy.predict(seen).positions
        assert rows[: robot.action_horizon] == pytest.approx(
            np.tile(seen.joints.positions, (robot.action_horizon, 1)), abs=1e-6
        )
        asked = server.asked[-1]
        assert asked[contract.prompt] == "put it in the bowl"
        size = (
            contract.image_height or robot.image_height,
            contract.image_width or robot.image_width,
        )
        assert {asked[key].shape[:2] for key in contract.images} == {size}
