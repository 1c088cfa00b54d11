"""What the page may say to its server: a closed set of messages, each read strictly.

One message is one JSON object in one text frame:

    {"type": "press", "action": "estop"}
    {"type": "ask", "action": "arm"}
    {"type": "confirm", "action": "arm", "nonce": "..."}
    {"type": "instruct", "text": "pick up the red block"}
    {"type": "task", "text": "pick up the red block; put it on the blue one"}

What stops or calms the arm happens when it is pressed, and what begins, keeps or marks a take. What
may let the arm move, or throws a take away, is asked for first; the server answers with a nonce,
which the page sends back when the person holds the button down. An instruction, or a task of
several, moves nothing that is not armed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wam_ros.core.errors import WamError

MOST_BYTES = 1024  # of one message
MOST_CHARACTERS = 200  # of an instruction, as the inference node
# of the recorder, each with its service; `good` and `bad` are marks of the take
TAKES = {"take": "start", "save": "save", "discard": "discard", "good": "mark", "bad": "mark"}
# at once: they stop or calm, or move and lose nothing
PRESSED = ("estop", "pause", "disarm", "cancel", "take", "save", "good", "bad")
THEN = ";"  # between the instructions of a task
# in two steps: they may let the arm move, or cannot be taken back
HELD = ("arm", "reset", "home", "resume", "forget", "discard")


class MessageError(WamError):
    """A message that is none of those there are; it is answered with these words."""


@dataclass(frozen=True)
class Press:
    """Do it at once; `action` is one of `PRESSED`."""

    action: str


@dataclass(frozen=True)
class Ask:
    """The first of two steps; `action` is one of `HELD`."""

    action: str


@dataclass(frozen=True)
class Confirm:
    """The second step, with what the first was answered."""

    action: str
    nonce: str


@dataclass(frozen=True)
class Instruct:
    """Give the model another instruction."""

    text: str


@dataclass(frozen=True)
class Perform:
    """Follow one instruction after the other, each until it is done."""

    text: str  # with `THEN` between them

    @property
    def instructions(self) -> list[str]:
        """One or more, none of them empty."""
        return [part for words in self.text.split(THEN) if (part := words.strip())]


Message = Press | Ask | Confirm | Instruct | Perform


def read_message(data: str) -> Message:
    """What a client says.

    Raises:
        MessageError: it is too long, no JSON object, of an unknown type, lacks a key, has one too
            many, or one of its values is none of those there are.
    """
    if len(data.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise MessageError(f"a message has at most {MOST_BYTES} bytes")
    try:
        found = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
    # a deep nest of brackets ends in the second
    except (ValueError, RecursionError) as error:
        raise MessageError("a message is one JSON object") from error
    if not isinstance(found, dict):
        raise MessageError("a message is one JSON object")
    kind = found.pop("type", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MessageError(f"unknown type of message; there are {', '.join(_KINDS)}")
    cls, readers = _KINDS[kind]
    if set(found) != set(readers):
        raise MessageError(f"'{kind}' has exactly the keys type, {', '.join(readers)}")
    return cls(**{key: read(found[key]) for key, read in readers.items()})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key came twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise MessageError(f"unknown action; there are {', '.join(choices)}")
        return value

    return read


def _nonce(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isascii():
        raise MessageError("a nonce is 1 to 64 characters")
    return value


def _instruction(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MessageError("the instruction is empty")
    if len(value) > MOST_CHARACTERS or not value.isprintable():
        raise MessageError(f"an instruction is at most {MOST_CHARACTERS} printable characters")
    return value.strip()


def _task(value: Any) -> str:
    text = _instruction(value)
    if not Perform(text).instructions:
        raise MessageError("a task has an instruction")
    return text


_KINDS: dict[str, tuple[type, dict[str, Callable[[Any], str]]]] = {
    "press": (Press, {"action": _one_of(PRESSED)}),
    "ask": (Ask, {"action": _one_of(HELD)}),
    "confirm": (Confirm, {"action": _one_of(HELD), "nonce": _nonce}),
    "instruct": (Instruct, {"text": _instruction}),
    "task": (Perform, {"text": _task}),
}
