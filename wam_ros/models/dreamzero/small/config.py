"""Sizes of the small model of the DreamZero family, as written in `config/models/<name>.yaml`."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml
from wam_ros.models.dreamzero.shared.config import TransformerConfig, require_heads

# What the transformer says of what is noisy: its flow velocity, or what it is without noise, of
# which the velocity follows (frames as a change of the newest one). A velocity has all noise in it,
# and tokens that are few or narrow must carry that exactly (Li and He, "Back to Basics", 2025).
PREDICTS = ("velocity", "data")


@dataclass(frozen=True)
class TokenizerConfig:
    """Frame autoencoder: pixel un-shuffle by 2, then one halving per further entry of
    `channels`.
    """

    channels: tuple[int, ...]
    latent_channels: int
    residual_blocks: int

    @property
    def factor(self) -> int:
        """Pixels per latent cell, each way."""
        return 2 ** len(self.channels)


@dataclass(frozen=True)
class GroundingConfig:
    """Stem that finds what the instruction names: text-modulated convolutions and spatial
    soft-argmax.
    """

    channels: int
    keypoints: int


@dataclass(frozen=True)
class ChunkConfig:
    """Time layout. A frame stands for `frame_stride` control steps; one block is remembered per
    executed frame.
    """

    action_horizon: int  # T actions predicted
    frame_stride: int  # control steps between two frames the model sees or imagines
    imagined_frames: int  # F frames predicted; F * frame_stride = T
    window: int  # observed frames kept in memory, the newest included
    # leading steps at most that training gave clean; 0: the weights cannot continue any
    committed_steps: int = 0


@dataclass(frozen=True)
class TextConfig:
    """Closed vocabulary; words outside it are refused, and exactly one of `choose_one` must be
    named.
    """

    vocabulary: tuple[str, ...]
    choose_one: tuple[str, ...] = ()
    max_characters: int = 200


@dataclass(frozen=True)
class DreamZeroConfig:
    """Everything needed to build the network before its weights are read."""

    name: str
    family: str
    embodiment: str
    image_height: int  # px of one view
    image_width: int
    views: int
    action_dim: int
    state_dim: int
    transformer: TransformerConfig
    tokenizer: TokenizerConfig
    grounding: GroundingConfig
    chunk: ChunkConfig
    text: TextConfig
    denoising_steps: int = 4
    predicts: str = "velocity"  # see `PREDICTS`
    shift: float = 3.0  # of the noise schedule, > 1 spends more steps at high noise
    # m per control step, the fastest the demonstrations ever moved a finger
    gripper_step: float = 0.01
    weights: str = ""  # shipped file, relative to the data folder

    @property
    def latent_size(self) -> tuple[int, int]:
        """Height and width of the latent canvas that holds all views side by side."""
        f = self.tokenizer.factor
        return self.image_height // f, self.views * self.image_width // f

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the tokens of one frame."""
        height, width = self.latent_size
        return height // self.transformer.patch, width // self.transformer.patch

    @property
    def tokens_per_frame(self) -> int:
        """Transformer tokens of one frame."""
        rows, columns = self.grid
        return rows * columns


def load_model_config(name: str) -> DreamZeroConfig:
    """Read and check a model description.

    Raises:
        WamError: unknown name, unknown key, or sizes that do not fit each other.
    """
    path = config_path("models", name)
    c = from_mapping(DreamZeroConfig, load_yaml(path), str(path))
    require_heads(c.transformer, str(path))
    if c.chunk.imagined_frames * c.chunk.frame_stride != c.chunk.action_horizon:
        raise WamError(f"{path}: chunk.imagined_frames x frame_stride must equal action_horizon")
    require_known(f"predicts in {path}", c.predicts, PREDICTS)
    if c.transformer.patch < 1:
        raise WamError(f"{path}: transformer.patch is {c.transformer.patch}, at least 1 is needed")
    side = c.transformer.patch * c.tokenizer.factor  # px
    if c.image_height % side or c.image_width % side:
        raise WamError(f"{path}: image size must be a multiple of {side} px")
    if missing := set(c.text.choose_one) - set(c.text.vocabulary):
        raise WamError(f"{path}: text.choose_one has {sorted(missing)} outside the vocabulary")
    return c
