"""The frozen networks around the released transformer: prompts, pictures and latents. Implements
`rollout.Encoders`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wam_ros.models.dreamzero.released.checkpoint import ReleasedModel
from wam_ros.models.dreamzero.released.clip import ImageEncoder
from wam_ros.models.dreamzero.released.prompts import PromptTokenizer
from wam_ros.models.dreamzero.released.rollout import Anchor
from wam_ros.models.dreamzero.released.vae import WanVae
from wam_ros.models.dreamzero.released.vae_layers import Memory
from wam_ros.models.dreamzero.released.views import frame_index


class Towers:
    """Frames are canvases (1, T, H, W, 3) uint8 RGB of any size; they are scaled to the model's.

    It also decodes what is imagined, as the continuation of what was observed since the window
    began.
    """

    def __init__(self, network: ReleasedModel, tokenizer: PromptTokenizer) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.dit = network.model.config
        self.image: ImageEncoder = network.image_encoder["model"]  # type: ignore[assignment]
        self.vae: WanVae = network.vae["model"]  # type: ignore[assignment]
        pixels = self.vae.config.pixels
        self.canvas = (self.dit.latent_height * pixels, self.dit.latent_width * pixels)
        self._seen: Memory = {}  # of the decoder, up to the newest observed frame

    def prompt(self, instruction: str) -> Tensor:
        """(1, L, text_dim) of a whole paragraph, zero beyond it."""
        ids, mask = (x.to(self._like.device) for x in self.tokenizer(instruction))
        return self.network.text_encoder.embed(ids, mask, self.network.model.speedups.short_prompts)

    def anchor(self, frames: Tensor, index: int) -> Anchor:
        """Image tokens of frame `index` and the latents of that frame followed by grey ones;
        decoding begins anew.
        """
        frame = self._pixels(frames[:, index : index + 1])
        grey = torch.zeros_like(frame).expand(
            -1, -1, (self.dit.window_frames - 1) * self.vae.config.frames, -1, -1
        )
        latents = self.vae.encode(torch.cat([frame, grey], 2))
        self._seen = {}
        self.vae.decode_next(latents[:, :, :1], self._seen)
        return Anchor(self.image(frame[:, :, 0]), latents)

    def video(self, frames: Tensor) -> Tensor:
        """Latents (1, C, 1 + n, H, W) of a whole video of 1 + 4 n frames, from a fresh memory."""
        return self.vae.encode(self._pixels(frames))

    def observed(self, frames: Tensor) -> Tensor:
        """Latents (1, C, 1 + block, H, W) of the frames since the last chunk: 4, 8 or 9 (see
        `views.frame_index`).
        """
        latents = self.vae.encode(self._pixels(frames[:, frame_index(frames.shape[1])]))
        for z in latents[:, :, -self.dit.frames_per_block :].split(1, 2):
            self.vae.decode_next(z, self._seen)
        return latents

    def imagined(self, latents: Tensor) -> Tensor:
        """(1, C, n, H, W) latents of the coming frames -> (4 n, H, W, 3) uint8 RGB."""
        memory = dict(self._seen)  # layers replace what they remember, they never write into it
        video = torch.cat(
            [self.vae.decode_next(z, memory) for z in latents.to(self._like.dtype).split(1, 2)], 2
        )
        return ((video[0].float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 3, 0)

    @property
    def _like(self) -> Tensor:
        return self.vae.conv1.weight

    def _pixels(self, frames: Tensor) -> Tensor:
        """(1, T, H, W, 3) uint8 -> (1, 3, T, canvas) in [-1, 1]."""
        x = frames.to(self._like.device).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
        if x.shape[-2:] != self.canvas:
            x = functional.interpolate(x[0], self.canvas, mode="bilinear", align_corners=False)[
                None
            ]
        return x.transpose(1, 2).to(self._like.dtype)
