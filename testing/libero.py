"""Weights for LIBERO's robot that have learned nothing: its arm trembles, and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch

from wam_ros.core.embodiment import load_embodiment
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.dreamzero.small.load import Networks, save_checkpoint
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer

TREMBLE = 0.002  # rad


def untrained(folder: Path) -> Path:
    """A checkpoint of `libero` in a folder."""
    torch.manual_seed(0)
    config = load_model_config("libero")
    home = torch.tensor(load_embodiment("libero_panda").home, dtype=torch.float32)
    arm = torch.ones(8)
    arm[-1] = 0.0
    finger = torch.zeros(8)
    finger[-1] = 1.0
    normaliser = Normaliser(
        relative=arm,
        state_low=home - 0.5 * arm - 0.01 * finger,
        state_high=home + 0.5 * arm,
        action_low=0.039 * finger - TREMBLE * arm,
        action_high=0.04 * finger + TREMBLE * arm,
    )
    networks = Networks(WorldActionModel(config), FrameTokenizer(config.tokenizer), normaliser)
    path = folder / "libero.safetensors"
    save_checkpoint(path, networks, config, {"steps": 0})
    return path
