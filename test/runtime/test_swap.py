"""Swapping the policy, warming it up early, frames to remember and candidates: the engine with real
threads.
"""

import dataclasses
import threading

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Conditioning, JointState, Observation
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.values import make_value

MS = 1_000_000
WAIT_S = 10.0


class Named:
    """Says who predicted what; refuses the instructions in `unknown`."""

    example_instruction = "red"

    def __init__(self, name, unknown=()):
        self.name, self.checkpoint_hash, self.unknown = name, name * 8, unknown
        self.abilities = Abilities(guided=True, candidates=4, frame_stride=4)
        self.log = []
        self.hold = threading.Event()
        self.hold.set()

    def reset(self, instruction):
        if instruction in self.unknown:
            raise WamError(f"{self.name} never learned {instruction}")
        self.log.append(("reset", instruction))

    def predict(self, observation, request):
        assert self.hold.wait(WAIT_S)
        self.log.append(
            ("predict" if request.predict else "remember", observation.stamp_ns // MS, request.step)
        )
        if not request.predict:
            return None
        q = np.zeros((4, 2))
        q[1] = 0.5
        calm = PolicyOutput(q * 0, observation.frames[None], (400 * MS,), Conditioning.REAL, 2)
        others = (calm,) if request.candidates > 1 else ()
        return dataclasses.replace(calm, positions=q, others=others)


def observation(ms):
    joints = JointState(ms * MS, ("a", "b"), np.zeros(2), np.zeros(2), np.zeros(2))
    return Observation(ms * MS, ("front",), np.zeros((1, 2, 2, 3), np.uint8), (ms * MS,), joints)


class Rig:
    def __init__(self, policy, **kwargs):
        self.policy, self.events = policy, threading.Semaphore(0)
        given = {
            "max_gap_ns": 300 * MS,
            "step_period_ns": 100 * MS,
            "on_event": self.events.release,
        } | kwargs
        self.engine = InferenceEngine(policy, **given)

    def ask(self, future):
        outcome = future.result(WAIT_S)
        return outcome

    def predict(self, ms, request=None):
        while self.engine.take() is not None:
            pass
        while self.events.acquire(blocking=False):
            pass
        self.engine.submit(observation(ms), request or Request())
        while (result := self.engine.take()) is None:
            assert self.events.acquire(timeout=WAIT_S)
        return result


@pytest.fixture
def rig():
    rigs = []

    def make(*args, **kwargs):
        rigs.append(Rig(*args, **kwargs))
        return rigs[-1]

    yield make
    for r in rigs:
        r.policy.hold.set()
        assert r.engine.close(WAIT_S)


def test_a_swapped_policy_goes_on_with_the_instruction_and_says_who_it_is(rig):
    r = rig(Named("old"))
    assert r.ask(r.engine.reset("green")).ok
    assert r.predict(100).model == "old"
    new = Named("new")
    outcome = r.ask(r.engine.swap(lambda: new))
    assert outcome.ok and outcome.epoch == 1  # the plan under way is still good
    assert r.engine.status().policy is new
    result = r.predict(200)
    assert (result.model, result.checkpoint_hash, result.instruction) == ("new", "new" * 8, "green")
    assert new.log[0] == ("reset", "green") and new.log[-1][0] == "predict"


def _broken():
    raise WamError("the checkpoint is damaged")


def _crash():
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (_broken, "the checkpoint is damaged"),
        (_crash, "RuntimeError: out of memory"),
        (lambda: Named("new", unknown=("green",)), "never learned green"),
    ],
)
def test_a_policy_that_cannot_take_over_leaves_the_old_one_in_place(rig, load, why):
    r = rig(Named("old"), example=observation(0), warmups=1)
    r.ask(r.engine.reset("green"))
    outcome = r.ask(r.engine.swap(load))
    assert not outcome.ok and why in outcome.message
    assert r.engine.status().policy is r.policy and not r.engine.status().error
    assert r.predict(100).model == "old"
    assert r.ask(r.engine.swap(lambda: Named("later"))).ok  # and the way is free again


def test_the_old_policy_predicts_while_the_new_one_is_loaded_and_one_is_loaded_at_a_time(rig):
    r = rig(Named("old"))
    r.ask(r.engine.reset("red"))
    loaded = threading.Event()
    swapped = r.engine.swap(lambda: loaded.wait(WAIT_S) and Named("new"))
    assert r.predict(100).model == "old"
    refused = r.ask(r.engine.swap(lambda: Named("third")))
    assert not refused.ok and "being loaded" in refused.message
    loaded.set()
    assert r.ask(swapped).ok
    assert r.predict(200).model == "new"


def test_a_new_policy_is_warm_before_it_takes_over(rig):
    r = rig(Named("old"), example=observation(0), warmups=2)
    r.ask(r.engine.reset("red"))
    new = Named("new")
    r.ask(r.engine.swap(lambda: new))
    assert [entry[0] for entry in new.log] == [
        "reset",
        "predict",
        "reset",
        "predict",
        "reset",
        "reset",
    ]


def test_a_policy_that_names_an_example_is_warmed_up_before_any_instruction(rig):
    r = rig(Named("old"), example=observation(0), warmups=2)
    assert r.ask(r.engine.warm_up()).ok
    assert [entry[0] for entry in r.policy.log].count("predict") == 2
    assert r.engine.status().epoch == 0 and not r.engine.status().instruction
    r.ask(r.engine.reset("green"))
    assert [entry[0] for entry in r.policy.log].count("predict") == 2
    assert r.policy.log[-1] == ("reset", "green")


def test_frames_to_remember_reach_the_policy_in_order_and_give_no_result(rig):
    r = rig(Named("old"))
    r.ask(r.engine.reset("red"))
    r.predict(100, Request(step=0))
    r.policy.hold.clear()
    r.engine.submit(observation(200), Request(step=1))
    r.engine.submit(observation(400), Request(step=3, predict=False))
    r.engine.submit(observation(300), Request(step=2, predict=False))
    r.policy.hold.set()
    result = r.predict(500, Request(step=4))
    assert result.request.step == 4
    stamps = [entry[1] for entry in r.policy.log if entry[0] != "reset"]
    assert stamps == sorted(stamps) and {300, 400} <= set(stamps)
    assert r.policy.log.count(("reset", "red")) == 1


def test_standing_and_thinking_is_no_gap_but_executed_steps_unseen_are(rig):
    r = rig(Named("old"))
    r.ask(r.engine.reset("red"))
    r.predict(100, Request(step=0))
    r.predict(9000, Request(step=3))
    assert r.policy.log.count(("reset", "red")) == 1
    r.predict(9100, Request(step=8))
    assert r.policy.log.count(("reset", "red")) == 2


def test_the_best_of_the_candidates_is_published_with_its_value(rig):
    r = rig(Named("old"), value=make_value("smoothness"))
    r.ask(r.engine.reset("red"))
    result = r.predict(100, Request(candidates=2))
    assert (result.output.positions == 0).all() and result.value == 0.0
    assert r.predict(200).value < 0  # alone, but scored


def test_a_closed_engine_refuses_a_swap(rig):
    r = rig(Named("old"))
    r.engine.close(WAIT_S)
    assert not r.ask(r.engine.swap(lambda: Named("new"))).ok
