"""Messages and types hold the same: any content survives both ways, any wrong size is refused by
name.
"""

import array
import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros import msg as wam_msg
from wam_ros.core import types
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.appraisal import Appraisal, Outlook
from wam_ros.core.errors import WamError
from wam_ros.core.idle import Idle
from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.ros import convert

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
property_test = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

stamps = st.integers(0, 2**31 * types.NS - 1)
numbers = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
counts = st.integers(0, 2**32 - 1)
names = st.lists(texts, max_size=4).map(tuple)


def arrays(shape):
    return st.lists(numbers, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda v: np.array(v, float).reshape(shape)
    )


def frames(shape):
    n = int(np.prod(shape))
    return st.binary(min_size=n, max_size=n).map(
        lambda b: np.frombuffer(b, np.uint8).reshape(shape)
    )


@st.composite
def joint_states(draw, finite_names=None):
    joints = finite_names or draw(names)
    n = (len(joints),)
    return types.JointState(draw(stamps), joints, draw(arrays(n)), draw(arrays(n)), draw(arrays(n)))


@st.composite
def observations(draw):
    views = draw(names)
    shape = (len(views), draw(st.integers(0, 4)), draw(st.integers(0, 4)), 3)
    stamped = tuple(draw(stamps) for _ in views)
    age = draw(st.integers(-types.NS, 10 * types.NS))
    return types.Observation(
        stamp_ns=draw(stamps),
        view_names=views,
        frames=draw(frames(shape)),
        frame_stamps_ns=stamped,
        joints=draw(joint_states()),
        age_ns=age,
    )


@st.composite
def chunks(draw):
    joints = draw(names)
    shape = (draw(st.integers(0, 5)), len(joints))
    full = shape[0] * shape[1] > 0  # an empty array means absent
    return types.ActionChunk(
        anchor_ns=draw(stamps),
        step_period_ns=draw(st.integers(-types.NS, 10 * types.NS)),
        joint_names=joints,
        positions=draw(arrays(shape)),
        velocities=draw(st.none() | arrays(shape)) if full else None,
        efforts=draw(st.none() | arrays(shape)) if full else None,
        session_id=draw(st.binary(min_size=16, max_size=16)),
        seq=draw(st.integers(0, 2**64 - 1)),
        epoch=draw(counts),
        embodiment=draw(texts),
        model=draw(texts),
        checkpoint_hash=draw(texts),
        instruction=draw(texts),
        observation_ns=draw(stamps),
        conditioning=draw(st.sampled_from(types.Conditioning)),
        control_mode=draw(st.sampled_from(types.ControlMode)),
        committed_steps=draw(counts),
        chunking_mode=draw(st.sampled_from(types.ChunkingMode)),
        valid_until_ns=draw(stamps),
        inference_s=draw(numbers),
        denoise_evaluations=draw(counts),
        value=draw(numbers),
        trace_id=draw(st.integers(0, 2**64 - 1)),
        schema_version=draw(st.integers(0, 2**16 - 1)),
    )


@st.composite
def futures(draw):
    views, joints, instants = draw(names), draw(names), tuple(draw(st.lists(stamps, max_size=2)))
    n_frames = len(instants)
    shape = (n_frames, len(views), draw(st.integers(0, 3)), draw(st.integers(0, 3)), 3)
    path = draw(arrays((draw(st.integers(0, 4)), len(joints))))
    seq = draw(st.integers(0, 2**64 - 1))
    return types.ImaginedFuture(
        chunk_seq=seq,
        view_names=views,
        frames=draw(frames(shape)),
        instants_ns=instants,
        joint_names=joints,
        joint_path=path,
        surprise=draw(numbers),
    )


def scalars(cls, **special):
    """Instances of a dataclass of scalars, by the type of each field."""
    kinds = {"float": numbers, "str": texts, "bool": st.booleans()}
    fields = {
        f.name: special.get(f.name, kinds.get(f.type, counts)) for f in dataclasses.fields(cls)
    }
    return st.builds(cls, **fields)


reports = scalars(
    types.SafetyReport,
    stamp_ns=stamps,
    state=st.sampled_from(types.SafetyState),
    decision=st.sampled_from(types.Decision),
    reasons=st.integers(0, 2**25 - 1).map(types.Reason),
    first_step=st.integers(-1, 2**31 - 1),
    nearest_pair=st.tuples(texts, texts),
)
statuses = scalars(
    types.WamStatus,
    stages=st.dictionaries(
        texts, scalars(types.StageLatency, n=st.integers(0, 2**32 - 1)), max_size=3
    ),
    stamp_ns=stamps,
    session_id=st.binary(min_size=16, max_size=16),
    mode=st.sampled_from(types.ChunkingMode),
    vocabulary=st.lists(texts, max_size=3).map(tuple),
    choose_one=st.lists(texts, max_size=3).map(tuple),
)


