from types import SimpleNamespace

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    ChunkingMode,
    Decision,
    Forwarding,
    ImaginedFuture,
    JointState,
    Observation,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.demo.args import DemoArgs
from wam_ros.demo.episodes import Episode
from wam_ros.demo.errors import LoopError, ProcessDiedError
from wam_ros.demo.session import Session
from wam_ros.demo.supervisor import Death

PANDA = load_embodiment("panda")
VIEWS = ("front", "wrist")
STEP, MS = NS // 10, 1_000_000
JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))


class FakeLink:
    """Delivers one prepared message per `spin`."""

    def __init__(self, handlers):
        self.handlers, self.messages = handlers, []
        self.speed, self.missing, self.answers = None, [], {}
        self.joints_ns = NS

    def spin(self, timeout_s):
        if self.messages:
            topic, message, published_ns = self.messages.pop(0)
            self.handlers[topic](message, published_ns)

    def joint_speed(self):
        return self.speed

    def joints(self):
        return joint_message(self.joints_ns, 0.0) if self.speed is not None else None

    def missing_services(self):
        return self.missing

    def call(self, service, **fields):
        answer = self.answers.get(service)
        return SimpleNamespace(done=lambda: answer is not None, result=lambda: answer)


@pytest.fixture
def supervisor():
    fake = SimpleNamespace(dead=[])
    fake.deaths = lambda: fake.dead
    return fake


@pytest.fixture
def session(supervisor):
    return Session(DemoArgs(headless=True, real_time=True), PANDA, supervisor, FakeLink)


def joint_message(stamp_ns, speed):
    stamp = SimpleNamespace(sec=stamp_ns // NS, nanosec=stamp_ns % NS)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp), name=["j"], position=[0.0], velocity=[speed]
    )


def observation(k, value):
    stamp_ns = k * STEP
    return Observation(
        stamp_ns, VIEWS, np.full((2, 4, 4, 3), value, np.uint8), (stamp_ns - 5 * MS,) * 2, JOINTS
    )


def chunk(seq, k, epoch=1, instruction="pick up the red block"):
    return ActionChunk(
        k * STEP,
        STEP,
        ("j",),
        np.zeros((8, 1)),
        seq=seq,
        epoch=epoch,
        instruction=instruction,
        observation_ns=k * STEP,
    )


def deliver(session, *messages):
    session.link.messages = list(messages)
    assert session.spin_until(lambda: not session.link.messages, 5.0)


def begin(session):
    session.instruction, session.epoch = "pick up the red block", 1
    session.episode = Episode(7, session.instruction, 8.0, 0.1)


def sim_message(t, success=False):
    stamp = SimpleNamespace(sec=3, nanosec=5)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp),
        seed=7,
        instruction="",
        t=t,
        success=success,
        wrong=False,
        outcome="success",
        nudged=False,
        violation_names=["velocity"],
        violation_counts=[2],
    )


def test_one_turn_of_the_loop_reaches_every_measure(session):
    begin(session)
    future = ImaginedFuture(
        chunk_seq=3,
        view_names=VIEWS,
        frames=np.full((1, 2, 4, 4, 3), 120, np.uint8),
        instants_ns=(STEP * 5,),
        joint_names=("j",),
        joint_path=np.zeros((8, 1)),
    )
    deliver(
        session,
        ("episode", sim_message(0.4), 0),
        ("observation", observation(1, 100), STEP + 10 * MS),
        ("action_chunk", chunk(3, 1), STEP + 60 * MS),
        ("imagined_future", future, STEP + 60 * MS),
        ("safe_trajectory", (STEP + 90 * MS, "chunk 3"), STEP + 65 * MS),
        ("safety_report", SafetyReport(0, 3, SafetyState.ARMED, Decision.PASS), STEP + 65 * MS),
        (
            "joint_trajectory_controller/joint_trajectory",
            (STEP + 90 * MS, "chunk 3"),
            STEP + 67 * MS,
        ),
        ("observation", observation(5, 130), 5 * STEP + 10 * MS),
        ("episode", sim_message(1.4, success=True), 0),
    )
    stages = [v["p50_ms"] for v in session.latency.summary().values()]
    assert stages == pytest.approx([15, 50, 5, 2, 72])
    front = session.imagination.summary()["front"]["+0.4 s"]
    assert front["gain_db"] == pytest.approx(20 * np.log10(3))
    result = session.episode.result()
    assert (result.outcome, result.chunks, result.decisions) == ("success", 1, {"pass": 1})
    assert result.violations == {"velocity": 2}
    assert session.sim.stamp_ns == 3 * NS + 5
    assert session.safety == SafetyState.ARMED


