"""What is learned from is what was seen: rows built from a recording are the observations that the
running nodes made, to the last bit.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")
pytest.importorskip("mcap")

from mcap.reader import make_reader
from sensor_msgs.msg import Image

from wam_ros.core.types import NS
from wam_ros.data.folder import open_episodes
from wam_ros.msg import Observation as ObservationMsg
from wam_ros.nodes.recorder_node import RecorderNode
from wam_ros.ros import convert, qos
from wam_ros.ros.takes import Take, Topic

pytestmark = pytest.mark.ros
LEAST = 25  # observations
FRAME_NS = NS // 10


def without(folder, topic, out):
    """The same recording as if nobody had said anything on a topic."""
    take = Take(out)
    with next(folder.glob("*.mcap")).open("rb") as file:
        for schema, channel, m in make_reader(file).iter_messages():
            if channel.topic != topic:
                text = schema.data.decode()
                digest = channel.metadata["topic_type_hash"]
                own = Topic(channel.topic, schema.name, text, digest)
                take.add(own, m.log_time, m.publish_time, m.data)
    take.finish({})
    return out


def test_rows_of_a_recording_are_the_observations_of_the_nodes_bit_for_bit(arena, tmp_path):
    time = {"lockstep": True, "use_sim_time": True}
    arena.spawn("sim_node", lockstep=True, camera_hz=10.0)
    folder = {"folder": str(tmp_path / "takes"), "begin_at_once": False}
    node = arena.add(RecorderNode, **folder, use_sim_time=True)
    heard = arena.listen(ObservationMsg, "observation", qos.reliable(200))
    arena.spawn("camera_node", **time)
    # this process has found both others by then, and the recorder has asked each topic for what it
    # offers: it misses nothing any more
    pictures = arena.listen(Image, "wrist/image_raw", qos.IMAGE)
    arena.until(lambda: min(len(heard), len(pictures)) >= NS // FRAME_NS, seconds=90)
    heard.clear()
    node._begin()
    arena.until(lambda: len(heard) >= LEAST, seconds=90)
    take = tmp_path / "takes" / node._takes.name
    node._hear()  # what waits is of the take, too
    node._save()
    arena.until(take.is_dir)
    live = {o.stamp_ns: o for o in map(convert.observation_from_msg, heard)}
    found = {
        "the observations": open_episodes(take),
        "cameras and joints": open_episodes(
            without(take, "/observation", tmp_path / "robot"), robot="panda"
        ),
    }
    for name, episodes in found.items():
        (episode,) = episodes[:]
        assert episodes.rate_hz == 10.0, name
        frames = [np.stack(list(episodes.pictures(0, view))) for view in episodes.view_names]
        rows = [k for k, ns in enumerate(episode.stamps_ns.tolist()) if ns in live]
        assert len(rows) >= LEAST - 3, name
        assert len(episode) - len(rows) <= 3, f"{name}: rows that the nodes did not see"
        for k in rows:
            seen = live[int(episode.stamps_ns[k])]
            assert episodes.view_names == seen.view_names
            for v in range(len(frames)):
                np.testing.assert_array_equal(frames[v][k], seen.frames[v])
            np.testing.assert_array_equal(episode.states[k], seen.joints.positions)
    assert np.ptp([o.frames for o in live.values()]) > 100, "pictures that show something"
    assert all(ns % FRAME_NS == next(iter(live)) % FRAME_NS for ns in live)
