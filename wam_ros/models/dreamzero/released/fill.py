"""A network built without memory (on `meta`) takes its weights from files, tensor by tensor, where
they are needed.

Low-rank updates (Hu et al., "LoRA", 2021) are merged on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.weight_files import DTYPES, WeightFile

Rename = Callable[[str], str | None]  # a name in a file to one of the network; None: not wanted
_LORA = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(\.\w+)?\.weight")


@dataclass(frozen=True)
class LowRank:
    """What training wrote about its low-rank updates."""

    where: str  # the file, for errors
    rank: int
    alpha: float
    stabilised: bool = False  # by the root of the rank (Kalajdzievski, "rsLoRA", 2023)

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / (self.rank**0.5 if self.stabilised else self.rank)


def plain_name(name: str) -> str:
    """The name that a tensor has without what training wrapped around the network or a layer:
    adapters, compilation, copies for several devices.
    """
    words = name.replace("base_model.model.", "").replace(".base_layer.", ".").split(".")
    words = [word for word in words if word != "_orig_mod"]
    return ".".join(words[1:] if words[0] == "module" else words)


def is_low_rank(name: str) -> bool:
    """Whether a tensor of this name is a factor of a low-rank update."""
    return _LORA.fullmatch(name) is not None


def fill(
    network: nn.Module,
    files: Sequence[tuple[WeightFile, Rename]],
    device: torch.device,
    dtype: torch.dtype,
    *,
    low_rank: LowRank | None = None,
    optional: tuple[str, ...] = (),
) -> None:
    """Replace every parameter and buffer of `network`.

    Weights of the wanted kind stay mapped to the file on a CPU; everywhere else one tensor at a
    time passes through.

    Args:
        network: on `meta`, or anywhere.
        files: where tensors come from; when two hold the same one, the first counts.
        device: where the weights go.
        dtype: of floating-point weights.
        low_rank: of the low-rank updates (`lora_A`, `lora_B`) found among the files; None where
            there may be none.
        optional: prefixes of names that may be missing; these keep what the network has.

    Raises:
        WamError: a tensor is missing, has another shape or kind, holds a number that is not finite,
            or belongs nowhere; the message names file, key and shapes.
    """
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    plan, lora = _plan(wanted, files, optional)
    updates = _read_lora(lora, wanted, device, low_rank)
    scale = low_rank.scale if low_rank else 0.0

    def place(file: WeightFile, names: dict[str, str]) -> set[str]:
        """Put a file's tensors where they belong; returns those that stay mapped to it."""
        mapped = set()
        for source, tensor in file.tensors():
            if source not in names:
                continue
            name = names[source]
            value = tensor.to(device, dtype)
            if name in updates:
                up, down = updates.pop(name)
                value = (tensor.to(device, torch.float32) + scale * (up @ down)).to(dtype)
            if value is tensor:
                mapped.add(source)
            else:
                _require_finite(file, source, value)
            _assign(network, name, value)
        return mapped

    for file, names in plan:
        _require_all_finite(file, place(file, names))


def _require_all_finite(file: WeightFile, mapped: set[str]) -> None:
    """Look at tensors that stay mapped, through a mapping of its own that is then given up: what is
    only looked at fills no memory.
    """
    for name, tensor in file.tensors() if mapped else ():
        if name in mapped:
            _require_finite(file, name, tensor)


def _require_finite(file: WeightFile, name: str, value: Tensor) -> None:
    """Raise `WamError` for a NaN, an infinity, or a number too large for its new precision."""
    if value.numel() and not torch.stack(value.aminmax()).isfinite().all():
        raise WamError(
            f"{file.path}: tensor '{name}' holds numbers that are not finite in "
            f"{str(value.dtype).removeprefix('torch.')}; every chunk would be NaN"
        )