@st.composite
def trajectories(draw):
    joints = draw(st.lists(texts, min_size=1, max_size=3).map(tuple))
    steps = draw(st.lists(st.integers(1, types.NS), max_size=4))
    t = np.cumsum([0, *steps]) / types.NS
    shape = (len(t), len(joints))
    rows = [draw(arrays(shape)) for _ in range(3)]
    return types.SafeTrajectory(
        *rows, start_ns=draw(stamps), joint_names=joints, t=t, chunk_seq=draw(st.integers(0, 2**63))
    )


@st.composite
def candidates(draw):
    joints = draw(st.lists(texts, min_size=1, max_size=3).map(tuple))
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    return types.Candidates(
        anchor_ns=draw(stamps),
        step_period_ns=draw(st.integers(1, types.NS)),
        joint_names=joints,
        positions=tuple(draw(arrays((n, len(joints)))) for n in lengths),
    )


@st.composite
def appraisals(draw):
    views = draw(st.lists(texts, min_size=1, max_size=3).map(tuple))
    finite = st.floats(0, 1e9)
    known = [draw(st.booleans()) for _ in range(2)]
    each = [tuple(draw(finite) for _ in views) if k else () for k in known]
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (len(views), rows, columns) if any(known) else (0, 0, 0)
    with np.errstate(over="ignore"):
        heat = draw(arrays(shape)).astype(np.float32).astype(np.float64)
    return Appraisal(
        stamp_ns=draw(stamps),
        view_names=views,
        epoch=draw(counts),
        instruction=draw(texts),
        pixel=each[0],
        latent=each[1],
        heat=heat,
        outlook=Outlook(*(draw(numbers) for _ in range(4))),
    )


PAIRS = {
    Appraisal: (appraisals(), convert.appraisal_to_msg, convert.appraisal_from_msg),
    TaskState: (
        scalars(
            TaskState,
            then=st.lists(texts, max_size=3).map(tuple),
            reason=st.sampled_from(TaskEnd),
        ),
        lambda state: convert.task_state_to_msg(state, 0),
        convert.task_state_from_msg,
    ),
    types.Observation: (observations(), convert.observation_to_msg, convert.observation_from_msg),
    types.ActionChunk: (chunks(), convert.chunk_to_msg, convert.chunk_from_msg),
    types.ImaginedFuture: (futures(), convert.imagined_to_msg, convert.imagined_from_msg),
    types.Candidates: (candidates(), convert.candidates_to_msg, convert.candidates_from_msg),
    types.SafetyReport: (reports, convert.report_to_msg, convert.report_from_msg),
    types.WamStatus: (statuses, convert.status_to_msg, convert.status_from_msg),
    types.SafeTrajectory: (trajectories(), convert.trajectory_to_msg, convert.trajectory_from_msg),
}


def assert_same(a, b, where=""):
    """Equal to the last bit, NaN equal to NaN, types and dtypes included."""
    assert type(a) is type(b), where
    if dataclasses.is_dataclass(a):
        for f in dataclasses.fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, where)
    elif isinstance(a, float):
        np.testing.assert_array_equal(a, b, where)
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, tuple):
        assert len(a) == len(b), where
        for k, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_same(one, other, f"{where}[{k}]")
    else:
        assert a == b, where


@pytest.mark.parametrize("kind", PAIRS, ids=lambda k: k.__name__)
@property_test
@given(data=st.data())
def test_any_content_survives_both_ways_and_the_wire(kind, data):
    strategy, to_msg, from_msg = PAIRS[kind]
    value = data.draw(strategy)
    msg = to_msg(value)
    assert_same(value, from_msg(deserialize_message(serialize_message(msg), type(msg))))


@property_test
@given(state=joint_states(("a", "b", "c")))
def test_joint_states_survive_and_absent_quantities_are_nan(state):
    wire = deserialize_message(serialize_message(convert.joint_state_to_msg(state)), JointStateMsg)
    assert_same(state, convert.joint_state_from_msg(wire, state.joint_names))
    reordered = convert.joint_state_from_msg(wire, ("c", "a"))
    np.testing.assert_array_equal(reordered.positions, state.positions[[2, 0]])


