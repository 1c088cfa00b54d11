"""A small recorded run, of which everything is known."""

from dataclasses import replace

import numpy as np

from testing.bags import Bag
from wam_ros.core.appraisal import Appraisal
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.task import TaskEnd, TaskState
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
    Reason,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
    WamStatus,
)

PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
STEP = NS // 10
BEGAN = 1_700_000_000 * NS
STEPS = 40  # observations, ten a second
ARMED, CUT, PRESSED = (
    5,
    20,
    30,
)  # at which of them the arm is armed, a chunk is cut, the arm stopped
WORDS = "pick up the <red> block"  # markup in it must stay text
GREY, IMAGINED = 100, 110  # of every pixel
STRANGE = 25  # the observation that nobody had imagined
SURPRISE = 3.5  # of it
SENTENCE = "the <emergency> stop was pressed"  # so must this


def frames(value):
    """(V, H, W, 3)."""
    size = len(PANDA.view_names), PANDA.image_height, PANDA.image_width, 3
    return np.full(size, value, np.uint8)


def q_at(k):
    """(A,) where the arm is at step k."""
    return np.array(PANDA.home) + 0.01 * k


def write_run(folder, namespace="/", degrees=False):
    """Write it; one chunk for each observation while the arm is armed. With `degrees` the driver
    says those, and the bridge tells rad.
    """
    from sensor_msgs.msg import JointState as JointStateMsg

    from wam_ros.core.admission import Admission
    from wam_ros.msg import EpisodeState
    from wam_ros.ros import convert

    with Bag(folder, namespace) as bag:
        for k in range(STEPS):
            t = BEGAN + k * STEP

            def write(topic, message, ms, t=t):
                bag.write(topic, t + ms * 1_000_000, message)

            seen = frames(200 if k == STRANGE else GREY)
            joints = JointState(t, PANDA.joint_names, q_at(k), np.zeros(N), np.zeros(N))
            stamps = (t - 3_000_000,) * len(PANDA.view_names)
            observation = Observation(t, PANDA.view_names, seen, stamps, joints)
            said = replace(joints, positions=np.degrees(joints.positions)) if degrees else joints
            write("joint_states", convert.joint_state_to_msg(said), 1)
            if degrees:
                write("measured_state", convert.joint_state_to_msg(joints), 2)
            write("observation", convert.observation_to_msg(observation), 10)
            if k % 5 == 0:
                write("wam_status", convert.status_to_msg(status(t, k)), 12)
                bridge = BridgeState(Forwarding.FORWARDING, "forwarding")
                message = convert.bridge_state_to_msg(bridge, "bridge", "panda", Admission())
                write("bridge_state", message, 13)
            moving = ARMED <= k < PRESSED
            if moving:
                early = Appraisal(t, PANDA.view_names, pixel=(0.1, 0.1))
                write("appraisal", convert.appraisal_to_msg(early), 20)
                write("action_chunk", convert.chunk_to_msg(chunk(t, k)), 60)
                told = Appraisal(
                    t, PANDA.view_names, pixel=(0.5, SURPRISE if k == STRANGE else 0.2)
                )
                # with the chunk, after the next observation was appraised when it was seen
                write("appraisal", convert.appraisal_to_msg(told), 125)
                write("imagined_future", convert.imagined_to_msg(future(t, k)), 61)
                motion = trajectory(t, k)
                write("safe_trajectory", convert.trajectory_to_msg(motion), 66)
            write("safety_report", convert.report_to_msg(report(t, k, moving)), 65)
            scene = EpisodeState(seed=7, success=k > 28, instruction=WORDS)
            scene.header.stamp = convert.ns_to_time(t)
            write("episode", scene, 70)
        ended = TaskState(reason=TaskEnd.STOPPED, sentence="safety: " + SENTENCE)
        bag.write("task_state", t, convert.task_state_to_msg(ended, t))
        told = JointStateMsg(name=["gripper_of_another"], position=[0.0])
        told.header.stamp = convert.ns_to_time(BEGAN + STEPS * STEP)
        bag.write("joint_states", BEGAN + STEPS * STEP, told)
    return folder


def status(t, k):
    return WamStatus(
        stamp_ns=t,
        session_id=bytes(16),
        model="tiny",
        instruction=WORDS,
        mode=ChunkingMode.GUIDED,
        latency_last_s=0.05,
        chunks=k,
    )


def chunk(t, k):
    steps = np.arange(1, 9)
    return ActionChunk(
        anchor_ns=t,
        step_period_ns=STEP,
        joint_names=PANDA.joint_names,
        positions=np.stack([q_at(k + s) for s in steps]),
        seq=k,
        embodiment="panda",
        model="tiny",
        checkpoint_hash="0123456789abcdef",
        instruction=WORDS,
        observation_ns=t,
    )


def future(t, k):
    pictures = np.stack([frames(IMAGINED), frames(IMAGINED)])
    instants = (t + 4 * STEP, t + 8 * STEP)
    path = np.stack([q_at(k + s) for s in range(8)])
    return ImaginedFuture(
        chunk_seq=k,
        view_names=PANDA.view_names,
        frames=pictures,
        instants_ns=instants,
        joint_names=PANDA.joint_names,
        joint_path=path,
    )


def trajectory(t, k):
    """From where the one before is by then, 0.01 rad further in each joint."""
    time = np.linspace(0.0, 0.8, 9)
    q = np.array(PANDA.home) + 0.01 * (k + 1) + 0.1 * time[:, None] * np.ones(N)
    dq = np.full_like(q, 0.1)
    return SafeTrajectory(
        q,
        dq,
        0 * q,
        start_ns=t + STEP,
        joint_names=PANDA.joint_names,
        t=time,
        chunk_seq=k,
    )


def report(t, k, moving):
    if not moving:
        pressed = k >= PRESSED
        state = SafetyState.ESTOP if pressed else SafetyState.HOLD
        reasons = Reason.ESTOP if pressed else Reason.NONE
        sentence = SENTENCE if pressed else "held"
        return SafetyReport(t, 0, state, Decision.UNKNOWN, reasons, sentence=sentence)
    cut = k == CUT
    return SafetyReport(
        stamp_ns=t,
        chunk_seq=k,
        state=SafetyState.ARMED,
        decision=Decision.TRUNCATED if cut else Decision.PASS,
        reasons=Reason.POSITION if cut else Reason.NONE,
        steps_accepted=3 if cut else 8,
        steps_total=8,
        nearest_pair=("hand", "table"),
        nearest_distance=0.02 if k == 15 else 0.1,
    )