def _plan(
    wanted: dict[str, tuple[int, ...]],
    files: Sequence[tuple[WeightFile, Rename]],
    optional: tuple[str, ...],
) -> tuple[
    list[tuple[WeightFile, dict[str, str]]], list[tuple[WeightFile, dict[str, tuple[str, str]]]]
]:
    """Which tensor of which file goes where, after every name and shape was compared."""
    plan = []
    lora = []
    seen = set()
    # names in one folder's files, by what they mean: a second one would silently count for nothing
    known: dict[tuple[Path, str], str] = {}
    for file, rename in files:
        names: dict[str, str] = {}
        factors: dict[str, tuple[str, str]] = {}
        for source, shape in file.shapes.items():
            name = rename(plain_name(source))
            if name is None:
                continue
            if source in file.unread:
                raise WamError(
                    f"{file.path}: tensor '{source}' is {file.unread[source]}: quantised "
                    f"or integer weights are not read, only {', '.join(DTYPES)}"
                )
            if (other := known.setdefault((file.path.parent, name), source)) != source:
                raise WamError(f"{file.path}: '{source}' and '{other}' are both '{name}'")
            if match := _LORA.fullmatch(name):
                factors[source] = (f"{match['layer']}.weight", match["side"])
            elif name not in wanted:
                raise WamError(
                    f"{file.path}: tensor '{source}' {list(shape)} belongs to nothing in this model"
                )
            elif shape != wanted[name]:
                raise WamError(
                    f"{file.path}: tensor '{source}' is {list(shape)}, expected "
                    f"{list(wanted[name])}"
                )
            elif name not in seen:
                names[source] = name
                seen.add(name)
        plan.append((file, names))
        lora.append((file, factors))
    missing = sorted(n for n in set(wanted) - seen if not n.startswith(optional or ("\0",)))
    if missing:
        where = ", ".join(dict.fromkeys(str(f.path.parent) for f, _ in files))
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        base = (
            "; low-rank updates need the base model, as 'base' in that folder"
            if any(f for _, f in lora)
            else ""
        )
        raise WamError(
            f"{where}: lacks tensor '{missing[0]}' {list(wanted[missing[0]])}{more}{base}"
        )
    return plan, lora


def _read_lora(
    lora: list[tuple[WeightFile, dict[str, tuple[str, str]]]],
    wanted: dict[str, tuple[int, ...]],
    device: torch.device,
    low_rank: LowRank | None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Low-rank factors (out, rank) and (rank, in) by the weight they change."""
    sides: dict[str, dict[str, Tensor]] = {}
    for file, factors in lora:
        for source, tensor in file.tensors() if factors else ():
            if source not in factors:
                continue
            name, side = factors[source]
            if name not in wanted:
                raise WamError(
                    f"{file.path}: low-rank tensor '{source}' changes '{name}', which is not in "
                    "this model"
                )
            if low_rank is None:
                raise WamError(
                    f"{file.path}: '{source}' is a low-rank update, of which nothing is said"
                )
            _require_finite(file, source, tensor)
            rank = tensor.shape[0 if side == "A" else -1] if tensor.dim() else 0
            if rank != low_rank.rank:
                raise WamError(
                    f"{file.path}: '{source}' is {list(tensor.shape)}, of rank {rank}, but "
                    f"{low_rank.where} says rank {low_rank.rank}"
                )
            if side in sides.setdefault(name, {}):
                raise WamError(
                    f"{file.path}: '{source}' is a second update of '{name}'; merge them"
                )
            sides[name][side] = tensor.to(device, torch.float32)
    for name, pair in sides.items():
        if set(pair) != {"A", "B"} or (pair["B"].shape[0], pair["A"].shape[1]) != wanted[name]:
            found = {side: list(t.shape) for side, t in sorted(pair.items())}
            raise WamError(
                f"low-rank tensors of '{name}' are {found}, expected B x A of {list(wanted[name])}"
            )
    return {name: (pair["B"], pair["A"]) for name, pair in sides.items()}


def _assign(network: nn.Module, name: str, value: Tensor) -> None:
    path, _, last = name.rpartition(".")
    owner = network.get_submodule(path)
    if last in owner._buffers:
        owner._buffers[last] = value
    else:
        owner._parameters[last] = nn.Parameter(value, requires_grad=False)
