"""The released models' transformer: blocks of video, actions and state denoised together, each
after what was observed.

A window is one frame (block 0), then blocks of `frames_per_block` latent frames with their actions
and state. Training denoises all blocks at once next to a clean copy of the video
(`mask.training_mask`). Inference denoises one block against a memory of observed frames; what was
imagined never enters it (DreamZero, arXiv 2602.15922).

Shapes: B batch, C latent channels, F frames, H x W latent canvas, T actions per block, A and S
    action and state width.
Timesteps run from 0 (data) to 1000 (noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wam_ros.models.cache import GrowingCache, KvCache
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.released.mask import training_mask
from wam_ros.models.dreamzero.released.speedups import SpeedUps
from wam_ros.models.dreamzero.shared.block import Attention
from wam_ros.models.dreamzero.shared.layers import attend, unpatch
from wam_ros.models.dreamzero.shared.rope import (
    Rope,
    as_rope,
    cells,
    ladder,
    rope_angles,
    rotate,
    rotate_double,
)
from wam_ros.models.dreamzero.shared.transformer import LayerContext, Transformer, Velocity

Cache = KvCache | GrowingCache


def merged_padding(text: Tensor) -> tuple[Tensor, Tensor]:
    """Equal zeros beyond the longest of the prompts (B, M, text_dim) as one token.

    Returns:
        (B, n, text_dim) and (B, 1, 1, n), the logarithm of how many tokens each of the n stands
        for.
    """
    place = torch.arange(1, text.shape[1] + 1, device=text.device)
    lengths = ((text != 0).any(-1) * place).amax(1, keepdim=True)  # (B, 1)
    n = min(text.shape[1], int(lengths.max()) + 1)
    each = (text.shape[1] - lengths) / (n - lengths)
    return text[:, :n], torch.where(place[:n] > lengths, each, 1.0).log()[:, None, None]


@dataclass(frozen=True)
class Context:
    """What cross-attention sees, ready for every layer or, without that speed-up, still to be
    projected.
    """

    text: Tensor  # (B, M, text_dim), zero beyond the prompt
    image: Tensor | None  # (B, I, clip_dim)
    layers: tuple[LayerContext, ...] | None


@dataclass(frozen=True)
class NoisyBlock:
    """One block to denoise."""

    video: Tensor  # (B, C, F, H, W) noisy latents
    action: Tensor  # (B, T, A) noisy actions
    state: Tensor  # (B, states, S)
    y: Tensor | None  # (B, 4 + C, F, H, W) first-frame conditioning of these frames
    start: int  # position of its first frame in the window


class CausalDiT(Transformer):
    """State dict as in the released checkpoints, without their prefix."""

    def __init__(self, config: CausalDiTConfig, speedups: SpeedUps | None = None) -> None:
        c = config
        super().__init__(c.transformer, c.in_channels, c.out_channels, c.action_dim, c.state_dim)
        self.config = config
        self.rotate = rotate
        self.use(speedups or SpeedUps())

    def use(self, speedups: SpeedUps) -> None:
        """Choose speed-ups; caches and contexts made before must be made again."""
        self.speedups = speedups
        for block in self.blocks:
            turn = rotate if speedups.fp32_rope else rotate_double
            block.self_attn.rotate = turn  # type: ignore[union-attr,assignment]

    def embed_frames(self, video: Tensor, y: Tensor | None) -> Tensor:
        """(B, C, F, H, W) latents and their conditioning -> (B, F * tokens, D)."""
        if self.config.concat_first_frame:
            assert y is not None
            video = torch.cat([video, y], 1)
        return self.patch_embedding(video.transpose(1, 2)).flatten(1, 2)

    def make_context(self, text: Tensor, image: Tensor | None) -> Context:
        """From text (B, M, text_dim) and image features (B, I, clip_dim) of the window's first
        frame.
        """
        return Context(
            text, image, self._project(text, image) if self.speedups.cached_context else None
        )

    def _layers(self, context: Context) -> tuple[LayerContext, ...]:
        return context.layers or self._project(context.text, context.image)

    def _project(self, text: Tensor, image: Tensor | None) -> tuple[LayerContext, ...]:
        """On an accelerator padding stays: its attention kernels are fastest without weights."""
        merge = self.speedups.merged_padding and text.device.type == "cpu"
        seen, weight = merged_padding(text) if merge else (text, None)
        return self.context(seen, image, weight)

    def _angles(self, start: int, frames: int, canvas: tuple[int, int]) -> Tensor:
        t = self.sizes
        time = torch.arange(
            start, start + frames, dtype=torch.float64, device=self.head.modulation.device
        )
        return rope_angles(
            cells(time, canvas[0] // 2, canvas[1] // 2), t.dim // t.num_heads, t.rope_theta
        )

    def _index_angles(self, first: int, n: int) -> Tensor:
        t = self.sizes
        index = torch.arange(first, first + n, device=self.head.modulation.device)
        return ladder(index, t.dim // t.num_heads, t.rope_theta)

    def rope(
        self, start: int, frames: int, blocks: int, canvas: tuple[int, int], copies: int = 1
    ) -> Rope:
        """Rotations of `copies` x video from frame `start`, then actions and states of `blocks`
        blocks from there.
        """
        c = self.config
        video = self._angles(start, frames, canvas)
        first = (start - 1) // c.frames_per_block if blocks and start else 0
        action = self._index_angles(first * c.actions_per_block, blocks * c.actions_per_block)
        state = self._index_angles(first * c.states_per_block, blocks * c.states_per_block)
        dtype = torch.float32 if self.speedups.fp32_rope else torch.float64
        return as_rope(torch.cat([video] * copies + [action, state]), dtype)

    def forward(
        self,
        noisy: Tensor,
        clean: Tensor,
        y: Tensor | None,
        action: Tensor,
        state: Tensor,
        t_video: Tensor,
        t_action: Tensor,
        context: Context,
    ) -> Velocity:
        """Teacher-forced training pass over K blocks, F = 1 + K * frames_per_block.

        Args:
            noisy: (B, C, F, H, W) noisy latents of the window.
            clean: the same frames without noise.
            y: (B, 4 + C, F, H, W) first-frame conditioning, for both copies.
            action: (B, K * T, A) noisy actions.
            state: (B, K * states, S).
            t_video: (B, F) timesteps, equal inside a block.
            t_action: (B, K * T) timesteps.
            context: instruction and first image.
        """
        c = self.config
        frames = noisy.shape[2]
        canvas = (noisy.shape[3], noisy.shape[4])
        blocks = (frames - 1) // c.frames_per_block
        n = canvas[0] * canvas[1] // 4
        video = frames * n
        parts = [
            self.embed_frames(clean, y),
            self.embed_frames(noisy, y),
            self.action_encoder(action, t_action),
            self.state_encoder(state),
        ]
        t_state = t_action[:, :: c.actions_per_block // c.states_per_block]
        t = torch.cat([torch.zeros_like(t_video[:, :1]), t_video, t_action, t_state], 1)
        sizes = (video,) + (n,) * frames + (1,) * (action.shape[1] + state.shape[1])
        embedding, e = self.time(t)
        seen = training_mask(c, blocks, n).to(noisy.device)
        mask = torch.zeros(seen.shape, dtype=self.dtype, device=noisy.device).masked_fill(
            ~seen, float("-inf")
        )
        attention: Attention = lambda _layer, q, k, v: attend(q, k, v, mask)  # noqa: E731
        rope = self.rope(0, frames, blocks, canvas, copies=2)
        x = self.run(
            torch.cat(parts, 1),
            e,
            sizes=sizes,
            rope=rope,
            context=self._layers(context),
            attention=attention,
        )
        per_frame = embedding[:, 1 : 1 + frames].repeat_interleave(n, 1)
        return self._velocity(x[:, video:], per_frame, frames, action.shape[1], canvas)

    def _velocity(
        self, x: Tensor, e_video: Tensor, frames: int, actions: int, canvas: tuple[int, int]
    ) -> Velocity:
        """Read off tokens [video | actions | states]; actions leave the residual stream as they
        are.
        """
        video = frames * canvas[0] * canvas[1] // 4
        cells = self.head(x[:, :video], e_video).unflatten(1, (frames, -1))
        return Velocity(
            unpatch(cells, canvas[0] // 2).transpose(1, 2),
            self.action_decoder(x[:, video : video + actions]),
        )

    def make_cache(self, batch: int) -> Cache:
        """An empty memory: all frames of a window but the block being denoised, the first one for
        ever.
        """
        c = self.config
        t = self.sizes
        window = c.window_frames - c.frames_per_block
        if not self.speedups.fixed_memory:
            return GrowingCache(t.num_layers, window, c.frame_tokens, keep=1)
        head = (t.num_heads, t.dim // t.num_heads)
        device = self.head.modulation.device
        return KvCache(
            layers=t.num_layers,
            batch=(batch,),
            window=window,
            frame_tokens=c.frame_tokens,
            own_tokens=c.own_tokens,
            head=head,
            dtype=self.dtype,
            device=device,
            keep=1,
        )

    def slide(self, cache: Cache) -> None:
        """Move every remembered frame but the first one block into the past, before the next one is
        written.

        Positions then stay among those seen in training, however long the episode.
        """
        back = torch.tensor(
            [[-self.config.frames_per_block, 0, 0]], device=self.head.modulation.device
        )
        t = self.sizes
        rope = as_rope(rope_angles(back, t.dim // t.num_heads, t.rope_theta))
        cache.turn(lambda keys: self.rotate(keys, rope))

    def prefill(
        self, frames: Tensor, y: Tensor | None, start: int, context: Context, cache: Cache
    ) -> Tensor | None:
        """Write observed latents (B, C, n, H, W) at window position `start` into the memory.

        Returns:
            The video velocity that the plain path computes as well and nobody needs; None with
            `short_prefill`.
        """
        canvas = (frames.shape[3], frames.shape[4])
        x = self.embed_frames(frames, y)
        sizes, embedding, e = self._times(torch.zeros(1, 1, device=x.device), (x.shape[1],))
        rope = self.rope(start, frames.shape[2], 0, canvas)
        cache.advance(frames.shape[2])

        def attention(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, *cache.write(layer, k, v))

        if self.speedups.short_prefill:
            self.fill(
                x=x,
                e=e,
                sizes=sizes,
                rope=rope,
                context=self._layers(context),
                attention=attention,
                cache=cache,
            )
            return None
        x = self.run(
            x, e, sizes=sizes, rope=rope, context=self._layers(context), attention=attention
        )
        tokens = self.head(x, embedding).unflatten(1, (frames.shape[2], -1))
        return unpatch(tokens, canvas[0] // 2).transpose(1, 2)

    def denoise(
        self, block: NoisyBlock, t: Tensor, rope: Rope, context: Context, cache: Cache
    ) -> Velocity:
        """One evaluation of a block that sees the memory and itself.

        Args:
            block: what to denoise.
            t: (1 or B, 2) timesteps of video and action, whose own the state has too; (1 or B, 1)
                if all share one.
            rope: `rope(start, frames_per_block, 1, canvas)`; the same for all evaluations of a
                block.
            context: instruction and first image.
            cache: the memory.
        """
        c = self.config
        states = self.config.states_per_block
        video = self.embed_frames(block.video, block.y)
        x = torch.cat(
            [video, self.action_encoder(block.action, t[:, -1:]), self.state_encoder(block.state)],
            1,
        )
        parts = (x.shape[1],) if t.shape[1] == 1 else (video.shape[1], c.actions_per_block + states)
        sizes, embedding, e = self._times(t, parts)

        def masked(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            seen = attend(q[:, :-states], *cache.with_own(layer, k, v))
            return torch.cat([seen, attend(q[:, -states:], k[:, -states:], v[:, -states:])], 1)

        def open_to_all(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, *cache.with_own(layer, k, v))

        x = self.run(
            x,
            e,
            sizes=sizes,
            rope=rope,
            context=self._layers(context),
            attention=masked if c.state_attention == "masked" else open_to_all,
        )
        e_video = (
            embedding[:, :1] if self.speedups.distinct_times else embedding[:, : video.shape[1]]
        )
        frames, *canvas = block.video.shape[2:]
        return self._velocity(x, e_video, frames, c.actions_per_block, (canvas[0], canvas[1]))

    def _times(self, t: Tensor, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], Tensor, Tensor]:
        """Token counts, embedding and modulation of timesteps (B, G), or of every single token on
        the plain path.
        """
        if not self.speedups.distinct_times:
            t = t.repeat_interleave(torch.tensor(sizes, device=t.device), 1)
            sizes = (1,) * t.shape[1]
        return sizes, *self.time(t)
