"""The engine's promises, with a policy whose every step the test controls."""

import threading

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import Conditioning, JointState, Observation
from wam_ros.runtime.engine import InferenceEngine

MS = 1_000_000
WAIT_S = 10.0  # a deadline that is met at once unless something hangs


class ScriptedPolicy:
    """Answers at once unless `hold` is set; `log` says what was asked of it and on which thread."""

    name, checkpoint_hash = "scripted", "0" * 16

    def __init__(self):
        self.log: list[tuple] = []
        self.threads: set[int] = set()
        self.hold = False
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.fail_at: dict[int, Exception] = {}
        self.joints = 2
        self.silent = False

    def reset(self, instruction):
        if "purple" in instruction:
            raise WamError("unknown word 'purple'. Choices: red, green, blue")
        self.log.append(("reset", instruction))

    def predict(self, observation):
        self.threads.add(threading.get_ident())
        self.log.append(("predict", observation.stamp_ns // MS))
        if self.hold:
            self.entered.release()
            assert self.go_on.acquire(timeout=WAIT_S)
        if (error := self.fail_at.pop(observation.stamp_ns // MS, None)) is not None:
            raise error
        if self.silent:
            return None
        positions = np.full((4, self.joints), float(observation.stamp_ns))
        return PolicyOutput(positions, observation.frames[None], (400 * MS,), Conditioning.REAL, 2)


def observation(ms: int) -> Observation:
    joints = JointState(ms * MS, ("a", "b"), np.zeros(2), np.zeros(2), np.zeros(2))
    return Observation(ms * MS, ("front",), np.zeros((1, 2, 2, 3), np.uint8), (ms * MS,), joints)


class Rig:
    def __init__(self, **kwargs):
        self.policy = ScriptedPolicy()
        self.events = threading.Semaphore(0)
        self.engine = InferenceEngine(
            self.policy, max_gap_ns=300 * MS, on_event=self.events.release, **kwargs
        )

    def reset(self, instruction="red"):
        outcome = self.engine.reset(instruction).result(WAIT_S)
        assert self.events.acquire(timeout=WAIT_S)
        return outcome

    def predict(self, ms):
        self.engine.submit(observation(ms))
        assert self.events.acquire(timeout=WAIT_S)
        return self.engine.take()


@pytest.fixture
def rig():
    made = Rig()
    yield made
    made.policy.hold = False
    made.policy.go_on.release(100)
    assert made.engine.close(WAIT_S)


def test_a_prediction_comes_back_with_what_it_was_made_from(rig):
    rig.reset("red")
    result = rig.predict(100)
    assert result.error == ""
    assert result.observation.stamp_ns == 100 * MS
    assert result.instruction == "red"
    assert result.output.positions[0, 0] == 100 * MS
    assert result.inference_s > 0
    assert result.epoch == 1
    assert rig.engine.take() is None
    assert rig.policy.threads.isdisjoint({threading.get_ident()})


def test_nothing_is_predicted_before_an_instruction(rig):
    rig.engine.submit(observation(100))
    assert rig.reset(None).ok
    assert rig.policy.log == []
    assert rig.engine.take() is None


def test_the_newest_observation_replaces_the_waiting_one(rig):
    rig.reset()
    rig.policy.hold = True
    for ms in (100, 200, 300, 400):
        rig.engine.submit(observation(ms))
        if ms == 100:
            assert rig.policy.entered.acquire(timeout=WAIT_S)
    rig.policy.go_on.release(2)
    assert rig.events.acquire(timeout=WAIT_S)
    assert rig.events.acquire(timeout=WAIT_S)
    assert [stamp for what, stamp in rig.policy.log if what == "predict"] == [100, 400]
    assert rig.engine.take().observation.stamp_ns == 400 * MS
    assert rig.engine.status().dropped == 3  # two observations and the result nobody took


def test_a_result_that_was_under_way_when_the_epoch_rose_is_dropped(rig):
    rig.reset("red")
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    future = rig.engine.reset("blue")
    rig.policy.go_on.release()
    assert future.result(WAIT_S).epoch == 2
    assert rig.engine.take() is None
    assert rig.engine.status().dropped == 1
    rig.policy.hold = False
    rig.events.acquire(timeout=WAIT_S), rig.events.acquire(timeout=WAIT_S)
    assert (result := rig.predict(200)).epoch == 2
    assert result.instruction == "blue"


def test_who_stands_by_predicts_nothing_until_the_next_instruction(rig):
    rig.reset("red")
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    future = rig.engine.stand_by()
    rig.policy.go_on.release()
    outcome = future.result(WAIT_S)
    assert outcome.ok and outcome.epoch == 2
    assert rig.engine.take() is None, "what was under way is thrown away"
    rig.policy.hold = False
    rig.engine.submit(observation(200))
    for _ in range(2):  # its turn comes between the two
        rig.engine.warm_up().result(WAIT_S)
    assert rig.reset("blue").epoch == 3
    assert rig.engine.status().instruction == "blue"
    assert ("predict", 200) not in rig.policy.log


def test_a_refused_instruction_changes_nothing_and_says_why(rig):
    rig.reset("red")
    outcome = rig.reset("purple")
    assert not outcome.ok
    assert "Choices: red, green, blue" in outcome.message
    assert outcome.epoch == 1
    result = rig.predict(100)
    assert result.instruction == "red"
    assert result.epoch == 1
    assert rig.engine.status().instruction == "red"
    assert [w for w, _ in rig.policy.log].count("reset") == 1


def test_an_empty_instruction_is_refused(rig):
    assert rig.reset("").message == "the instruction is empty"


def test_reset_without_instruction_forgets_and_keeps_the_instruction(rig):
    rig.reset("red")
    rig.predict(100)
    outcome = rig.reset(None)
    assert outcome.ok
    assert outcome.epoch == 2
    assert rig.policy.log[-1] == ("reset", "red")
    assert rig.predict(200).epoch == 2


@pytest.mark.parametrize(
    ("error", "text"),
    [(WamError("bad frame"), "bad frame"), (ValueError("x\ny"), "ValueError: x y")],
)
def test_a_failure_is_data_and_the_memory_starts_afresh(rig, error, text):
    rig.reset("red")
    rig.policy.fail_at[100] = error
    failed = rig.predict(100)
    assert failed.output is None
    assert failed.error == text
    assert rig.engine.status().error == text
    assert rig.predict(200).error == ""
    assert rig.engine.status().error == ""
    assert rig.policy.log[-2:] == [("reset", "red"), ("predict", 200)]


def test_an_output_that_does_not_fit_the_robot_is_a_failure(rig):
    rig.reset()
    rig.policy.joints = 3
    assert rig.predict(100).error == "the policy returned positions (4, 3), expected (T, 2)"


def test_an_observation_the_policy_wants_no_chunk_from_is_neither_output_nor_error(rig):
    rig.reset()
    rig.policy.silent = True
    result = rig.predict(100)
    assert result.output is None
    assert result.error == ""


def test_a_gap_in_the_observations_drops_the_memory_but_not_the_epoch(rig):
    rig.reset("red")
    for ms in (100, 200, 500, 801):
        result = rig.predict(ms)
    assert result.epoch == 1
    assert rig.policy.log[-3:] == [("predict", 500), ("reset", "red"), ("predict", 801)]


def test_a_clock_set_back_drops_the_memory_and_raises_the_epoch(rig):
    rig.reset("red")
    rig.predict(5000)
    assert rig.predict(100).epoch == 2
    assert rig.policy.log[-2:] == [("reset", "red"), ("predict", 100)]


def test_the_same_instant_is_not_predicted_twice(rig):
    rig.reset("red")
    rig.predict(100)
    repeated = rig.predict(100)
    assert repeated.output is None
    assert repeated.error == ""
    assert [stamp for what, stamp in rig.policy.log if what == "predict"] == [100]


def test_the_first_instruction_warms_up_and_leaves_a_clean_memory():
    rig = Rig(example=observation(0), warmups=3)
    assert rig.reset("red").ok
    assert [w for w, _ in rig.policy.log].count("predict") == 3
    assert rig.policy.log[-1] == ("reset", "red")
    rig.reset("blue")
    assert [w for w, _ in rig.policy.log].count("predict") == 3
    assert rig.engine.close(WAIT_S)


def test_a_model_that_fails_in_warm_up_is_refused():
    rig = Rig(example=observation(0), warmups=1)
    rig.policy.fail_at[0] = RuntimeError("out of memory")
    assert rig.reset("red").message == "RuntimeError: out of memory"
    assert rig.engine.status().instruction == ""
    assert rig.engine.close(WAIT_S)


def test_a_reset_cancelled_before_its_turn_has_no_effect(rig):
    rig.reset("red")
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    assert rig.engine.reset("blue").cancel()
    rig.policy.go_on.release()
    rig.policy.hold = False
    assert rig.events.acquire(timeout=WAIT_S)
    assert rig.engine.take().epoch == 1
    assert rig.predict(200).instruction == "red"


def test_waiting_for_a_busy_model_is_given_up_in_time(rig):
    assert rig.engine.reset_within("red", WAIT_S).ok
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    outcome = rig.engine.reset_within("blue", 0.01)
    assert not outcome.ok
    assert "busy" in outcome.message
    assert outcome.epoch == 1
    rig.policy.go_on.release()
    rig.policy.hold = False
    assert rig.engine.reset_within(None, WAIT_S).epoch == 2
    assert rig.engine.status().instruction == "red"


def test_how_long_a_stuck_prediction_has_run_can_be_seen(rig):
    rig.reset()
    assert rig.engine.status().busy_s == 0.0
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    first = rig.engine.status().busy_s
    assert 0 < first < rig.engine.status().busy_s


def test_closing_waits_for_the_prediction_under_way_and_refuses_what_comes_after():
    rig = Rig()
    rig.reset()
    rig.policy.hold = True
    rig.engine.submit(observation(100))
    assert rig.policy.entered.acquire(timeout=WAIT_S)
    assert rig.engine.close(0.0) is False
    rig.policy.go_on.release()
    assert rig.engine.close(WAIT_S)
    assert not rig.engine.status().alive
    assert rig.engine.reset("blue").result(WAIT_S).message == "the inference engine is closed"


def test_who_asks_while_the_engine_closes_is_answered():
    rig = Rig()
    jobs, closer = rig.engine._jobs, threading.Thread(target=rig.engine.close, args=(WAIT_S,))

    class Racing:
        """Closes the engine at the worst moment."""

        empty, get = jobs.empty, jobs.get

        def put(self, job):
            closer.start()
            closer.join(0.2)  # over at once unless something keeps it from closing
            jobs.put(job)

    rig.engine._jobs = Racing()
    assert rig.engine.reset("red").result(WAIT_S).message in ("", "the inference engine is closed")
    closer.join(WAIT_S)
    assert not rig.engine.status().alive


def test_an_owner_that_fails_does_not_end_the_thread():
    policy = ScriptedPolicy()

    def explode() -> None:
        raise RuntimeError("going away")

    engine = InferenceEngine(policy, max_gap_ns=300 * MS, on_event=explode)
    assert engine.reset("red").result(WAIT_S).ok
    assert engine.reset("blue").result(WAIT_S).ok
    assert engine.close(WAIT_S)


def test_a_future_that_is_not_good_enough_is_told_in_words_and_the_memory_goes_on():
    values = [[0.7], [0.2], [0.9]]
    rig = Rig(value=lambda candidates: np.array(values.pop(0)), least_value=0.5)
    rig.reset()
    assert rig.predict(100).output is not None
    refused = rig.predict(200)
    assert refused.output is None
    assert "the best has 0.2, 0.5 is the least" in refused.error
    assert rig.engine.status().error == refused.error
    assert rig.predict(300).error == ""
    assert rig.policy.log.count(("reset", "red")) == 1
    assert rig.engine.close(WAIT_S)