@pytest.mark.parametrize(
    "cls",
    [c for c in PAIRS if c not in (types.SafeTrajectory, types.Candidates)],
    ids=lambda k: k.__name__,
)
def test_every_field_of_a_type_is_in_its_message(cls):
    renamed = {
        **{
            "stamp_ns": "header",
            "anchor_ns": "header",
            "step_period_ns": "step_period",
            "age_ns": "age",
        },
        **{
            "observation_ns": "observation_stamp",
            "valid_until_ns": "valid_until",
            "instants_ns": "instants",
        },
        **{"pixel": "pixel_surprise", "latent": "latent_surprise", "outlook": "done_ahead"},
        **{"frame_stamps_ns": "frame_stamps", "joints": "joint_names"},
    }
    fields = getattr(wam_msg, cls.__name__).get_fields_and_field_types()
    assert [
        f.name for f in dataclasses.fields(cls) if renamed.get(f.name, f.name) not in fields
    ] == []


@pytest.mark.parametrize(
    ("message", "prefix", "kind"),
    [
        (wam_msg.ActionChunk, "CONDITIONING", types.Conditioning),
        (wam_msg.ActionChunk, "CONTROL_MODE", types.ControlMode),
        (wam_msg.ActionChunk, "CHUNKING_MODE", types.ChunkingMode),
        (wam_msg.WamStatus, "CHUNKING_MODE", types.ChunkingMode),
        (wam_msg.SafetyReport, "STATE", types.SafetyState),
        (wam_msg.SafetyReport, "DECISION", types.Decision),
        (wam_msg.SafetyReport, "REASON", types.Reason),
    ],
)
def test_constants_of_messages_are_the_enumerations(message, prefix, kind):
    constants = {n: getattr(message, n) for n in dir(type(message)) if n.startswith(prefix + "_")}
    assert constants == {f"{prefix}_{n}": int(v) for n, v in kind.__members__.items()}


def spoilt_candidates(spoil):
    q = np.zeros((2, 1))
    msg = convert.candidates_to_msg(types.Candidates(5, types.NS, ("a",), (q, q)))
    spoil(msg)
    return msg


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.points.clear(), "points is empty"),
        (lambda m: m.points[1].positions.append(1.0), r"points\[1\].positions"),
        (lambda m: setattr(m.points[3].time_from_start, "sec", 3), r"points\[3\].time_from_start"),
        (lambda m: setattr(m.points[0].time_from_start, "sec", 0), r"points\[0\].time_from_start"),
        (lambda m: setattr(m, "points", m.points * 20), "40 of them, 32 are the most"),
    ],
)
def test_candidates_that_are_not_steps_of_one_period_each_are_refused(spoil, words):
    with pytest.raises(WamError, match=words):
        convert.candidates_from_msg(spoilt_candidates(spoil))


def test_no_controller_takes_candidates_for_a_trajectory():
    with pytest.raises(WamError):
        convert.trajectory_from_msg(spoilt_candidates(lambda m: None))


def observation_msg():
    joints = types.JointState(5, ("a", "b"), np.zeros(2), np.zeros(2), np.zeros(2))
    return convert.observation_to_msg(
        types.Observation(5, ("front",), np.zeros((1, 2, 2, 3), np.uint8), (5,), joints)
    )


def chunk_msg():
    return convert.chunk_to_msg(
        types.ActionChunk(5, 1, ("a", "b"), np.zeros((3, 2)), velocities=np.zeros((3, 2)))
    )


def imagined_msg():
    frame = np.zeros((1, 1, 2, 2, 3), np.uint8)
    return convert.imagined_to_msg(
        types.ImaginedFuture(
            chunk_seq=1,
            view_names=("front",),
            frames=frame,
            instants_ns=(5,),
            joint_names=("a",),
            joint_path=np.zeros((3, 1)),
        )
    )


def trajectory_msg():
    q = np.zeros((2, 2))
    return convert.trajectory_to_msg(
        types.SafeTrajectory(
            start_ns=5, joint_names=("a", "b"), t=np.array([0.0, 0.1]), q=q, dq=q, ddq=q
        )
    )


