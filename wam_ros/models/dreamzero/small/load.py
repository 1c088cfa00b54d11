"""Checkpoints of the small models: one safetensors file holds both networks, statistics and the
model card's facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_fetched
from wam_ros.core.resources import share_dir
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, factors, merged
from wam_ros.models.dreamzero.shared.weights import write_tensors
from wam_ros.models.dreamzero.small.config import PREDICTS, DreamZeroConfig
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer

FORMAT = "wam_ros/2"
UPDATES = "wam_ros/2 updates"  # of another checkpoint, which is named in it
OLD_FORMAT = "wam_ros/1"  # same numbers under other names


@dataclass
class Networks:
    """What a checkpoint restores."""

    model: WorldActionModel
    tokenizer: FrameTokenizer
    normaliser: Normaliser
    digest: str = ""  # sha256 of the file, first 16 hex digits
    imagines: bool = True  # False: it was trained on actions alone, its frames mean nothing
    acts: bool = True  # False: it was trained on video alone, its chunks mean nothing


def save_checkpoint(path: Path, networks: Networks, config: DreamZeroConfig, facts: dict) -> None:
    """Write both networks in fp16 with everything needed to use them.

    Raises:
        WamError: the file cannot be written; what stood there stays.
    """
    tensors = {
        f"{prefix}.{name}": value.detach().half().contiguous()
        for prefix, module in _modules(networks)
        for name, value in module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(config)),
        "statistics": json.dumps(networks.normaliser.to_lists()),
        "facts": json.dumps(facts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, metadata)


def save_updates(
    path: Path,
    weights: Mapping[str, Tensor],
    size: LowRankSize,
    base: Path,
    normaliser: Normaliser,
    facts: dict,
) -> None:
    """Write low-rank updates and action parts in fp32, with the name and hash of what they change.

    Raises:
        WamError: the file cannot be written; what stood there stays.
    """
    about = {"file": base.name, "sha256": sha256(base), "rank": size.rank, "alpha": size.alpha}
    metadata = {
        "format": UPDATES,
        "base": json.dumps(about),
        "statistics": json.dumps(normaliser.to_lists()),
        "facts": json.dumps(facts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {n: x.detach().float().contiguous() for n, x in factors(weights).items()}
    write_tensors(path, tensors, metadata)


def sha256(path: Path) -> str:
    """Of a whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _modules(networks: Networks) -> list[tuple[str, nn.Module]]:
    return [("model", networks.model), ("tokenizer", networks.tokenizer)]


def load_checkpoint(path: Path, config: DreamZeroConfig) -> Networks:
    """Read a checkpoint into fresh networks (fp32, evaluation mode).

    Raises:
        WamError: missing, truncated or foreign file; a missing, extra or misshapen tensor, by name.
    """
    metadata, tensors = _read(path)
    _require_same_target(path, metadata, config)
    if metadata.get("format") == UPDATES:
        tensors = _updated(path, tensors, metadata, config)
    elif metadata.get("format") == OLD_FORMAT:
        try:
            tensors = renamed(tensors)
        except (RuntimeError, IndexError) as error:
            raise WamError(
                f"checkpoint '{path}' has tensors of another shape or name than its format: {error}"
            ) from error
    elif metadata.get("format") != FORMAT:
        raise WamError(
            f"checkpoint '{path}' was not written by wam_ros (format "
            f"'{metadata.get('format', 'none')}')"
        )
    try:
        statistics = json.loads(metadata.get("statistics", "{}"))
        normaliser = Normaliser.from_lists(statistics, config.action_dim)
        facts = json.loads(metadata.get("facts", "{}"))
        imagines, acts = (bool(facts.get(name, True)) for name in ("imagine", "act"))
    except (ValueError, TypeError, AttributeError, WamError) as error:
        raise WamError(f"checkpoint '{path}': {error}") from error
    networks = Networks(
        WorldActionModel(config),
        FrameTokenizer(config.tokenizer),
        normaliser,
        digest=sha256(path)[:16],
        imagines=imagines,
        acts=acts,
    )
    expected = {f"{p}.{n}": v for p, m in _modules(networks) for n, v in m.state_dict().items()}
    _require_same_keys(path, expected, tensors)
    for prefix, module in _modules(networks):
        part = {
            n.removeprefix(f"{prefix}."): v.float()
            for n, v in tensors.items()
            if n.startswith(f"{prefix}.")
        }
        module.load_state_dict(part)
        module.eval().requires_grad_(False)
    return networks


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a file says of itself, and its tensors."""
    if not path.is_file():
        raise WamError(f"checkpoint '{path}' does not exist")
    require_fetched(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, tensors
    except (SafetensorError, OSError) as error:
        raise WamError(f"checkpoint '{path}' is not a whole safetensors file: {error}") from error


def _require_same_target(path: Path, metadata: dict[str, str], config: DreamZeroConfig) -> None:
    """What a network's numbers mean does not show in their shapes. Updates do not say it."""
    try:
        sizes = json.loads(metadata.get("config", "{}"))
        predicts = sizes.get("predicts", PREDICTS[0]) if sizes else config.predicts
    except (ValueError, AttributeError) as error:
        raise WamError(f"checkpoint '{path}': its config is damaged: {error}") from error
    if predicts != config.predicts:
        raise WamError(
            f"checkpoint '{path}' predicts {predicts}, model '{config.name}' {config.predicts}"
        )


