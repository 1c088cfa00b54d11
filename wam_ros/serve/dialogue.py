"""How one connection speaks: openpi's wire, that of `vla-eval`, or Genie Sim's. Of one thread at a
time.

A dialogue turns bytes into a `Query` for the model and its answer into bytes. What needs no model
it answers itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from wam_ros.serve.service import PolicyService, Query
from wam_ros.wire import genie_sim, vla_eval
from wam_ros.wire.packing import pack, unpack

# paths of clients that speak first, where openpi's server does
VLA_EVAL = "/vla-eval"
GENIE_SIM = "/genie-sim"


class Dialogue(Protocol):
    """One connection, one message after another."""

    greeting: bytes  # what is said first; empty: the client speaks first
    slow: bool  # whether reading takes long: there are pictures to be opened

    def read(self, data: bytes) -> Query | None:
        """What the model is asked; None where it is not.

        Raises:
            WamError: it cannot be read, in words for whoever sent it.
        """

    def reply(self, answer: Any) -> bytes | str:
        """What is sent for the message that was read last; empty: nothing.

        Args:
            answer: of the model; None where it was not asked.
        """

    def refuse(self, words: str) -> bytes | str:
        """What is sent where there is no answer."""


def begin(path: str, ours: bool, service: PolicyService, connection: str) -> Dialogue:
    """The dialogue of a new connection.

    Args:
        path: that it asked for.
        ours: whether it is a client of ours, that is told everything.
        service: the model.
        connection: its name.
    """
    if path == VLA_EVAL:
        return VlaEvalDialogue(service, connection)
    if path == GENIE_SIM:
        return GenieSimDialogue(service, connection)
    return OpenpiDialogue(service, connection, ours)


class OpenpiDialogue:
    """Metadata first, then an answer for each message: a map or an array in bytes, or text."""

    slow = False

    def __init__(self, service: PolicyService, connection: str, ours: bool) -> None:
        self.greeting = pack(service.metadata if ours else service.greeting)
        self._service = service
        self._connection = connection

    def read(self, data: bytes) -> Query | None:
        """A request by the keys of a contract of the server."""
        return self._service.read(unpack(data), self._connection)

    def reply(self, answer: Any) -> bytes | str:
        """As it is."""
        return answer if isinstance(answer, str) else pack(answer)

    def refuse(self, words: str) -> bytes | str:
        """Text, which openpi's clients raise."""
        return f"wam serve: {words}"


class VlaEvalDialogue:
    """`vla-eval` sends every observation of an episode and executes one action for each.

    The model is asked when its chunk is used up. What is seen in between it remembers at its own
    stride, as in the loop.
    """

    greeting = b""
    slow = True

    def __init__(self, service: PolicyService, connection: str) -> None:
        self._service = service
        self._connection = connection
        self._number = 0
        self._kind = ""  # of the message that was read last
        self._step = 0  # observations of this episode
        self._rows = np.zeros((0, 0), np.float32)  # of the chunk, that are not executed
        self._words = ""

    def read(self, data: bytes) -> Query | None:
        """An observation that the model should see, or an episode that begins or ends."""
        said = vla_eval.read_said(data)
        self._number = said.number
        self._kind = said.kind
        if said.kind == "hello":
            return None
        if said.kind != "observation":
            self._forget()
            return self._service.read({"endpoint": "reset"}, self._connection)
        keys = vla_eval.native_keys(said.payload, self._service.robot)
        words = keys[self._service.native.prompt]
        if words != self._words:  # the model begins anew, and so does its chunk
            self._forget()
            self._words = words
        stride = self._service.frame_stride
        wanted = not len(self._rows)
        if not wanted and not (stride and self._step % stride == 0):
            return None
        asked = {"step": self._step, "predict": wanted}
        return self._service.read(keys | asked, self._connection)

    def reply(self, answer: Any) -> bytes | str:
        """One action for an observation, what the server is for a hello, else nothing."""
        if self._kind == "hello":
            about = vla_eval.describe(self._service.robot, self._service.metadata["model"])
            return vla_eval.pack_said("hello", about, self._number)
        if self._kind != "observation":
            return b""
        if isinstance(answer, dict) and "actions" in answer:
            self._rows = answer["actions"].astype(np.float32)
        action = self._rows[0]
        self._rows = self._rows[1:]
        self._step += 1
        return vla_eval.pack_said("action", {"actions": action}, self._number)

    def refuse(self, words: str) -> bytes | str:
        """An error, which `vla-eval` counts as that of the episode."""
        self._forget()
        return vla_eval.pack_said("error", {"error": f"wam serve: {words}"}, self._number)

    def _forget(self) -> None:
        self._step = 0
        self._rows = self._rows[:0]
        self._words = ""


class GenieSimDialogue:
    """Genie Sim's benchmark asks for a chunk and executes all of it. It says of which episode a
    question is, and nothing between two: the model sees no frame of what was executed meanwhile.
    """

    greeting = b""
    slow = True

    def __init__(self, service: PolicyService, connection: str) -> None:
        self._service = service
        self._connection = connection
        self._asked: genie_sim.Asked | None = None  # that was read last
        self._episode = -1  # of the newest answer
        self._step = 0  # that it has executed by its next question

    def read(self, data: bytes) -> Query | None:
        """An observation; the first of an episode begins with an empty memory."""
        self._asked = asked = genie_sim.read_asked(data, self._service.robot)
        begins = asked.episode != self._episode
        if begins:
            self._step = 0
        query = self._service.read(asked.keys | {"step": self._step}, self._connection)
        return replace(query, begins=begins)

    def reply(self, answer: Any) -> bytes | str:
        """The whole chunk."""
        assert self._asked is not None
        actions = answer["actions"]
        self._episode = self._asked.episode
        self._step += len(actions)
        return genie_sim.pack_answer(self._asked.robot_type, actions)

    def refuse(self, words: str) -> bytes | str:
        """Text, which its client raises; what was remembered is begun anew."""
        self._episode = -1
        return f"wam serve: {words}"
