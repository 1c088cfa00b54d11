"""sim_node with a task of LIBERO; test/foreign/test_libero.py runs it where LIBERO is."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("libero")

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.msg import EpisodeState
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers.joint_trajectory import TOPIC
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.libero.suites import OFFICIAL
from wam_ros.sim.worlds import make_expert, make_world
from wam_ros.srv import ResetEpisode

pytestmark = [pytest.mark.foreign, pytest.mark.ros]
PANDA = load_embodiment("libero_panda")
TASK = "libero_object/0"


@pytest.fixture(scope="module")
def demonstration():
    """(T, A) joint targets of the expert, one a control step, and what was asked for."""
    world = make_world(PANDA, TASK, render=False)
    world.reset(OFFICIAL)
    expert, driver = make_expert(world), StepDriver(world)
    rows = [world.q]
    while not expert.done and len(rows) < 220:
        rows.append(expert.act())
        driver.to(rows[-1])
    assert world.episode().success
    world.close()
    return np.array(rows), world.instruction


def test_joint_targets_by_topic_solve_the_task_by_libero_s_own_check(arena, demonstration):
    q, instruction = demonstration
    clock = arena.listen(Clock, "/clock", qos.STATUS)
    episodes = arena.listen(EpisodeState, "episode", qos.STATUS)
    images = [arena.listen(Image, c.image_topic, qos.IMAGE) for c in PANDA.cameras]
    publisher = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    parameters = {"embodiment": "libero_panda", "task": TASK, "seed": OFFICIAL, "camera_hz": 10.0}
    arena.add(SimNode, lockstep=True, rate=4.0, **parameters)
    arena.until(lambda: all(images) and episodes and publisher.get_subscription_count() == 1)
    assert arena.call(ResetEpisode, "sim_node/reset_episode", seed=OFFICIAL).ok
    t = PANDA.step_period_s * np.arange(len(q))
    dq = np.gradient(q, t, axis=0)
    dq[0] = dq[-1] = 0
    publisher.publish(
        convert.trajectory_to_msg(
            SafeTrajectory(start_ns=0, joint_names=PANDA.joint_names, t=t, q=q, dq=dq, ddq=0 * q)
        )
    )
    arena.until(lambda: episodes[-1].success, seconds=300)
    assert episodes[-1].instruction == instruction
    assert episodes[-1].t < t[-1] + 1.0
    assert not episodes[-1].wrong
    assert np.diff([convert.time_to_ns(m.clock) for m in clock]).max() <= 0.1 * NS
    assert all(convert.image_to_numpy(heard[0]).shape == (128, 128, 3) for heard in images)


def test_a_colour_is_refused_and_the_scene_stays(arena):
    parameters = {"embodiment": "libero_panda", "task": TASK, "camera_hz": 0.5}
    arena.add(SimNode, **parameters)
    answer = arena.call(ResetEpisode, "sim_node/reset_episode", seed=1, colour="red")
    assert not answer.ok
    assert "names no colour" in answer.message
