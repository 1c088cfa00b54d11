"""Several robots on one model: each has its own memory, and room is given by rules."""

from dataclasses import replace

import numpy as np
import pytest

from testing.policies import PANDA, RememberingPolicy, observation
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.serve.sessions import Asked, Sessions
from wam_ros.serve.together import MOST, sizes, why_not_together


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def sessions(policy=None, most=3, idle_s=60.0):
    clock = Clock()
    return Sessions(policy or RememberingPolicy(), most, idle_s, clock), clock


def look(s, name, k, owner=None, words="go", **request):
    return ask(s, name, [observation(k)], Request(**request), owner=owner or name, words=words)


def ask(s, name, seen, request, offsets=None, owner="a", words="go"):
    """The only answer to the only question; an error is raised."""
    (answer,) = s.answer([Asked(name, owner, words, seen, request, offsets)])
    if isinstance(answer, Exception):
        raise answer
    return answer


def alone(frames, words="go"):
    policy = RememberingPolicy()
    policy.reset(words)
    return [policy.predict(observation(k), Request(step=4 * i)) for i, k in enumerate(frames)]


def test_robots_that_ask_in_turns_are_answered_as_if_each_were_alone():
    s, _ = sessions()
    looks = {"a": [1, 2, 3], "b": [7, 8, 9], "c": [1, 5, 3]}
    got = {name: [] for name in looks}
    for i in range(3):
        for name, frames in looks.items():
            got[name].append(look(s, name, frames[i]).positions)
    for name, frames in looks.items():
        for mine, single in zip(got[name], alone(frames), strict=True):
            assert (mine == single.positions).all()


def test_robots_that_ask_at_once_are_answered_in_few_passes_and_as_if_each_were_alone():
    policy = RememberingPolicy()
    s = Sessions(policy, 16, 60.0, Clock(), most_together=4)
    names = [f"robot {k}" for k in range(7)]
    for turn in range(2):
        seen = [[observation(10 * turn + k)] for k in range(7)]
        asked = [Asked(n, n, "go", o, Request()) for n, o in zip(names, seen, strict=True)]
        answers = s.answer(asked)
    assert policy.passes == [4, 2] * 2  # and one alone
    for k, answer in enumerate(answers):
        assert (answer.positions == alone([k, 10 + k])[1].positions).all()


def test_one_that_fails_in_a_pass_of_several_is_told_so_and_the_others_are_answered():
    s = Sessions(RememberingPolicy(), 16, 60.0, Clock(), most_together=4)
    said = [Asked("a", "a", w, [observation(1)], Request()) for w in ("go",)]
    said += [Asked("b", "b", "fly", [observation(1)], Request())]
    said += [Asked("a", "a", "go", [observation(2)], Request())]
    said += [Asked("c", "c", "go", [observation(3)], Request())]
    a, b, again, c = s.answer(said)
    assert "never learned 'fly'" in str(b)
    assert "a was asked twice at once" in str(again)
    assert (a.positions == alone([1])[0].positions).all()
    assert (c.positions == alone([3])[0].positions).all()
    broken = s._sessions["c"].policy
    broken.failure = ZeroDivisionError("oh")
    a, c = s.answer([Asked(n, n, "go", [observation(4)], Request()) for n in ("a", "c")])
    assert "ZeroDivisionError: oh" in str(c)
    assert (a.positions == alone([1, 4])[1].positions).all()


@pytest.mark.parametrize("waiting", range(1, 20))
def test_passes_are_of_the_sizes_that_are_compared_with_one_alone(waiting):
    found = sizes(waiting, MOST)
    assert sum(found) == waiting
    assert set(found) <= {1, 2, 4, 8}


@pytest.mark.parametrize("what", ["positions", "frames"])
def test_robots_are_answered_together_only_where_none_gets_other_bits(what):
    policy = RememberingPolicy()
    assert why_not_together(policy, "go", PANDA) == ""

    def others(asked):
        found = RememberingPolicy.together(policy, asked)
        if len(asked) == 4:
            other = {
                "positions": np.nextafter(found[3].positions, 9.0),
                "frames": found[3].frames ^ 1,
            }
            found[3] = replace(found[3], **{what: other[what]})
        return found

    policy.together = others
    said = why_not_together(policy, "go", PANDA)
    assert said == "on this machine 4 at once get other bits than each alone"


