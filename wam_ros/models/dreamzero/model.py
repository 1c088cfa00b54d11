"""The world action model: one transformer that denoises future frames and the action chunk together.

A *block* k is one observed frame (clean) and what is predicted from it (noisy): F future frames, T actions and the
conditioning tokens (state, grounding). Clean tokens of block k see the clean tokens of blocks k - W + 1 .. k; noisy
tokens see those and all of their own block. So past predictions are never context: what was observed takes the place
of what was imagined. Training denoises K blocks at once under that mask, inference one block against a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.actions import ActionDecoder, ActionEncoder, StateEncoder
from wam_ros.models.dreamzero.block import Attention, Block
from wam_ros.models.dreamzero.config import DreamZeroConfig
from wam_ros.models.dreamzero.grounding import Grounding
from wam_ros.models.dreamzero.layers import attend, rope_angles, sinusoid
from wam_ros.models.dreamzero.text import TextEncoder


@dataclass(frozen=True)
class Context:
    """The instruction, ready for every layer."""

    text: Tensor  # (B, M, text_dim) words, zero where padded
    keys_values: tuple[tuple[Tensor, Tensor], ...]  # one pair per layer


@dataclass(frozen=True)
class Velocity:
    """Flow velocities (noise - data)."""

    video: Tensor  # (B, K, F, C, h, w)
    action: Tensor  # (B, K, T, A)


class WorldActionModel(nn.Module):
    """Sizes come from the config; shapes: C latent channels, h x w latent canvas, A action width."""

    def __init__(self, config: DreamZeroConfig) -> None:
        super().__init__()
        self.config = config
        t, c = config.transformer, config.tokenizer.latent_channels
        self.grid = (config.latent_size[0] // 2, config.latent_size[1] // 2)
        self.patch_embedding = nn.Linear(2 * c * 4, t.dim)  # the latent and the anchor frame's latent, 2 x 2 cells
        self.text_encoder = TextEncoder(config.text, t.text_dim, t.text_len)
        self.text_embedding = nn.Sequential(nn.Linear(t.text_dim, t.dim), nn.GELU("tanh"), nn.Linear(t.dim, t.dim))
        self.time_embedding = nn.Sequential(nn.Linear(t.freq_dim, t.dim), nn.SiLU(), nn.Linear(t.dim, t.dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(t.dim, 6 * t.dim))
        self.action_encoder = ActionEncoder(config.action_dim, t.dim)
        self.action_decoder = ActionDecoder(t.dim, t.hidden_size, config.action_dim)
        self.state_encoder = StateEncoder(config.state_dim, t.hidden_size, t.dim)
        self.grounding = Grounding(config, t.dim)
        self.blocks = nn.ModuleList(Block(t, i) for i in range(t.num_layers))
        self.head_norm = nn.LayerNorm(t.dim, t.eps, elementwise_affine=False)
        self.head = nn.Linear(t.dim, c * 4)
        self.head_modulation = nn.Parameter(torch.randn(1, 2, t.dim) / t.dim**0.5)
        nn.init.zeros_(self.head.weight)

    @property
    def n_clean(self) -> int:
        """Tokens of one observed frame."""
        return self.config.tokens_per_frame

    @property
    def n_noisy(self) -> int:
        """Tokens of one prediction: frames, actions, state, grounding."""
        chunk = self.config.chunk
        return chunk.imagined_frames * self.n_clean + chunk.action_horizon + 2

    def encode_text(self, words: Tensor) -> Context:
        """(B, M) word indices -> context for every layer."""
        text = self.text_encoder(words)
        embedded = self.text_embedding(text)
        return Context(text, tuple(b.cross_attn.keys_values(embedded) for b in self.blocks))  # type: ignore[union-attr,operator]

    def _patch(self, latents: Tensor, anchor: Tensor) -> Tensor:
        """(B, K, n, C, h, w) frames and their anchors (B, K, C, h, w) -> (B, K, n * tokens, D)."""
        x = torch.cat([latents, anchor[:, :, None].expand_as(latents)], 3)
        x = x.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # B K n 2C i 2 j 2
        x = x.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5).flatten(2, 4)
        return self.patch_embedding(x)

    def _unpatch(self, x: Tensor, n: int) -> Tensor:
        """Inverse of `_patch` for n frames: (B, K, n * tokens, 4 C) -> (B, K, n, C, h, w)."""
        x = x.unflatten(2, (n, *self.grid)).unflatten(-1, (-1, 2, 2))  # B K n i j C 2 2
        return x.permute(0, 1, 2, 5, 3, 6, 4, 7).flatten(-2).flatten(-3, -2)

    def _time(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(...) timesteps in [0, 1] -> embedding (..., D) and block modulation (..., 6, D)."""
        e = self.time_embedding(sinusoid(1000 * t, self.config.transformer.freq_dim).to(self.head.weight.dtype))
        return e, self.time_projection(e).unflatten(-1, (6, -1))

    def rope(self, index: Tensor, part: str) -> tuple[Tensor, Tensor]:
        """Cosines and sines for block indices (K,) of the tokens that `part` names: clean, noisy or both."""
        chunk, (rows, columns) = self.config.chunk, self.grid
        cells = torch.cartesian_prod(torch.zeros(1), torch.arange(rows) * 1.0, torch.arange(columns) * 1.0)
        clean = cells
        frames = torch.cat([cells + torch.tensor([f + 1.0, 0, 0]) for f in range(chunk.imagined_frames)])
        actions = torch.zeros(chunk.action_horizon, 3)
        actions[:, 0] = (torch.arange(chunk.action_horizon) + 1) / chunk.frame_stride
        noisy = torch.cat([frames, actions, torch.zeros(2, 3)])
        positions = {"clean": clean, "noisy": noisy, "both": torch.cat([clean, noisy])}[part]
        positions = positions + torch.stack([index, 0 * index, 0 * index], -1)[:, None].to(positions)
        t = self.config.transformer
        angles = rope_angles(positions, t.dim // t.num_heads, t.rope_theta)[..., None, :]
        dtype = self.head.weight.dtype
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def _noisy_tokens(
        self, video: Tensor, action: Tensor, state: Tensor, t_action: Tensor, anchor: Tensor, text: Tensor
    ):
        ground, goal = self.grounding(anchor, text)
        cond = torch.stack([self.state_encoder(state), ground], 2)
        return torch.cat([self._patch(video, anchor), self.action_encoder(action, t_action), cond], 2), goal

    def _velocity(self, x: Tensor, e_video: Tensor) -> Velocity:
        """Read velocities off noisy tokens x (B, K, n_noisy, D)."""
        chunk = self.config.chunk
        video, action, _ = x.split([chunk.imagined_frames * self.n_clean, chunk.action_horizon, 2], 2)
        shift, scale = (self.head_modulation + e_video[:, :, None]).unsqueeze(3).unbind(2)
        video = self.head(torch.addcmul(shift, self.head_norm(video), 1 + scale))
        return Velocity(self._unpatch(video, chunk.imagined_frames), self.action_decoder(action))

    def _run(
        self, x: Tensor, e: Tensor, sizes: tuple[int, ...], rope, context: Context, attention: Attention
    ) -> Tensor:
        for block, keys_values in zip(self.blocks, context.keys_values, strict=True):
            x = block(x, e, sizes, rope, keys_values, attention)
        return x

    def forward(
        self,
        clean: Tensor,
        video: Tensor,
        action: Tensor,
        state: Tensor,
        t_video: Tensor,
        t_action: Tensor,
        context: Context,
    ) -> tuple[Velocity, Tensor]:
        """Teacher-forced training pass over K blocks.

        Args:
            clean: (B, K, C, h, w) observed latents, one frame per block.
            video: (B, K, F, C, h, w) noisy future latents.
            action: (B, K, T, A) noisy normalised actions.
            state: (B, K, S) normalised state at each anchor.
            t_video, t_action: (B, K) noise levels in [0, 1].

        Returns:
            Velocities, and the goal (B, K, 3) that the grounding stem predicts.
        """
        tokens, goal = self._noisy_tokens(video, action, state, t_action, clean, context.text)
        x = torch.cat([self._patch(clean[:, :, None], clean), tokens], 2)
        embedding, e = self._time(torch.stack([torch.zeros_like(t_video), t_video, t_action], -1))
        chunk = self.config.chunk
        n_video = chunk.imagined_frames * self.n_clean
        sizes = (self.n_clean, n_video, self.n_noisy - n_video)
        blocks = clean.shape[1]
        mask = self._training_mask(blocks).to(x)
        x = self._run(x, e, sizes, self.rope(torch.arange(blocks), "both"), context, self._training_attention(mask))
        return self._velocity(x[:, :, self.n_clean :], embedding[:, :, 1]), goal

    def _training_mask(self, blocks: int) -> Tensor:
        """(K, 1, clean + noisy, W * clean + noisy) additive mask; keys: window of clean blocks, own noisy."""
        window, n = self.config.chunk.window, self.n_clean
        age = torch.arange(window - 1, -1, -1).repeat_interleave(n)  # blocks before k
        exists = age[None] <= torch.arange(blocks)[:, None]  # (K, W * n)
        clean = torch.cat([exists, torch.zeros(blocks, self.n_noisy, dtype=torch.bool)], 1)
        noisy = torch.cat([exists, torch.ones(blocks, self.n_noisy, dtype=torch.bool)], 1)
        seen = torch.cat([clean[:, None].expand(-1, n, -1), noisy[:, None].expand(-1, self.n_noisy, -1)], 1)
        return torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[:, None]

    def _training_attention(self, mask: Tensor) -> Attention:
        window, sizes = self.config.chunk.window, [self.n_clean, self.n_noisy]

        def keys(x: Tensor) -> Tensor:
            clean, noisy = x.split(sizes, 2)
            padded = functional.pad(clean, (0, 0, 0, 0, 0, 0, window - 1, 0))  # masked where no frame exists yet
            past = [padded[:, i : i + clean.shape[1]] for i in range(window)]
            return torch.cat([*past, noisy], 2)

        return lambda _layer, q, k, v: attend(q, keys(k), keys(v), mask)

    def make_cache(self) -> KvCache:
        """An empty memory for one sequence."""
        t = self.config.transformer
        head = (t.num_heads, t.dim // t.num_heads)
        weight = self.head.weight
        return KvCache(
            t.num_layers, self.config.chunk.window, self.n_clean, self.n_noisy, head, weight.dtype, weight.device
        )

    def remember(self, clean: Tensor, index: int, context: Context, cache: KvCache) -> None:
        """Write the observed latent (1, 1, C, h, w) of block `index` into the memory."""
        cache.advance()
        _, e = self._time(torch.zeros(1, 1, 1))
        x = self._patch(clean[:, :, None], clean)
        attention: Attention = lambda layer, q, k, v: attend(q, *cache.write_frame(layer, k, v))  # noqa: E731
        self._run(x, e, (self.n_clean,), self.rope(torch.tensor([index]), "clean"), context, attention)

    def condition(self, state: Tensor, anchor: Tensor, context: Context) -> Tensor:
        """Conditioning tokens (1, 1, 2, D), the same for every denoising step: state (1, 1, S) and grounding."""
        ground, _ = self.grounding(anchor, context.text)
        return torch.stack([self.state_encoder(state), ground], 2)

    def denoise(
        self,
        video: Tensor,
        action: Tensor,
        t_video: float,
        t_action: float,
        cond: Tensor,
        anchor: Tensor,
        rope: tuple[Tensor, Tensor],
        context: Context,
        cache: KvCache,
    ) -> Velocity:
        """One evaluation of the block at `rope` (shapes as in `forward` with B = K = 1), seeing the memory."""
        t = torch.tensor([[[t_video, t_action]]], dtype=torch.float32, device=video.device)
        embedding, e = self._time(t)
        x = torch.cat([self._patch(video, anchor), self.action_encoder(action, t[..., 1]), cond], 2)
        n_video = self.config.chunk.imagined_frames * self.n_clean
        attention: Attention = lambda layer, q, k, v: attend(q, *cache.with_own(layer, k, v))  # noqa: E731
        x = self._run(x, e, (n_video, self.n_noisy - n_video), rope, context, attention)
        return self._velocity(x, embedding[:, :, 0])
