"""A policy whose chunks are imagined by another model: (world, instruction, proposed actions) ->
future.

The proposer may be any policy, the predictor any that imagines what follows from actions
(`Abilities.action_conditioned`): each proposal is given to it as if all of it were committed. Both
may be servers elsewhere. A value chooses among the futures (`runtime.values`), and none of them
need be good enough (`least_value`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import (
    Abilities,
    Policy,
    PolicyOutput,
    Request,
    abilities_of,
    calm_of,
    runs_on,
)
from wam_ros.core.resources import config_path, share_dir
from wam_ros.core.types import Observation
from wam_ros.core.yamlfile import from_mapping, load_yaml

FAMILY = "proposals"
MOST = 16  # proposals for one observation
PLAIN = Request()


@dataclass(frozen=True)
class Pair:
    """Who proposes and who predicts, each a model as the loop is told one."""

    family: str
    name: str
    proposer: str
    predictor: str
    embodiment: str = ""  # robot of both; empty: whichever they are for


def load(
    name: str, weights: Path, embodiment: Embodiment, threads: int, steps: int, memory: str
) -> ProposalsPolicy:
    """Load both; raises `WamError` when one of them cannot be, or something was asked for that is
    theirs.
    """
    from wam_ros.models import load_policy, read_description

    path = config_path("models", name)
    pair = from_mapping(Pair, load_yaml(path), str(path))
    if weights != share_dir() or steps or memory != "real":
        raise WamError(f"'{name}' is two models: checkpoint, steps and memory are theirs")
    if pair.embodiment and pair.embodiment != embodiment.name:
        raise WamError(f"'{name}' is for '{pair.embodiment}', not for '{embodiment.name}'")
    for model in (pair.proposer, pair.predictor):
        if read_description(model)["family"] == FAMILY:
            raise WamError(f"{path}: '{model}' is itself of the family {FAMILY}")
    proposer, predictor = (
        load_policy(model, "", embodiment, threads=threads)
        for model in (pair.proposer, pair.predictor)
    )
    return ProposalsPolicy(pair.name, proposer, predictor)


class ProposalsPolicy:
    """Implements `core.policy.Policy`. One thread owns it, and both models.

    Args:
        name: of the two together.
        proposer: whose chunks are executed.
        predictor: that imagines what follows from each.

    Raises:
        WamError: the predictor cannot be told actions, or both remember frames at other strides.
    """

    def __init__(self, name: str, proposer: Policy, predictor: Policy) -> None:
        mine, its = abilities_of(proposer), abilities_of(predictor)
        if not its.action_conditioned:
            raise WamError(f"'{predictor.name}' cannot be told which actions to imagine")
        if mine.frame_stride not in (0, its.frame_stride):
            raise WamError(
                f"'{proposer.name}' remembers a frame every {mine.frame_stride} steps, "
                f"'{predictor.name}' every {its.frame_stride}"
            )
        self._proposer = proposer
        self._predictor = predictor
        self._many = mine.candidates > 1  # it proposes several at once
        self._remembers = bool(mine.frame_stride)
        self._instruction = ""
        words = its if its.vocabulary else mine
        self.abilities = Abilities(
            prefix=mine.prefix,
            guided=mine.guided,
            candidates=MOST,
            frame_stride=its.frame_stride,
            vocabulary=words.vocabulary,
            choose_one=words.choose_one,
        )
        self.name = name
        self.checkpoint_hash = proposer.checkpoint_hash or predictor.checkpoint_hash
        told = (f"proposed {runs_on(proposer)}", f"imagined {runs_on(predictor)}")
        self.runs_on = "; ".join(line.strip() for line in told)
        self.example_instruction = getattr(predictor, "example_instruction", "") or getattr(
            proposer, "example_instruction", ""
        )
        self.calm = calm_of(predictor)

    def reset(self, instruction: str) -> None:
        """Both forget everything and take a new instruction, or neither takes it."""
        self._predictor.reset(instruction)
        try:
            self._proposer.reset(instruction)
        except WamError:
            if self._instruction:
                self._predictor.reset(self._instruction)
            raise
        self._instruction = instruction

    def predict(self, observation: Observation, request: Request = PLAIN) -> PolicyOutput | None:
        """Chunks of the proposer, as many as are asked for, each with what the predictor imagines.

        Raises:
            WamError: either cannot answer.
        """
        if not request.predict:
            if self._remembers:
                self._proposer.predict(observation, request)
            self._predictor.predict(observation, request)
            return None
        began = time.perf_counter()
        proposed = self._propose(observation, replace(request, apart=False))
        proposed_s = time.perf_counter() - began
        if not proposed:
            return None
        first, *others = (self._imagined(observation, request, one) for one in proposed)
        timing = {
            "propose": proposed_s,
            "imagine": time.perf_counter() - began - proposed_s,
        }
        return replace(first, timing_s=timing, others=tuple(others))

    def _propose(self, observation: Observation, request: Request) -> list[PolicyOutput]:
        if not hasattr(self._proposer, "abilities"):
            asked: list[tuple[Any, ...]] = [(observation,)] * request.candidates
        elif self._many:
            asked = [(observation, request)]
        else:
            asked = [(observation, replace(request, candidates=1))] * request.candidates
        found = []
        for one in asked:
            output = self._proposer.predict(*one)
            if output is not None:
                found += [replace(output, others=()), *output.others]
        return found

    def _imagined(
        self, observation: Observation, request: Request, proposed: PolicyOutput
    ) -> PolicyOutput:
        """A proposal with the future that follows from it."""
        rows = proposed.positions
        asked = Request(step=request.step, plan=rows, committed=len(rows))
        future = self._predictor.predict(observation, asked)
        if future is None:
            raise WamError(f"'{self._predictor.name}' imagines nothing for this observation")
        return replace(
            proposed,
            frames=future.frames,
            frame_offsets_ns=future.frame_offsets_ns,
            conditioning=future.conditioning,
            evaluations=proposed.evaluations + future.evaluations,
            outlook=future.outlook,
        )