BIG = 2**32 - 1
HOSTILE = [
    (observation_msg, "frames", array.array("B", bytes(11)), "Observation.frames: expected 12"),
    (observation_msg, "height", BIG, "Observation.frames: expected 25769803770"),
    (observation_msg, "width", BIG, "Observation.frames"),
    (observation_msg, "view_names", ["a", "b"], "Observation.frame_stamps"),
    (
        observation_msg,
        "frame_stamps",
        [Time()] * 3,
        "Observation.frame_stamps: expected 1 values, found 3",
    ),
    (
        observation_msg,
        "positions",
        array.array("d", [1.0]),
        "Observation.positions: expected 2 values, found 1",
    ),
    (observation_msg, "velocities", array.array("d"), "Observation.velocities"),
    (observation_msg, "efforts", array.array("d", [1.0] * 9), "Observation.efforts"),
    (chunk_msg, "n_steps", BIG, "ActionChunk.positions: expected 8589934590"),
    (chunk_msg, "n_dof", 3, "ActionChunk.joint_names: expected 3 values, found 2"),
    (
        chunk_msg,
        "positions",
        array.array("d", [1.0] * 5),
        "ActionChunk.positions: expected 6 values",
    ),
    (chunk_msg, "velocities", array.array("d", [1.0]), "ActionChunk.velocities"),
    (chunk_msg, "efforts", array.array("d", [1.0]), "ActionChunk.efforts"),
    (chunk_msg, "joint_names", ["a"], "ActionChunk.joint_names"),
    (chunk_msg, "conditioning", 99, "ActionChunk.conditioning: 99 is not one of 0 UNKNOWN"),
    (chunk_msg, "control_mode", 255, "ActionChunk.control_mode"),
    (chunk_msg, "chunking_mode", 6, "ActionChunk.chunking_mode"),
    (imagined_msg, "frames", array.array("B"), "ImaginedFuture.frames"),
    (imagined_msg, "instants", [], "ImaginedFuture.frames"),
    (imagined_msg, "height", BIG, "ImaginedFuture.frames"),
    (imagined_msg, "joint_path", array.array("d"), "ImaginedFuture.joint_path"),
    (imagined_msg, "n_dof", BIG, "ImaginedFuture.joint_names"),
    (trajectory_msg, "points", [], "JointTrajectory.points is empty"),
    (
        trajectory_msg,
        "joint_names",
        ["a"],
        r"JointTrajectory.points\[0\].positions: expected 1 values, found 2",
    ),
]


