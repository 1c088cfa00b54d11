"""Trains three steps as `torchrun` says; gradients, losses and weights go, whole, to a file."""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from little import family
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from wam_ros.train import small
from wam_ros.train.team import joined
from wam_ros.train.trainer import Recipe, Trainer

torch.set_num_threads(1)
# in bfloat16, which Muon takes where a processor has it, rounding alone is a thousandth of a step
small.processor = lambda: SimpleNamespace(training=torch.float32)


def whole(x):
    return (x.full_tensor() if isinstance(x, DTensor) else x).clone().contiguous()


with joined() as team:
    out = Path(sys.argv[1])
    recipe = Recipe(steps=6, batch=4, piece=1, seed=3)
    trainer = Trainer(family(), recipe, team)
    trainer._backward([trainer._batch(*piece) for piece in trainer._pieces(torch.Generator())])
    trainer._clip()
    gradients = {f"gradient.{n}": whole(m.grad) for n, m in trainer.masters.items()}
    losses = [trainer.step() for _ in range(2)]
    trainer.save_state(out.parent, {"data": "d"})
    other = Trainer(family(), recipe, team)
    other.load_state(out.parent, {"data": "d"})
    losses.append(other.step())
    weights = other.averaged()
    if team.leads:
        numbers = torch.tensor([[row[k] for k in sorted(row)] for row in losses])
        save_file({**weights, **gradients, "losses": numbers}, out)
