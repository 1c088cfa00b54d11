"""inference_node over DDS with a policy that the test controls."""

import os
import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from wam_ros.core.appraisal import Calm  # noqa: E402
from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.lockstep import Pace  # noqa: E402
from wam_ros.core.policy import PolicyOutput  # noqa: E402
from wam_ros.core.types import ChunkingMode, Conditioning, JointState, Observation  # noqa: E402
from wam_ros.core.types import StageLatency as StageTime  # noqa: E402
from wam_ros.msg import (  # noqa: E402
    ActionChunk,
    ImaginedFuture,
    LoopProgress,
    StageLatency,
    WamStatus,
)
from wam_ros.msg import Observation as ObservationMsg  # noqa: E402
from wam_ros.msg import Pace as PaceMsg  # noqa: E402
from wam_ros.nodes.inference_node import InferenceNode  # noqa: E402
from wam_ros.ros import convert, qos  # noqa: E402
from wam_ros.ros.inference_node.parameters import InferenceParams, make_policy  # noqa: E402
from wam_ros.ros.stages import stages_to_msgs  # noqa: E402
from wam_ros.safety.params import SafetyParams  # noqa: E402
from wam_ros.srv import LoadModel, SetInstruction  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")
DEADLINE_S = 20.0
UNIT = 0.001  # mean squared error that calm runs are said to show


class ColourPolicy:
    """Knows three colours; imagines what it sees, brightened by ten."""

    name, checkpoint_hash = "colours", "ab" * 8
    calm = Calm(
        pixel=np.full((2, 2, 8, 8), UNIT),
        latent=np.ones((2, 2, 8, 8)),
        weights=np.zeros((2, 2, 16, 16)),
        bias=np.zeros(2),
    )

    def __init__(self):
        self.instruction, self.failure, self.resets = "", None, 0
        self.think_s = 0.0
        self.gate = threading.Event()
        self.gate.set()

    def reset(self, instruction):
        if not instruction.endswith(("red", "green", "blue")):
            raise WamError("the model never learned that; known words: red, green, blue")
        self.instruction = instruction
        self.resets += 1

    def predict(self, observation):
        assert self.gate.wait(DEADLINE_S)
        threading.Event().wait(self.think_s)
        if self.failure:
            raise self.failure
        positions = np.tile(observation.joints.positions, (PANDA.action_horizon, 1))
        frames = np.stack([observation.frames + 10, observation.frames + 20])
        return PolicyOutput(
            positions=positions,
            frames=frames,
            frame_offsets_ns=(100_000_000, 200_000_000),
            conditioning=Conditioning.REAL,
            evaluations=4,
            timing_s={"denoise": 0.01},
        )


class ColourNode(InferenceNode):
    """The node with that policy instead of a network."""

    policy = None

    def make_policy(self, robot, model, checkpoint):
        if self.policy is None or checkpoint == "nowhere":
            raise WamError("checkpoint 'nowhere.safetensors' does not exist")
        if checkpoint == "new":
            new = ColourPolicy()
            new.checkpoint_hash = "cd" * 8
            return new
        return self.policy


