"""sim_node over DDS speaks like a robot under ros2_control."""

import copy

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from rcl_interfaces.srv import GetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import MarkerArray

from testing.markers import why_not_drawable
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, KinematicState, MotionTable, SafeTrajectory
from wam_ros.msg import EpisodeState
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers.joint_trajectory import TOPIC
from wam_ros.ros.sim_node.controller_server import read_trajectory
from wam_ros.sim.trajectory_controller import TrajectoryController
from wam_ros.srv import ResetEpisode

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
STEP = np.array([0.2, 0.1, -0.2, 0.1, 0.1, -0.1, 0.2, 0.0])
AHEAD_NS = 300_000_000  # from sending a trajectory to its start


@pytest.fixture
def robot(arena, arm):
    """A running simulation and a publisher of trajectories it listens to."""
    arena.add(SimNode, camera_hz=0.5)
    publisher = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    arena.until(lambda: arm.state is not None and publisher.get_subscription_count() == 1)
    return publisher


def move(q0, start_ns=0, seconds=0.6, names=PANDA.joint_names):
    """A cubic from q0 to q0 + STEP, its columns in the order of `names`."""
    pick = [PANDA.joint_names.index(n) for n in names]
    q = np.array([q0, q0 + STEP])[:, pick]
    zeros = np.zeros_like(q)
    return convert.trajectory_to_msg(
        SafeTrajectory(
            start_ns=start_ns,
            joint_names=tuple(names),
            t=np.array([0.0, seconds]),
            q=q,
            dq=zeros,
            ddq=zeros,
        )
    )


def test_joint_states_come_at_their_rate_with_rising_stamps(arena, arm, robot):
    first = arm.state.stamp_ns
    arena.until(lambda: arm.state.stamp_ns > first + NS)
    _, stamps = arm.path()
    periods = np.diff(stamps) / 0.01
    assert np.median(np.round(periods)) == 1
    # a busy machine may lose some
    np.testing.assert_allclose(periods, np.round(periods), atol=1e-4)
    assert periods.min() > 0.5
    assert abs(stamps[-1] - arena.now_ns() / NS) < 0.5


@pytest.mark.parametrize("names", [PANDA.joint_names, PANDA.joint_names[::-1]])
def test_a_trajectory_by_joint_names_in_any_order_is_followed_to_rest(arena, arm, robot, names):
    q0 = arm.state.positions
    robot.publish(move(q0, names=names))
    arena.until(arm.moving)
    arena.until(arm.at_rest)
    np.testing.assert_allclose(arm.state.positions, q0 + STEP, atol=5e-3)


def test_bad_trajectories_move_nothing(arena, arm, robot):
    q0 = arm.state.positions
    past = move(q0, start_ns=arena.now_ns() - 5 * NS)
    partial, ragged, effort = move(q0), move(q0), move(q0)
    partial.joint_names.pop()
    ragged.points[1].velocities.pop()
    effort.points[0].effort = [0.0] * 8
    for bad in (past, partial, ragged, effort, JointTrajectory()):
        robot.publish(bad)
        arena.spin(0.1)
    arena.spin(0.5)
    np.testing.assert_allclose(arm.state.positions, q0, atol=1e-3)


def test_images_calibration_and_episode_are_published(arena):
    arena.add(SimNode, camera_hz=5.0)
    heard = [arena.listen(Image, c.image_topic, qos.IMAGE) for c in PANDA.cameras]
    infos = [arena.listen(CameraInfo, c.info_topic, qos.IMAGE) for c in PANDA.cameras]
    episodes = arena.listen(EpisodeState, "episode", qos.STATUS)
    arena.until(lambda: all(heard) and all(infos) and episodes)
    for images, info in zip(heard, infos, strict=True):
        frame = convert.image_to_numpy(images[0])
        assert frame.shape == (128, 128, 3)
        assert frame.std() > 5
        assert info[0].k[0] > 0
        assert info[0].header.frame_id == images[0].header.frame_id
    assert episodes[0].instruction
    assert episodes[0].limit_violations == 0


