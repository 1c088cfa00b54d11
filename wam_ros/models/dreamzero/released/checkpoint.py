"""Checkpoints in the released layout: sharded safetensors, `config.json`, `experiment_cfg/` with
statistics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.core.files import write_json, write_whole
from wam_ros.core.yamlfile import from_mapping
from wam_ros.models.dreamzero.released.base import (
    ACTION_PARTS,
    ADAPTER,
    BASE,
    PREFIX,
    base_files,
    base_folder,
    base_of,
    read_adapter,
    read_low_rank,
    released_name,
)
from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.clip import ImageEncoder, ImageEncoderConfig
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.released.fill import (
    LowRank,
    Rename,
    fill,
    is_low_rank,
    plain_name,
)
from wam_ros.models.dreamzero.released.trained import Trained, read_trained
from wam_ros.models.dreamzero.released.umt5 import PromptEncoder, TextEncoderConfig
from wam_ros.models.dreamzero.released.vae import WAN21, WAN22, VaeConfig, WanVae
from wam_ros.models.dreamzero.released.weight_files import (
    INDEX,
    WeightFile,
    digest,
    find_weights,
    read_json,
)
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, factors
from wam_ros.models.dreamzero.shared.weights import write_tensors

# section of config.json with the towers' sizes, when they are not the published ones
SIZES = "wam_ros"
# absent from base models that take no image tokens
IMAGE_PARTS = ("k_img", "v_img", "norm_k_img", "img_emb")
WINDOW = ("num_frame_per_block", "max_chunk_size", "num_action_per_block", "num_state_per_block")
WIDTHS = ("action_dim", "max_state_dim")


@dataclass(frozen=True)
class ReleasedConfig:
    """Sizes of all four networks."""

    dit: CausalDiTConfig
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    image: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    vae: VaeConfig = WAN21


class ReleasedModel(nn.Module):
    """The networks of a released checkpoint; the state dict has its names without
    `action_head.`.
    """

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.model = CausalDiT(config.dit)
        self.text_encoder = PromptEncoder(config.text)
        self.image_encoder = nn.ModuleDict({"model": ImageEncoder(config.image)})
        self.vae = nn.ModuleDict({"model": WanVae(config.vae)})


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose description was read; the weights follow with `load`."""

    folder: Path
    config: ReleasedConfig
    low_rank: LowRank | None  # None where there are no low-rank updates
    files: list[WeightFile]
    metadata: dict[str, Any] | None  # statistics by embodiment; None where the release has none
    trained: Trained
    adapted: str | None  # what low-rank updates were trained on; see `Trained.base`
    base_digest: str = ""  # of its weights; empty where nothing says so

    @property
    def digest(self) -> str:
        """16 hex digits that tell its weights from others."""
        return digest(self.files)

    def load(self, device: torch.device, dtype: torch.dtype) -> ReleasedModel:
        """All networks on `device`, ready to predict; low-rank updates take what they lack from the
        model that they were trained on, in the folder `base`.

        Args:
            device: where they go, one tensor at a time.
            dtype: of all weights.

        Raises:
            WamError: what the files hold does not fit, or the base is another than training had.
        """
        with torch.device("meta"):
            network = ReleasedModel(self.config)
        sources: list[tuple[WeightFile, Rename]] = [(file, released_name) for file in self.files]
        if self.low_rank is not None and (self.folder / BASE).is_dir():
            self._require_base()
            sources += base_of(self.folder / BASE, self.adapted, self.low_rank.where)
        fill(network, sources, device, dtype, low_rank=self.low_rank)
        return network.eval()

    def _require_base(self) -> None:
        """Of updates that say which weights they were trained on, by their hash."""
        found = digest(find_weights(base_folder(self.folder / BASE)))
        if self.base_digest not in ("", found):
            raise WamError(
                f"'{self.folder / BASE}' holds other weights ({found}) than those that the updates "
                f"in '{self.folder}' were trained on ({self.base_digest})"
            )