class Rig:
    """The node under test, a camera node's output and listeners, spun in one thread."""

    def __init__(self, policy, **parameters):
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=100 + os.getpid() % 100)
        overrides = [
            Parameter(k, value=v) for k, v in {"status_rate_hz": 20.0, **parameters}.items()
        ]
        self.policy = policy
        self.node = ColourNode(context=self.context, parameter_overrides=overrides)
        self.node.policy = policy
        self.peer = Node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.observations = self.peer.create_publisher(
            ObservationMsg, "observation", qos.OBSERVATION
        )
        self.chunks, self.futures, self.images, self.statuses = [], [], [], []
        listen = self.peer.create_subscription
        listen(
            ActionChunk,
            "action_chunk",
            lambda m: self.chunks.append(convert.chunk_from_msg(m)),
            qos.CHUNK,
        )
        listen(
            ImaginedFuture,
            "imagined_future",
            lambda m: self.futures.append(convert.imagined_from_msg(m)),
            10,
        )
        listen(Image, "imagined/wrist/image", self.images.append, qos.IMAGE)
        listen(
            WamStatus,
            "wam_status",
            lambda m: self.statuses.append(convert.status_from_msg(m)),
            qos.STATUS,
        )
        self.set_instruction = self.peer.create_client(
            SetInstruction, "inference_node/set_instruction"
        )
        self.reset = self.peer.create_client(Trigger, "inference_node/reset")
        self.load = self.peer.create_client(LoadModel, "inference_node/load_model")
        self.sent_ns, self.value = 0, 0

    def start(self):
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.spin_until(
            lambda: (
                self.observations.get_subscription_count() == 1
                and self.set_instruction.service_is_ready()
                and self.reset.service_is_ready()
                and self.load.service_is_ready()
                and all(
                    self.peer.count_publishers(t)
                    for t in ("action_chunk", "imagined_future", "wam_status")
                )
            )
        )

    def spin_until(self, condition, feed=True):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            if feed:
                self.see()
            self.executor.spin_once(timeout_sec=0.02)

    def see(self):
        """An observation every 50 ms."""
        now = self.peer.get_clock().now().nanoseconds
        if now - self.sent_ns < 50_000_000:
            return
        self.sent_ns = now
        n = len(PANDA.joint_names)
        joints = JointState(now, PANDA.joint_names, np.linspace(0, 1, n), np.zeros(n), np.zeros(n))
        frames = np.full((2, PANDA.image_height, PANDA.image_width, 3), self.value, np.uint8)
        self.observations.publish(
            convert.observation_to_msg(
                Observation(now, PANDA.view_names, frames, (now, now - 30_000_000), joints)
            )
        )

    @property
    def error(self):
        """Of the newest status."""
        return self.statuses[-1].error if self.statuses else "no status yet"

    def call(self, client, **fields):
        future = client.call_async(client.srv_type.Request(**fields))
        self.spin_until(future.done)
        return future.result()

    def say(self, instruction):
        return self.call(self.set_instruction, instruction=instruction)

    def close(self):
        self.policy.gate.set()
        self.executor.shutdown()
        self.node.on_shutdown(None)
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_rig():
    rigs = []

    def make(policy=None, **parameters):
        rigs.append(Rig(policy or ColourPolicy(), **parameters))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_nothing_is_predicted_before_an_instruction_and_the_status_says_so(make_rig):
    rig = make_rig()
    rig.start()
    rig.spin_until(lambda: len(rig.statuses) >= 5 and rig.error == "no instruction yet")
    assert rig.chunks == []
    assert rig.statuses[-1].model == "colours"


def test_what_is_seen_while_the_model_is_busy_is_predicted_from_when_it_is_free(make_rig):
    rig = make_rig(instruction="red")
    rig.start()
    rig.policy.gate.clear()
    rig.spin_until(lambda: rig.node._engine.status().busy_s > 0.2)
    last_ns = rig.sent_ns
    rig.spin_until(lambda: rig.node._session._observed_ns == last_ns, feed=False)
    rig.policy.gate.set()
    rig.spin_until(lambda: rig.chunks and rig.chunks[-1].observation_ns == last_ns, feed=False)


def test_a_chunk_is_followed_when_the_safety_filter_says():
    assert InferenceParams().lead_s == SafetyParams().lead_s


def test_an_instruction_starts_chunks_with_their_origin(make_rig):
    rig = make_rig()
    rig.start()
    answer = rig.say("  the   red ")
    assert answer.ok, answer.message
    rig.spin_until(lambda: len(rig.chunks) >= 3 and rig.futures and rig.images)
    chunk = rig.chunks[-1]
    assert (chunk.instruction, chunk.epoch, chunk.model, chunk.checkpoint_hash) == (
        "the red", answer.epoch, "colours", "ab" * 8,
    )  # fmt: skip
    assert chunk.anchor_ns == chunk.observation_ns
    assert chunk.positions == pytest.approx(np.tile(np.linspace(0, 1, 8), (8, 1)))
    assert chunk.joint_names == PANDA.joint_names
    assert chunk.chunking_mode is ChunkingMode.REPLACE
    assert len(chunk.session_id) == 16
    assert any(chunk.session_id)
    assert [b.seq - a.seq for a, b in zip(rig.chunks, rig.chunks[1:], strict=False)] == [1] * (
        len(rig.chunks) - 1
    )
    assert rig.futures[-1].frames.shape == (2, 2, 64, 64, 3)
    assert (convert.image_to_numpy(rig.images[-1]) == 20).all()