def test_what_the_bridge_says_is_known(session):
    assert session.bridge is None
    state = BridgeState(Forwarding.PAUSED, "the bridge is paused")
    deliver(session, ("bridge_state", state, 0))
    assert session.bridge == state


def test_nothing_is_measured_between_episodes(session):
    chunks = [("action_chunk", chunk(k, 1), k * STEP) for k in range(5)]
    deliver(session, *chunks, ("observation", observation(1, 100), 0))
    assert session.chunk_rate.rate_hz == 0.0
    assert session.imagination.summary() == {}
    assert session.observation_ns == STEP


def test_latency_is_not_taken_across_two_clocks(supervisor):
    session = Session(DemoArgs(headless=True), PANDA, supervisor, FakeLink)
    begin(session)
    deliver(
        session,
        ("observation", observation(1, 100), 9),
        ("action_chunk", chunk(3, 1), 9),
        ("safe_trajectory", (5, "chunk 3"), 9),
        ("joint_trajectory_controller/joint_trajectory", (5, "chunk 3"), 9),
    )
    assert session.latency.summary() == {}


def test_somebody_elses_instruction_is_noticed_and_a_late_chunk_of_ours_is_not(session):
    begin(session)
    deliver(session, ("action_chunk", chunk(1, 1, epoch=0, instruction="an older one"), 0))
    assert session.redirected == ""
    deliver(session, ("action_chunk", chunk(2, 1, epoch=2, instruction="lift the blue cube"), 0))
    assert session.redirected == "lift the blue cube"


def test_an_instruction_given_between_episodes_is_noticed_once_the_status_must_be_newer_than_ours(
    session,
):
    session.link.answers["inference_node/set_instruction"] = SimpleNamespace(
        ok=True, message="", epoch=4
    )
    session.instruct("red")
    other = WamStatus(0, bytes(16), "tiny", "lift the blue cube", ChunkingMode.REPLACE)
    deliver(session, ("wam_status", other, 0))
    assert session.redirected == ""  # it may be older than our instruction
    deliver(session, ("wam_status", other, 0))
    assert session.redirected == "lift the blue cube"
    session.instruct("red")
    assert session.redirected == ""


def test_a_dead_process_ends_every_wait(session, supervisor):
    supervisor.dead = [Death("camera_node", -9, ())]
    with pytest.raises(ProcessDiedError, match="camera_node was killed by SIGKILL"):
        session.spin_until(lambda: False, 60.0)


def test_what_is_missing_at_the_start_is_named(session):
    session.link.missing = ["safety_node/arm"]
    session.link.speed = 0.0
    deliver(session, ("observation", observation(1, 0), 0))
    with pytest.raises(
        LoopError, match="no wam_status, safety_report, episode, safety_node/arm"
    ) as caught:
        session.wait_ready(0.0)
    assert "joint_states" not in str(caught.value)
    assert "observation" not in str(caught.value)


def test_a_service_without_an_answer_is_named(session):
    with pytest.raises(LoopError, match="safety_node/arm did not answer"):
        session.call("safety_node/arm", timeout_s=0.0, data=True)


def test_a_refused_instruction_is_the_users_error_with_the_models_words(session):
    session.link.answers["inference_node/set_instruction"] = SimpleNamespace(
        ok=False, message="I know: red", epoch=0
    )
    with pytest.raises(WamError, match="I know: red"):
        session.instruct("fly")
    session.link.answers["inference_node/set_instruction"] = SimpleNamespace(
        ok=True, message="", epoch=4
    )
    session.instruct("red")
    assert (session.instruction, session.epoch) == ("red", 4)


@pytest.mark.parametrize(
    ("speed", "rest"), [(None, None), (0.0, True), (0.019, True), (0.021, False)]
)
def test_rest_is_known_only_from_joint_states(session, speed, rest):
    session.link.speed = speed
    assert session.at_rest is rest
    assert session.moving is (rest is False)
    assert session.joints_ns == (NS if speed is not None else 0)


def test_an_arm_that_is_seen_before_its_last_command_has_ended_is_not_at_rest(session):
    session.link.speed = 0.0
    moving = [("commanded_state", joint_message(round(t * NS), 0.3), 0) for t in (9.9, 10.0)]
    deliver(session, *moving, ("commanded_state", joint_message(11 * NS, 0.0), 0))
    for seconds, rest in ((9.0, False), (10.0, False), (10.1, False), (10.3, True)):
        session.link.joints_ns = round(seconds * NS)
        assert session.at_rest is rest, seconds
