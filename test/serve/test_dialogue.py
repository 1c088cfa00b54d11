"""How evaluators are spoken to: `vla-eval` gets one action for each observation of an episode,
Genie Sim a chunk for each that it asks for.
"""

import io
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from PIL import Image

from testing.policies import PANDA, RememberingPolicy, observation
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.serve.dialogue import GENIE_SIM, VLA_EVAL, begin
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


AGIBOT = load_embodiment("agibot_g1")


class Benchmark:
    """Genie Sim's client and the model, without a network."""

    def __init__(self):
        self.policy = RememberingPolicy(AGIBOT)
        self.service = PolicyService(
            policy=self.policy,
            robot=AGIBOT,
            contracts=[],
            most_sessions=1,
            idle_s=60.0,
            clock=lambda: 0.0,
        )
        self.dialogue = begin(GENIE_SIM, False, self.service, "connection 1")

    def look(self, episode, words="go"):
        data = io.BytesIO()
        Image.fromarray(np.zeros((18, 32, 3), np.uint8)).save(data, "JPEG")
        picture = {"encoding": "JPEG", "image_data": data.getvalue(), "height": 18, "width": 32}
        states = {"arm_joint_states": 14, "gripper_states": 2, "head_joint_states": 2}
        states |= {"waist_joint_states": 2}
        params = {
            "images": dict.fromkeys(("head", "hand_left", "hand_right"), picture),
            "states": {name: [0.1] * size for name, size in states.items()},
            "prompt": words,
            "robot_type": "G1_120s",
            "episode_idx": episode,
        }
        query = self.dialogue.read(msgpack.packb({"method": "infer", "params": params}))
        answer = self.service.answer([(query, 0.0)])[0]
        if isinstance(answer, Exception):
            raise answer
        found = msgpack.unpackb(self.dialogue.reply(answer))["result"]
        return np.hstack([found["left_arm"]["values"], found["right_arm"]["values"]])


def test_genie_sim_gets_whole_chunks_of_which_the_steps_are_counted_and_episodes_begin_anew():
    bench = Benchmark()
    assert bench.dialogue.greeting == b""
    first = [bench.look(0) for _ in range(2)]
    alone = RememberingPolicy(AGIBOT)
    alone.reset("go")
    black = np.zeros((3, AGIBOT.image_height, AGIBOT.image_width, 3), np.uint8)
    joints = replace(observation(robot=AGIBOT).joints, positions=np.full(20, 0.1))
    seen = replace(observation(robot=AGIBOT), frames=black, joints=joints)
    horizon = AGIBOT.action_horizon
    for k, chunk in enumerate(first):
        rows = alone.predict(seen, Request(step=horizon * k)).positions
        assert chunk == pytest.approx(rows[:, :14])
    again = [bench.look(1) for _ in range(2)]
    assert (np.array(again) == np.array(first)).all()


def test_what_genie_sim_is_refused_is_text_and_the_next_question_begins_anew():
    bench = Benchmark()
    first = bench.look(0)
    with pytest.raises(WamError, match="never learned 'fly'"):
        bench.look(0, "fly")
    assert bench.dialogue.refuse("no") == "wam serve: no"
    assert (bench.look(0) == first).all()