def test_surprise_is_published_when_the_instant_has_passed(make_rig):
    rig = make_rig()
    rig.start()
    rig.say("red")
    # what stands still is explained by the frame before: it shows once it has lasted
    rig.spin_until(lambda: rig.futures and rig.futures[-1].surprise > 0)
    found = rig.futures[-1].surprise
    assert any(found == pytest.approx((k / 255) ** 2 / UNIT, rel=1e-4) for k in (10, 20))
    epoch = rig.say("blue").epoch
    rig.spin_until(
        lambda: rig.chunks[-1].epoch == epoch and rig.futures[-1].chunk_seq == rig.chunks[-1].seq
    )
    first = next(c.seq for c in rig.chunks if c.epoch == epoch)
    assert np.isnan(next(f.surprise for f in rig.futures if f.chunk_seq == first))


@pytest.mark.parametrize(
    ("instruction", "why"),
    [("the purple one", "known words: red, green, blue"), ("", "empty"), ("x" * 10240, "10240")],
)
def test_a_refused_instruction_says_why_and_changes_nothing(make_rig, instruction, why):
    rig = make_rig()
    rig.start()
    before = rig.say("red").epoch
    rig.spin_until(lambda: rig.chunks)
    answer = rig.say(instruction)
    assert not answer.ok
    assert why in answer.message
    seen = len(rig.chunks)
    rig.spin_until(lambda: len(rig.chunks) >= seen + 3)
    assert {(c.instruction, c.epoch) for c in rig.chunks} == {("red", before)}


def test_after_a_new_instruction_no_chunk_of_the_old_one_comes(make_rig):
    rig = make_rig()
    rig.start()
    rig.say("red")
    rig.spin_until(lambda: rig.chunks)
    epoch = rig.say("blue").epoch
    rig.spin_until(lambda: rig.chunks[-1].epoch == epoch)
    first = next(i for i, c in enumerate(rig.chunks) if c.epoch == epoch)
    rig.spin_until(lambda: len(rig.chunks) >= first + 3)
    assert {c.instruction for c in rig.chunks[first:]} == {"blue"}
    assert [c.epoch for c in rig.chunks] == sorted(c.epoch for c in rig.chunks)


def test_reset_forgets_and_raises_the_epoch(make_rig):
    rig = make_rig()
    rig.start()
    before = rig.say("red").epoch
    rig.spin_until(lambda: rig.chunks)
    resets = rig.policy.resets
    assert rig.call(rig.reset).success
    assert rig.policy.resets == resets + 1
    rig.spin_until(lambda: rig.chunks[-1].epoch == before + 1)
    assert rig.chunks[-1].instruction == "red"


def test_a_model_is_swapped_between_two_chunks_and_a_bad_one_leaves_it_in_place(make_rig):
    rig = make_rig()
    rig.start()
    rig.say("red")
    rig.spin_until(lambda: len(rig.chunks) >= 2)
    refused = rig.call(rig.load, checkpoint="nowhere")
    assert (
        not refused.ok
        and "does not exist" in refused.message
        and refused.checkpoint_hash == "ab" * 8
    )
    count = len(rig.chunks)
    rig.spin_until(lambda: len(rig.chunks) >= count + 2)
    assert rig.chunks[-1].checkpoint_hash == "ab" * 8
    swapped = rig.call(rig.load, checkpoint="new")
    assert swapped.ok and swapped.checkpoint_hash == "cd" * 8
    rig.spin_until(lambda: rig.chunks[-1].checkpoint_hash == "cd" * 8)
    assert rig.chunks[-1].instruction == "red"
    assert {c.epoch for c in rig.chunks[1:]} == {rig.chunks[-1].epoch}


def test_an_empty_model_is_the_running_one_also_after_another_was_swapped_in(make_rig, monkeypatch):
    asked = []
    make = ColourNode.make_policy
    monkeypatch.setattr(
        ColourNode, "make_policy", lambda self, r, m, c: asked.append(m) or make(self, r, m, c)
    )
    rig = make_rig()
    rig.start()
    assert not rig.call(rig.load, model="broken", checkpoint="nowhere").ok
    assert rig.call(rig.load, model="other", checkpoint="new").ok
    assert rig.call(rig.load, checkpoint="new").ok
    assert asked == ["tiny", "broken", "other", "other"]


