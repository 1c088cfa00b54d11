import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wam_ros.core.errors import WamError
from wam_ros.ros.link import SERVICES, TOPICS, Link, read_header

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.mark.parametrize("frame", ["", "chunk 17", "chunk 123456789012", "é"])
@pytest.mark.parametrize("stamp", [(0, 0), (1_790_000_000, 999_999_999)])
def test_a_header_is_read_from_the_bytes_of_a_whole_message(frame, stamp):
    message = JointTrajectory(
        header=Header(stamp=Time(sec=stamp[0], nanosec=stamp[1]), frame_id=frame),
        joint_names=["a", "b"],
        points=[JointTrajectoryPoint(positions=[1.0, 2.0])] * 50,
    )
    assert read_header(serialize_message(message)) == (stamp[0] * 10**9 + stamp[1], frame)


@pytest.fixture
def two_links():
    heard = []
    a = Link(
        "listener",
        {"safe_trajectory": lambda header, when: heard.append((header, when))},
        domain_id=77,
    )
    b = Link("talker", {}, domain_id=77)
    yield a, b, heard
    a.close()
    b.close()


def spin_until(link, done, turns=400):
    for _ in range(turns):
        if done():
            return True
        link.spin(0.05)
    return done()


def test_a_message_arrives_with_the_time_of_its_publication(two_links):
    a, b, heard = two_links
    publisher = b.node.create_publisher(JointTrajectory, "safe_trajectory", 1)
    assert spin_until(b, lambda: publisher.get_subscription_count() == 1)
    before = b.node.get_clock().now().nanoseconds
    publisher.publish(JointTrajectory(header=Header(frame_id="chunk 4")))
    after = b.node.get_clock().now().nanoseconds
    assert spin_until(a, lambda: heard)
    ((_, frame), when) = heard[0]
    assert frame == "chunk 4"
    assert before <= when <= after


def test_a_controller_of_any_name_is_heard_in_the_namespace_of_its_loop():
    topic, heard = "scaled_joint_trajectory_controller/joint_trajectory", []
    a = Link(
        "listener",
        {topic: lambda header, _: heard.append(header[1])},
        domain_id=77,
        namespace="cell/left",
    )
    b = Link("talker", {}, domain_id=77)
    publisher = b.node.create_publisher(JointTrajectory, f"/cell/left/{topic}", 1)
    found = spin_until(b, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(JointTrajectory(header=Header(frame_id="chunk 5")))
    found = found and spin_until(a, lambda: heard)
    a.close()
    b.close()
    assert found
    assert heard == ["chunk 5"]


def test_a_namespace_that_is_none_is_one_line():
    with pytest.raises(WamError, match="'no good' is no namespace"):
        Link("listener", {}, domain_id=77, namespace="no good")


def test_services_that_nobody_offers_are_named_until_somebody_does(two_links):
    a, b, _ = two_links
    assert set(a.missing_services()) == set(SERVICES)
    kind = SERVICES["safety_node/arm"]
    b.node.create_service(kind, "safety_node/arm", lambda request, response: response)
    assert spin_until(a, lambda: "safety_node/arm" not in a.missing_services())


def test_the_newest_joint_speed_is_known_after_the_first_message(two_links):
    from sensor_msgs.msg import JointState

    a, b, _ = two_links
    assert a.joint_speed() is None
    publisher = b.node.create_publisher(JointState, "joint_states", 1)
    assert spin_until(b, lambda: publisher.get_subscription_count() == 2)
    publisher.publish(JointState(name=["x", "y"], velocity=[0.1, -0.7]))
    assert spin_until(a, lambda: a.joint_speed() is not None)
    assert a.joint_speed() == pytest.approx(0.7)


def test_every_topic_has_a_reader():
    assert all(callable(from_msg) for _, from_msg in TOPICS.values())
