"""Reads where things are off the latents of a frame: convolutions that end in spatial soft-argmax
keypoints (Finn et al., 2016) in each view, learned from episodes of the scripted expert.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 64
KEYPOINTS = 16
STEPS = 3000
BATCH = 64
RATE = 2e-3
NOISE = 0.1  # on latents: what is imagined is never exactly what was learned from


class Reader:
    """From latents (N, C, h, V * w) and by name the places (N, 3) m; the last fifth is not learned
    from and tells how well it reads.

    Args:
        latents: standardised, of frames of whole episodes, one after another.
        places: by name.
        views: that lie side by side in a latent.
    """

    def __init__(self, latents: np.ndarray, places: dict[str, np.ndarray], views: int) -> None:
        self._names = list(places)
        told = torch.from_numpy(np.stack(list(places.values()), axis=1)).float()
        seen = torch.from_numpy(latents)
        cut = max(1, len(seen) * 4 // 5)
        self._middle = told[:cut].mean(0)
        self._spread = told[:cut].std(0).clamp_min(1e-3)
        torch.manual_seed(0)
        self._network = _Network(seen.shape[1], views, len(places))
        self._learn(seen[:cut], (told[:cut] - self._middle) / self._spread)
        rest = slice(cut, None) if cut < len(seen) else slice(None)
        errors = (self._places(seen[rest]) - told[rest]).norm(dim=-1).median(0).values
        self.error_cm = {n: 100 * float(e) for n, e in zip(self._names, errors, strict=True)}

    def __call__(self, latent: np.ndarray) -> dict[str, np.ndarray]:
        """(3,) m by name, of a latent (C, h, V * w)."""
        found = self._places(torch.from_numpy(latent)[None])[0].numpy()
        return dict(zip(self._names, found, strict=True))

    @torch.no_grad()
    def _places(self, latents: Tensor) -> Tensor:
        found = torch.cat([self._network(some.float()) for some in latents.split(512)])
        return found * self._spread + self._middle

    def _learn(self, latents: Tensor, wanted: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        optimiser = torch.optim.AdamW(self._network.parameters(), RATE, weight_decay=1e-4)
        for step in track(range(STEPS), "reader"):
            optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            drawn = torch.randint(len(latents), (BATCH,), generator=generator)
            x = latents[drawn].float()
            x = x + NOISE * torch.randn(x.shape, generator=generator)
            # a thing that fell far away must not outweigh all others
            loss = functional.smooth_l1_loss(self._network(x), wanted[drawn])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()


class _Network(nn.Module):
    def __init__(self, channels: int, views: int, places: int) -> None:
        super().__init__()
        self.views = views
        self.places = places
        self.conv1 = nn.Conv2d(channels, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv3 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.heat = nn.Conv2d(CHANNELS, KEYPOINTS, 1)
        self.head = nn.Sequential(
            nn.Linear(3 * KEYPOINTS * views, 256), nn.SiLU(), nn.Linear(256, 3 * places)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """(B, C, h, V * w) -> (B, places, 3) normalised."""
        # views are looked at one by one: (V * B, C, h, w)
        x = torch.cat(latents.chunk(self.views, -1))
        x = functional.silu(self.conv1(x))
        x = x + functional.silu(self.conv2(x))
        x = x + functional.silu(self.conv3(x))
        heat = self.heat(x)
        share = heat.flatten(2).softmax(-1).unflatten(-1, heat.shape[-2:])
        rows, columns = (torch.linspace(-1, 1, n) for n in heat.shape[-2:])
        points = [
            (share.sum(-1) * rows).sum(-1),
            (share.sum(-2) * columns).sum(-1),
            heat.amax((-2, -1)).tanh(),
        ]
        of_views = torch.cat(points, -1).chunk(self.views)
        return self.head(torch.cat(of_views, -1)).unflatten(-1, (self.places, 3))
