"""Weights on disk, seen without reading them: names and shapes first, then one tensor at a time,
memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_fetched

INDEX = ".safetensors.index.json"
# of a released checkpoint, of a base Wan model, of an adapter that PEFT saved
STEMS = ("model", "diffusion_pytorch_model", "adapter_model")
# what is read; numbers of 8 bits and fewer mean nothing without scales that lie elsewhere
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
SAMPLE = 1 << 20  # bytes at either end of a file that its digest covers


@dataclass(frozen=True)
class WeightFile:
    """One file and what it holds."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    unread: dict[str, str] = field(default_factory=dict)  # kinds of tensors beside `DTYPES`

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, in the order of the file; a page is read when it is used and belongs to the
        file's cache.
        """
        if self.path.suffix == ".safetensors":
            with safe_open(self.path, "pt") as file:
                for name in self.shapes:
                    yield name, file.get_tensor(name)
        else:
            yield from _load_pickled(self.path).items()


def open_weights(path: Path) -> WeightFile:
    """Look at a `.safetensors`, `.pth` or `.pt` file.

    Raises:
        WamError: missing, not fetched, truncated, of another kind, or a pickle that holds more than
            tensors.
    """
    if not path.is_file():
        raise WamError(f"weights '{path}' do not exist")
    require_fetched(path)
    if path.suffix in (".pth", ".pt"):
        found = _load_pickled(path)
        return WeightFile(
            path,
            {name: tuple(t.shape) for name, t in found.items()},
            {name: str(t.dtype) for name, t in found.items() if t.dtype not in DTYPES.values()},
        )
    if path.suffix != ".safetensors":
        raise WamError(f"weights '{path}' are neither .safetensors nor .pth")
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            kinds = {name: part.get_dtype() for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WamError(f"weights '{path}' are not a whole safetensors file: {error}") from error
    return WeightFile(path, shapes, {n: k for n, k in kinds.items() if k not in DTYPES})


def _load_pickled(path: Path) -> dict[str, Tensor]:
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises whatever its reader or unpickler met
        text = " ".join(str(error).split())[:200]
        raise WamError(f"weights '{path}' are not a whole file of plain tensors: {text}") from error
    if not isinstance(data, dict) or not all(isinstance(v, Tensor) for v in data.values()):
        raise WamError(f"weights '{path}' hold {type(data).__name__}, expected tensors by name")
    return data


def find_weights(folder: Path) -> list[WeightFile]:
    """Files of a sharded or single checkpoint.

    Raises:
        WamError: no index or file, a shard is missing or damaged, or a shard holds other tensors
            than the index says.
    """
    for stem in STEMS:
        if (folder / f"{stem}{INDEX}").is_file():
            return _sharded(folder / f"{stem}{INDEX}")
        if (folder / f"{stem}.safetensors").is_file():
            return [open_weights(folder / f"{stem}.safetensors")]
    raise WamError(f"checkpoint '{folder}' holds neither model{INDEX} nor model.safetensors")


def _sharded(index: Path) -> list[WeightFile]:
    places = read_json(index).get("weight_map")
    if (
        not isinstance(places, dict)
        or not places
        or not all(isinstance(f, str) for f in places.values())
    ):
        raise WamError(f"{index}: expected a 'weight_map' of tensor names to files")
    if outside := [f for f in places.values() if Path(f).name != f]:
        raise WamError(f"{index}: '{outside[0]}' is not a file beside the index")
    files = [open_weights(index.parent / name) for name in sorted(set(places.values()))]
    for file in files:
        listed = {name for name, place in places.items() if place == file.path.name}
        if missing := sorted(listed - set(file.shapes)):
            raise WamError(
                f"{file.path}: lacks tensor '{missing[0]}', which {index.name} places there"
            )
        if extra := sorted(set(file.shapes) - listed):
            raise WamError(
                f"{file.path}: holds tensor '{extra[0]}', which {index.name} does not place there"
            )
    return files


def read_json(path: Path) -> dict[str, Any]:
    """Read one object; `WamError` when it is missing, not fetched, or damaged."""
    require_fetched(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WamError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise WamError(f"{path}: expected an object, found {type(data).__name__}")
    return data


def digest(files: list[WeightFile]) -> str:
    """16 hex digits over name, size and both ends of every file: tells checkpoints apart without
    reading them whole.
    """
    total = hashlib.sha256()
    for file in files:
        size = file.path.stat().st_size
        total.update(f"{file.path.name} {size} ".encode())
        with file.path.open("rb") as stream:
            total.update(stream.read(SAMPLE))
            stream.seek(max(0, size - SAMPLE))
            total.update(stream.read())
    return total.hexdigest()[:16]
