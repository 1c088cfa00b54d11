"""The video autoencoders of Wan 2.1 (8 x 8 pixels x 4 frames) and Wan 2.2 (16 x 16 x 4), streaming
in time.

One latent frame stands for the first RGB frame, each further one for four. Parameter names are
those of the released `Wan2.1_VAE` and `Wan2.2_VAE` files (Wan Team, "Wan: Open and Advanced
Large-Scale Video Generative Models", 2025).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.released.vae_layers import (
    AverageDown,
    CausalConv3d,
    ChannelNorm,
    Downsample,
    DuplicateUp,
    FrameAttention,
    Memory,
    ResidualBlock,
    Upsample,
)
from wam_ros.models.dreamzero.released.vae_statistics import STATISTICS


@dataclass(frozen=True)
class VaeConfig:
    """Sizes of one autoencoder."""

    encoder_dim: int
    decoder_dim: int
    latent_channels: int
    multipliers: tuple[int, ...]  # width of each level, in units of the dims
    residual_blocks: int  # per level of the encoder; the decoder has one more
    time_levels: tuple[bool, ...]  # which halvings of the encoder halve the frame rate too
    patch: int  # pixels folded into channels before the encoder, each way
    shortcuts: bool  # Wan 2.2: levels are bridged by averaging and duplication

    @property
    def pixels(self) -> int:
        """Pixels per latent cell, each way."""
        return self.patch * 2 ** len(self.time_levels)

    @property
    def frames(self) -> int:
        """RGB frames per latent frame after the first."""
        return 2 ** sum(self.time_levels)


WAN21 = VaeConfig(
    encoder_dim=96,
    decoder_dim=96,
    latent_channels=16,
    multipliers=(1, 2, 4, 4),
    residual_blocks=2,
    time_levels=(False, True, True),
    patch=1,
    shortcuts=False,
)
WAN22 = VaeConfig(
    encoder_dim=160,
    decoder_dim=256,
    latent_channels=48,
    multipliers=(1, 2, 4, 4),
    residual_blocks=2,
    time_levels=(False, True, True),
    patch=2,
    shortcuts=True,
)


class Stack(nn.ModuleList):
    """Layers in a row that share the caller's memory."""

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> what the last layer makes of it."""
        for layer in self:
            x = layer(x, memory)
        return x


class DownLevel(nn.Module):
    """One level of the Wan 2.2 encoder, bridged by averaging."""

    def __init__(self, c_out: int, layers: list[nn.Module], time: int, space: int) -> None:
        super().__init__()
        self.downsamples = Stack(layers)
        self.bridge = AverageDown(c_out, time, space)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T / time, H / space, W / space)."""
        return self.downsamples(x, memory) + self.bridge(x)


class UpLevel(nn.Module):
    """One level of the Wan 2.2 decoder, bridged by duplication, the last one by nothing."""

    def __init__(self, c_out: int, layers: list[nn.Module], time: int, last: bool) -> None:
        super().__init__()
        self.upsamples = Stack(layers)
        self.bridge = None if last else DuplicateUp(c_out, time, 2)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C', time T, 2 H, 2 W)."""
        first = self not in memory
        memory[self] = x[:, :, :0]
        y = self.upsamples(x, memory)
        return y if self.bridge is None else y + self.bridge(x, first)


def _middle(channels: int) -> Stack:
    return Stack(
        [
            ResidualBlock(channels, channels),
            FrameAttention(channels),
            ResidualBlock(channels, channels),
        ]
    )


