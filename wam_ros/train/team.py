"""The processes that train one model together, as `torchrun` starts them; usually it is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Team:
    """This process among its like."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Whether this one speaks and writes what all share."""
        return self.rank == 0

    def summed(self, x: Tensor) -> Tensor:
        """The sum over all processes, in each of them."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def told(self, value: float) -> float:
        """What the leading process says."""
        if self.size == 1:
            return value
        x = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(x, 0)
        return float(x)

    def one_first(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; the others begin when the leading process has left its files."""
        if self.leads:
            found = work()
            self.wait()
            return found
        self.wait()
        return work()

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined() -> Iterator[Team]:
    """The team that `torchrun` says in the environment; NCCL on accelerators, gloo on CPUs."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else CPU
    if cuda:
        torch.cuda.set_device(device)
    if size == 1:
        yield Team(device=device)
        return
    dist.init_process_group("nccl" if cuda else "gloo")
    team = Team(dist.get_rank(), size, device)
    try:
        yield team
        # who left first would take connections along that others still use
        team.wait()
    finally:
        dist.destroy_process_group()
