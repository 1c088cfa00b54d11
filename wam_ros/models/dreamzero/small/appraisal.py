"""What comes with a checkpoint beside its weights: a small head that tells whether the task is
done or can be done no more, and the errors that calm runs show. `wam calibrate model` learns both.

The head reads the latents that the model sees or imagines, the joints and the instruction. Read on
the last imagined frame it is the value of the plan; read on the newest observed one it is the state
of the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.core.appraisal import Calm
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_fetched
from wam_ros.models.dreamzero.shared.weights import write_tensors
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.model import WorldActionModel

FORMAT = "wam_ros/appraisal/2"
SUFFIX = ".appraisal.safetensors"
CHANNELS = 32
HIDDEN = 96
DROPOUT = 0.1  # of the token while learning


class OutcomeHead(nn.Module):
    """Latent frame, joints, instruction and what the model found of it -> done and failed.

    Convolutions modulated by the text (FiLM: Perez et al., 2018), each view by itself, then the
    mean and the largest of every channel; beside them the token of the model's own grounding stem.
    """

    def __init__(self, config: DreamZeroConfig) -> None:
        super().__init__()
        self.views = config.views
        self.words = nn.Embedding(len(config.text.vocabulary) + 1, 4 * CHANNELS, padding_idx=0)
        self.conv1 = nn.Conv2d(config.tokenizer.latent_channels, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.found = nn.Sequential(nn.LayerNorm(config.transformer.dim), nn.Dropout(DROPOUT))
        width = 2 * CHANNELS * config.views + config.state_dim + config.transformer.dim
        self.hidden = nn.Linear(width, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, latents: Tensor, state: Tensor, words: Tensor, token: Tensor) -> Tensor:
        """(B, C, h, V * w) canvases, (B, S) normalised joints, (B, M) word indices and (B, D)
        tokens of the grounding stem -> (B, 2) logits of done and failed.
        """
        n = len(latents)
        x = torch.cat(latents.chunk(self.views, -1))
        film = self.words(words).sum(1).repeat(self.views, 1)[..., None, None]
        scale1, shift1, scale2, shift2 = film.chunk(4, 1)
        x = functional.silu(self.conv1(x) * (1 + scale1) + shift1)
        x = x + functional.silu(self.conv2(x) * (1 + scale2) + shift2)
        x = x + functional.silu(self.conv3(x))
        pooled = torch.cat([x.mean((-2, -1)), x.amax((-2, -1))], 1)
        per_view = pooled.unflatten(0, (self.views, n)).transpose(0, 1).flatten(1)
        known = torch.cat([per_view, state, self.found(token)], 1)
        return self.out(functional.silu(self.hidden(known)))


def token_of(model: WorldActionModel, latents: Tensor, words: Tensor) -> Tensor:
    """(B, D) what the grounding stem of a model finds in latents (B, C, h, V * w) of what (B, M)
    word indices name.
    """
    text = model.text_encoder(words)
    token, _ = model.grounding(latents[:, None].to(text.dtype), text)
    return token[:, 0].float()


@dataclass(frozen=True)
class Appraiser:
    """What `wam calibrate model` learned for one checkpoint."""

    head: OutcomeHead
    calm: Calm


def appraisal_path(weights: Path) -> Path:
    """Where the file of a checkpoint stands: beside it."""
    return weights.with_name(weights.name.removesuffix(".safetensors") + SUFFIX)


def save_appraiser(path: Path, appraiser: Appraiser, digest: str, facts: dict) -> None:
    """Write what was learned for the checkpoint of a digest.

    Raises:
        WamError: the file cannot be written; what stood there stays.
    """
    tensors = {f"head.{n}": v.detach().half() for n, v in appraiser.head.state_dict().items()}
    calm = {f"calm.{n}": torch.from_numpy(v).float() for n, v in vars(appraiser.calm).items()}
    metadata = {"format": FORMAT, "checkpoint": digest, "facts": json.dumps(facts)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors | calm, metadata)


def load_appraiser(path: Path, config: DreamZeroConfig, digest: str) -> Appraiser | None:
    """What was learned for a checkpoint; None where that was never done or was done for another
    one: then nothing is known of it.

    Raises:
        WamError: the file is there but damaged, foreign, or of other sizes than the model.
    """
    if not path.is_file():
        return None
    require_fetched(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WamError(f"'{path}' is not a whole safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise WamError(
            f"'{path}' was not written by `wam calibrate model` (format "
            f"'{metadata.get('format', 'none')}')"
        )
    if metadata.get("checkpoint") != digest:
        return None
    head = OutcomeHead(config)
    own = {n.removeprefix("head."): v for n, v in tensors.items() if n.startswith("head.")}
    if bad := next((n for n, v in tensors.items() if not bool(v.isfinite().all())), None):
        raise WamError(f"'{path}': '{bad}' holds numbers that are not finite")
    try:
        head.load_state_dict(own)
        calm = Calm(**{f.name: tensors[f"calm.{f.name}"].double().numpy() for f in fields(Calm)})
    except (RuntimeError, KeyError, WamError) as error:
        raise WamError(f"'{path}' does not fit the model '{config.name}': {error}") from error
    return Appraiser(head.eval().requires_grad_(False), calm)
