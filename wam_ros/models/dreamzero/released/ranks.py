"""The two branches of guidance on two processes, each with a GPU of its own, by `torchrun`.

Both hold the whole model and are asked the same. Each computes the velocity of one branch, with the
prompt or without, and hears that of the other at every evaluation; from there on both go the same
way, so that neither has to be told what came of it. Tensors and text travel, never objects.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.shared.transformer import Velocity

RANKS = 2
IDLE = timedelta(days=365)  # for a question
LATE = timedelta(seconds=60)  # for the other's velocity: it is then taken for gone
_DTYPES = (torch.uint8, torch.int64, torch.float32)
_AXES = 6
_PARTS = 3  # frames, state, plan
_HEAD = 2 + _PARTS + _PARTS * _AXES


def rank_of_environment() -> int | None:
    """Which of the processes that `torchrun` started this is; None where it did not.

    Raises:
        WamError: they are not two.
    """
    if "RANK" not in os.environ:
        return None
    if (world := os.environ.get("WORLD_SIZE")) != str(RANKS):
        raise WamError(f"guidance has {RANKS} branches: --nproc_per_node={RANKS}, found {world}")
    return int(os.environ["RANK"])


class Ranks:
    """This process and the other. One thread owns it.

    Args:
        rank: 0 asks, 1 answers.
        device: where velocities are.
    """

    def __init__(self, rank: int, device: torch.device) -> None:
        self.rank = rank
        kind = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group("gloo", rank=rank, world_size=RANKS, timeout=IDLE)
        self._velocities = dist.new_group(backend=kind, timeout=LATE)

    def gather(self, mine: Velocity) -> Velocity:
        """Both branches on the batch axis, that with the prompt first; fp32."""
        parts = (self._both(mine.video.float()), self._both(mine.action.float()))
        return Velocity(*parts)

    def tell(
        self, frames: Tensor, state: Tensor, instruction: str, plan: Tensor | None = None
    ) -> None:
        """Rank 0: what both predict from."""
        text = torch.tensor(list(instruction.encode()), dtype=torch.uint8)
        # one number stands for no plan
        told = (frames, state.float(), torch.zeros(1) if plan is None else plan.float())
        parts = [part.cpu().contiguous() for part in told]
        head = [1, len(text), *(_DTYPES.index(x.dtype) for x in parts)]
        for x in parts:
            head += [*x.shape, *[0] * (_AXES - x.dim())]
        for x in (torch.tensor(head), *parts, text):
            dist.broadcast(x, 0)

    def end(self) -> None:
        """Rank 0: nothing more is asked."""
        dist.broadcast(torch.zeros(_HEAD, dtype=torch.int64), 0)

    def told(self) -> tuple[Tensor, Tensor, str, Tensor | None] | None:
        """Rank 1: what `tell` told; None after `end`, and when rank 0 is gone."""
        try:
            head = self._heard(torch.zeros(_HEAD, dtype=torch.int64)).tolist()
        except RuntimeError:  # its end of the connection
            return None
        if not head[0]:
            return None
        first = 2 + _PARTS
        shapes = [head[first + k * _AXES :][:_AXES] for k in range(_PARTS)]
        frames, state, plan = (
            self._heard(torch.zeros([n for n in shape if n], dtype=_DTYPES[kind]))
            for shape, kind in zip(shapes, head[2:first], strict=True)
        )
        text = self._heard(torch.zeros(head[1], dtype=torch.uint8))
        words = bytes(text.tolist()).decode()
        return frames, state, words, None if plan.dim() == 1 else plan

    def _heard(self, room: Tensor) -> Tensor:
        dist.broadcast(room, 0)
        return room

    def _both(self, mine: Tensor) -> Tensor:
        found = [torch.empty_like(mine) for _ in range(RANKS)]
        dist.all_gather(found, mine.contiguous(), self._velocities)
        return torch.cat(found)
