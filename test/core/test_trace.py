import numpy as np
import pytest

from wam_ros.core.trace import STAGES, TOTALS, ServoLag, Trace, chunk_number

MS = 1_000_000


def chain(trace, k, camera=0, obs=12, chunk=70, safe=76, command=79):
    """One observation's way through the loop, at k seconds; times in ms; the trajectory begins at
    110.
    """
    t = k * 1000 * MS
    trace.on_observation(t + 1 * MS, (t + camera * MS, t + 5 * MS), t + obs * MS)
    trace.on_chunk(k, t + 1 * MS, t + chunk * MS)
    trace.on_safe(k, t + 110 * MS, t + safe * MS)
    trace.on_command(k, t + command * MS)


def p50(trace):
    return {name: v["p50_ms"] for name, v in trace.summary().items()}


def test_stages_of_one_chain_are_the_known_differences():
    trace = Trace()
    chain(trace, 1)
    assert list(p50(trace).values()) == pytest.approx([12, 58, 6, 3, 79])
    assert tuple(p50(trace)) == (*STAGES[:4], TOTALS[0])


def test_motion_begins_with_the_trajectory_and_the_servos_lag():
    trace = Trace()
    trace.lag_s = 0.02
    chain(trace, 1)
    assert p50(trace)["command to motion"] == pytest.approx(110 + 20 - 79)
    assert p50(trace)["camera to motion"] == pytest.approx(130)
    assert tuple(p50(trace)) == (*STAGES, *TOTALS)


def test_stages_add_up_to_the_whole():
    trace = Trace()
    for k in range(1, 20):
        chain(trace, k, obs=10 + k, chunk=60 + 2 * k, safe=120 + k, command=200 + 3 * k)
    medians = p50(trace)
    # every stage rises with k
    assert sum(medians[s] for s in STAGES[:4]) == pytest.approx(medians[TOTALS[0]])


def test_percentiles_of_a_hundred_and_one_chains():
    trace = Trace()
    for k in range(101):
        chain(trace, k + 1, command=100 + k)
    assert trace.summary()[TOTALS[0]] == pytest.approx(
        {"n": 101, "p50_ms": 150, "p95_ms": 195, "p99_ms": 199}
    )


def test_answers_without_a_question_are_ignored():
    trace = Trace()
    trace.on_chunk(1, 5, 10)
    trace.on_safe(1, 20, 30)
    trace.on_command(1, 40)
    assert trace.summary() == {}


def test_who_sees_no_observations_knows_the_chunks_age_by_its_stamp():
    trace = Trace()
    trace.on_chunk(1, 5 * MS, 10 * MS, unseen=True)
    trace.on_safe(1, 90 * MS, 12 * MS)
    trace.on_command(1, 13 * MS)
    assert p50(trace) == pytest.approx(
        {
            "camera to chunk": 5,
            "chunk to safe trajectory": 2,
            "safe trajectory to command": 1,
            TOTALS[0]: 8,
        }
    )


def test_of_a_chunk_that_names_no_observation_nothing_is_known_before_it():
    trace = Trace()
    trace.on_chunk(1, 0, 1_795_956_040_051 * MS, unseen=True)
    trace.on_safe(1, 1_795_956_040_100 * MS, 1_795_956_040_053 * MS)
    trace.on_command(1, 1_795_956_040_054 * MS)
    assert p50(trace) == pytest.approx(
        {"chunk to safe trajectory": 2, "safe trajectory to command": 1}
    )


def test_a_command_repeated_for_one_chunk_counts_once():
    trace = Trace()
    chain(trace, 1)
    trace.on_command(1, 1500 * MS)
    assert trace.summary()[TOTALS[0]]["n"] == 1


@pytest.mark.parametrize(
    ("stamps_s", "words"),
    [
        ([1e9, 1e9 + 5, 1e9 + 10], ""),
        ([1e9, 1e9 + 1.5, 1e9 + 3], "another clock"),  # a simulation at 0.3 of real time
        ([1e9, 1e9 + 10, 1e9 + 20], "another clock"),
        ([0.0, 5.0, 10.0], "1000000000.1 s after"),  # a clock that begins at zero
    ],
)
def test_stamps_of_another_clock_are_told(stamps_s, words):
    trace = Trace()
    assert trace.why_not_comparable == ""
    for k, stamp_s in enumerate(stamps_s):
        trace.on_observation(round(stamp_s * 1e9), (), round((1e9 + 5 * k + 0.1) * 1e9))
    assert words in trace.why_not_comparable and bool(words) == bool(trace.why_not_comparable)


def test_cleared_chains_never_end():
    trace = Trace()
    trace.on_observation(1, (0,), 2)
    trace.clear_pending()
    trace.on_chunk(1, 1, 3)
    trace.on_safe(1, 4, 5)
    trace.on_command(1, 6)
    assert trace.summary() == {}


@pytest.mark.parametrize("lag_s", [0.0, 0.034, 0.2])
def test_the_lag_of_a_servo_is_found_from_its_errors(lag_s):
    servo, rng = ServoLag(), np.random.default_rng(0)
    for t in np.arange(0, 4, 0.01):
        w = np.array([1.0, 1.7, 0.4])
        servo.on_error(
            np.sin(w * t) - np.sin(w * (t - lag_s)) + rng.normal(0, 1e-4, 3), w * np.cos(w * t)
        )
    assert servo.lag_s == pytest.approx(lag_s, abs=0.02 * lag_s + 0.002)


def test_at_rest_or_with_errors_that_are_no_lag_nothing_is_said():
    servo = ServoLag()
    servo.on_error(np.full(3, 0.1), np.zeros(3))
    servo.on_error(np.full(3, np.nan), np.ones(3))
    assert servo.lag_s is None
    servo.on_error(np.full(3, 5.0), np.ones(3))
    assert servo.lag_s is None


@pytest.mark.parametrize(
    ("frame", "seq"),
    [
        ("chunk 12", 12),
        ("chunk 0", 0),
        ("chunk 7 of /safety_node (process 12)", 7),
        ("", None),
        ("chunk", None),
        ("panda_link0", None),
        ("chunk x", None),
    ],
)
def test_a_trajectory_names_its_chunk(frame, seq):
    assert chunk_number(frame) == seq
