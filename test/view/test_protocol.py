import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.view.protocol import (
    HELD,
    MOST_BYTES,
    PRESSED,
    Ask,
    Confirm,
    Instruct,
    MessageError,
    Perform,
    Press,
    read_message,
)


def test_every_message_there_is_is_read():
    for action in PRESSED:
        assert read_message(json.dumps({"type": "press", "action": action})) == Press(action)
    for action in HELD:
        assert read_message(json.dumps({"type": "ask", "action": action})) == Ask(action)
        said = {"type": "confirm", "action": action, "nonce": "n1"}
        assert read_message(json.dumps(said)) == Confirm(action, "n1")
    text = {"type": "instruct", "text": " pick up the red block "}
    assert read_message(json.dumps(text)) == Instruct("pick up the red block")
    task = read_message('{"type": "task", "text": "take the red one; ;put it on the blue one ;"}')
    assert isinstance(task, Perform)
    assert task.instructions == ["take the red one", "put it on the blue one"]


def test_what_lets_the_arm_move_or_throws_away_cannot_be_pressed():
    assert set(HELD) == {"arm", "reset", "home", "resume", "forget", "discard"}
    for action in HELD:
        with pytest.raises(MessageError, match="estop, pause, disarm"):
            read_message(json.dumps({"type": "press", "action": action}))


@pytest.mark.parametrize(
    "data",
    [
        *("", "estop", "null", "[]", "7", '"press"', "{", "[" * 1000, "{}", "NaN", "\ud800"),
        *('{"type": "press"}', '{"type": "press", "action": "explode"}', '{"action": "estop"}'),
        *('{"type": "press", "action": ["estop"]}', '{"type": ["press"], "action": "estop"}'),
        *('{"type": "press", "action": "estop", "more": 1}', '{"type": "gui", "remove": "stop"}'),
        *('{"type": "press", "action": "pause", "action": "estop"}', '{"type": 1}'),
        *('{"type": "confirm", "action": "arm"}', '{"type": "confirm", "nonce": "x"}'),
        *('{"type": "confirm", "action": "arm", "nonce": 7}', '{"type": "share"}'),
        *('{"type": "confirm", "action": "arm", "nonce": ""}', '{"type": "instruct"}'),
        *('{"type": "instruct", "text": ""}', '{"type": "instruct", "text": "  "}'),
        *('{"type": "instruct", "text": 1e999}', '{"type": "instruct", "text": "a\\u0000b"}'),
        *('{"type": "instruct", "text": "a\\nb"}', '{"type": "instruct", "text": NaN}'),
        '{"type": "instruct", "text": "%s"}' % ("x" * 201),
        *('{"type": "task"}', '{"type": "task", "text": ""}', '{"type": "task", "text": " ; ;"}'),
        *('{"type": "task", "text": ["a"]}', '{"type": "task", "text": "a", "timeout": 3}'),
        '{"type": "instruct", "text": "x"%s}' % (" " * MOST_BYTES),
        '{"type": "confirm", "action": "arm", "nonce": "%s"}' % ("x" * 65),
    ],
)
def test_what_is_none_of_them_is_refused_in_one_line(data):
    with pytest.raises(MessageError) as caught:
        read_message(data)
    assert "\n" not in str(caught.value)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["type", "action", "nonce", "text", "x"]), _VALUES)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["press", "ask", "confirm", "instruct", "task"])},
        optional={"action": _VALUES, "nonce": _VALUES, "text": _VALUES},
    )
    | _VALUES
)
def test_whatever_is_said_is_a_known_message_or_an_answer(said):
    try:
        found = read_message(json.dumps(said))
    except MessageError:
        return
    assert isinstance(found, Press | Ask | Confirm | Instruct | Perform)
    assert getattr(found, "action", "arm") in PRESSED + HELD
