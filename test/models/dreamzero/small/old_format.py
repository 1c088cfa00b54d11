"""A checkpoint of the old format with numbers that only depend on the tensors' names."""

from __future__ import annotations

import json
import zlib

import numpy as np
import torch

SHAPES = "old_format.json"  # names and shapes that the old code wrote for the small test model
ANSWERS = "old_format.safetensors"  # what the old code answered


def tensors(folder):
    """The same numbers in every version of every library."""
    shapes = json.loads((folder / SHAPES).read_text(encoding="utf-8"))
    found = {}
    for name, shape in shapes.items():
        values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
        found[name] = torch.from_numpy(values / max(1, np.prod(shape[1:])) ** 0.5).half()
    return found


def inputs(config):
    """Arguments of a training pass; B = 2, K = 4."""
    (h, w), c, chunk = config.latent_size, config.tokenizer.latent_channels, config.chunk
    random = np.random.RandomState(7)

    def numbers(*shape):
        return torch.from_numpy(random.standard_normal((2, 4, *shape))).float()

    return {
        "clean": numbers(c, h, w),
        "video": numbers(chunk.imagined_frames, c, h, w),
        "action": numbers(chunk.action_horizon, config.action_dim),
        "state": numbers(config.state_dim),
        "t_video": torch.from_numpy(random.uniform(size=(2, 4))).float(),
        "t_action": torch.from_numpy(random.uniform(size=(2, 4)))
        .float()[..., None]
        .repeat(1, 1, chunk.action_horizon),
    }


def answers(model, arguments):
    """What is compared; video thinned out."""
    context = model.encode_text(
        model.text_encoder.tokenize(["pick up the red block", "grab the green one"])
    )
    velocity, goal = model(**arguments, context=context)
    return {
        "video": velocity.video[..., ::3, ::5].contiguous(),
        "action": velocity.action,
        "goal": goal,
    }
