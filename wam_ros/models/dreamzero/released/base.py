"""What a checkpoint of low-rank updates is added to, and by how much.

Updates (Hu et al., "LoRA", 2021) mean something on the weights that they were trained on only: on
others they give a model that runs and does something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.released.fill import LowRank, Rename, is_low_rank, plain_name
from wam_ros.models.dreamzero.released.weight_files import (
    WeightFile,
    find_weights,
    open_weights,
    read_json,
)

PREFIX = "action_head."
ACTION_PARTS = ("state_encoder.", "action_encoder.", "action_decoder.")
BASE = "base"  # folder of a checkpoint that is, holds, or links to the model below its updates
ADAPTER = "adapter_config.json"  # of PEFT
TOWERS = {  # files of a base Wan folder -> prefix in the network
    "models_t5_umt5-xxl-enc-bf16": "text_encoder.",
    "models_clip_open-clip-xlm-roberta-large-vit-huge-14": "image_encoder.model.",
    "Wan2.1_VAE": "vae.model.",
    "Wan2.2_VAE": "vae.model.",
}
# what PEFT can do to a layer beside adding one product of two matrices
NOT_READ = ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias")


@dataclass(frozen=True)
class Adapter:
    """What `adapter_config.json` says."""

    low_rank: LowRank
    base: str | None  # name or path of the model below; None where it says nothing


def released_name(name: str) -> str:
    """The network's name of a checkpoint's tensor; PEFT saves the transformer without a prefix."""
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX)
    return f"model.{name}" if is_low_rank(name) or name.startswith(ACTION_PARTS) else f"?{name}"


def read_low_rank(head: dict[str, Any], where: Path) -> LowRank:
    """Rank and strength from a checkpoint's own configuration.

    Raises:
        WamError: one of them is missing or no such number.
    """
    return _low_rank(
        (head.get("lora_rank"), head.get("lora_alpha"), head.get("use_rslora", False)),
        ("lora_rank", "lora_alpha", "use_rslora"),
        where,
    )


def read_adapter(folder: Path) -> Adapter | None:
    """What PEFT wrote beside the weights, if it did.

    Raises:
        WamError: a kind of update that is not read.
    """
    path = folder / ADAPTER
    if not path.is_file():
        return None
    data = read_json(path)
    if data.get("peft_type", "LORA") != "LORA":
        raise WamError(f"{path}: peft_type is {data['peft_type']!r}, only LORA is read")
    if used := [name for name in NOT_READ if data.get(name)]:
        raise WamError(f"{path}: {used[0]} is {data[used[0]]!r}, which is not read; merge it first")
    low_rank = _low_rank(
        (data.get("r"), data.get("lora_alpha"), data.get("use_rslora", False)),
        ("r", "lora_alpha", "use_rslora"),
        path,
    )
    return Adapter(low_rank, data.get("base_model_name_or_path") or None)


def _low_rank(values: tuple[Any, Any, Any], names: tuple[str, str, str], where: Path) -> LowRank:
    rank, alpha, stabilised = values
    whole = isinstance(rank, int) and not isinstance(rank, bool) and rank > 0
    if not whole or isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise WamError(
            f"{where}: {names[0]} must be a whole number above 0 and {names[1]} a number; found "
            f"{rank!r} and {alpha!r}"
        )
    if not isinstance(stabilised, bool | None):
        raise WamError(f"{where}: {names[2]} must be true or false, found {stabilised!r}")
    return LowRank(str(where), rank, float(alpha), bool(stabilised))


def base_folder(folder: Path) -> Path:
    """`folder`, or the only one in it, where it holds nothing else of a model: its name then says
    which model it is.

    Raises:
        WamError: there is no such folder, or there are several.
    """
    if not folder.is_dir():
        raise WamError(
            f"'{folder}' is missing: low-rank updates need the model there that they were made for"
        )
    inside = sorted(p for p in folder.iterdir() if p.is_dir())
    if any(p.suffix in (".json", ".safetensors", ".pth") for p in folder.iterdir()):
        return folder
    if len(inside) != 1:
        raise WamError(f"'{folder}' holds no model, or several: {[p.name for p in inside]}")
    return inside[0]


def base_of(folder: Path, adapted: str | None, where: str) -> list[tuple[WeightFile, Rename]]:
    """Files of the model below low-rank updates.

    Args:
        folder: `base` of the checkpoint.
        adapted: what the updates were trained on: a name or path, '' for a base Wan model, None
            where nothing says so.
        where: the updates, for errors.

    Raises:
        WamError: it is another model, or nothing says which one it must be.
    """
    found = base_folder(folder)
    if adapted is None:
        raise WamError(
            f"{where}: nothing says which model these low-rank updates were trained on: write "
            "pretrained_model_path into experiment_cfg/conf.yaml, empty for a base Wan model"
        )
    files = find_weights(found)
    names = [plain_name(name) for file in files for name in file.shapes]
    released = any(name.startswith(PREFIX) for name in names)
    if any(is_low_rank(name) for name in names):
        raise WamError(f"'{found}' holds low-rank updates itself; merge them first")
    if not adapted:
        if released:
            raise WamError(
                f"'{found}' is a released checkpoint, but these low-rank updates were trained on a "
                "base Wan model (pretrained_model_path is empty)"
            )
        return base_files(found)
    if not released:
        raise WamError(
            f"'{found}' is a base Wan model, but these low-rank updates were trained on '{adapted}'"
        )
    if not _named(found, adapted):
        raise WamError(
            f"'{found}' does not say that it is '{adapted}', which these low-rank updates were "
            f"trained on: if it is, put it or a link to it in '{folder / _last(adapted)}'"
        )
    return [(file, released_name) for file in files]


def _last(adapted: str) -> str:
    """The name of a model: the last part of a path or of a name on a hub, also in its cache."""
    parts = [p for p in Path(adapted).parts if p != "/"]
    cached = next((p for p in parts if p.startswith("models--")), "")
    return cached.rpartition("--")[2] or parts[-1]


def _named(folder: Path, adapted: str) -> bool:
    """Whether the folder's own name, or that of what it links to, says so; in a hub's cache the
    name stands two levels above.
    """
    name = _last(adapted)
    parts = (folder.name, *folder.resolve().parts[-3:])
    return any(p == name or p.endswith(f"--{name}") for p in parts)


def base_files(folder: Path) -> list[tuple[WeightFile, Rename]]:
    """Transformer and towers of a base Wan model (`.safetensors`, towers also `.pth`) under this
    network's names.

    Raises:
        WamError: no transformer there, or a damaged file.
    """
    files: list[tuple[WeightFile, Rename]] = [
        (f, lambda name: f"model.{name}") for f in find_weights(folder)
    ]
    for stem, prefix in TOWERS.items():
        for path in (folder / f"{stem}.safetensors", folder / f"{stem}.pth"):
            if path.is_file():
                files.append((open_weights(path), _tower(prefix)))
                break
    return files


def _tower(prefix: str) -> Rename:
    return lambda name: None if name.startswith("textual.") else prefix + name
