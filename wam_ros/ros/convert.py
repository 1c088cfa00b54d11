"""Messages to our types and back: the only place where one becomes the other. Sizes in messages are
never trusted.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros import msg as wam_msg
from wam_ros.core.admission import Admission
from wam_ros.core.appraisal import Appraisal, Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.idle import Idle
from wam_ros.core.lockstep import Pace, Progress
from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.core.types import (
    ActionChunk,
    BridgeState,
    ChunkingMode,
    Conditioning,
    ControlMode,
    Decision,
    Forwarding,
    ImaginedFuture,
    JointState,
    Observation,
    Reason,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.core.words import BRIDGE
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
from wam_ros.ros.images import image_from_wire, image_to_numpy, numpy_to_image
from wam_ros.ros.stages import stages_from_msgs, stages_to_msgs
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
    "chunk_from_msg",
    "chunk_to_msg",
    "idle_from_msg",
    "image_from_wire",
    "image_to_numpy",
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

# key of a value of the bridge's state; characters of a sentence
_ERROR = "last refusal"
_RELEASED = "others may move the arm"
_WORDS = 300
# keys of other values
_IDLE = "nothing is commanded at [ns]"
_REFUSED = "refused start [ns] and chunk"
_ADMISSION = tuple(f.name for f in dataclasses.fields(Admission))
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

_OUTLOOK = ("done", "failed", "done_ahead", "failed_ahead")
_TASK = "running instruction succeeded elapsed_s progress surprise sentence".split()


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


def appraisal_to_msg(a: Appraisal) -> wam_msg.Appraisal:
    """Appraisal message; a view of which nothing is known is NaN."""
    unknown = [float("nan")] * len(a.view_names)
    msg = wam_msg.Appraisal(epoch=a.epoch, instruction=a.instruction, surprise=a.surprise)
    msg.header.stamp = ns_to_time(a.stamp_ns)
    msg.view_names = list(a.view_names)
    msg.pixel_surprise = list(a.pixel) or unknown
    msg.latent_surprise = list(a.latent) or unknown
    msg.rows, msg.columns = a.heat.shape[1:]
    msg.heat = array.array("f", a.heat.astype(np.float32).tobytes())
    for name in _OUTLOOK:
        setattr(msg, name, float(getattr(a.outlook, name)))
    return msg


def appraisal_from_msg(msg: wam_msg.Appraisal) -> Appraisal:
    """Appraisal; raises `WamError` when sizes contradict each other."""
    views = tuple(msg.view_names)
    found = []
    for name in ("pixel_surprise", "latent_surprise"):
        values = tuple(getattr(msg, name))
        require_size(f"Appraisal.{name}", len(values), len(views))
        found.append(values if np.isfinite(values).all() else ())
    rows, columns = msg.rows, msg.columns
    shape = (len(views) if rows * columns else 0, rows, columns)
    return Appraisal(
        stamp_ns=time_to_ns(msg.header.stamp),
        view_names=views,
        epoch=msg.epoch,
        instruction=msg.instruction,
        pixel=found[0],
        latent=found[1],
        heat=matrix("Appraisal.heat", msg.heat, shape),
        outlook=Outlook(**{name: getattr(msg, name) for name in _OUTLOOK}),
    )


def task_state_to_msg(t: TaskState, stamp_ns: int) -> wam_msg.TaskState:
    """Message of how a task goes, as of `stamp_ns`."""
    msg = wam_msg.TaskState(**{name: getattr(t, name) for name in _TASK})
    msg.header.stamp = ns_to_time(stamp_ns)
    msg.then = list(t.then)
    msg.reason = int(t.reason)
    return msg


def task_state_from_msg(msg: wam_msg.TaskState) -> TaskState:
    """How a task goes; raises `WamError` when the reason is unknown."""
    return TaskState(
        then=tuple(msg.then),
        reason=enum_member("TaskState.reason", TaskEnd, msg.reason),
        **{name: getattr(msg, name) for name in _TASK},
    )


def admission_to_msg(admission: Admission) -> wam_msg.Admission:
    """What the bridge admits, as a message."""
    return wam_msg.Admission(**{name: getattr(admission, name) for name in _ADMISSION})


def admission_from_msg(msg: wam_msg.Admission) -> Admission | None:
    """What the bridge is taken to admit; None where that is not said or is out of all bounds."""
    try:
        return Admission(**{name: getattr(msg, name) for name in _ADMISSION})
    except WamError:
        return None


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


def progress_to_msg(p: Progress) -> wam_msg.LoopProgress:
    """Message of how far a node has come."""
    msg = wam_msg.LoopProgress(heard=p.heard, said=p.said, until=p.until_ns, leaves=p.leaves)
    msg.header.stamp = ns_to_time(p.at_ns)
    msg.header.frame_id = p.node
    return msg


def progress_from_msg(msg: wam_msg.LoopProgress) -> Progress:
    """How far a node says that it has come."""
    return Progress(
        node=msg.header.frame_id,
        at_ns=time_to_ns(msg.header.stamp),
        heard=msg.heard,
        said=msg.said,
        until_ns=msg.until,
        leaves=msg.leaves,
    )


def pace_to_msg(p: Pace) -> wam_msg.Pace:
    """Message of how a simulated world keeps time."""
    msg = wam_msg.Pace(
        settled=p.settled,
        standing=p.standing,
        speed=p.speed,
        asked=p.asked,
        awaited=list(p.awaited),
    )
    msg.header.stamp = ns_to_time(p.now_ns)
    return msg


def pace_from_msg(msg: wam_msg.Pace) -> Pace:
    """How a simulated world says that it keeps time."""
    return Pace(
        now_ns=time_to_ns(msg.header.stamp),
        settled=msg.settled,
        standing=msg.standing,
        speed=msg.speed,
        asked=msg.asked,
        awaited=tuple(msg.awaited),
    )


def bridge_state_to_msg(
    s: BridgeState, name: str, hardware: str, admission: Admission, idle: Idle | None = None
) -> DiagnosticStatus:
    """State of the bridge, and what it admits, as one diagnostic; `name` and `hardware` are those
    of the node and of the robot.
    """
    values = [
        KeyValue(key="state", value=s.forwarding.name.lower()),
        KeyValue(key=_ERROR, value=s.error),
        KeyValue(key=_RELEASED, value=str(s.released).lower()),
        *(KeyValue(key=f"{n} [s]", value=repr(getattr(admission, n))) for n in _ADMISSION),
    ]
    if idle is not None:
        values.append(KeyValue(key=_IDLE, value=str(idle.at_ns)))
        values += (
            [KeyValue(key=_REFUSED, value="{} {}".format(*idle.refused))] if idle.refused else []
        )
    level = bytes([s.forwarding])
    return DiagnosticStatus(
        level=level, name=name, hardware_id=hardware, message=s.words, values=values
    )


def bridge_state_from_msg(msg: DiagnosticStatus) -> BridgeState:
    """State of the bridge; a level that is not known does not let motion begin, and a state is
    never without words.
    """
    # one byte, or its number where the message was read from a recording
    level = msg.level[0] if isinstance(msg.level, bytes) else int(msg.level)
    forwarding = Forwarding(level) if level in set(Forwarding) else Forwarding.HELD_BACK
    said = {v.key: v.value[:_WORDS] for v in msg.values}
    return BridgeState(
        forwarding,
        msg.message[:_WORDS] or BRIDGE[forwarding].said,
        error=said.get(_ERROR, ""),
        released=said.get(_RELEASED) == "true",
    )


def idle_from_msg(msg: DiagnosticStatus) -> Idle | None:
    """What a state of the bridge says of commanding nothing; None when it commands or what it says
    is no number.
    """
    values = {v.key: v.value[:_WORDS] for v in msg.values}
    try:
        at_ns = int(values[_IDLE])
        refused = [int(word) for word in values.get(_REFUSED, "").split()]
    except (KeyError, ValueError):
        return None
    return Idle(at_ns, (refused[0], refused[1]) if len(refused) == 2 else None)


def admission_from_state(msg: DiagnosticStatus) -> Admission | None:
    """What a state of the bridge says that it admits; None where that is not said, is no number or
    is out of all bounds.
    """
    values = {v.key: v.value[:_WORDS] for v in msg.values}
    try:
        return Admission(**{name: float(values[f"{name} [s]"]) for name in _ADMISSION})
    except (KeyError, ValueError, WamError):
        return None