def test_blocks_and_pictures_carry_the_prefix_of_the_robots_frames(arena):
    blocks = arena.listen(MarkerArray, "sim/objects", qos.STATUS)
    infos = arena.listen(CameraInfo, PANDA.cameras[0].info_topic, qos.IMAGE)
    arena.add(SimNode, tf_prefix="left/")
    arena.until(lambda: blocks and infos)
    assert len(blocks[-1].markers) == 3
    assert why_not_drawable(blocks[-1], {f"left/{PANDA.base_frame}"}) == []
    assert infos[0].header.frame_id == "left/front_optical_frame"


def test_a_reset_places_the_arm_and_the_old_motion_is_forgotten(arena, arm, robot):
    robot.publish(move(arm.state.positions, seconds=3.0))
    arena.until(arm.moving)
    answer = arena.call(ResetEpisode, "sim_node/reset_episode", seed=7, colour="green")
    assert answer.ok
    assert "green" in answer.instruction
    arena.spin(0.2)
    placed = arm.state.positions
    arena.spin(0.5)
    np.testing.assert_allclose(arm.state.positions, placed, atol=2e-3)
    answer = arena.call(ResetEpisode, "sim_node/reset_episode", seed=7, colour="grin")
    assert not answer.ok
    assert "grin" in answer.message


def test_the_same_seed_is_the_same_episode(arena, arm, robot):
    places = []
    for seed in (3, 4, 3):
        arena.call(ResetEpisode, "sim_node/reset_episode", seed=seed)
        arena.spin(0.2)
        places.append(arm.state.positions)
    np.testing.assert_allclose(places[0], places[2], atol=1e-3)
    assert np.abs(places[0] - places[1]).max() > 1e-2


def test_faster_than_time_the_clock_is_published_and_runs_faster(arena, arm):
    clock = arena.listen(Clock, "/clock", qos.STATUS)
    began = arena.now_ns()
    arena.add(SimNode, camera_hz=0.5, lockstep=True, rate=4.0)
    arena.until(lambda: len(clock) > 10)
    first, then = convert.time_to_ns(clock[-1].clock), arena.now_ns()
    arena.spin(1.0)
    last = convert.time_to_ns(clock[-1].clock)
    assert (last - convert.time_to_ns(clock[0].clock)) / (arena.now_ns() - began) < 4.1, (
        "never ahead of its rate"
    )
    assert (last - first) / (arena.now_ns() - then) > 1.5
    steps = np.diff([convert.time_to_ns(m.clock) for m in clock]) / NS
    assert steps.min() >= 0.02 - 1e-9  # more often would only keep every node busy


class Path:
    """Pieces that follow each other as a bridge sends them: each begins in the state of the one
    before it.
    """

    def __init__(self, q0):
        self._controller = TrajectoryController(PANDA.joint_names, q0)

    def at(self, at_ns):
        """(A,) where the newest piece is then."""
        return self._controller.sample(at_ns).q

    def turn(self, start_ns, to, seconds):
        """One smooth piece from where the path is at `start_ns` to rest at `to`; returns its
        message.
        """
        t = np.array([0.0, seconds])
        knots = MotionTable.of([self._controller.sample(start_ns), KinematicState.at_rest(to)])
        refusal = self._controller.set_trajectory(
            start_ns=start_ns,
            joint_names=PANDA.joint_names,
            t=t,
            q=knots.q,
            dq=knots.dq,
            ddq=knots.ddq,
            now_ns=start_ns,
        )
        assert refusal == ""
        return convert.trajectory_to_msg(
            SafeTrajectory(*knots.arrays, start_ns=start_ns, joint_names=PANDA.joint_names, t=t)
        )


