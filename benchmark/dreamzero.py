"""A chunk of the released models' transformer with every exact speed-up and with none, side by
side.

    python benchmark/dreamzero.py [--config dreamzero-100m] [--chunks 5] [--dtypes float32 bfloat16]
    [--each]

All run the same random weights at 8 evaluations of 16 steps with guidance, taking turns, on one
thread. A ratio compares the same precision on both sides; the last line, which does not, says so.
`change` is the difference of the actions, relative to what the network made of the noise.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import statistics
import time

import torch

from wam_ros.models.dreamzero.released.dit_config import load_dit_config
from wam_ros.models.dreamzero.released.inference import PRECISIONS, Inference
from wam_ros.models.dreamzero.released.rehearsal import Noise, random_model
from wam_ros.models.dreamzero.released.rollout import Rollout, Sampling
from wam_ros.models.dreamzero.released.speedups import SpeedUps
from wam_ros.models.dreamzero.released.umt5 import PromptEncoder, TextEncoderConfig

PROMPT_TOKENS = 128  # of a real prompt paragraph


class Towers(Noise):
    """Random latents, but a real text encoder: as large beside this transformer as umT5 is beside
    the 14B one.
    """

    def __init__(self, config, text):
        super().__init__(config, "cpu")
        self.text, self.short = text, True
        self.ids = torch.randint(1, 1000, (1, config.transformer.text_len))
        self.mask = (torch.arange(config.transformer.text_len)[None] < PROMPT_TOKENS).long()

    def prompt(self, instruction):
        with torch.inference_mode():
            return self.text.embed(self.ids, self.mask, self.short)


class Contestant:
    """One way to compute chunks, and the processor time of each: it hardly depends on who else runs
    here.
    """

    def __init__(self, model, speedups, towers):
        self.model, self.speedups, self.towers, self.seconds = model, speedups, towers, []
        self.take_turn()
        self.rollout = Rollout(model, towers, "negative", Sampling(), "sliding")
        self.frames, self.state = torch.zeros(1, 8), torch.zeros(1, 1, model.config.state_dim)
        # fills at less cost
        evaluated, self.rollout.reuse.evaluated = self.rollout.reuse.evaluated, frozenset({0})
        torch.manual_seed(0)
        for _ in range(model.config.blocks):
            self.rollout.chunk(self.frames, self.state, "task")
        self.rollout.reuse.evaluated = evaluated

    def take_turn(self):
        self.model.use(self.speedups)
        self.towers.short = self.speedups.short_prompts

    def play(self, seed):
        self.take_turn()
        torch.manual_seed(seed)
        began = time.process_time()
        self.action = self.rollout.chunk(self.frames, self.state, "task").action
        self.seconds.append(time.process_time() - began)

    @property
    def median(self):
        return statistics.median(self.seconds)

    def change(self, other):
        noise = other.rollout.noise[1]
        return float((self.action - other.action).norm() / (other.action - noise).norm())


def enter(loose, dtype, towers, each):
    """Everyone of one precision, by what is switched off."""
    loose, towers = copy.deepcopy(loose).to(dtype), copy.deepcopy(towers)
    towers.text.to(dtype)
    packed = copy.deepcopy(loose)
    Inference().accelerate(packed)
    found = {
        "all": Contestant(loose, SpeedUps.none(), towers),
        "nothing": Contestant(packed, SpeedUps(), towers),
    }
    for name in [f.name for f in dataclasses.fields(SpeedUps)] if each else []:
        model = loose if name == "packed_weights" else packed
        found[name] = Contestant(model, dataclasses.replace(SpeedUps(), **{name: False}), towers)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="dreamzero-100m")
    parser.add_argument("--chunks", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--each", action="store_true", help="switch every speed-up off alone, too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = load_dit_config(args.config)
    model, t = random_model(config, "cpu", torch.float32, SpeedUps()), config.transformer
    text = TextEncoderConfig(
        1000, dim=t.text_dim, attention_dim=256, ffn_dim=640, num_heads=4, num_layers=3
    )
    towers = Towers(config, PromptEncoder(text).eval().requires_grad_(False))
    entered = {dtype: enter(model, PRECISIONS[dtype], towers, args.each) for dtype in args.dtypes}
    for seed in range(args.chunks):
        for contestant in [c for found in entered.values() for c in found.values()]:
            contestant.play(seed)
    print(
        f"{args.config}, 1 thread, 8 of 16 evaluations, guided; median processor seconds of "
        f"{args.chunks} chunks"
    )
    for dtype, found in entered.items():
        plain, fast = found.pop("all"), found.pop("nothing")
        print(f"{dtype}: plain {plain.median:.2f}, fast {fast.median:.2f}, ratio "
              f"{plain.median / fast.median:.2f}, "
              f"change {fast.change(plain):.1e}")  # fmt: skip
        for name, without in found.items():
            print(
                f"  without {name:17s} {without.median:6.2f} s, {without.median / fast.median:.2f}x"
            )
        entered[dtype] = {"plain": plain, "fast": fast}
    if len(entered) == 2:
        plain, fast = entered["float32"]["plain"], entered["bfloat16"]["fast"]
        print("OTHER PRECISION, float32 plain to bfloat16 fast: "
              f"{plain.median / fast.median:.2f}x, "
              f"change {fast.change(plain):.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