def test_a_failing_model_is_a_status_and_recovers(make_rig):
    rig = make_rig()
    rig.start()
    rig.say("red")
    rig.policy.failure = RuntimeError("out of memory")
    rig.spin_until(lambda: rig.error == "RuntimeError: out of memory")
    rig.policy.failure = None
    seen = len(rig.chunks)
    rig.spin_until(lambda: len(rig.chunks) > seen and rig.error == "")


def test_a_model_that_hangs_is_seen_and_does_not_stop_the_node(make_rig):
    rig = make_rig(silence_s=0.2, reset_timeout_s=0.2)
    rig.start()
    rig.say("red")
    rig.spin_until(lambda: rig.chunks)
    rig.policy.gate.clear()
    rig.spin_until(lambda: "has not answered for" in rig.error)
    answer = rig.say("blue")
    assert not answer.ok
    assert "busy" in answer.message
    rig.policy.gate.set()
    seen = len(rig.chunks)
    rig.spin_until(lambda: len(rig.chunks) >= seen + 3)
    assert rig.chunks[-1].instruction == "red"


def test_a_model_too_slow_to_replace_its_chunks_looks_thinks_and_lets_them_end(make_rig):
    rig = make_rig(instruction="red", latency_warmup=0)
    rig.start()
    rig.policy.think_s = 0.55

    def slow_chunks():
        return [c for c in rig.chunks if c.chunking_mode is ChunkingMode.SYNCHRONOUS]

    rig.spin_until(lambda: len(slow_chunks()) >= 2)
    slow = slow_chunks()
    assert slow[1].observation_ns >= slow[0].anchor_ns + 8 * slow[0].step_period_ns
    assert slow[1].anchor_ns > slow[1].observation_ns + 500_000_000
    rig.spin_until(lambda: not rig.statuses[-1].feasible)


def test_diagnostics_say_where_the_time_goes(make_rig):
    rig = make_rig(instruction="red")
    heard = []
    rig.peer.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: heard.extend(m.status), 10
    )
    rig.start()
    values = lambda: {v.key: v.value for v in heard[-1].values} if heard else {}  # noqa: E731
    stages = ("camera to observation [ms]", "observation to chunk [ms]")
    rig.spin_until(
        lambda: "denoise [ms]" in values() and all(int(values()[s].split()[-1]) > 3 for s in stages)
    )
    assert heard[-1].name == "inference_node: colours"
    camera, model = (float(values()[s].split()[1]) for s in stages)
    assert 30 < camera < 30_000  # what waits before it comes counts
    assert 0 < model < 30_000


def test_the_status_holds_every_stage_in_the_order_of_the_loop_its_own_and_the_bridges(make_rig):
    rig = make_rig(instruction="red")
    rig.start()
    bridge = rig.peer.create_publisher(StageLatency, "stage_latency", qos.STATUS)
    rig.spin_until(bridge.get_subscription_count)
    told = {
        "camera to command": StageTime(n=9, p50_s=0.08, p95_s=0.09, p99_s=0.1),
        "chunk to safe trajectory": StageTime(n=9, p50_s=0.006, p95_s=0.007, p99_s=0.008),
        "camera to chunk": StageTime(n=9, p50_s=0.07, p95_s=0.08, p99_s=0.09),  # in two parts here
    }
    for msg in stages_to_msgs(told):
        bridge.publish(msg)
    every = [
        "camera to observation",
        "observation to chunk",
        "chunk to safe trajectory",
        "camera to command",
    ]
    rig.spin_until(lambda: rig.statuses and list(rig.statuses[-1].stages) == every)
    newest = rig.statuses[-1]
    assert {name: newest.stages[name] for name in every[2:]} == {
        name: told[name] for name in every[2:]
    }
    assert newest.stages["observation to chunk"].p95_s == newest.latency_p95_s > 0
    assert newest.stages["camera to observation"].p50_s > 0.03  # what waits before it comes counts


def test_without_observations_the_status_says_so(make_rig):
    rig = make_rig(silence_s=0.2)
    rig.start()
    rig.say("red")
    rig.spin_until(lambda: rig.chunks)
    rig.spin_until(lambda: "no observation for" in rig.error, feed=False)


