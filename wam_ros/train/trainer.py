"""One loop for every family of models: global batches, masters in fp32, their running mean, and a
state from which training goes on bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from wam_ros.core.errors import WamError
from wam_ros.core.files import write_json
from wam_ros.models.dreamzero.shared.weights import write_tensors
from wam_ros.train.family import Family, Rows
from wam_ros.train.team import Team

WARM_UP = 0.05  # share of the steps in which the learning rate rises
LAST_RATE = 0.02  # of the learning rate, where the cosine ends
NORM = 1.0  # to which gradients are clipped
STATE = "state.json"  # written last: it names the files that belong together


@dataclass(frozen=True)
class Recipe:
    """What a run is; a state of one goes on under the very same only."""

    steps: int
    batch: int  # samples of a step, of all processes together
    piece: int = 0  # samples that one process has in memory at a time; 0: all of its share
    ema: float = 0.999  # of the running mean; 0 keeps none
    seed: int = 0
    precision: str = "float32"  # of the arithmetic

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch has it."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.precision]

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step: a short rise, then a cosine."""
        rise = min(1.0, (step + 1) / max(1, round(WARM_UP * self.steps)))
        fall = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return rise * (LAST_RATE + (1 - LAST_RATE) * fall)


class _Objective(nn.Module):
    """Everything that has parameters, behind one call: what is sharded gathers them for it."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.model = family.model
        self.errors = family.errors

    def forward(self, batch: Rows) -> Rows:
        return self.errors(batch)


class Trainer:
    """Steps of one family.

    In one process the model computes in the recipe's precision and fp32 masters of what is trained
    take the steps; several share masters and optimisers (FSDP2: Zhao et al., "PyTorch FSDP", 2023).
    """

    def __init__(self, family: Family, recipe: Recipe, team: Team | None = None) -> None:
        self.family = family
        self.recipe = recipe
        self.team = team or Team()
        self.steps = 0
        if recipe.batch % self.team.size:
            raise WamError(f"--batch {recipe.batch} is not shared evenly by {self.team.size}")
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._objective = _Objective(family).to(self.team.device)
        if self.team.size > 1:
            family.model.float()
            for p in family.model.parameters():
                p.data = p.detach().contiguous()  # what is sharded lies in order
            narrow = None if recipe.dtype == torch.float32 else recipe.dtype
            fully_shard(
                self._objective,
                mp_policy=MixedPrecisionPolicy(narrow, torch.float32, cast_forward_inputs=False),
            )
        self._trained = {n: p for n, p in family.model.named_parameters() if p.requires_grad}
        self.masters = dict(self._trained)
        if self.team.size == 1 and recipe.dtype != torch.float32:
            self.masters = {
                n: nn.Parameter(p.detach().float().clone()) for n, p in self._trained.items()
            }
            family.model.to(recipe.dtype)
        self._mean = {n: local(p).clone() for n, p in self.masters.items()} if recipe.ema else {}
        self.optimisers = family.optimisers(self.masters)
        self._base = [[g["lr"] for g in o.param_groups] for o in self.optimisers]

    def of(self, steps: int) -> None:
        """Say how long the run is, before its first step."""
        self.recipe = dataclasses.replace(self.recipe, steps=steps)

    def step(self) -> dict[str, float]:
        """Draw a global batch and learn from it; returns the parts of its loss.

        Raises:
            WamError: a gradient is not finite; no weight has changed then.
        """
        batches = [self._batch(*piece) for piece in self._pieces(self._generator)]
        parts = self._backward(batches)
        norm = self._clip()
        if not math.isfinite(norm):
            raise WamError(f"the gradient of step {self.steps + 1} is not finite: {parts}")
        rate = self.recipe.rate(self.steps)
        for optimiser, base in zip(self.optimisers, self._base, strict=True):
            for group, lr in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = lr * rate
            optimiser.step()
        self.steps += 1
        self._follow()
        return parts | {"gradient": norm, "rate": rate}

    def pace(self, samples: int = 3) -> float:
        """Seconds that a step takes here, of a few that are only computed; nothing is learned."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        times = []
        for _ in range(samples):
            began = time.monotonic()
            self._backward([self._batch(*piece) for piece in self._pieces(generator)])
            times.append(time.monotonic() - began)
        for p in self._trained.values():
            p.grad = None
        return self.team.told(min(times))

    def _pieces(self, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """The share of this process in the next global batch, piece by piece."""
        n = self.recipe.batch
        drawn = self.family.drawn
        windows = drawn[torch.randint(len(drawn), (n,), generator=generator)]
        seeds = torch.randint(2**62, (n,), generator=generator)
        share = n // self.team.size
        mine = slice(self.team.rank * share, (self.team.rank + 1) * share)
        piece = self.recipe.piece or share
        return list(zip(windows[mine].split(piece), seeds[mine].split(piece), strict=True))

    def _batch(self, windows: Tensor, seeds: Tensor) -> Rows:
        batch = self.family.batch(windows, seeds)
        return {name: x.to(self.team.device) for name, x in batch.items()}

    def _backward(self, batches: list[Rows]) -> dict[str, float]:
        """Gradients of the global batch's loss; returns its parts."""
        for p in self._trained.values():
            p.grad = None
        names = list(self.family.weights)
        counted = [self.family.counts(b) for b in batches]
        counts = torch.stack([sum((c[n].sum() for c in counted), torch.zeros(())) for n in names])
        counts = self.team.summed(counts.to(self.team.device)).clamp_min(1)
        scale = torch.tensor([self.family.weights[n] for n in names], device=counts.device) / counts
        sums = torch.zeros(len(names), device=counts.device)
        for batch in batches:
            found = self._objective(batch)
            parts = torch.stack([found[n].float().sum() for n in names])
            # what shards the gradients takes their mean over the processes
            (self.team.size * (scale * parts).sum()).backward()
            sums += parts.detach()
        values = self.team.summed(sums) / counts
        return dict(zip(names, values.tolist(), strict=True))

    def _clip(self) -> float:
        for name, p in self._trained.items():
            if self.masters[name] is not p and p.grad is not None:
                self.masters[name].grad = p.grad.float()
                p.grad = None
        found = [local(m.grad) for m in self.masters.values() if m.grad is not None]
        total = self.team.summed(torch.stack([g.square().sum() for g in found]).sum())
        norm = float(total.sqrt())
        if norm > NORM:
            for g in found:
                g.mul_(NORM / norm)
        return norm

    @torch.no_grad()
    def _follow(self) -> None:
        """The model takes the masters' weights, the mean follows them."""
        decay = min(self.recipe.ema, (1 + self.steps) / (10 + self.steps))
        for name, master in self.masters.items():
            if self._trained[name] is not master:
                self._trained[name].copy_(master)
            if self._mean:
                self._mean[name].lerp_(local(master), 1 - decay)

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """Parts of the loss on what is held out, by the running mean and always with the same
        noise.
        """
        numbers = self.family.held_out
        if not len(numbers):
            return {}
        own = {n: local(p).clone() for n, p in self._trained.items()}
        for name, mean in self._mean.items():
            local(self._trained[name]).copy_(mean)
        piece = self.recipe.piece or max(1, self.recipe.batch // self.team.size)
        names = list(self.family.weights)
        found = torch.zeros(2, len(names), device=self.team.device)
        for some in numbers.split(piece):  # every process computes all of them
            batch = self._batch(some, some)
            for row, part in enumerate((self._objective(batch), self.family.counts(batch))):
                found[row] += torch.stack([part[n].float().sum().to(found) for n in names])
        for name, p in self._trained.items():
            local(p).copy_(own[name])
        values = found[0] / found[1].clamp_min(1)
        return {f"held-out {n}": v for n, v in zip(names, values.tolist(), strict=True)}

    @torch.no_grad()
    def averaged(self) -> dict[str, Tensor]:
        """The running mean of what is trained, or it itself where none is kept; whole, on the
        CPU.
        """
        found = {}
        for name, master in self.masters.items():
            x = like(self._mean[name], master) if self._mean else master
            x = x.full_tensor() if isinstance(x, DTensor) else x
            found[name] = x.detach().float().cpu().contiguous()
        return found

    # the state

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that the next step depends on and that is no argument."""
        for name, master in self.masters.items():
            yield f"weights.{name}", local(master)
            if self._mean:
                yield f"mean.{name}", self._mean[name]
        for i, optimiser in enumerate(self.optimisers):
            for j, p in enumerate(p for g in optimiser.param_groups for p in g["params"]):
                for key, value in optimiser.state[p].items():
                    yield f"optimiser.{i}.{j}.{key}", local(value)
        yield "generator", self._generator.get_state()

    def save_state(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the state, each process its part; the one before is gone when this one is whole.

        Args:
            folder: of the run.
            facts: what beside the recipe must be the same where training goes on.

        Raises:
            WamError: it cannot be written; the state before stays.
        """
        tensors = {n: x.detach().cpu().contiguous().clone() for n, x in self._tensors()}
        write_tensors(self._part(folder, self.steps), tensors, {"format": "wam_ros/state"})
        self.team.wait()
        if self.team.leads:
            said = {"step": self.steps, "processes": self.team.size}
            write_json(folder / STATE, said | {"recipe": asdict(self.recipe), "facts": dict(facts)})
            for path in folder.glob("state-*.safetensors"):
                if not path.name.startswith(f"state-{self.steps:07d}-"):
                    path.unlink()
        self.team.wait()

    def load_state(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Go on where `save_state` was called.

        Raises:
            WamError: no state there, damaged, of another run, or of another number of processes.
        """
        said = read_state(folder)
        if said["processes"] != self.team.size:
            raise WamError(
                f"'{folder / STATE}' is of {said['processes']} processes, this is {self.team.size}"
            )
        ours = asdict(self.recipe) | dict(facts)
        theirs = {**said["recipe"], **said["facts"]}
        for name in sorted(set(ours) | set(theirs)):
            if ours.get(name) != theirs.get(name):
                raise WamError(
                    f"'{folder / STATE}' is of another run: {name} was {theirs.get(name)!r} and is "
                    f"{ours.get(name)!r}"
                )
        path = self._part(folder, int(said["step"]))
        try:
            with safe_open(path, "pt") as file:
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._take(found)
        except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
            raise WamError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error
        self.steps = int(said["step"])

    @torch.no_grad()
    def _take(self, found: dict[str, Tensor]) -> None:
        self._generator.set_state(found["generator"])
        for name, master in self.masters.items():
            local(master).copy_(found[f"weights.{name}"])
            if self._mean:
                self._mean[name].copy_(found[f"mean.{name}"])
            if self._trained[name] is not master:
                self._trained[name].copy_(master)
        for i, optimiser in enumerate(self.optimisers):
            for j, p in enumerate(p for g in optimiser.param_groups for p in g["params"]):
                prefix = f"optimiser.{i}.{j}."
                for name, value in found.items():
                    if name.startswith(prefix):
                        key = name.removeprefix(prefix)
                        whole = value.shape == local(p).shape
                        there = value.to(p.device) if whole else value
                        optimiser.state[p][key] = like(there, p) if whole else there

    def _part(self, folder: Path, step: int) -> Path:
        return folder / f"state-{step:07d}-{self.team.rank}.safetensors"


def read_state(folder: Path) -> dict[str, Any]:
    """What the newest state of a run says of itself.

    Raises:
        WamError: there is none, or it is damaged.
    """
    path = folder / STATE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        missing = {"step", "processes", "recipe", "facts"} - set(said)
    except FileNotFoundError as error:
        raise WamError(f"'{folder}' holds no {STATE}: nothing can go on there") from error
    except (OSError, ValueError, TypeError) as error:
        raise WamError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error
    if missing:
        raise WamError(f"'{path}' is damaged: it lacks {', '.join(sorted(missing))}")
    return said


def local(x: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return x.to_local() if isinstance(x, DTensor) else x.detach()


def like(x: Tensor, whole: Tensor) -> Tensor:
    """A part as the tensor that `whole` is of."""
    if not isinstance(whole, DTensor):
        return x
    return DTensor.from_local(
        x, whole.device_mesh, whole.placements, shape=whole.shape, stride=whole.stride()
    )
