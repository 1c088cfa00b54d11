"""How an evaluator of `vla-eval` is spoken to: one action for each observation of an episode."""

import msgpack
import numpy as np
import pytest

from testing.policies import PANDA, RememberingPolicy, observation
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.serve.dialogue import VLA_EVAL, begin
from wam_ros.serve.service import PolicyService
from wam_ros.wire.vla_eval import pack_said

HORIZON = PANDA.action_horizon


class Evaluator:
    """A dialogue and its model, without a network."""

    def __init__(self, policy=None):
        self.service = PolicyService(
            policy=policy or RememberingPolicy(),
            robot=PANDA,
            contracts=[],
            most_sessions=2,
            idle_s=60.0,
            clock=lambda: 0.0,
        )
        self.dialogue = begin(VLA_EVAL, False, self.service, "connection 1")
        self.asked = 0
        self.number = 0

    def say(self, kind, payload=None):
        self.number += 1
        query = self.dialogue.read(pack_said(kind, payload or {}, self.number))
        self.asked += query is not None
        answer = None if query is None else self.service.answer([(query, 0.0)])[0]
        if isinstance(answer, Exception):
            raise answer
        reply = self.dialogue.reply(answer)
        return msgpack.unpackb(reply) if reply else None

    def look(self, k, words="go"):
        seen = observation(k)
        images = dict(zip(PANDA.view_names, seen.frames, strict=True))
        joints = seen.joints.positions
        said = self.say(
            "observation", {"images": raw(images), "state": joints, "task_description": words}
        )
        assert (said["type"], said["seq"]) == ("action", self.number)
        return np.frombuffer(said["payload"]["actions"]["data"], "<f4")


def raw(images):
    return {
        view: {
            "__image__": True,
            "format": "raw",
            "data": a.tobytes(),
            "dtype": "|u1",
            "shape": list(a.shape),
        }
        for view, a in images.items()
    }


def expected(n, words="go"):
    """Actions of `n` observations by the model alone: it remembers what it saw in between."""
    policy = RememberingPolicy()
    policy.reset(words)
    rows = []
    for k in range(n):
        if k % HORIZON == 0:
            chunk = policy.predict(observation(k), Request(step=k)).positions.astype(np.float32)
        elif k % 4 == 0:
            policy.predict(observation(k), Request(step=k, predict=False))
        rows.append(chunk[k % HORIZON])
    return rows


def test_a_hello_is_answered_with_what_the_server_is():
    said = Evaluator().say("hello", {"benchmark": "any"})
    assert said["type"] == "hello"
    assert said["payload"]["model_server"] == "remembering"


def test_each_observation_gets_one_action_and_the_model_sees_only_what_it_should():
    e = Evaluator()
    assert e.say("episode_start", {"task": {}}) is None
    n = 2 * HORIZON + 1
    e.asked = 0
    for k, row in enumerate(expected(n)):
        assert (e.look(k) == row).all()
    assert e.asked == 2 * HORIZON // 4 + 1


def test_every_episode_begins_with_an_empty_memory_and_a_new_chunk():
    e = Evaluator()
    first = [e.look(k) for k in range(3)]
    assert e.say("episode_end", {"metrics": {"success": True}}) is None
    assert e.say("episode_start") is None
    assert all((e.look(k) == row).all() for k, row in enumerate(first))


def test_other_words_begin_anew_in_the_midst_of_a_chunk():
    e = Evaluator()
    e.look(7)
    assert (e.look(0, "stop") == expected(1, "stop")[0]).all()


def test_what_fails_is_an_error_of_that_message_and_the_next_begins_anew():
    e = Evaluator()
    e.look(5)
    with pytest.raises(WamError, match="never learned"):
        e.look(1, "fly")
    said = msgpack.unpackb(e.dialogue.refuse("no"))
    assert (said["type"], said["seq"]) == ("error", e.number)
    assert said["payload"] == {"error": "wam serve: no"}
    assert (e.look(0) == expected(1)[0]).all()
