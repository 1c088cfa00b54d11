"""Low-rank updates of the blocks' matrices while they are trained (Hu et al., "LoRA", 2021).

The names are PEFT's, so that what is written here is read wherever DreamZero's own are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.shared.float8 import block_matrices

# of self- and cross-attention and of the feed-forward layers, as in the reference
CHANGED = ("q", "k", "v", "o", "0", "2")
# trained whole beside the updates: what they mean is another thing for every robot
ACTION_PARTS = ("state_encoder.", "action_encoder.", "action_decoder.")


@dataclass(frozen=True)
class LowRankSize:
    """Rank of the updates and their strength `alpha / rank`."""

    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


class LowRankLinear(nn.Module):
    """A frozen linear layer and its update, which is zero at first."""

    def __init__(self, linear: nn.Linear, size: LowRankSize, generator: torch.Generator) -> None:
        super().__init__()
        self.base_layer = linear.requires_grad_(False)
        self.scale = size.scale
        bound = 1 / math.sqrt(linear.in_features)  # Kaiming's, as in PEFT
        down = torch.rand(size.rank, linear.in_features, generator=generator) * 2 - 1
        self.lora_A = nn.Parameter((down * bound).to(linear.weight))
        self.lora_B = nn.Parameter(linear.weight.new_zeros(linear.out_features, size.rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        update = functional.linear(functional.linear(x, self.lora_A), self.lora_B)
        return self.base_layer(x) + self.scale * update


def add_low_rank(model: nn.Module, size: LowRankSize, generator: torch.Generator) -> int:
    """Freeze a model but for updates of its block matrices, which are added in place, and the
    action parts.

    Returns:
        How many matrices are updated.
    """
    model.requires_grad_(False)
    count = 0
    for owner, child, linear in block_matrices(model):
        if child in CHANGED:
            setattr(owner, child, LowRankLinear(linear, size, generator))
            count += 1
    for name, p in model.named_parameters():
        if name.startswith(ACTION_PARTS):
            p.requires_grad_(True)
    return count


def factors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was trained, under PEFT's names: factors and action parts."""
    return {
        f"{name}.default.weight" if name.endswith((".lora_A", ".lora_B")) else name: x
        for name, x in weights.items()
    }


def merged(
    base: Mapping[str, Tensor], weights: Mapping[str, Tensor], size: LowRankSize
) -> dict[str, Tensor]:
    """Weights of the plain model: those of `base` with what was trained on them, under the names
    that `add_low_rank` gave or those of `factors`.
    """
    plain = {n.removesuffix(".default.weight"): x for n, x in weights.items()}
    found = dict(base)
    for name, x in plain.items():
        layer, _, side = name.rpartition(".lora_")
        if side == "A":
            target = f"{layer}.weight"
            update = plain[f"{layer}.lora_B"].float() @ x.float()
            found[target] = (base[target].float() + size.scale * update).to(base[target].dtype)
        elif side != "B":
            found[name] = x
    return found
