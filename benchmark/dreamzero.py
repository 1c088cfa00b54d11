"""A chunk of the released models' transformer with every exact speed-up and with none, side by side.

    python benchmark/dreamzero.py [--config dreamzero-100m] [--chunks 3] [--dtype float32]

Both run the same random weights at 8 evaluations of 16 steps with guidance, taking turns; then each speed-up is
switched off alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time

import torch

from wam_ros.models.bench import DTYPES, Noise, random_model
from wam_ros.models.dreamzero.dit_config import load_dit_config
from wam_ros.models.dreamzero.rollout import Rollout, Sampling
from wam_ros.models.dreamzero.speedups import SpeedUps
from wam_ros.models.dreamzero.umt5 import PromptEncoder, TextEncoderConfig

PROMPT_TOKENS = 128  # of a real prompt paragraph


class Towers(Noise):
    """Random latents, but a real text encoder: as large beside this transformer as umT5 is beside the 14B one."""

    def __init__(self, config, device, text):
        super().__init__(config, device)
        self.text = text
        self.ids = torch.randint(1, 1000, (1, config.transformer.text_len))
        self.mask = (torch.arange(config.transformer.text_len)[None] < PROMPT_TOKENS).long()

    def prompt(self, instruction):
        with torch.inference_mode():
            return self.text.embed(self.ids, self.mask)


def make_towers(config, dtype):
    t = config.transformer
    text = TextEncoderConfig(1000, dim=t.text_dim, attention_dim=256, ffn_dim=640, num_heads=4, num_layers=3)
    return Towers(config, "cpu", PromptEncoder(text).to(dtype).eval().requires_grad_(False))


def seconds(model, speedups, towers, chunks):
    """Median processor time of a chunk with the window full: it does not depend on who else runs here."""
    c = model.config
    model.use(speedups)
    rollout = Rollout(model, towers, "negative", Sampling(), "sliding")
    frames, state = torch.zeros(1, 8), torch.zeros(1, c.states_per_block, c.state_dim)
    evaluated, rollout.reuse.evaluated = rollout.reuse.evaluated, frozenset({0})  # the window fills at less cost
    for _ in range(c.blocks):
        rollout.chunk(frames, state, "task")
    rollout.reuse.evaluated = evaluated
    times = []
    for _ in range(chunks):
        began = time.process_time()
        rollout.chunk(frames, state, "task")
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="dreamzero-100m")
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--each", action="store_true", help="switch every speed-up off alone, too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = load_dit_config(args.config)
    model = random_model(config, "cpu", DTYPES[args.dtype], SpeedUps())
    towers = make_towers(config, DTYPES[args.dtype])
    fast, plain = [], []
    for _ in range(args.chunks):
        plain.append(seconds(model, SpeedUps.none(), towers, 1))
        fast.append(seconds(model, SpeedUps(), towers, 1))
    a, b = statistics.median(plain), statistics.median(fast)
    print(f"{args.config} {args.dtype}, 1 thread, 8 of 16 evaluations, guided, processor seconds per chunk:")
    print(f"  plain {a:.2f}, fast {b:.2f}, ratio {a / b:.2f}")
    if args.each:
        for field in dataclasses.fields(SpeedUps):
            without = seconds(model, dataclasses.replace(SpeedUps(), **{field.name: False}), towers, args.chunks)
            print(f"  without {field.name:17s} {without:6.2f} s, {without / b:.2f}x")


if __name__ == "__main__":
    main()
