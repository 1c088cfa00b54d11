"""Messages to our types and back: the only place where one becomes the other. Sizes in messages are
never trusted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros import msg as wam_msg
from wam_ros.core.admission import Admission
from wam_ros.core.errors import WamError
from wam_ros.core.types import (
    ActionChunk,
    ChunkingMode,
    Conditioning,
    ControlMode,
    Decision,
    ImaginedFuture,
    JointState,
    Observation,
    Reason,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.ros.bridge_states import (
    admission_from_msg,
    admission_from_state,
    admission_to_msg,
    bridge_state_from_msg,
    bridge_state_to_msg,
    idle_from_msg,
)
from wam_ros.ros.candidates import candidates_from_msg, candidates_to_msg
from wam_ros.ros.fields import (
    doubles,
    enum_member,
    image_array,
    image_bytes,
    matrix,
    ns_to_duration,
    ns_to_time,
    require_size,
    time_to_ns,
)
from wam_ros.ros.images import image_from_wire, image_to_numpy, image_to_wire, numpy_to_image
from wam_ros.ros.paces import pace_from_msg, pace_to_msg, progress_from_msg, progress_to_msg
from wam_ros.ros.recorder_states import recorder_state_from_msg, recorder_state_to_msg
from wam_ros.ros.stages import stages_from_msgs, stages_to_msgs
from wam_ros.ros.tasks import (
    appraisal_from_msg,
    appraisal_to_msg,
    task_state_from_msg,
    task_state_to_msg,
)
from wam_ros.ros.trajectories import (
    sender_from_wire,
    trajectory_from_msg,
    trajectory_from_wire,
    trajectory_to_msg,
    trajectory_to_wire,
)

__all__ = [
    "admission_from_msg",
    "admission_from_state",
    "admission_to_msg",
    "appraisal_from_msg",
    "appraisal_to_msg",
    "bridge_state_from_msg",
    "bridge_state_to_msg",
    "candidates_from_msg",
    "candidates_to_msg",
    "chunk_from_msg",
    "chunk_to_msg",
    "idle_from_msg",
    "image_from_wire",
    "image_to_numpy",
    "image_to_wire",
    "imagined_from_msg",
    "imagined_to_msg",
    "joint_state_from_msg",
    "joint_state_to_msg",
    "ns_to_time",
    "numpy_to_image",
    "observation_from_msg",
    "observation_to_msg",
    "pace_from_msg",
    "pace_to_msg",
    "progress_from_msg",
    "progress_to_msg",
    "recorder_state_from_msg",
    "recorder_state_to_msg",
    "report_from_msg",
    "report_to_msg",
    "sender_from_wire",
    "status_from_msg",
    "status_to_msg",
    "task_state_from_msg",
    "task_state_to_msg",
    "time_to_ns",
    "trajectory_from_msg",
    "trajectory_from_wire",
    "trajectory_to_msg",
    "trajectory_to_wire",
]

# Fields whose name, type and meaning are the same on both sides.
_CHUNK = (
    "schema_version seq epoch embodiment model checkpoint_hash instruction committed_steps "
    "inference_s"
    " denoise_evaluations value trace_id"
).split()
_REPORT = (
    "chunk_seq scale steps_accepted steps_total first_joint first_step measured allowed unit "
    "nearest_distance"
    " stop_time_s compute_s sentence"
).split()
_STATUS = (
    "model instruction latency_last_s latency_p50_s latency_p95_s delay_steps execute_steps "
    "horizon_steps feasible"
    " slack_s underruns chunks dropped error"
).split()


def joint_state_from_msg(msg: JointStateMsg, joint_names: Sequence[str]) -> JointState:
    """The named joints, in the order of `joint_names`; velocities or efforts that are not published
    are NaN.

    Raises:
        WamError: joints are missing (all are listed) or named twice, or an array does not match
            `name`.
    """
    index = {name: i for i, name in enumerate(msg.name)}
    if len(index) < len(msg.name):
        twice = sorted({name for name in joint_names if msg.name.count(name) > 1})
        if twice:
            raise WamError(f"joint_states says two things about {', '.join(twice)}")
    missing = [name for name in joint_names if name not in index]
    if missing:
        found = ", ".join(msg.name[:20]) or "none"
        raise WamError(f"joint_states lacks {', '.join(missing)}; it has {found}")
    columns = [index[name] for name in joint_names]
    values = []
    for field, required in (("position", True), ("velocity", False), ("effort", False)):
        data = getattr(msg, field)
        if len(data) != len(msg.name) and (required or len(data)):
            raise WamError(
                f"JointState.{field}: expected {len(msg.name)} values, found {len(data)}"
            )
        values.append(np.array(data)[columns] if len(data) else np.full(len(columns), np.nan))
    return JointState(time_to_ns(msg.header.stamp), tuple(joint_names), *values)


def joint_state_to_msg(state: JointState) -> JointStateMsg:
    """Joint state message; velocities or efforts of which none is known are left out, as drivers
    do.
    """
    msg = JointStateMsg(name=list(state.joint_names), position=doubles(state.positions))
    msg.header.stamp = ns_to_time(state.stamp_ns)
    if not np.isnan(state.velocities).all():
        msg.velocity = doubles(state.velocities)
    if not np.isnan(state.efforts).all():
        msg.effort = doubles(state.efforts)
    return msg


def observation_to_msg(o: Observation) -> wam_msg.Observation:
    """Observation message."""
    msg = wam_msg.Observation(
        view_names=list(o.view_names), height=o.frames.shape[1], width=o.frames.shape[2]
    )
    msg.header.stamp = ns_to_time(o.stamp_ns)
    msg.frames = image_bytes(o.frames)
    msg.frame_stamps = [ns_to_time(ns) for ns in o.frame_stamps_ns]
    msg.joint_stamp = ns_to_time(o.joints.stamp_ns)
    msg.joint_names = list(o.joints.joint_names)
    msg.positions = doubles(o.joints.positions)
    msg.velocities = doubles(o.joints.velocities)
    msg.efforts = doubles(o.joints.efforts)
    msg.age = ns_to_duration(o.age_ns)
    return msg


def observation_from_msg(msg: wam_msg.Observation) -> Observation:
    """Observation; raises `WamError` when sizes contradict each other."""
    views = tuple(msg.view_names)
    n = len(msg.joint_names)
    require_size("Observation.frame_stamps", len(msg.frame_stamps), len(views))
    joints = JointState(
        time_to_ns(msg.joint_stamp),
        tuple(msg.joint_names),
        matrix("Observation.positions", msg.positions, (n,)),
        matrix("Observation.velocities", msg.velocities, (n,)),
        matrix("Observation.efforts", msg.efforts, (n,)),
    )
    frames = image_array("Observation.frames", msg.frames, (len(views), msg.height, msg.width, 3))
    stamps = tuple(time_to_ns(t) for t in msg.frame_stamps)
    return Observation(
        stamp_ns=time_to_ns(msg.header.stamp),
        view_names=views,
        frames=frames,
        frame_stamps_ns=stamps,
        joints=joints,
        age_ns=time_to_ns(msg.age),
    )


def chunk_to_msg(c: ActionChunk) -> wam_msg.ActionChunk:
    """Action chunk message."""
    msg = wam_msg.ActionChunk(**{name: getattr(c, name) for name in _CHUNK})
    msg.header.stamp = ns_to_time(c.anchor_ns)
    msg.step_period = ns_to_duration(c.step_period_ns)
    msg.observation_stamp = ns_to_time(c.observation_ns)
    msg.valid_until = ns_to_time(c.valid_until_ns)
    msg.session_id = np.frombuffer(c.session_id, np.uint8)
    msg.conditioning = int(c.conditioning)
    msg.control_mode = int(c.control_mode)
    msg.chunking_mode = int(c.chunking_mode)
    msg.joint_names = list(c.joint_names)
    msg.n_steps, msg.n_dof = c.positions.shape
    msg.positions = doubles(c.positions)
    if c.velocities is not None:
        msg.velocities = doubles(c.velocities)
    if c.efforts is not None:
        msg.efforts = doubles(c.efforts)
    return msg


def chunk_from_msg(msg: wam_msg.ActionChunk) -> ActionChunk:
    """Action chunk; raises `WamError` when sizes contradict each other or a mode is unknown.

    Numbers are not judged here: a chunk with NaN or wild positions converts, and the safety filter
    refuses it.
    """
    shape = (msg.n_steps, msg.n_dof)
    require_size("ActionChunk.joint_names", len(msg.joint_names), msg.n_dof)
    return ActionChunk(
        anchor_ns=time_to_ns(msg.header.stamp),
        step_period_ns=time_to_ns(msg.step_period),
        joint_names=tuple(msg.joint_names),
        positions=matrix("ActionChunk.positions", msg.positions, shape),
        velocities=matrix("ActionChunk.velocities", msg.velocities, shape)
        if len(msg.velocities)
        else None,
        efforts=matrix("ActionChunk.efforts", msg.efforts, shape) if len(msg.efforts) else None,
        session_id=bytes(msg.session_id),
        observation_ns=time_to_ns(msg.observation_stamp),
        conditioning=enum_member("ActionChunk.conditioning", Conditioning, msg.conditioning),
        control_mode=enum_member("ActionChunk.control_mode", ControlMode, msg.control_mode),
        chunking_mode=enum_member("ActionChunk.chunking_mode", ChunkingMode, msg.chunking_mode),
        valid_until_ns=time_to_ns(msg.valid_until),
        **{name: getattr(msg, name) for name in _CHUNK},
    )


def imagined_to_msg(f: ImaginedFuture) -> wam_msg.ImaginedFuture:
    """Imagined future message."""
    msg = wam_msg.ImaginedFuture(chunk_seq=f.chunk_seq, surprise=float(f.surprise))
    msg.view_names = list(f.view_names)
    msg.joint_names = list(f.joint_names)
    msg.height, msg.width = f.frames.shape[2:4]
    msg.frames = image_bytes(f.frames)
    msg.instants = [ns_to_time(ns) for ns in f.instants_ns]
    msg.n_steps, msg.n_dof = f.joint_path.shape
    msg.joint_path = doubles(f.joint_path)
    return msg


def imagined_from_msg(msg: wam_msg.ImaginedFuture) -> ImaginedFuture:
    """Imagined future; raises `WamError` when sizes contradict each other."""
    views = tuple(msg.view_names)
    n_frames = len(msg.instants)
    require_size("ImaginedFuture.joint_names", len(msg.joint_names), msg.n_dof)
    return ImaginedFuture(
        chunk_seq=msg.chunk_seq,
        view_names=views,
        frames=image_array(
            "ImaginedFuture.frames", msg.frames, (n_frames, len(views), msg.height, msg.width, 3)
        ),
        instants_ns=tuple(time_to_ns(t) for t in msg.instants),
        joint_names=tuple(msg.joint_names),
        joint_path=matrix("ImaginedFuture.joint_path", msg.joint_path, (msg.n_steps, msg.n_dof)),
        surprise=msg.surprise,
    )


def report_to_msg(
    r: SafetyReport, sender: str = "", admission: Admission | None = None
) -> wam_msg.SafetyReport:
    """Safety report message; who says it stands in `frame_id`, and what he takes the bridge to
    admit beside it.
    """
    msg = wam_msg.SafetyReport(**{name: getattr(r, name) for name in _REPORT})
    msg.header.stamp = ns_to_time(r.stamp_ns)
    msg.header.frame_id = sender
    msg.state = int(r.state)
    msg.decision = int(r.decision)
    msg.reasons = int(r.reasons)
    msg.nearest_pair = list(r.nearest_pair)
    if admission is not None:
        msg.admission = admission_to_msg(admission)
    return msg


def report_from_msg(msg: wam_msg.SafetyReport) -> SafetyReport:
    """Safety report; raises `WamError` when a state or a decision is unknown."""
    first, second = msg.nearest_pair
    return SafetyReport(
        stamp_ns=time_to_ns(msg.header.stamp),
        state=enum_member("SafetyReport.state", SafetyState, msg.state),
        decision=enum_member("SafetyReport.decision", Decision, msg.decision),
        reasons=Reason(msg.reasons),
        nearest_pair=(first, second),
        **{name: getattr(msg, name) for name in _REPORT},
    )


def status_to_msg(s: WamStatus) -> wam_msg.WamStatus:
    """Status message."""
    msg = wam_msg.WamStatus(**{name: getattr(s, name) for name in _STATUS})
    msg.header.stamp = ns_to_time(s.stamp_ns)
    msg.session_id = np.frombuffer(s.session_id, np.uint8)
    msg.mode = int(s.mode)
    msg.stages = stages_to_msgs(s.stages)
    msg.vocabulary = list(s.vocabulary)
    msg.choose_one = list(s.choose_one)
    return msg


def status_from_msg(msg: wam_msg.WamStatus) -> WamStatus:
    """Status; raises `WamError` when the mode is unknown."""
    return WamStatus(
        stamp_ns=time_to_ns(msg.header.stamp),
        session_id=bytes(msg.session_id),
        mode=enum_member("WamStatus.mode", ChunkingMode, msg.mode),
        stages=stages_from_msgs(msg.stages),
        vocabulary=tuple(msg.vocabulary),
        choose_one=tuple(msg.choose_one),
        **{name: getattr(msg, name) for name in _STATUS},
    )
