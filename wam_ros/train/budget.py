"""What training costs before it is begun: memory from sizes, time from what can be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, add_low_rank
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.load import Networks
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.models.processor import processor
from wam_ros.train.dataset import Demonstrations, Stretch
from wam_ros.train.small import SmallFamily
from wam_ros.train.trainer import Recipe, Trainer

GIB = 2**30
# share of the peak that steps of transformers of this size reach elsewhere; nothing was measured
UTILISATION = 0.4


@dataclass(frozen=True)
class Gpu:
    """As its maker says."""

    gib: float
    flops: float  # a second, bfloat16, dense


GPUS = {
    "a100-80": Gpu(80, 312e12),
    "h100": Gpu(80, 989e12),
    "h200": Gpu(141, 989e12),
    "b200": Gpu(180, 2250e12),
    "rtx4090": Gpu(24, 165e12),
    "rtx5090": Gpu(32, 210e12),
}


@dataclass(frozen=True)
class Way:
    """How the weights are trained."""

    rank: int = 0  # of updates; 0 trains all
    ema: bool = True
    gpus: int = 1  # that share masters, gradients and optimiser


@dataclass(frozen=True)
class Cost:
    """Of one sample a GPU at a time, blocks computed twice."""

    parameters: int
    trained: int
    gib: dict[str, float]  # of each GPU, by what takes it
    flop: float  # of one sample

    @property
    def total_gib(self) -> float:
        """All of it."""
        return sum(self.gib.values())

    def seconds(self, gpu: Gpu) -> float:
        """Of one sample on one GPU."""
        return self.flop / (UTILISATION * gpu.flops)


def released_cost(c: CausalDiTConfig, way: Way) -> Cost:
    """Of a transformer of the released family in bfloat16, its towers having answered before."""
    with torch.device("meta"):
        model = CausalDiT(c).requires_grad_(True)
    if way.rank:
        add_low_rank(model, LowRankSize(way.rank, way.rank), torch.Generator())
    every = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    t = c.transformer
    tokens = 2 * c.window_frames * c.frame_tokens
    tokens += c.blocks * (c.actions_per_block + c.states_per_block)
    # a block's input is kept for each layer, and of one layer at a time everything
    kept = tokens * t.dim * 2 * t.num_layers
    working = tokens * (14 * t.dim + 2 * t.ffn_dim) * 2
    masters = 4 + 8 + 4 + 4 * way.ema  # weights, both moments, gradients, mean
    gib = {
        "weights": 2 * every,
        "their gradients": 2 * trained,
        "masters and optimiser": masters * trained / way.gpus,
        "activations": kept + working,
    }
    block = 8 * t.dim**2 + 2 * t.dim * t.ffn_dim  # self- and cross-attention, feed-forward
    # of pairs that see each other: clean frames before, and half as much for the noisy ones
    pairs = 0.75 * tokens**2
    forward = t.num_layers * (2 * tokens * block + 4 * pairs * t.dim)
    # forth twice, back to the inputs, and back to the weights where these are trained
    times = 3 + trained / every
    return Cost(every, trained, {k: v / GIB for k, v in gib.items()}, times * forward)


ENCODE_S = 0.004  # of a row's pictures by the small model's tokenizer, on one slow core


def random_small(config: DreamZeroConfig, rows: int = 200) -> SmallFamily:
    """The small model at its sizes on random numbers: to time a step."""
    rng = np.random.default_rng(0)
    states = rng.normal(0, 0.3, (rows, config.action_dim))
    word = (config.text.choose_one or config.text.vocabulary)[0]
    stretch = Stretch(
        episode=0,
        rows=slice(0, rows),
        instruction=word,
        states=states,
        actions=states,
        labelled=np.ones(rows, bool),
        goal=np.zeros((rows, 3), np.float32),
        goal_known=np.ones(rows, bool),
    )
    numbers = [(states, states, stretch.labelled)]
    normaliser = Normaliser.fit(numbers, np.ones(config.action_dim), config.chunk.action_horizon)
    networks = Networks(WorldActionModel(config), FrameTokenizer(config.tokenizer), normaliser)
    latents = torch.randn(rows, config.tokenizer.latent_channels, *config.latent_size).bfloat16()
    data = Demonstrations([stretch], latents, config, normaliser, networks.model.text_encoder)
    return SmallFamily(networks, config, data, blocks=5)


def small_pace(config: DreamZeroConfig, batch: int, threads: int) -> float:
    """Seconds a step of the small model takes here, in the precision that is faster."""
    torch.set_num_threads(threads)
    precision = "bfloat16" if processor().training == torch.bfloat16 else "float32"
    recipe = Recipe(steps=1, batch=batch, precision=precision)
    return Trainer(random_small(config), recipe).pace(2)


def small_memory_gib(config: DreamZeroConfig, rows: int, batch: int) -> float:
    """What a training takes, about: torch itself, weights with all that belongs to them, latents,
    and what a step remembers.
    """
    with torch.device("meta"):
        weights = sum(p.numel() for p in WorldActionModel(config).parameters())
    height, width = config.latent_size
    latents = 2 * rows * config.tokenizer.latent_channels * height * width
    t = config.transformer
    chunk = config.chunk
    tokens = (1 + chunk.imagined_frames) * config.tokens_per_frame + chunk.action_horizon + 2
    step = 4 * batch * 5 * tokens * t.num_layers * (14 * t.dim + 2 * t.ffn_dim)
    return 0.6 + (24 * weights + latents + step) / GIB
