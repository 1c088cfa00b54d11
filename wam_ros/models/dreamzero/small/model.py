"""The world action model: one transformer that denoises future frames and the action chunk
together.

A *block* k is one observed frame (clean) and what is predicted from it (noisy): F future frames, T
actions and the conditioning tokens (state, grounding). Clean tokens of block k see the clean tokens
of blocks k - W + 1 .. k; noisy tokens see those and all of their own block. So past predictions are
never context: what was observed takes the place of what was imagined. Training denoises K blocks at
once under that mask, inference one block against a cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.shared.block import Attention
from wam_ros.models.dreamzero.shared.layers import Source, attend, unpatch
from wam_ros.models.dreamzero.shared.rope import Rope, as_rope, cells, rope_angles
from wam_ros.models.dreamzero.shared.transformer import LayerContext, Transformer, Velocity
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.grounding import Grounding
from wam_ros.models.dreamzero.small.text import TextEncoder

# Noise level below which no velocity is told apart: steps that are only continued have none.
LEAST_LEVEL = 0.01


@dataclass(frozen=True)
class Context:
    """The instruction, ready for every layer."""

    text: Tensor  # (B, M, text_dim) words, zero where padded
    layers: tuple[LayerContext, ...]

    @classmethod
    def joined(cls, of: Sequence[Context]) -> Context:
        """Those of several sequences, in their order."""
        if len(of) == 1:
            return of[0]
        layers = zip(*(context.layers for context in of), strict=True)
        return cls(torch.cat([c.text for c in of]), tuple(_joined(layer) for layer in layers))


def _joined(of: tuple[LayerContext, ...]) -> LayerContext:
    """One layer's sources of several sequences; the words of this family have no weights."""

    def batch(parts: list[Tensor]) -> Tensor:
        # heads stay before tokens in memory, as of one alone
        return torch.cat([x.transpose(-3, -2) for x in parts]).transpose(-3, -2)

    return tuple(
        Source(batch([s.k for s in sources]), batch([s.v for s in sources]))
        for sources in zip(*of, strict=True)
    )


