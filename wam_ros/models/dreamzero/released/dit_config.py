"""Sizes of the released models, as written in `config/models/dreamzero-*.yaml` or in a checkpoint's
`config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml
from wam_ros.models.dreamzero.shared.config import TransformerConfig, require_heads

STATE_ATTENTION = ("open", "masked")


@dataclass(frozen=True)
class CausalDiTConfig:
    """A window is one frame, then `blocks` blocks of frames, actions and state."""

    transformer: TransformerConfig
    # latent, and with `concat_first_frame` its mask (4) and the first frame's latent
    in_channels: int
    out_channels: int  # of a latent
    latent_height: int  # of the canvas that holds all views
    latent_width: int
    action_dim: int = 32  # padded
    state_dim: int = 64  # padded
    frames_per_block: int = 2  # latent frames; the first frame of a window stands alone
    actions_per_block: int = 24
    states_per_block: int = 1
    blocks: int = 4  # of a window
    concat_first_frame: bool = True
    # at inference: the server's `open`, or `masked` as in training (own key only)
    state_attention: str = "open"
    image_tokens: int = 257
    name: str = ""
    family: str = "dreamzero-released"

    @property
    def window_frames(self) -> int:
        """Latent frames of a whole window."""
        return 1 + self.blocks * self.frames_per_block

    @property
    def frame_tokens(self) -> int:
        """Transformer tokens of one latent frame."""
        return (self.latent_height // 2) * (self.latent_width // 2)

    @property
    def own_tokens(self) -> int:
        """Tokens of the block being denoised: video, actions, state."""
        return (
            self.frames_per_block * self.frame_tokens
            + self.actions_per_block
            + self.states_per_block
        )

    @classmethod
    def from_reference(
        cls, c: Mapping[str, Any], latent_hw: tuple[int, int], clip_dim: int = 1280
    ) -> CausalDiTConfig:
        """From the names that the reference uses (`diffusion_model_cfg` of its checkpoints).

        Args:
            c: what is missing takes the reference's default.
            latent_hw: height and width of the latent canvas.
            clip_dim: width of the image features.
        """
        transformer = TransformerConfig(
            dim=c["dim"],
            ffn_dim=c["ffn_dim"],
            freq_dim=c.get("freq_dim", 256),
            num_heads=c["num_heads"],
            num_layers=c["num_layers"],
            text_dim=c.get("text_dim", 4096),
            text_len=c.get("text_len", 512),
            hidden_size=c.get("hidden_size", 1024),
            clip_dim=clip_dim,
            eps=c.get("eps", 1e-6),
        )
        return cls(
            transformer,
            in_channels=c["in_dim"],
            out_channels=c["out_dim"],
            latent_height=latent_hw[0],
            latent_width=latent_hw[1],
            action_dim=c.get("action_dim", 32),
            state_dim=c.get("max_state_dim", 64),
            frames_per_block=c.get("num_frame_per_block", 2),
            actions_per_block=c.get("num_action_per_block", 24),
            states_per_block=c.get("num_state_per_block", 1),
            blocks=c.get("max_chunk_size", 4),
            concat_first_frame=c.get("concat_first_frame_latent", True),
        )


def require_fitting(c: CausalDiTConfig, where: str) -> CausalDiTConfig:
    """Check that sizes fit each other; raises `WamError` naming `where`."""
    require_heads(c.transformer, where)
    counts = (
        c.frames_per_block,
        c.actions_per_block,
        c.states_per_block,
        c.blocks,
        c.transformer.num_layers,
    )
    if min(*counts, c.latent_height, c.latent_width) < 1:
        raise WamError(
            f"{where}: numbers of layers, blocks, frames, actions, states and latent cells must "
            "be positive"
        )
    if c.latent_height % 2 or c.latent_width % 2:
        raise WamError(
            f"{where}: the latent canvas {c.latent_height} x {c.latent_width} must have even sides"
        )
    if c.actions_per_block % c.states_per_block:
        raise WamError(f"{where}: actions_per_block must be a multiple of states_per_block")
    wanted = 2 * c.out_channels + 4 if c.concat_first_frame else c.out_channels
    if c.in_channels != wanted:
        raise WamError(f"{where}: in_channels is {c.in_channels}, expected {wanted}")
    require_known(f"{where}: state_attention", c.state_attention, STATE_ATTENTION)
    return c


def load_dit_config(name: str) -> CausalDiTConfig:
    """Read and check the description of a released model.

    Raises:
        WamError: unknown name, unknown key, or sizes that do not fit each other.
    """
    path = config_path("models", name)
    sizes = {k: v for k, v in load_yaml(path).items() if k not in ("inference", "contract")}
    return require_fitting(from_mapping(CausalDiTConfig, sizes, str(path)), str(path))
