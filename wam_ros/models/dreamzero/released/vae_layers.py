"""Parts of the Wan video autoencoders. B batch, C channels, T frames, H x W pixels.

Every layer is causal in time and streams: what it must remember of earlier frames is kept in a
`Memory`, a dictionary that the caller owns and hands to every call. A new dictionary begins a new
video.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Memory = dict[nn.Module, Tensor]  # the last input frames of a layer, (B, C, 1 or 2, H, W)


def frames_as_batch(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B T, C, H, W)."""
    return x.transpose(1, 2).flatten(0, 1)


def batch_as_frames(x: Tensor, batch: int) -> Tensor:
    """Inverse of `frames_as_batch`."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


class CausalConv3d(nn.Conv3d):
    """Convolution over the frames up to the present one; before the first frame there are zeros."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int, int]) -> None:
        super().__init__(c_in, c_out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: Tensor, memory: Memory) -> Tensor:  # type: ignore[override]
        """(B, C, T, H, W) -> (B, C', T, H, W), going on from the frames in `memory`."""
        if past := self.kernel_size[0] - 1:
            before = memory.get(self)
            if before is None:
                before = x.new_zeros(*x.shape[:2], past, *x.shape[3:])
            x = torch.cat([before, x], 2)
            memory[self] = x[:, :, -past:].clone()  # a view would keep all of x alive
        return super().forward(x)


class ChannelNorm(nn.Module):
    """Scales the channels of every pixel to the length sqrt(C), then each by its gamma."""

    def __init__(self, channels: int, axes: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        return functional.normalize(x, dim=1) * x.shape[1] ** 0.5 * self.gamma


class ResidualBlock(nn.Module):
    """Two causal 3 x 3 x 3 convolutions around a skip."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        first = CausalConv3d(c_in, c_out, (3, 3, 3))
        second = CausalConv3d(c_out, c_out, (3, 3, 3))
        # Places 1, 4 and 5 of the released weights' names are the activations and a dropout that is
        # off.
        self.residual = nn.ModuleDict(
            {"0": ChannelNorm(c_in, 3), "2": first, "3": ChannelNorm(c_out, 3), "6": second}
        )
        self.shortcut = CausalConv3d(c_in, c_out, (1, 1, 1)) if c_in != c_out else None

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        skip = x if self.shortcut is None else self.shortcut(x, memory)
        x = self.residual["2"](functional.silu(self.residual["0"](x)), memory)
        return skip + self.residual["6"](functional.silu(self.residual["3"](x)), memory)


class FrameAttention(nn.Module):
    """One head of self-attention over the pixels of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> the same shape; frames do not see each other."""
        frames = frames_as_batch(x)
        # else no fused kernel
        qkv = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2).contiguous()[:, None]
        seen = functional.scaled_dot_product_attention(*qkv.chunk(3, -1))
        seen = seen[:, 0].transpose(1, 2).unflatten(2, frames.shape[2:])
        return x + batch_as_frames(self.proj(seen), x.shape[0])


class Downsample(nn.Module):
    """Halves height and width, and the frame rate too if `in_time`: the first frame stays, then
    pairs become one.
    """

    def __init__(self, channels: int, in_time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(channels, channels, 3, stride=2)})
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), (2, 1, 1)) if in_time else None

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T / 2 or 1, H / 2, W / 2); in time, T is 1 at first and even
        afterwards.
        """
        frames = functional.pad(frames_as_batch(x), (0, 1, 0, 1))
        x = batch_as_frames(self.resample["1"](frames), x.shape[0])
        if self.time_conv is None:
            return x
        before = memory.get(self)
        memory[self] = x[:, :, -1:].clone()
        if before is None:
            return x
        return self.time_conv(torch.cat([before, x], 2))


class Upsample(nn.Module):
    """Doubles height and width, and the frame rate too if `in_time`, except for the first frame."""

    def __init__(self, c_in: int, c_out: int, in_time: bool) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(c_in, c_out, 3, padding=1)})
        self.time_conv = CausalConv3d(c_in, 2 * c_in, (3, 1, 1)) if in_time else None

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T, H, W) -> (B, C', 2 T or 1, 2 H, 2 W); in time, the first call brings one
        frame.
        """
        if self.time_conv is not None:
            # not the first frame, which stays single and which the convolution never sees
            if self in memory:
                x = self.time_conv(x, memory).unflatten(1, (2, -1))
                x = x.permute((0, 2, 3, 1, 4, 5)).flatten(2, 3)
            memory[self] = x[:, :, :0]
        frames = functional.interpolate(frames_as_batch(x), scale_factor=2.0, mode="nearest-exact")
        return batch_as_frames(self.resample["1"](frames), x.shape[0])


class AverageDown(nn.Module):
    """Shortcut without parameters: blocks of `in_time` x 2 x 2 pixels become channels, which are
    averaged in groups.
    """

    def __init__(self, c_out: int, time: int, space: int) -> None:
        super().__init__()
        self.c_out = c_out
        self.time = time
        self.space = space

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T / time, H / space, W / space); a missing earlier frame
        counts as zero.
        """
        x = functional.pad(x, (0, 0, 0, 0, -x.shape[2] % self.time, 0))
        x = (
            x.unflatten(4, (-1, self.space))
            .unflatten(3, (-1, self.space))
            .unflatten(2, (-1, self.time))
        )
        x = x.permute((0, 1, 3, 5, 7, 2, 4, 6)).flatten(1, 4)
        return x.unflatten(1, (self.c_out, -1)).mean(2)


class DuplicateUp(nn.Module):
    """Shortcut without parameters: repeated channels are laid out as blocks of time x space x space
    pixels.
    """

    def __init__(self, c_out: int, time: int, space: int) -> None:
        super().__init__()
        self.c_out = c_out
        self.time = time
        self.space = space

    def forward(self, x: Tensor, first: bool) -> Tensor:
        """(B, C, T, H, W) -> (B, C', time T, space H, space W); of the `first` frame only the last
        copy is kept.
        """
        size = self.time * self.space**2
        x = x.repeat_interleave(self.c_out * size // x.shape[1], dim=1)
        x = x.unflatten(1, (self.c_out, self.time, self.space, self.space)).permute(
            (0, 1, 5, 2, 6, 3, 7, 4)
        )
        x = x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return x[:, :, self.time - 1 :] if first else x
