"""A network built without memory (on `meta`) takes its weights from files, tensor by tensor, where
they are needed.

Low-rank updates (Hu et al., "LoRA", 2021) are merged on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.weight_files import WeightFile

Rename = Callable[[str], str | None]  # a name in a file to one of the network; None: not wanted
_LORA = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(\.\w+)?\.weight")


def plain_name(name: str) -> str:
    """The name that a tensor has without the adapters that training wrapped around its layer."""
    return name.replace("base_model.model.", "").replace(".base_layer.", ".")


def fill(
    network: nn.Module,
    files: Sequence[tuple[WeightFile, Rename]],
    device: torch.device,
    dtype: torch.dtype,
    *,
    lora_scale: float = 1.0,
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
        lora_scale: what low-rank updates (`lora_A`, `lora_B`) found among the files are multiplied
            by (alpha / rank).
        optional: prefixes of names that may be missing; these keep what the network has.

    Raises:
        WamError: a tensor is missing, has another shape, or belongs nowhere; the message names
            file, key and shapes.
    """
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    plan, lora = _plan(wanted, files, optional)
    updates = _read_lora(lora, wanted, device)
    for file, names in plan:
        for source, tensor in file.tensors():
            if source not in names:
                continue
            name = names[source]
            value = tensor.to(device, dtype if tensor.is_floating_point() else None)
            if name in updates:
                up, down = updates.pop(name)
                value = (tensor.to(device, torch.float32) + lora_scale * (up @ down)).to(dtype)
            _assign(network, name, value)


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
    for file, rename in files:
        names = {}
        factors = {}
        for source, shape in file.shapes.items():
            name = rename(plain_name(source))
            if name is None:
                continue
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
            sides.setdefault(name, {})[side] = tensor.to(device, torch.float32)
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
