"""Rotary positions (Su et al., "RoFormer", 2021) of video, action and state tokens."""

from __future__ import annotations

import torch
from torch import Tensor

Rope = tuple[Tensor, Tensor]  # cosines and sines, each (..., L, 1, d / 2)


def ladder(positions: Tensor, width: int, theta: float) -> Tensor:
    """Angles (..., width / 2) of positions (...) on one frequency ladder, in fp64."""
    frequency = theta ** (
        -torch.arange(0, width, 2, dtype=torch.float64, device=positions.device) / width
    )
    return positions[..., None].double() * frequency


def rope_angles(positions: Tensor, head_dim: int, theta: float) -> Tensor:
    """Rotation angles (..., head_dim / 2) of (time, row, column) positions (..., 3).

    Wan splits the head into d - 4 floor(d/6), 2 floor(d/6), 2 floor(d/6) channels, each with its
    own frequency ladder. Positions may be fractions and only differences matter, so a sliding
    memory needs no re-rotation.
    """
    side = 2 * (head_dim // 6)
    widths = (head_dim - 2 * side, side, side)
    return torch.cat(
        [ladder(positions[..., axis], width, theta) for axis, width in enumerate(widths)], -1
    )


def cells(frames: Tensor, rows: int, columns: int) -> Tensor:
    """(time, row, column) of every token of frames at the given times (F,): (F * rows * columns,
    3).
    """
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(frames)
    time = frames.repeat_interleave(rows * columns)[:, None]
    return torch.cat([time, place.repeat(len(frames), 1)], 1)


def as_rope(angles: Tensor, dtype: torch.dtype = torch.float32) -> Rope:
    """(..., L, d / 2) angles -> cosines and sines ready for heads."""
    angles = angles[..., None, :]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """Turn channel pairs of x (..., L, N, d) by angles given as (cos, sin), each (..., L, 1, d /
    2), in fp32.

    A CPU multiplies complex numbers ten times faster than strided halves; compilers for
    accelerators fuse only halves.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.device.type == "cpu":
        return rotate_as_complex(wide, rope).to(x.dtype)
    return rotate_as_halves(wide, rope, x.dtype)


def rotate_as_complex(x: Tensor, rope: Rope) -> Tensor:
    """`rotate` by products of complex numbers."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.complex(*rope)).flatten(-2)


def rotate_as_halves(x: Tensor, rope: Rope, dtype: torch.dtype) -> Tensor:
    """`rotate` by real products, rounded to `dtype` before halves meet: compilers put no fp32 in
    memory then.
    """
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rope
    return torch.stack([(a * cos - b * sin).to(dtype), (a * sin + b * cos).to(dtype)], -1).flatten(
        -2
    )


def rotate_double(x: Tensor, rope: Rope) -> Tensor:
    """`rotate` in fp64, as the reference does it."""
    return rotate_as_complex(x.double(), rope).to(x.dtype)