def open_checkpoint(folder: Path, described: CausalDiTConfig) -> Checkpoint:
    """Look at a released checkpoint without reading its weights.

    Args:
        folder: as downloaded or written by `save_checkpoint`.
        described: sizes that the model's description promises; the canvas is only there.

    Raises:
        WamError: not such a folder, another family, other sizes than described, or a damaged file.
    """
    if not folder.is_dir():
        raise WamError(f"checkpoint '{folder}' is not a folder in the released layout")
    adapter = read_adapter(folder)
    path = folder / "config.json"
    if adapter is not None and not path.is_file():
        path = base_folder(folder / BASE) / "config.json"  # PEFT writes none of the model
    head = _nested(read_json(path), path, "action_head_cfg", "config")
    c = {
        **{k: head[k] for k in (*WINDOW, *WIDTHS) if k in head},
        **_nested(head, path, "diffusion_model_cfg"),
    }
    sizes = _mapping(read_json(path).get(SIZES, {}), f"{path}: {SIZES}")
    image = from_mapping(ImageEncoderConfig, sizes.get("image", {}), f"{path}: {SIZES}.image")
    text = from_mapping(TextEncoderConfig, sizes.get("text", {}), f"{path}: {SIZES}.text")
    try:
        dit = CausalDiTConfig.from_reference(
            c, (described.latent_height, described.latent_width), image.dim
        )
    except KeyError as error:
        raise WamError(f"{path}: diffusion_model_cfg lacks {error}") from error
    dit = dataclasses.replace(
        dit, name=described.name, family=described.family, image_tokens=described.image_tokens
    )
    dit = dataclasses.replace(dit, state_attention=described.state_attention)
    _require_described(dit, described, path)
    vae = WAN21 if dit.out_channels == WAN21.latent_channels else WAN22
    if "vae" in sizes:
        vae = from_mapping(VaeConfig, sizes["vae"], f"{path}: {SIZES}.vae")
    metadata_path = folder / "experiment_cfg" / "metadata.json"
    metadata = read_json(metadata_path) if metadata_path.is_file() else None
    files = find_weights(folder)
    trained = read_trained(folder)
    updated = any(is_low_rank(plain_name(n)) for file in files for n in file.shapes)
    said = read_low_rank(head, path) if "lora_rank" in head or "lora_alpha" in head else None
    if adapter is not None and said is not None and adapter.low_rank.scale != said.scale:
        raise WamError(
            f"{folder / ADAPTER} and {path} say different things about the strength of updates: "
            f"{adapter.low_rank.scale:g} and {said.scale:g}"
        )
    low_rank = None
    if updated:
        low_rank = adapter.low_rank if adapter else said or read_low_rank(head, path)
    adapted = adapter.base if adapter and trained.base() is None else trained.base()
    return Checkpoint(
        folder=folder,
        config=ReleasedConfig(dit, text, image, vae),
        low_rank=low_rank,
        files=files,
        metadata=metadata,
        trained=trained,
        adapted=adapted,
        base_digest=str(_mapping(sizes.get(BASE, {}), f"{path}: {SIZES}.{BASE}").get("digest", "")),
    )