def _updated(
    path: Path, updates: dict[str, Tensor], metadata: dict[str, str], config: DreamZeroConfig
) -> dict[str, Tensor]:
    """The tensors of the base with low-rank updates added."""
    try:
        about = json.loads(metadata["base"])
        size = LowRankSize(int(about["rank"]), float(about["alpha"]))
        named = Path(str(about["file"])).name
        wanted = str(about["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise WamError(f"updates '{path}' do not say what they change: {error}") from error
    places = [path.parent / named, share_dir() / config.weights]
    there = [p for p in places if p.is_file()]
    base = next((p for p in there if sha256(p) == wanted), None)
    if base is None:
        found = ", ".join(f"'{p}' ({sha256(p)[:16]})" for p in there) or "nothing"
        raise WamError(
            f"updates '{path}' were trained on '{named}' ({wanted[:16]}) and mean nothing on other "
            f"weights; found {found}: put it beside them"
        )
    said, tensors = _read(base)
    _require_same_target(base, said, config)
    if said.get("format") != FORMAT:
        raise WamError(f"'{base}' below updates '{path}' is no whole checkpoint of format {FORMAT}")
    model = {n.removeprefix("model."): x for n, x in tensors.items() if n.startswith("model.")}
    try:
        changed = merged(model, updates, size)
    except (KeyError, RuntimeError) as error:
        raise WamError(f"updates '{path}' do not fit '{base}': {error}") from error
    return tensors | {f"model.{n}": x for n, x in changed.items()}


def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of the old format under the released models' names and in their layout."""
    found = {}
    for name, value in tensors.items():
        words = name.split(".")
        if name == "model.patch_embedding.weight":
            value = value.view(len(value), -1, 1, 2, 2)
        elif words[1] == "head_modulation":
            name = "model.head.modulation"
        elif words[:2] == ["model", "head"]:  # channel, row, column -> row, column, channel
            name = f"model.head.head.{words[2]}"
            value = value.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1).contiguous()
        elif words[1] in ("action_encoder", "action_decoder", "state_encoder"):
            layer = words[2].upper() if words[2].startswith("w") else words[2]
            name = f"model.{words[1]}.{layer}.{'W' if words[3] == 'weight' else 'b'}"
            value = (value.T if value.dim() == 2 else value)[None].contiguous()
        found[name] = value
    return found


def _require_same_keys(
    path: Path, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]
) -> None:
    for name, value in expected.items():
        if name not in found:
            raise WamError(f"checkpoint '{path}' lacks tensor '{name}' {list(value.shape)}")
        if found[name].shape != value.shape:
            raise WamError(
                f"checkpoint '{path}': '{name}' is {list(found[name].shape)}, expected "
                f"{list(value.shape)}"
            )
        if not found[name].is_floating_point():
            kind = str(found[name].dtype).removeprefix("torch.")
            raise WamError(
                f"checkpoint '{path}': '{name}' is {kind}: quantised weights are not read"
            )
        if not bool(found[name].isfinite().all()):
            raise WamError(f"checkpoint '{path}': '{name}' holds numbers that are not finite")
    if extra := sorted(set(found) - set(expected)):
        raise WamError(
            f"checkpoint '{path}' has tensor '{extra[0]}' that the model '{path.stem}' does not "
            "know"
        )
