"""The one reader of a run, on a recording of which everything is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from testing.bags import Bag
from testing.recorded import (
    ARMED,
    BEGAN,
    GREY,
    IMAGINED,
    PANDA,
    PRESSED,
    SENTENCE,
    STEP,
    STEPS,
    STRANGE,
    SURPRISE,
    WORDS,
    chunk,
    frames,
    future,
    q_at,
    write_run,
)
from wam_ros.core.errors import WamError
from wam_ros.core.types import JointState, Observation, Reason, SafetyState
from wam_ros.runs.reading import read_run

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture(scope="module")
def run(recorded):
    return read_run(recorded)


def test_the_run_says_what_ran_and_how_long(run):
    assert run.facts["model"] == "tiny 0123456789ab"
    assert run.embodiment == "panda"
    assert run.began_ns == BEGAN
    assert run.seconds(run.ended_ns) == pytest.approx((STEPS - 1) / 10)
    assert run.notes == []


def test_joints_of_a_driver_that_says_degrees_are_those_that_the_bridge_tells(run, tmp_path):
    other = read_run(write_run(tmp_path / "bag", degrees=True))
    assert len(other.joints) == len(run.joints)
    np.testing.assert_array_equal(other.joints, run.joints)


def test_its_episode_ends_with_what_stopped_it(run):
    (episode,) = run.episodes
    assert run.seconds(episode.began_ns) == pytest.approx(ARMED / 10)
    assert (episode.instruction, episode.verdict, episode.seed) == (WORDS, "success", 7)
    assert episode.decisions == {"pass": PRESSED - ARMED - 1, "truncated": 1}
    assert episode.task == f"stopped: safety: {SENTENCE}"
    (stop,) = run.stops
    assert (stop.state, stop.reasons, stop.sentence) == (
        SafetyState.ESTOP,
        Reason.ESTOP,
        SENTENCE,
    )


def test_an_error_is_of_what_was_imagined_for_the_instant(run):
    t, imagined, copied = run.errors.T
    first = ARMED + 4
    np.testing.assert_allclose(t[0], first / 10)
    usual = ((GREY - IMAGINED) / 255) ** 2
    strange = np.isclose(t, STRANGE / 10)
    np.testing.assert_allclose(imagined[strange], ((200 - IMAGINED) / 255) ** 2, rtol=1e-3)
    np.testing.assert_allclose(imagined[~strange], usual, rtol=1e-3)
    assert copied[strange] > imagined[strange]
    np.testing.assert_allclose(run.surprise[run.surprise[:, 1] > 1], [[STRANGE / 10, SURPRISE]])
    assert len(run.surprise) == PRESSED - ARMED
    assert (np.diff(run.surprise[:, 0]) > 0).all(), "once for each observation, in their order"
    assert run.imagination["front"]["+0.4 s"]["n"] == PRESSED - ARMED


def test_joints_steps_and_seams_are_curves(run):
    t, q = run.joints[:, 0], run.joints[:, 1:]
    # the first comes before the observation that names the joints; others' joints are not heard
    assert len(t) == STEPS - 1
    np.testing.assert_allclose(q[6], q_at(7))
    assert set(run.chunks) == set(range(ARMED, PRESSED))
    assert len(run.seams) == PRESSED - ARMED - 1
    np.testing.assert_allclose(run.seams[:, 1:], 0.0, atol=1e-9)


def test_latency_is_of_the_messages_and_of_the_model(run):
    np.testing.assert_allclose(run.inference[:, 1], 0.05)
    assert run.latency == {}, "no command was recorded"


def test_what_was_imagined_for_an_older_instruction_surprises_nobody(tmp_path):
    from wam_ros.ros import convert

    with Bag(tmp_path / "bag") as bag:

        def seen(k):
            joints = JointState(BEGAN + k * STEP, PANDA.joint_names, *[q_at(k)] * 3)
            stamps = (joints.stamp_ns,) * 2
            o = Observation(joints.stamp_ns, PANDA.view_names, frames(GREY), stamps, joints)
            bag.write("observation", o.stamp_ns, convert.observation_to_msg(o))

        seen(0)
        for k, epoch in ((0, 0), (1, 1)):
            if k:
                seen(k)
            made = replace(chunk(BEGAN + k * STEP, k), epoch=epoch)
            bag.write("action_chunk", BEGAN + k * STEP, convert.chunk_to_msg(made))
            imagined = convert.imagined_to_msg(future(BEGAN + k * STEP, k))
            bag.write("imagined_future", BEGAN + k * STEP, imagined)
        for k in (4, 5):
            seen(k)
    run = read_run(tmp_path / "bag")
    np.testing.assert_allclose(run.errors[:, 0], [0.5])


def test_a_file_of_results_is_a_run_without_curves(tmp_path):
    episode = {
        **{"seed": 3, "instruction": WORDS, "outcome": "stopped", "duration_s": 2.5, "chunks": 9},
        **{"decisions": {"pass": 8, "brake": 1}, "stops": {"watchdog": 2}, "note": "fault: late"},
    }
    told = {
        **{"settings": {"running_model": "tiny", "embodiment": "panda"}, "episodes": [episode]},
        **{"completed": False, "failure": "died", "summary": {"chunk_rate_hz": 9.5}},
        **{"latency": {"camera to command": {"n": 3, "p50_ms": 1.0}}, "imagination": {}},
    }
    file = tmp_path / "run.json"
    file.write_text(json.dumps(told))
    run = read_run(file)
    assert [s.reasons for s in run.stops] == [Reason.WATCHDOG] * 2
    assert run.decisions == {"brake": 1, "pass": 8}
    assert run.facts["completed"] == "no: died"
    assert (run.episodes[0].duration_s, run.episodes[0].ended) == (2.5, "fault: late")


@pytest.mark.parametrize("text", ["", "[]", '{"settings": {}}', '{"episodes": 3}'])
def test_a_file_that_is_no_result_is_refused_by_name(tmp_path, text):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(WamError, match=r"run\.json' is no result of `wam demo --json`"):
        read_run(file)


def test_of_several_loops_one_is_chosen(tmp_path):
    folder = tmp_path / "two"
    from wam_ros.msg import WamStatus

    with Bag(folder) as bag:
        for namespace in ("left", "right"):
            bag.write(f"{namespace}/wam_status", 1, WamStatus(model=namespace))
    with pytest.raises(WamError, match="several loops: choose one by --namespace /left/ or /right"):
        read_run(folder)
    assert read_run(folder, "right").notes
    with pytest.raises(WamError, match="unknown namespace in .*two' '/midle/'"):
        read_run(folder, "midle")


def test_a_namespace_is_found(tmp_path):
    run = read_run(write_run(tmp_path / "bag", "/cell/arm/"))
    assert len(run.episodes) == 1