def test_a_simulation_that_was_held_up_follows_all_it_was_sent_meanwhile(arena, arm):
    """Neither what was replaced meanwhile is lost nor does the arm leap onto a path that it reaches
    too late.
    """
    sim = arena.add(SimNode, camera_hz=0.5)
    publisher = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    arena.until(lambda: arm.state is not None and publisher.get_subscription_count() == 1)
    q0 = arm.state.positions
    path, begun, truth = Path(q0), [], []

    def turn(to, seconds):
        begun.append(arena.now_ns() + AHEAD_NS)
        publisher.publish(path.turn(begun[-1], to, seconds))
        truth.append(copy.deepcopy(path))

    turn(q0 + 2 * STEP, 1.5)
    arena.spin(0.8)
    arena.executor.remove_node(sim)
    turn(q0 + STEP / 2, 0.8)
    arena.spin(0.5)
    turn(q0 + 2 * STEP, 0.8)
    arena.spin(0.5)
    for _ in range(20):
        sim._on_timer()  # it catches up, and its executor has not heard anything yet
    arena.executor.add_node(sim)
    arena.until(lambda: arm.path()[1][-1] * NS > begun[-1] + NS)
    off = []
    for measured, at_s in zip(*arm.path(), strict=True):
        at_ns = round(at_s * NS)
        piece = max(0, sum(at_ns >= ns for ns in begun) - 1)
        off.append(np.abs(measured - truth[piece].at(at_ns)).max())
    assert max(off) < 6e-3


def test_whoever_lives_by_its_clock_is_followed_by_that_clock_however_far_it_is_behind(arena, arm):
    """What a trajectory begins with is then where the arm stands on /clock, not where it should
    stand by now.
    """
    sim = arena.add(SimNode, camera_hz=0.5, lockstep=True, rate=0.5)
    publisher = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    arena.until(lambda: arm.state is not None and publisher.get_subscription_count() == 1)
    arena.executor.remove_node(sim)
    arena.spin(1.6)  # 0.8 s of its time, longer than the motion
    q0 = arm.state.positions
    publisher.publish(move(q0, sim._stepper.now_ns, seconds=0.5))
    arena.spin(0.2)
    arena.executor.add_node(sim)
    arena.until(lambda: np.abs(arm.state.positions - q0 - STEP).max() < 5e-3)
    q, t = arm.path()
    # a quintic: 15 / 8
    assert np.abs(np.diff(q, axis=0) / np.diff(t)[:, None]).max() < 2 * np.abs(STEP).max() / 0.5


def test_what_a_simulation_has_not_heard_yet_is_not_meant_for_the_next_episode(arena, arm):
    sim = arena.add(SimNode, camera_hz=0.5)
    publisher = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    arena.until(lambda: arm.state is not None and publisher.get_subscription_count() == 1)
    arena.executor.remove_node(sim)
    publisher.publish(move(arm.state.positions))
    arena.spin(0.5)
    answer = sim._on_reset(ResetEpisode.Request(seed=7), ResetEpisode.Response())
    assert answer.ok
    placed = sim._world.q
    arena.executor.add_node(sim)
    arena.spin(0.5)
    np.testing.assert_allclose(arm.state.positions, placed, atol=2e-3)


@pytest.mark.parametrize("kind", ["forward_position", "forward_velocity"])
def test_a_forward_controller_moves_the_arm_by_its_topic(arena, arm, kind):
    arena.add(SimNode, camera_hz=0.5, controller=kind)
    publisher = arena.observer.create_publisher(
        Float64MultiArray, f"{kind}_controller/commands", qos.STREAM
    )
    arena.until(lambda: arm.state is not None and publisher.get_subscription_count() == 1)
    q0 = arm.state.positions
    if kind == "forward_position":
        publisher.publish(Float64MultiArray(data=list(q0 + 0.1 * STEP)))
    else:
        publisher.publish(Float64MultiArray(data=list(STEP)))
    arena.until(lambda: np.abs(arm.state.positions - q0)[:7].min() > 0.008)
    answer = arena.call(GetParameters, f"{kind}_controller/get_parameters", names=["joints"])
    assert tuple(answer.values[0].string_array_value) == PANDA.joint_names


def test_an_unknown_robot_or_task_or_a_time_that_cannot_be_kept_does_not_configure(arena):
    for wrong in (
        {"embodiment": "pamda"},
        {"task": "pick_blok"},
        {"rate": 0.5},
    ):
        node = arena.make(SimNode, **wrong)
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE


def test_points_that_carry_different_things_are_not_read():
    msg = JointTrajectory(joint_names=["a"])
    msg.points = [
        JointTrajectoryPoint(positions=[0.0], velocities=[0.0]),
        JointTrajectoryPoint(positions=[0.0]),
    ]
    with pytest.raises(WamError, match="velocities of different sizes"):
        read_trajectory(msg)
