"""Frame tokenizer: a small convolutional autoencoder from RGB canvas to latent canvas and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.small.config import TokenizerConfig


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.conv2(functional.silu(self.conv1(functional.silu(self.norm(x)))))


class FrameTokenizer(nn.Module):
    """Latents are standardised per channel by `mean` and `std`, measured after training."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        ch = config.channels
        z = config.latent_channels
        n = config.residual_blocks
        down: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, ch[0], 3, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(z, ch[-1], 3, padding=1)]
        for i, c in enumerate(ch):
            if i:
                down += [nn.Conv2d(ch[i - 1], c, 3, stride=2, padding=1)]
            down += [Residual(c) for _ in range(n)]
        for i in reversed(range(len(ch))):
            up += [Residual(ch[i]) for _ in range(n)]
            if i:
                up += [nn.Conv2d(ch[i], 4 * ch[i - 1], 3, padding=1), nn.PixelShuffle(2)]
        self.encoder = nn.Sequential(*down, nn.SiLU(), nn.Conv2d(ch[-1], z, 3, padding=1))
        self.decoder = nn.Sequential(
            *up, nn.SiLU(), nn.Conv2d(ch[0], 12, 3, padding=1), nn.PixelShuffle(2)
        )
        self.register_buffer("mean", torch.zeros(z, 1, 1))
        self.register_buffer("std", torch.ones(z, 1, 1))

    def encode(self, canvas: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB -> (N, C, h, w) standardised latents."""
        pixels = canvas.permute(0, 3, 1, 2).to(self.mean.dtype) / 127.5 - 1
        return (self.encoder(pixels) - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) standardised latents -> (N, H, W, 3) RGB in [0, 1], not clipped."""
        return (self.decoder(latents * self.std + self.mean).permute(0, 2, 3, 1) + 1) / 2