def test_every_activation_is_a_session_of_its_own_and_an_inactive_node_is_silent(make_rig):
    rig = make_rig(instruction="red")
    rig.start()
    rig.spin_until(lambda: rig.chunks)
    first = rig.chunks[-1].session_id
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    rig.spin_until(lambda: rig.observations.get_subscription_count() == 0, feed=False)
    end = time.monotonic() + 0.1
    rig.spin_until(lambda: time.monotonic() > end)
    rig.chunks.clear(), rig.statuses.clear()
    end = time.monotonic() + 0.3
    rig.spin_until(lambda: time.monotonic() > end)
    assert rig.chunks == []
    assert rig.statuses == []
    resets = rig.policy.resets
    assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert rig.policy.resets == resets + 1
    rig.spin_until(lambda: rig.chunks)
    assert rig.chunks[-1].session_id != first
    assert rig.chunks[0].seq == 0
    assert rig.chunks[-1].instruction == "red"


@pytest.mark.parametrize(("imagination", "frames"), [("off", 0), ("keyframes", 1), ("full", 2)])
def test_as_many_imagined_frames_are_published_as_asked_for(make_rig, imagination, frames):
    rig = make_rig(imagination=imagination, instruction="red")
    rig.start()
    rig.spin_until(lambda: len(rig.chunks) >= 5 and (rig.futures or not frames))
    assert {len(f.frames) for f in rig.futures} == ({frames} if frames else set())


def test_a_model_that_cannot_be_loaded_fails_to_configure_by_name(make_rig, capfd):
    rig = make_rig()
    rig.node.policy = None
    assert rig.node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    assert "checkpoint 'nowhere.safetensors' does not exist" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"chunking": "sideways"}, "sideways"),
        ({"value": "beauty"}, "beauty"),
        ({"candidates": 0}, "candidates"),
    ],
)
def test_absurd_chunking_parameters_are_refused_by_name(parameters, why, capfd):
    with pytest.raises(Exception, match=why):
        Rig(ColourPolicy(), **parameters)


@pytest.mark.parametrize("what", [{"chunking": "lookahead"}, {"memory": "imagined"}])
def test_what_goes_on_from_one_imagination_takes_one_candidate(what):
    with pytest.raises(WamError, match="candidates is 2.*must be 1"):
        make_policy(InferenceParams(candidates=2, **what), PANDA, "tiny", "")


def test_a_first_instruction_outside_the_vocabulary_fails_to_configure(make_rig, capfd):
    rig = make_rig(instruction="purple")
    assert rig.node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    assert "known words: red, green, blue" in "".join(capfd.readouterr())


def test_in_lockstep_a_chunk_leaves_when_it_is_due_and_all_have_heard_what_came_before(make_rig):
    rig = make_rig(instruction="red", lockstep=True, use_sim_time=True, latency_s=0.2)
    told = []
    rig.peer.create_subscription(
        LoopProgress,
        "loop_progress",
        lambda m: told.append(convert.progress_from_msg(m)),
        qos.STATUS,
    )
    paces = rig.peer.create_publisher(PaceMsg, "pace", qos.STATUS)
    rig.start()
    rig.spin_until(lambda: told and paces.get_subscription_count(), feed=False)
    rig.see()
    seen_ns = rig.sent_ns
    due_ns = seen_ns + 200_000_000
    rig.spin_until(lambda: told[-1].heard == seen_ns, feed=False)
    assert told[-1].until_ns == due_ns

    def settle(now_ns):
        pace = Pace(now_ns, settled=True, standing=False, speed=1.0, asked=1.0)
        paces.publish(convert.pace_to_msg(pace))

    end = time.monotonic() + 0.5
    settle(due_ns - 20_000_000)
    rig.spin_until(lambda: time.monotonic() > end, feed=False)
    assert rig.chunks == []
    settle(due_ns)
    rig.spin_until(lambda: rig.chunks and told[-1].said == rig.chunks[0].seq + 1, feed=False)
    assert rig.chunks[0].observation_ns == seen_ns
    assert told[-1].until_ns == 0
    assert rig.node._session.scheduler.latency.last_s == pytest.approx(0.2)