def load_base(folder: Path, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Fill a `ReleasedModel` from a base Wan folder; what a base model lacks stays as it is: action
    and image parts.

    Raises:
        WamError: what the files hold does not fit.
    """
    absent = tuple(
        n for n in network.state_dict() if any(f".{part}." in f".{n}" for part in IMAGE_PARTS)
    )
    action = tuple(f"model.{part}" for part in ACTION_PARTS)
    fill(network, base_files(folder), device, dtype, optional=(*action, *absent))


def save_checkpoint(
    folder: Path,
    network: ReleasedModel,
    config: ReleasedConfig,
    *,
    metadata: dict[str, Any] | None = None,
    conf: dict[str, Any] | None = None,
    changed: Mapping[str, Tensor] | None = None,
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Write the released layout, weights as they are, no shard larger than `shard_bytes` unless one
    tensor is.

    Args:
        folder: where it goes.
        network: whose weights.
        config: its sizes.
        metadata: statistics by embodiment.
        conf: what training says of itself.
        changed: weights to write in place of the network's own of these names, in their precision.
        shard_bytes: of a file.

    Raises:
        WamError: a file cannot be written, by name.
    """
    own = network.state_dict()
    for name, t in (changed or {}).items():
        own[name] = t.to(own[name].dtype)
    tensors = {f"{PREFIX}{name}": t for name, t in own.items()}
    _write_shards(folder, tensors, shard_bytes)
    write_json(folder / "config.json", describe(config))
    _write_training(folder, metadata, conf)


@dataclass(frozen=True)
class Base:
    """What low-rank updates are added to."""

    folder: Path
    name: str  # that it bears; '' for a base Wan model
    digest: str


def save_updates(
    folder: Path,
    weights: Mapping[str, Tensor],
    config: ReleasedConfig,
    size: LowRankSize,
    base: Base,
    metadata: dict[str, Any],
    conf: dict[str, Any],
) -> None:
    """Write low-rank updates and action parts of the transformer in the released layout, with the
    name and hash of the model that they change, and a link to it.

    Raises:
        WamError: a file cannot be written, by name.
    """
    stem = f"{PREFIX}model.base_model.model."
    tensors = {f"{stem}{n}": t for n, t in factors(weights).items()}
    _write_shards(folder, tensors, sum(t.nbytes for t in tensors.values()))
    about = describe(config)
    about["action_head_cfg"]["config"] |= {
        "train_architecture": "lora",
        "lora_rank": size.rank,
        "lora_alpha": size.alpha,
    }
    about[SIZES] = about.get(SIZES, {}) | {BASE: {"name": base.name, "digest": base.digest}}
    write_json(folder / "config.json", about)
    _write_training(folder, metadata, conf | {"pretrained_model_path": base.name or None})
    link = folder / BASE / (base.name or base.folder.name)
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(base.folder.resolve())


def _write_shards(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[list[str]] = [[]]
    used = 0
    for name, t in tensors.items():
        if shards[-1] and used + t.nbytes > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += t.nbytes
    places: dict[str, str] = {}
    for i, names in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write_tensors(
            folder / file,
            {n: tensors[n].detach().cpu().contiguous() for n in names},
            {"format": "pt"},
        )
        places |= dict.fromkeys(names, file)
    total = sum(t.nbytes for t in tensors.values())
    write_json(folder / f"model{INDEX}", {"metadata": {"total_size": total}, "weight_map": places})


def _write_training(
    folder: Path, metadata: dict[str, Any] | None, conf: dict[str, Any] | None
) -> None:
    if metadata is not None or conf is not None:
        (folder / "experiment_cfg").mkdir(exist_ok=True)
    if metadata is not None:
        write_json(folder / "experiment_cfg" / "metadata.json", metadata)
    if conf is not None:
        write_whole(folder / "experiment_cfg" / "conf.yaml", yaml.safe_dump(conf))


def describe(config: ReleasedConfig) -> dict[str, Any]:
    """The content of `config.json`: the released names, and sizes of the towers where they are not
    the published.
    """
    dit = config.dit
    t = dit.transformer
    sizes: dict[str, Any] = {"model_type": "i2v" if dit.concat_first_frame else "ti2v"}
    sizes |= {
        k: getattr(t, k) for k in ("dim", "ffn_dim", "freq_dim", "num_heads", "num_layers", "eps")
    }
    sizes |= {"text_dim": t.text_dim, "text_len": t.text_len, "hidden_size": t.hidden_size}
    sizes |= {
        "in_dim": dit.in_channels,
        "out_dim": dit.out_channels,
        "frame_seqlen": dit.frame_tokens,
    }
    sizes |= {"concat_first_frame_latent": dit.concat_first_frame}
    window = (dit.frames_per_block, dit.blocks, dit.actions_per_block, dit.states_per_block)
    sizes |= dict(zip(WINDOW, window, strict=True))
    sizes |= {"action_dim": dit.action_dim, "max_state_dim": dit.state_dim}
    published = (
        TextEncoderConfig(),
        ImageEncoderConfig(),
        WAN21 if dit.out_channels == 16 else WAN22,
    )
    towers: tuple[Any, ...] = (config.text, config.image, config.vae)
    own = {
        name: dataclasses.asdict(found)
        for name, found, usual in zip(("text", "image", "vae"), towers, published, strict=True)
        if found != usual
    }
    head = {"config": {"train_architecture": "full", "diffusion_model_cfg": sizes}}
    return {"action_head_cfg": head} | ({SIZES: own} if own else {})


def _mapping(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise WamError(f"{where}: expected an object, found {type(data).__name__}")
    return data


def _require_described(found: CausalDiTConfig, described: CausalDiTConfig, path: Path) -> None:
    """The checkpoint must be of the model that was asked for."""
    for part, wanted in ((found.transformer, described.transformer), (found, described)):
        for f in dataclasses.fields(part):
            a = getattr(part, f.name)
            b = getattr(wanted, f.name)
            if f.name != "transformer" and a != b:
                raise WamError(
                    f"{path}: {f.name} is {a!r}, but the model '{described.name}' has {b!r}"
                )


def _nested(data: dict[str, Any], path: Path, *keys: str) -> dict[str, Any]:
    for key in keys:
        found = data.get(key)
        if not isinstance(found, dict):
            raise WamError(
                f"{path}: no '{key}', so this is no DreamZero checkpoint; found: "
                f"{', '.join(data)[:200]}"
            )
        data = found
    return data