@pytest.mark.parametrize(
    ("make", "field", "value", "error"), HOSTILE, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_wrong_size_is_refused_by_name(make, field, value, error):
    msg = make()
    from_msg = next(
        f for _, _, f in PAIRS.values() if f.__name__.split("_")[0] == make.__name__.split("_")[0]
    )
    from_msg(msg)
    setattr(msg, field, value)
    with pytest.raises(WamError, match=f"^{error}"):
        from_msg(msg)


@pytest.mark.parametrize("times", [(0.1, 0.2), (0.0, 0.0), (0.0, -0.1)])
def test_a_trajectory_whose_time_does_not_rise_from_zero_is_refused(times):
    q = np.zeros((2, 1))
    msg = convert.trajectory_to_msg(
        types.SafeTrajectory(start_ns=5, joint_names=("a",), t=np.array(times), q=q, dq=q, ddq=q)
    )
    with pytest.raises(WamError, match="must rise from 0"):
        convert.trajectory_from_msg(msg)


def test_a_controller_sees_where_a_trajectory_came_from():
    msg = trajectory_msg()
    assert msg.header.frame_id == "chunk 0"
    msg.header.frame_id = "chunk 7"
    assert convert.trajectory_from_msg(msg).chunk_seq == 7
    for frame in ("world", "camera 7", "chunk x", "chunk -1"):
        msg.header.frame_id = frame
        assert convert.trajectory_from_msg(msg).chunk_seq == 0


def test_missing_joints_are_all_named():
    msg = JointStateMsg(name=["a"], position=[1.0])
    with pytest.raises(WamError, match=r"lacks b, c; it has a$"):
        convert.joint_state_from_msg(msg, ("a", "b", "c"))


def test_a_joint_that_is_named_twice_is_refused_and_one_that_nobody_asks_for_is_not():
    msg = JointStateMsg(name=["a", "b", "a", "c", "c"], position=[1.0, 2.0, 1.5, 0.0, 0.0])
    with pytest.raises(WamError, match=r"two things about a$"):
        convert.joint_state_from_msg(msg, ("a", "b"))
    assert convert.joint_state_from_msg(msg, ("b",)).positions[0] == 2.0


@pytest.mark.parametrize("field", ["position", "velocity", "effort"])
def test_joint_states_of_uneven_arrays_are_refused(field):
    msg = JointStateMsg(name=["a", "b"], position=[1.0, 2.0])
    setattr(msg, field, [1.0])
    with pytest.raises(WamError, match=rf"JointState\.{field}: expected 2 values, found 1"):
        convert.joint_state_from_msg(msg, ("a",))


@pytest.mark.parametrize("ns", [-1, 2**31 * types.NS])
def test_a_stamp_that_no_message_can_hold_is_refused(ns):
    with pytest.raises(WamError, match="outside"):
        convert.ns_to_time(ns)


@pytest.mark.parametrize("forwarding", types.Forwarding)
def test_the_state_of_the_bridge_survives_the_wire(forwarding):
    state = types.BridgeState(forwarding, "a sentence", "a refusal")
    msg = convert.bridge_state_to_msg(state, "bridge_node: state", "panda", SHIPPED)
    assert (
        convert.bridge_state_from_msg(deserialize_message(serialize_message(msg), type(msg)))
        == state
    )
    assert msg.level == [msg.OK, msg.WARN, msg.ERROR, msg.STALE][forwarding]


@pytest.mark.parametrize("idle", [None, Idle(5 * types.NS + 1), Idle(0, (2**62, 3))])
def test_that_the_bridge_commands_nothing_survives_the_wire(idle):
    msg = convert.bridge_state_to_msg(
        types.BridgeState(types.Forwarding.FORWARDING, "a sentence"), "", "", SHIPPED, idle
    )
    assert convert.idle_from_msg(deserialize_message(serialize_message(msg), type(msg))) == idle


def test_what_is_no_number_says_nothing_of_what_is_commanded():
    msg = convert.bridge_state_to_msg(
        types.BridgeState(types.Forwarding.FORWARDING, ""), "", "", SHIPPED, Idle(1, (2, 3))
    )
    for text in ("", "1.5", "nan", "9" * 9999, "x" * 9999):
        msg.values[-2].value = text
        assert convert.idle_from_msg(msg) in (None, Idle(int("9" * 300), (2, 3)))
    msg.values[-2].value = "1"
    for text in ("", "2", "2 3 4"):
        msg.values[-1].value = text
        assert convert.idle_from_msg(msg) == Idle(1)


ADMISSION = Admission(
    deadline_s=0.2, ahead_s=1.5, seam_s=1 / 300, stop_seam_s=0.03, heartbeat_s=0.7
)


def test_what_the_bridge_admits_survives_both_wires():
    report = types.SafetyReport(0, 0, types.SafetyState.ARMED, types.Decision.PASS)
    said = convert.report_to_msg(report, "somebody", ADMISSION)
    said = deserialize_message(serialize_message(said), type(said))
    assert convert.admission_from_msg(said.admission) == ADMISSION
    told = convert.bridge_state_to_msg(
        types.BridgeState(types.Forwarding.FORWARDING, "a sentence"), "", "", ADMISSION
    )
    told = deserialize_message(serialize_message(told), type(told))
    assert convert.admission_from_state(told) == ADMISSION


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 3600.0])
def test_what_no_bridge_can_admit_is_not_said(value):
    said = convert.admission_to_msg(ADMISSION)
    said.deadline_s = value
    assert convert.admission_from_msg(said) is None
    told = convert.bridge_state_to_msg(
        types.BridgeState(types.Forwarding.FORWARDING, "a sentence"), "", "", ADMISSION
    )
    (entry,) = [v for v in told.values if v.key == "deadline_s [s]"]
    for text in (repr(value), "", "x" * 9999):
        entry.value = text
        assert convert.admission_from_state(told) is None
    told.values.remove(entry)
    assert convert.admission_from_state(told) is None


def test_a_report_that_says_nothing_of_the_bridge_is_known_to_say_nothing():
    report = types.SafetyReport(0, 0, types.SafetyState.ARMED, types.Decision.PASS)
    assert convert.admission_from_msg(convert.report_to_msg(report).admission) is None


def test_a_state_of_the_bridge_of_an_unknown_level_or_without_words_lets_nothing_begin():
    said = convert.bridge_state_from_msg(DiagnosticStatus(level=b"\x09", message="x" * 9999))
    assert (said.forwarding, len(said.words)) == (types.Forwarding.HELD_BACK, 300)
    assert (
        convert.bridge_state_from_msg(DiagnosticStatus(level=DiagnosticStatus.WARN)).words
        == "the bridge is paused"
    )
