"""What a model must offer to be run in the loop, and what it may offer beyond that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from wam_ros.core.appraisal import Calm, Outlook
from wam_ros.core.types import Conditioning, Observation


@dataclass(frozen=True)
class Abilities:
    """What a policy can do beyond predicting from one observation; a policy without `abilities` can
    do nothing more.
    """

    prefix: bool = False  # trained to continue committed steps, which it is given clean
    guided: bool = False  # can be drawn towards a running plan while it denoises
    # imagines what follows from a plan that is committed whole: actions in, frames out
    action_conditioned: bool = False
    # steps after a chunk's anchor whose imagined frame it can begin the next chunk from
    ahead: tuple[int, ...] = ()
    candidates: int = 1  # most chunks it can predict in one batch
    # executed steps between the frames it remembers; 0: it looks only at what it predicts from
    frame_stride: int = 0
    vocabulary: tuple[str, ...] = ()  # words that an instruction may have; empty: any
    choose_one: tuple[str, ...] = ()  # those of which an instruction names exactly one; empty: none


@dataclass(frozen=True)
class Request:
    """What is wanted from one observation. The default asks for a chunk as if there were none
    before.
    """

    # control steps executed until the observation; None: count them by the clock
    step: int | None = None
    predict: bool = True  # False: only remember the frame
    # (n, A) targets of the running plan on the grid of the new chunk, n <= T
    plan: np.ndarray | None = None
    committed: int = 0  # leading rows of `plan` that will be executed before the answer is there
    prefix: bool = False  # keep the committed rows as trained, instead of guiding
    # begin so many steps after the observation, from what was imagined for that instant
    ahead: int = 0
    candidates: int = 1  # chunks to choose from
    # the answer to a single candidate may leave its frames to be decoded later, by `decode`
    apart: bool = False


@dataclass(frozen=True)
class PolicyOutput:
    """One predicted chunk and the frames imagined with it. Offsets count from the observation plus
    `ahead` steps.
    """

    # (T, A) float64, absolute rad or m; step k is due (k + 1) step periods after that instant
    positions: np.ndarray
    frames: np.ndarray  # (F, V, H, W, 3) uint8 RGB
    frame_offsets_ns: tuple[int, ...]  # (F,)
    conditioning: Conditioning
    evaluations: int  # denoising passes of the network
    timing_s: dict[str, float] = field(default_factory=dict)  # encode, prefill, denoise, decode
    committed: int = 0  # leading steps that equal the plan of the request
    guided: bool = False  # whether the rest was drawn towards that plan
    ahead: int = 0  # as asked for; 0 when nothing was imagined for that instant
    others: tuple[PolicyOutput, ...] = ()  # the other candidates
    # where the frames were left out: this output with its frames. To be called once, by any thread,
    # while the policy goes on
    decode: Callable[[], PolicyOutput] | None = None
    outlook: Outlook = field(default_factory=Outlook)  # of the observation, and of this chunk's end


class Policy(Protocol):
    """A world action model with memory. Not thread-safe: one thread owns it.

    It may have an attribute `abilities: Abilities`, whose requests it then understands,
    `example_instruction: str`, one that it accepts, with which it can be warmed up before anybody
    has said what to do, `runs_on: str`, one line on the machine and the precision that it computes
    in there, `calm: Calm`, what errors calm runs of it show, without which no surprise is known,
    and `another() -> Policy`, the same weights with a memory of its own: one thread serves several
    robots with them. One that has `another` may have `together(asked)`, too: a list of (policy,
    observation, request), each policy once, is answered in fewer passes, each by what its own
    `predict` would answer, or by the exception that it would raise.
    """

    name: str
    checkpoint_hash: str

    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction.

        Raises:
            WamError: the instruction is empty, too long, or has words the model never learned (they
                are listed). Memory and instruction are then as they were before.
        """

    def predict(self, observation: Observation, request: Request = ...) -> PolicyOutput | None:
        """Put the observed frames into memory and predict the next chunk and frames from them.

        None means that this observation asks for no new chunk; the one before goes on. A policy
        without abilities is only ever given an observation.
        """


def runs_on(policy: Policy) -> str:
    """What `policy` says of the machine it computes on; '' where it says nothing."""
    return getattr(policy, "runs_on", "")


def abilities_of(policy: Policy) -> Abilities:
    """What `policy` says it can do."""
    return getattr(policy, "abilities", Abilities())


def calm_of(policy: Policy | None) -> Calm | None:
    """What errors calm runs of `policy` show; None where that is not known."""
    return getattr(policy, "calm", None)