def test_a_new_instruction_begins_with_an_empty_memory():
    s, _ = sessions()
    look(s, "a", 1)
    got = look(s, "a", 2, words="stop")
    assert (got.positions == alone([2], "stop")[0].positions).all()


def test_frames_before_the_newest_are_remembered_at_the_stride_of_the_model():
    s, _ = sessions(policy := RememberingPolicy())
    policy.another = None
    s = Sessions(policy, 1, 60.0, Clock())
    many = [observation(k) for k in range(3)]
    ask(s, "a", many, Request())
    assert policy.seen == [(0, False), (4, False), (8, True)]
    ask(s, "a", many[:2], Request())
    assert policy.seen[3:] == [(12, False), (16, True)]
    ask(s, "a", many[:2], Request(step=30))
    assert policy.seen[5:] == [(26, False), (30, True)]


def test_frames_at_the_offsets_of_a_contract_are_remembered_there():
    policy = RememberingPolicy()
    policy.another = None
    s = Sessions(policy, 1, 60.0, Clock())
    many = [observation(k) for k in range(4)]
    offsets = (-23, -16, -8, 0)
    ask(s, "a", many[:1], Request())
    ask(s, "a", many, Request(), offsets)
    assert policy.seen[1:] == [(1, False), (8, False), (16, False), (24, True)]
    ask(s, "a", many, Request(), offsets)
    assert policy.seen[5:] == [(25, False), (32, False), (40, False), (48, True)]


def test_a_full_server_says_so_and_the_one_that_is_idle_for_longest_gives_way_by_name():
    s, clock = sessions(most=2, idle_s=10.0)
    look(s, "a", 1)
    clock.now = 5.0
    look(s, "b", 1)
    with pytest.raises(WamError, match="2 of 2 sessions are in use"):
        look(s, "c", 1)
    clock.now = 12.0
    look(s, "c", 1)
    status = s.status()
    assert set(status["sessions"]) == {"b", "c"}
    assert status["evicted"] == ["a"]
    assert status["sessions"]["b"]["idle_s"] == 7.0


def test_two_connections_never_share_a_memory_and_a_name_waits_for_its_return():
    s, _ = sessions()
    look(s, "a", 1, owner="one")
    with pytest.raises(WamError, match="a is in use on another connection"):
        look(s, "a", 2, owner="two")
    s.release("one")
    got = look(s, "a", 2, owner="two")
    assert (got.positions == alone([1, 2])[1].positions).all()


def test_a_session_without_a_name_ends_with_its_connection():
    s, _ = sessions()
    look(s, "connection 1", 1)
    s.release("connection 1")
    assert s.status()["sessions"] == {}


def test_a_model_with_a_single_memory_serves_one_robot_at_a_time():
    policy = RememberingPolicy()
    policy.another = None
    s, _ = sessions(policy, most=8)
    look(s, "a", 1)
    with pytest.raises(WamError, match="1 of 1 sessions"):
        look(s, "b", 1)


def test_what_failed_is_said_and_forgotten():
    policy = RememberingPolicy()
    s, _ = sessions(policy)
    look(s, "a", 1)
    policy.failure = ZeroDivisionError("oh")
    with pytest.raises(WamError, match="the model failed: ZeroDivisionError: oh"):
        look(s, "b", 1)
    policy.failure = None
    got = look(s, "b", 4)
    assert (got.positions == alone([4])[0].positions).all()


@pytest.mark.parametrize("words", ["", "x" * 201, "go\x07", "fly"])
def test_an_instruction_that_is_none_is_refused_before_it_takes_room(words):
    s, _ = sessions()
    with pytest.raises(WamError, match="instruction|never learned"):
        look(s, "a", 1, words=words)
    assert s.status()["sessions"] == {}


def test_a_reset_empties_the_memory_and_says_when_the_words_are_unknown():
    s, _ = sessions()
    look(s, "a", 1)
    s.reset("a", "a", "go")
    assert (look(s, "a", 2).positions == alone([2])[0].positions).all()
    with pytest.raises(WamError, match="never learned 'fly'"):
        s.reset("a", "a", "fly")
    s.reset("a", "a", "")
    assert np.array_equal(look(s, "a", 2).positions, alone([2])[0].positions)