class WorldActionModel(Transformer):
    """The small layout: one frame a block, actions on the frames' time axis, a token that grounds
    the instruction.

    Shapes: B sequences, K blocks, C latent channels, h x w latent canvas, A action width.
        Velocities are
    (B, K, F, C, h, w) and (B, K, T, A).
    """

    def __init__(self, config: DreamZeroConfig) -> None:
        c = config.tokenizer.latent_channels
        # a latent and its anchor
        super().__init__(config.transformer, 2 * c, c, config.action_dim, config.state_dim)
        self.config = config
        self.text_encoder = TextEncoder(
            config.text, config.transformer.text_dim, config.transformer.text_len
        )
        self.grounding = Grounding(config, config.transformer.dim)

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
        return Context(text, self.context(text))

    def _patch(self, latents: Tensor, anchor: Tensor) -> Tensor:
        """(B, K, n, C, h, w) frames and their anchors (B, K, C, h, w) -> (B, K, n * tokens, D)."""
        return self.patch_embedding(
            torch.cat([latents, anchor[:, :, None].expand_as(latents)], 3)
        ).flatten(2, 3)

    def rope(self, index: Tensor, part: str) -> Rope:
        """Cosines and sines for block indices (K,) of the tokens that `part` names: clean, noisy or
        both.
        """
        chunk = self.config.chunk
        clean = cells(torch.zeros(1), *self.config.grid)
        frames = cells(1.0 + torch.arange(chunk.imagined_frames), *self.config.grid)
        actions = torch.zeros(chunk.action_horizon, 3)
        actions[:, 0] = (torch.arange(chunk.action_horizon) + 1) / chunk.frame_stride
        noisy = torch.cat([frames, actions, torch.zeros(2, 3)])
        positions = {"clean": clean, "noisy": noisy, "both": torch.cat([clean, noisy])}[part]
        positions = positions + torch.stack([index, 0 * index, 0 * index], -1)[:, None].to(
            positions
        )
        t = self.sizes
        return as_rope(rope_angles(positions, t.dim // t.num_heads, t.rope_theta))

    def _noisy_tokens(
        self,
        video: Tensor,
        action: Tensor,
        state: Tensor,
        t_action: Tensor,
        anchor: Tensor,
        text: Tensor,
    ):
        ground, goal = self.grounding(anchor, text)
        cond = torch.stack([self.state_encoder(state), ground], 2)
        return torch.cat(
            [self._patch(video, anchor), self.action_encoder(action, 1000 * t_action), cond], 2
        ), goal

    def _read(self, x: Tensor, e_video: Tensor) -> Velocity:
        """What is said by noisy tokens x (B, K, n_noisy, D): velocities, or what `_velocity` makes
        such of.
        """
        chunk = self.config.chunk
        video, action, _ = x.split(
            [chunk.imagined_frames * self.n_clean, chunk.action_horizon, 2], 2
        )
        frames = self.head(video, e_video[:, :, None]).unflatten(2, (chunk.imagined_frames, -1))
        return Velocity(
            unpatch(frames, self.config.grid[0], self.sizes.patch), self.action_decoder(action)
        )

    def _velocity(
        self,
        said: Velocity,
        video: Tensor,
        action: Tensor,
        anchor: Tensor,
        t_video: Tensor,
        t_action: Tensor,
    ) -> Velocity:
        """Velocities, by what is said of noisy frames and actions at levels t_video (B, K) and
        t_action (B, K, T) in [0, 1], and of the newest frame (B, K, C, h, w).
        """
        if self.config.predicts == "velocity":
            return said
        t_video, t_action = (t.float().clamp_min(LEAST_LEVEL) for t in (t_video, t_action))
        frames = anchor[:, :, None].float() + said.video.float()
        return Velocity(
            (video.float() - frames) / t_video[..., None, None, None, None],
            (action.float() - said.action.float()) / t_action[..., None],
        )

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
            t_video: (B, K) noise levels in [0, 1].
            t_action: (B, K, T) noise levels; 0 for leading steps that are committed and only have
                to be continued.

        Returns:
            Velocities, and the goal (B, K, 3) that the grounding stem predicts.
        """
        tokens, goal = self._noisy_tokens(
            video=video.to(self.dtype),
            action=action.to(self.dtype),
            state=state,
            t_action=t_action,
            anchor=clean,
            text=context.text,
        )
        x = torch.cat([self._patch(clean[:, :, None], clean), tokens], 2)
        levels = torch.cat(
            [
                torch.zeros_like(t_video)[..., None],
                t_video[..., None],
                t_action,
                t_action[..., -1:],
            ],
            -1,
        )
        embedding, e = self.time(1000 * levels)
        chunk = self.config.chunk
        sizes = (self.n_clean, chunk.imagined_frames * self.n_clean, *[1] * chunk.action_horizon, 2)
        blocks = clean.shape[1]
        mask = self._training_mask(blocks).to(x)
        x = self.run(
            x,
            e,
            sizes=sizes,
            rope=self.rope(torch.arange(blocks), "both"),
            context=context.layers,
            attention=self._training_attention(mask),
        )
        said = self._read(x[:, :, self.n_clean :], embedding[:, :, 1])
        return self._velocity(said, video, action, clean, t_video, t_action), goal

    def _training_mask(self, blocks: int) -> Tensor:
        """(K, 1, clean + noisy, W * clean + noisy) additive mask; keys: window of clean blocks, own
        noisy.
        """
        window = self.config.chunk.window
        n = self.n_clean
        age = torch.arange(window - 1, -1, -1).repeat_interleave(n)  # blocks before k
        exists = age[None] <= torch.arange(blocks)[:, None]  # (K, W * n)
        clean = torch.cat([exists, torch.zeros(blocks, self.n_noisy, dtype=torch.bool)], 1)
        noisy = torch.cat([exists, torch.ones(blocks, self.n_noisy, dtype=torch.bool)], 1)
        seen = torch.cat(
            [clean[:, None].expand(-1, n, -1), noisy[:, None].expand(-1, self.n_noisy, -1)], 1
        )
        return torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[:, None]

    def _training_attention(self, mask: Tensor) -> Attention:
        window = self.config.chunk.window
        sizes = [self.n_clean, self.n_noisy]

        def keys(x: Tensor) -> Tensor:
            clean, noisy = x.split(sizes, 2)
            # masked where no frame exists yet
            padded = functional.pad(clean, (0, 0, 0, 0, 0, 0, window - 1, 0))
            past = [padded[:, i : i + clean.shape[1]] for i in range(window)]
            return torch.cat([*past, noisy], 2)

        return lambda _layer, q, k, v: attend(q, keys(k), keys(v), mask)

    def make_cache(self) -> KvCache:
        """An empty memory for one sequence."""
        t = self.sizes
        head = (t.num_heads, t.dim // t.num_heads)
        window = self.config.chunk.window
        device = self.head.modulation.device
        return KvCache(
            layers=t.num_layers,
            batch=(1, 1),
            window=window,
            frame_tokens=self.n_clean,
            own_tokens=self.n_noisy,
            head=head,
            dtype=self.dtype,
            device=device,
        )

    def remember(self, clean: Tensor, index: int, context: Context, cache: KvCache) -> None:
        """Write the observed latent (1, 1, C, h, w) of block `index` into the memory."""
        cache.advance()
        _, e = self.time(torch.zeros(1, 1, 1))
        x = self._patch(clean[:, :, None], clean)

        def attention(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, *cache.write(layer, k, v))

        self.fill(
            x=x,
            e=e,
            sizes=(self.n_clean,),
            rope=self.rope(torch.tensor([index]), "clean"),
            context=context.layers,
            attention=attention,
            cache=cache,
        )

    def condition(self, state: Tensor, anchor: Tensor, context: Context) -> Tensor:
        """Conditioning tokens (1, 1, 2, D), the same for every denoising step: state (1, 1, S) and
        grounding.
        """
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
        rope: Rope,
        context: Context,
        caches: Sequence[KvCache],
        committed: int = 0,
    ) -> Velocity:
        """One evaluation of the block at `rope` (shapes as in `forward` with K = 1), seeing the
        memory.

        The sequences are those of one cache after another, each of which may remember as many
        frames as it will. What a sequence sees is computed for each cache by itself: it is then the
        same as for one alone. Timesteps are in 0..1000 here, as solvers give them. The first
        `committed` actions are clean and only continued; their velocity means nothing.
        """
        chunk = self.config.chunk
        n_video = chunk.imagined_frames * self.n_clean
        times = [t_video, t_action]
        sizes = [n_video, self.n_noisy - n_video]
        if committed:
            times = [t_video, 0.0, t_action]
            sizes = [n_video, committed, self.n_noisy - n_video - committed]
        t = torch.tensor([[times]], dtype=torch.float32, device=video.device)
        embedding, e = self.time(t)
        t_steps = t[..., -1:].repeat(1, 1, chunk.action_horizon)
        t_steps[..., :committed] = 0.0
        frames, acts = video.to(self.dtype), action.to(self.dtype)
        x = torch.cat([self._patch(frames, anchor), self.action_encoder(acts, t_steps), cond], 2)

        def attention(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            parts = (tensor.chunk(len(caches)) for tensor in (q, k, v))
            seen = [
                attend(own_q, *cache.with_own(layer, own_k, own_v))
                for cache, own_q, own_k, own_v in zip(caches, *parts, strict=True)
            ]
            return seen[0] if len(seen) == 1 else torch.cat(seen)

        x = self.run(
            x, e, sizes=tuple(sizes), rope=rope, context=context.layers, attention=attention
        )
        said = self._read(x, embedding[:, :, 0])
        return self._velocity(said, video, action, anchor, t[..., 0] / 1000, t_steps / 1000)
