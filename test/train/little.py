"""A model of the shipped architecture and random data, at a size that tests can afford."""

import dataclasses

import numpy as np
import torch

from wam_ros.models.dreamzero.small.config import (
    GroundingConfig,
    TokenizerConfig,
    load_model_config,
)
from wam_ros.models.dreamzero.small.load import Networks
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.train.dataset import Demonstrations, Stretch
from wam_ros.train.small import SmallFamily

SHIPPED = load_model_config("tiny")
CONFIG = dataclasses.replace(
    SHIPPED,
    transformer=dataclasses.replace(
        SHIPPED.transformer, dim=48, ffn_dim=64, freq_dim=16, num_heads=2, num_layers=2
    ),
    tokenizer=TokenizerConfig(channels=(8, 8, 16), latent_channels=4, residual_blocks=1),
    grounding=GroundingConfig(channels=8, keypoints=4),
)
WIDTH = CONFIG.action_dim


def stretch(rows, actions=True, seed=0):
    """Of so many rows; a video without actions and states, if asked for."""
    rng = np.random.default_rng(seed)
    states = rng.normal(0, 0.3, (rows, WIDTH)) if actions else np.full((rows, WIDTH), np.nan)
    return Stretch(
        episode=0,
        rows=slice(0, rows),
        instruction="pick up the red block",
        states=states,
        actions=states + (0.05 if actions else 0.0),
        labelled=np.full(rows, actions),
        goal=rng.normal(0, 0.1, (rows, 3)).astype(np.float32),
        goal_known=np.arange(rows) % 3 > 0,
    )


def networks(seed=0, config=CONFIG):
    """Random weights everywhere, also where training starts from zero."""
    torch.manual_seed(seed)
    model = WorldActionModel(config)
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    one = [1.0] * WIDTH
    normaliser = Normaliser.from_lists(
        {
            "relative": [*one[1:], 0.0],
            "state_low": [-1.0] * WIDTH,
            "state_high": one,
            "action_low": [-0.1] * WIDTH,
            "action_high": [0.2] * WIDTH,
        },
        WIDTH,
    )
    return Networks(model, FrameTokenizer(CONFIG.tokenizer), normaliser)


def family(stretches=None, networks_=None, config=CONFIG, **more):
    """Of windows with five blocks, with fewer, and of a video without actions."""
    stretches = stretches or [stretch(30), stretch(13, seed=1), stretch(20, actions=False, seed=2)]
    found = networks_ or networks(config=config)
    rows = sum(map(len, stretches))
    frame = (CONFIG.tokenizer.latent_channels, *CONFIG.latent_size)
    latents = torch.randn(rows, *frame, generator=torch.Generator().manual_seed(7)).bfloat16()
    data = Demonstrations(stretches, latents, CONFIG, found.normaliser, found.model.text_encoder)
    return SmallFamily(found, config, data, **({"blocks": 4} | more))