class Head(nn.Module):
    """Norm, SiLU and the last convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.add_module("0", ChannelNorm(c_in, 3))
        self.add_module("2", CausalConv3d(c_in, c_out, (3, 3, 3)))

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return self.get_submodule("2")(functional.silu(self.get_submodule("0")(x)), memory)


class Encoder(nn.Module):
    """Pixels to the mean and log variance of the latents."""

    def __init__(self, c: VaeConfig) -> None:
        super().__init__()
        widths = [c.encoder_dim * m for m in (1, *c.multipliers)]
        self.conv1 = CausalConv3d(3 * c.patch**2, widths[0], (3, 3, 3))
        levels: list[nn.Module] = []
        for i, (c_in, c_out) in enumerate(itertools.pairwise(widths)):
            layers: list[nn.Module] = [
                ResidualBlock(c_in if j == 0 else c_out, c_out) for j in range(c.residual_blocks)
            ]
            last = i == len(c.multipliers) - 1
            in_time = not last and c.time_levels[i]
            if not last:
                layers.append(Downsample(c_out, in_time))
            space = 1 if last else 2
            time = 2 if in_time else 1
            levels += [DownLevel(c_out, layers, time, space)] if c.shortcuts else layers
        self.downsamples = Stack(levels)
        self.middle = _middle(widths[-1])
        self.head = Head(widths[-1], 2 * c.latent_channels)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, 3 p p, T, H, W) -> (B, 2 Z, 1, h, w); T is 1 at first and 4 afterwards."""
        return self.head(
            self.middle(self.downsamples(self.conv1(x, memory), memory), memory), memory
        )


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, c: VaeConfig) -> None:
        super().__init__()
        widths = [c.decoder_dim * m for m in (c.multipliers[-1], *reversed(c.multipliers))]
        self.conv1 = CausalConv3d(c.latent_channels, widths[0], (3, 3, 3))
        self.middle = _middle(widths[0])
        levels: list[nn.Module] = []
        for i, (c_in, c_out) in enumerate(itertools.pairwise(widths)):
            # the level above halved its channels while it doubled its size
            if i and not c.shortcuts:
                c_in //= 2
            layers: list[nn.Module] = [
                ResidualBlock(c_in if j == 0 else c_out, c_out)
                for j in range(c.residual_blocks + 1)
            ]
            last = i == len(c.multipliers) - 1
            in_time = not last and tuple(reversed(c.time_levels))[i]
            if not last:
                layers.append(Upsample(c_out, c_out if c.shortcuts else c_out // 2, in_time))
            levels += [UpLevel(c_out, layers, 2 if in_time else 1, last)] if c.shortcuts else layers
        self.upsamples = Stack(levels)
        self.head = Head(widths[-1], 3 * c.patch**2)

    def forward(self, z: Tensor, memory: Memory) -> Tensor:
        """(B, Z, 1, h, w) -> (B, 3 p p, T, H, W); T is 1 at first and 4 afterwards."""
        return self.head(self.upsamples(self.middle(self.conv1(z, memory), memory), memory), memory)


class WanVae(nn.Module):
    """Video to standardised latents and back."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        z = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.conv1 = CausalConv3d(2 * z, 2 * z, (1, 1, 1))
        self.conv2 = CausalConv3d(z, z, (1, 1, 1))

    def statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the latents of the training videos, each (Z, 1, 1, 1); they are no
        parameters.
        """
        mean, std = (
            like.new_tensor(s)[:, None, None, None] for s in STATISTICS[self.config.latent_channels]
        )
        return mean, std

    def encode_next(self, frames: Tensor, memory: Memory) -> Tensor:
        """The next latent frame of a stream.

        Args:
            frames: (B, 3, T, H, W) RGB in [-1, 1]; T is 1 for the first frame of a video, 4
                afterwards.
            memory: empty at the first frame, then as the call before left it.

        Returns:
            (B, Z, 1, h, w) the mean of the posterior, standardised.
        """
        mean, std = self.statistics(frames)
        z = self.conv1(self.encoder(fold(frames, self.config.patch), memory), memory)
        return (z[:, : self.config.latent_channels] - mean) / std

    def decode_next(self, latent: Tensor, memory: Memory) -> Tensor:
        """(B, Z, 1, h, w) -> the next 1 or 4 frames (B, 3, T, H, W), about -1..1, not clamped."""
        mean, std = self.statistics(latent)
        return unfold(
            self.decoder(self.conv2(latent * std + mean, memory), memory), self.config.patch
        )

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, 1 + 4 n, H, W) RGB in [-1, 1] -> (B, Z, 1 + n, h, w), from a fresh memory."""
        memory: Memory = {}
        pieces = [video[:, :, :1], *video[:, :, 1:].split(self.config.frames, 2)]
        return torch.cat([self.encode_next(p, memory) for p in pieces if p.shape[2]], 2)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z, 1 + n, h, w) -> (B, 3, 1 + 4 n, H, W), not clamped, from a fresh memory."""
        memory: Memory = {}
        return torch.cat([self.decode_next(z, memory) for z in latents.split(1, 2)], 2)


def fold(x: Tensor, patch: int) -> Tensor:
    """(B, C, T, H, W) -> (B, C p p, T, H / p, W / p), columns of a patch before its rows."""
    x = x.unflatten(4, (-1, patch)).unflatten(3, (-1, patch))
    return x.permute((0, 1, 6, 4, 2, 3, 5)).flatten(1, 3)


def unfold(x: Tensor, patch: int) -> Tensor:
    """Inverse of `fold`."""
    x = x.unflatten(1, (-1, patch, patch)).permute((0, 1, 4, 5, 3, 6, 2))
    return x.flatten(5, 6).flatten(3, 4)
