"""Quality of service of every topic, one name per kind of topic, used by both of its ends."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)


def _profile(
    depth: int, reliable: bool = True, latched: bool = False, lifespan_s: float = 0.0
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        lifespan=Duration(seconds=lifespan_s),
    )


# a lost image is replaced by the next one sooner than by a repetition
IMAGE = _profile(2, reliable=False)
OBSERVATION = _profile(1)
# longer than any chunk is good for; the receiver judges its age anyway
CHUNK = _profile(1, lifespan_s=2.0)
TRAJECTORY = _profile(1)
# one command per tick, only the newest counts; reliable, as controllers ask for
STREAM = _profile(1)
# of either, as a simulated controller hears them: each acts at its instant, however late
COMMANDS = _profile(1000)
JOINTS = _profile(1)  # joint states that we publish: heard by reliable and by best-effort listeners
# joint states that we hear: takes whatever a driver offers
JOINT_STATES = _profile(1, reliable=False)
# the same for who must notice several that speak: of the newest alone one could drown the others
EVERY_JOINT_STATE = _profile(10, reliable=False)
LATCHED = _profile(1, latched=True)  # e-stop and mode: a late listener must know them
STATUS = _profile(10)
SCENE = _profile(100)  # changes that build on each other: none may be missed


def any_quality(depth: int) -> QoSProfile:
    """Asks for nothing: hears every publisher, and may lose messages."""
    return _profile(depth, reliable=False)


def reliable(depth: int) -> QoSProfile:
    """Hears every message of a publisher that offers to repeat what is lost."""
    return _profile(depth)


def latched(depth: int) -> QoSProfile:
    """Also hears what a publisher that keeps it said before."""
    return _profile(depth, latched=True)


def quiet() -> SubscriptionEventCallbacks:
    """For one of several subscriptions to a topic, of which not every one fits every publisher."""
    return SubscriptionEventCallbacks(
        incompatible_qos=lambda event: None, use_default_callbacks=False
    )


def describe(profile: QoSProfile) -> str:
    """One profile in words, for error messages: `reliable volatile keep_last 1`."""
    words = [profile.reliability.name, profile.durability.name, profile.history.name]
    return " ".join(w.lower() for w in words) + (f" {profile.depth}" if profile.depth else "")


def incompatibility(node: Node, topic: str, publishing: bool) -> str:
    """The profiles of both ends of `topic` that do not fit, hence no data flows, as one line."""
    publishers = node.get_publishers_info_by_topic(topic)
    subscriptions = node.get_subscriptions_info_by_topic(topic)
    for p in publishers:
        for s in subscriptions:
            if node.get_name() != (p if publishing else s).node_name:
                continue
            verdict, _ = qos_check_compatible(p.qos_profile, s.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                offered = describe(p.qos_profile)
                asked = describe(s.qos_profile)
                return (
                    f"{topic}: {p.node_name} offers '{offered}', {s.node_name} asks for "
                    f"'{asked}': no data will flow"
                )
    return f"{topic}: the other end has an incompatible quality of service: no data will flow"
