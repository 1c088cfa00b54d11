"""A model of the shipped architecture at a size that tests can afford, with random weights."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.models.dreamzero.small.config import (  # noqa: E402
    GroundingConfig,
    TokenizerConfig,
    load_model_config,
)
from wam_ros.models.dreamzero.small.load import Networks  # noqa: E402
from wam_ros.models.dreamzero.small.model import WorldActionModel  # noqa: E402
from wam_ros.models.dreamzero.small.normalise import Normaliser  # noqa: E402
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer  # noqa: E402

from .golden import SHIPPED, load_golden  # noqa: E402


@pytest.fixture(scope="session")
def golden(request):
    """Reads a case of reference numbers by name."""
    folder = request.config.getoption("--golden") or SHIPPED
    return lambda name: load_golden(folder, name)


@pytest.fixture(scope="session")
def config():
    shipped = load_model_config("tiny")
    small = dataclasses.replace(
        shipped.transformer, dim=48, ffn_dim=64, freq_dim=16, num_heads=2, num_layers=2
    )
    return dataclasses.replace(
        shipped,
        transformer=small,
        tokenizer=TokenizerConfig(channels=(8, 8, 16), latent_channels=4, residual_blocks=1),
        grounding=GroundingConfig(channels=8, keypoints=4),
    )


@pytest.fixture(scope="session")
def model(config):
    torch.manual_seed(0)
    model = WorldActionModel(config)
    torch.nn.init.normal_(
        model.head.head.weight, std=0.1
    )  # zero at the start of training, which would hide every error
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def networks(config, model):
    torch.manual_seed(1)
    width = config.action_dim
    normaliser = Normaliser.from_lists(
        {
            "relative": [1.0] * (width - 1) + [0.0],
            "state_low": [-1.0] * width,
            "state_high": [1.0] * width,
            "action_low": [-0.1] * width,
            "action_high": [0.2] * width,
        },
        width,
    )
    return Networks(
        model, FrameTokenizer(config.tokenizer).eval().requires_grad_(False), normaliser
    )


@pytest.fixture(scope="session")
def embodiment():
    return load_embodiment("panda")


@pytest.fixture
def inputs(config):
    """Random arguments of a training pass: B = 2 sequences, K = 5 blocks."""
    generator = torch.Generator().manual_seed(2)
    (h, w), c, chunk = config.latent_size, config.tokenizer.latent_channels, config.chunk

    def randn(*shape):
        return torch.randn(2, 5, *shape, generator=generator)

    return {
        "clean": randn(c, h, w),
        "video": randn(chunk.imagined_frames, c, h, w),
        "action": randn(chunk.action_horizon, config.action_dim),
        "state": randn(config.state_dim),
        "t_video": torch.rand(2, 5, generator=generator),
        "t_action": torch.rand(2, 5, 1, generator=generator).repeat(1, 1, chunk.action_horizon),
    }
