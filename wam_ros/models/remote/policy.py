"""A policy that is asked over the wire, as the loop wants it.

What goes wrong is a `WamError` in words, which the engine turns into a state: no chunk comes, and
the arm comes to rest on what was proven before. The engine then begins anew with a reset, and that
reconnects.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.types import Observation
from wam_ros.models.remote.address import REST, ZMQ, Address, read_address, read_token
from wam_ros.models.remote.link import ConnectionGoneError, Link, UnreachedError
from wam_ros.models.remote.rest import RestLink
from wam_ros.models.remote.tool import ToolPath
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.joints import load_joints
from wam_ros.wire.contract import (
    WireContract,
    as_told,
    at_steps,
    load_contract,
    native,
    plan_keys,
    poses_of,
    positions_of,
    request_of,
    require_robot,
    told_plan,
    view_order,
)
from wam_ros.wire.exchange import RESET_DONE, read_abilities, read_output, request_keys
from wam_ros.wire.packing import WireError

LOAD_S = 1800.0  # a server that says that it is loading is waited for, when it is first asked
FIRST_S = 600.0  # for the first answer of a server, which may compile its model
ANSWER_S = 5.0  # for one that has answered before; the arm has come to rest long since

SAME = 2e-3  # rad or m that committed rows may differ after a server's own steps and precision

_LOG = logging.getLogger(__name__)
PLAIN = Request()


def load(
    name: str, weights: Path, embodiment: Embodiment, threads: int, steps: int, memory: str
) -> RemotePolicy:
    """Ask the server of an address what it is; raises `WamError` when it does not fit the robot.

    Weights, threads, steps and memory are the server's own.
    """
    address = read_address(name)
    contract = load_contract(address.contract, embodiment) if address.contract else None
    policy = RemotePolicy(address.url, link_to(address, contract), embodiment, contract)
    try:
        policy.meet(LOAD_S)
    except UnreachedError as error:
        if contract is None or not contract.start:
            raise
        raise UnreachedError(f"{error}. To start it: {contract.start}") from error
    if address.risk:
        policy.runs_on = f"{policy.runs_on}; {address.risk}"
    return policy


class PolicyLink(Protocol):
    """To a server, whatever it speaks. Of one thread at a time."""

    tells_reset: bool  # whether the server is told of a new instruction, whatever its contract says

    @property
    def open(self) -> bool:
        """Whether somebody is there, as far as is known."""

    def connect(self, patience_s: float, on_wait: Callable[[str], None]) -> Any:
        """Reach the server; what it says of itself, {} where it says nothing."""

    def ask(self, message: Mapping[str, Any], timeout_s: float) -> Any:
        """The answer to a message; a text is an error, or `RESET_DONE`."""

    def close(self) -> None:
        """End the connection, if there is one."""


def link_to(address: Address, contract: WireContract | None) -> PolicyLink:
    """What speaks as the server of an address does; raises `WamError`."""
    token = read_token()
    if address.url.startswith(REST):
        return RestLink(address, token)
    if address.url.startswith(ZMQ):
        # pyzmq is not everybody's
        from wam_ros.models.remote.groot import GrootLink

        assert contract is not None
        return GrootLink(address, token, contract)
    return Link(address, token)


def continued(
    output: PolicyOutput, plan: np.ndarray, told: np.ndarray, committed: int
) -> PolicyOutput:
    """A chunk of a foreign server that was told a plan (n, A): what it made of it is seen in its
    rows, whatever it says. One that does not begin as it was told replaces the plan.

    Args:
        output: with its answer.
        plan: under way.
        told: the same as its server was told it, at the robot's steps.
        committed: rows that are executed anyway.
    """
    n = min(committed, len(plan), len(told), len(output.positions))
    if n < committed or np.abs(output.positions[:n] - told[:n]).max(initial=0.0) > SAME:
        return replace(output, committed=0, guided=False)
    positions = output.positions.copy()
    positions[:n] = plan[:n]
    return replace(output, positions=positions, committed=n, guided=True)


class RemotePolicy:
    """Implements `core.policy.Policy`. One thread at a time owns it.

    Args:
        url: of the server, for words.
        link: to it.
        embodiment: the robot.
        contract: what the server's messages mean; None: it must describe this robot itself, as
            `wam serve` does.
    """

    def __init__(
        self, url: str, link: PolicyLink, embodiment: Embodiment, contract: WireContract | None
    ) -> None:
        self._url = url
        self._link = link
        self._robot = embodiment
        self._describes_itself = contract is None
        self._contract = contract or native(embodiment)
        tool = self._contract.tool
        self._path = ToolPath(Dynamics(embodiment, load_joints(embodiment))) if tool else None
        self._session = ""
        self._instruction = ""
        self._answered = False
        self._identity: tuple[str, str] | None = None
        self.name = url
        self.checkpoint_hash = ""
        self.runs_on = f"at {url}"
        self.example_instruction = ""
        self.abilities = Abilities(guided=bool(self._contract.plan))

    def meet(self, patience_s: float) -> None:
        """Connect, and take what the server says of itself.

        Raises:
            WamError: it cannot be reached, is not for this robot, or another than before.
        """
        found = self._link.connect(patience_s, _LOG.warning)
        try:
            self._take(found if isinstance(found, Mapping) else {})
        except WamError as error:
            self._link.close()
            raise WamError(f"the policy server {self._url}: {error}") from error

    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction; connects where there is no connection."""
        self._session = uuid.uuid4().hex  # a server that knows no reset begins anew with it
        if not self._link.open:
            self.meet(0.0)
        if self._describes_itself or self._contract.endpoint or self._link.tells_reset:
            try:
                self._tell_reset(instruction)
            except ConnectionGoneError:  # it was dropped while nothing was asked
                self.meet(0.0)
                self._tell_reset(instruction)
        self._instruction = instruction

    def predict(self, observation: Observation, request: Request = PLAIN) -> PolicyOutput | None:
        """Ask for a chunk, or let a server of ours remember the frame.

        Raises:
            WamError: no answer in time, an answer in words, or one that is not a finite chunk of
                this robot.
        """
        if not self._instruction:
            raise WamError("no instruction was set")
        robot = self._robot
        message = request_of(self._contract, observation, self._instruction, self._session)
        if self._describes_itself:
            horizon_s = robot.action_horizon * robot.step_period_s
            message |= request_keys(request, horizon_s)
        told = np.zeros((0, 0))
        if self._contract.plan and request.plan is not None:
            told = told_plan(self._contract, request.plan, observation, robot)
        if len(told):
            message |= plan_keys(self._contract, told, request.committed, observation, robot)
        answer = self._ask(message)
        if self._describes_itself and not request.predict:
            return None
        try:
            positions = self._positions(answer, observation)
            no_frames = np.zeros((0, *observation.frames.shape), np.uint8)
            output = read_output(answer, positions, no_frames)
            if not self._describes_itself:
                # of another's keys of these names nobody knows what they mean
                output = replace(output, committed=0, guided=False)
                if len(output.frames):
                    order = view_order(self._contract, observation.view_names)
                    output = replace(output, frames=output.frames[:, order])
            if not len(told) or request.plan is None:
                return output
            told = as_told(self._contract, told, observation, robot)
            return continued(output, request.plan, told, request.committed)
        except WireError as error:
            raise WamError(f"the policy server {self._url}: {error}") from error

    def _positions(self, answer: Any, observation: Observation) -> np.ndarray:
        """(T, A) of the robot's joints; raises `WireError`."""
        contract = self._contract
        if self._path is None:
            return positions_of(contract, answer, observation, self._robot)
        poses, others = poses_of(contract, answer)
        q = np.asarray(observation.joints.positions, dtype=float)
        rows = self._path.joints(q, poses, contract.rotation, contract.tool == "incremental")
        columns = [self._robot.joint_names.index(name) for name in contract.action_joints]
        rows[:, columns] = others
        return at_steps(contract, q, rows, self._robot)

    def _take(self, said: Mapping[str, Any]) -> None:
        """What a server says of itself, where it is one of ours."""
        if self._describes_itself:
            try:
                require_robot(said, self._robot)
            except WamError as error:
                raise WamError(
                    f"{error}; another's server is asked by a contract: CONTRACT@{self._url}"
                ) from error
            self.abilities = read_abilities(said.get("abilities"))
        model = said.get("model")
        digest = said.get("checkpoint_hash")
        identity = (
            model[:80] if isinstance(model, str) and model.isprintable() else "",
            digest[:128] if isinstance(digest, str) and digest.isalnum() else "",
        )
        if self._identity not in (None, identity):
            raise WamError(
                f"it serves {identity} now, and {self._identity} before: load the model anew"
            )
        self._identity = identity
        self.name = identity[0] or self._url
        self.checkpoint_hash = identity[1]
        example = said.get("example_instruction")
        if self._describes_itself and isinstance(example, str):
            self.example_instruction = example

    def _tell_reset(self, instruction: str) -> None:
        message: dict[str, Any] = {"endpoint": "reset", self._contract.prompt: instruction}
        if self._contract.session:
            message[self._contract.session] = self._session
        answer = self._link.ask(message, self._timeout_s)
        if answer != RESET_DONE:
            words = answer if isinstance(answer, str) else "it answers a reset with something else"
            raise WamError(f"the policy server {self._url}: {words}")

    def _ask(self, message: dict[str, Any]) -> Any:
        answer = self._link.ask(message, self._timeout_s)
        if isinstance(answer, str):
            if not self._describes_itself:
                self._link.close()  # so does openpi's server, after an error
            raise WamError(f"the policy server {self._url}: {answer}")
        self._answered = True
        return answer

    @property
    def _timeout_s(self) -> float:
        return ANSWER_S if self._answered else FIRST_S
