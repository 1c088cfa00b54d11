"""Reads how a real controller is set, by its parameter service, once each time it appears."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from wam_ros.ros.controllers.base import Output, Setting

JOINTS = "joints"
# names of parameters, each with what is done with its value
Questions = deque[tuple[str, Callable[[Any], None]]]


class SettingsReader:
    """Asks without waiting; answers come while the node spins.

    Args:
        node: that asks.
        output: whose controller is asked; it is told the order of the joints.
    """

    def __init__(self, node: Node, output: Output) -> None:
        self._node = node
        self._output = output
        self._wanted: dict[str, list[Setting]] = {output.name: []}
        for setting in output.settings():
            self._wanted.setdefault(setting.node or output.name, []).append(setting)
        self._clients = {
            n: node.create_client(GetParameters, f"{n}/get_parameters") for n in self._wanted
        }
        self._asked: set[str] = set()
        self._found: dict[str, list[str]] = {}
        self._questions: dict[str, Questions] = {}

    @property
    def warnings(self) -> list[str]:
        """What is not set as it should be, of all answers so far."""
        return [words for found in self._found.values() for words in found]

    def poll(self) -> None:
        """Ask whoever has appeared since the last call; call a few times per second."""
        for name, client in self._clients.items():
            if not client.service_is_ready():
                self._asked.discard(name)
            elif name not in self._asked:
                self._asked.add(name)
                self._ask(name)

    def _ask(self, name: str) -> None:
        """One question per parameter: a node that does not know one of several answers none of
        them. One after another: a service forgets the first of more than ten that wait.
        """
        self._found[name] = []
        questions: Questions = deque()
        if name == self._output.name:
            questions.append((JOINTS, self._on_joints))
        for setting in self._wanted[name]:
            questions.append((setting.name, functools.partial(self._check, name, setting)))
        self._questions[name] = questions
        self._ask_next(name, questions)

    def _ask_next(self, name: str, questions: Questions) -> None:
        # a node that came again is asked anew
        if not questions or questions is not self._questions[name]:
            return
        parameter, use = questions.popleft()

        def on_answer(future: Any) -> None:
            response = future.result()
            if response is not None:
                use(parameter_value_to_python(response.values[0]) if response.values else None)
            self._ask_next(name, questions)

        request = GetParameters.Request(names=[parameter])
        self._clients[name].call_async(request).add_done_callback(on_answer)

    def _on_joints(self, joints: Any) -> None:
        if not joints:
            return
        self._output.on_joints(list(joints))
        if self._output.blocked:
            self._node.get_logger().error(self._output.blocked)

    def _check(self, node: str, setting: Setting, value: Any) -> None:
        words = setting.advice
        if value is None and setting.absent is not None:
            words = setting.absent
        if words and (value is None or not setting.fits(value)):
            self._found[node].append(f"{node}: {words}")
            self._node.get_logger().warning(self._found[node][-1])
