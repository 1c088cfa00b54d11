"""Sequences a second that `wam train` learns from on this machine, with random numbers in the place
of data: the shipped small model and 100M parameters of the released layout, way by way.

    python -m benchmark.training --json docs/results/training.json

Ratios are of processor time against float32, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from wam_ros.core.files import require_writable, write_json
from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.dit_config import load_dit_config
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, add_low_rank
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.processor import processor
from wam_ros.train.budget import random_small
from wam_ros.train.family import Family
from wam_ros.train.released import ReleasedFamily
from wam_ros.train.trainer import Recipe, Trainer


def small() -> Family:
    """The shipped sizes, windows of five blocks."""
    return random_small(load_model_config("tiny"))


def large(rank: int = 0) -> Family:
    """100M parameters, windows of four blocks; with updates of low rank, if asked for."""
    c = load_dit_config("dreamzero-100m")
    model = CausalDiT(c)
    if rank:
        add_low_rank(model, LowRankSize(rank, rank), torch.Generator().manual_seed(0))
    t = c.transformer
    window = {
        "latents": torch.randn(c.out_channels, c.window_frames, c.latent_height, c.latent_width),
        "image": torch.randn(c.image_tokens, t.clip_dim),
        "blocks": torch.tensor(c.blocks),
        "action": torch.rand(c.blocks * c.actions_per_block, c.action_dim) * 2 - 1,
        "action_mask": torch.ones(c.blocks * c.actions_per_block, c.action_dim),
        "state": torch.rand(c.blocks * c.states_per_block, c.state_dim) * 2 - 1,
        "has_action": torch.tensor(1.0),
        "sentence": torch.tensor(0),
    }
    text = torch.zeros(1, t.text_len, t.text_dim)
    text[:, :20] = torch.randn(1, 20, t.text_dim)
    return ReleasedFamily(model, [window], text)


def checkpointed(make: Callable[[], Family]) -> Family:
    family = make()
    family.model.checkpointing = True  # type: ignore[assignment]
    return family


WAYS: dict[str, tuple[Callable[[], Family], int, str]] = {
    "tiny": (small, 16, "float32"),
    "tiny, bfloat16": (small, 16, "bfloat16"),
    "tiny, blocks twice": (lambda: checkpointed(small), 16, "float32"),
    "100M": (large, 2, "float32"),
    "100M, bfloat16": (large, 2, "bfloat16"),
    "100M, rank 4": (lambda: large(4), 2, "float32"),
    "100M, blocks twice": (lambda: checkpointed(large), 2, "float32"),
}


def timed(make: Callable[[], Family], batch: int, precision: str, steps: int) -> dict[str, float]:
    trainer = Trainer(make(), Recipe(steps=1000, batch=batch, precision=precision))
    trainer.step()
    began = time.process_time(), time.monotonic()
    for _ in range(steps):
        trainer.step()
    processor_s, wall_s = time.process_time() - began[0], time.monotonic() - began[1]
    count = batch * steps
    return {"sequences_per_s": count / wall_s, "processor_s_per_sequence": processor_s / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="beginning of the names of the ways to try")
    args = parser.parse_args()
    require_writable("--json", args.json)
    torch.set_num_threads(args.threads)
    print(processor())
    rows: dict[str, dict[str, float]] = {}
    facts = {"processor": str(processor()), "threads": args.threads, "steps": args.steps}
    for name, (make, batch, precision) in WAYS.items():
        if name.startswith(args.only):
            rows[name] = timed(make, batch, precision, args.steps)
            print(name, {k: round(v, 3) for k, v in rows[name].items()}, flush=True)
            # after every way: a long run that is ended leaves what it has
            if args.json is not None:
                write_json(args.json, facts | {"ways": rows})
    table = Table("way", "sequences/s", "processor s each", "x float32")
    for name, row in rows.items():
        base = rows.get(name.partition(",")[0], row)["processor_s_per_sequence"]
        own = row["processor_s_per_sequence"]
        table.add_row(name, f"{row['sequences_per_s']:.2f}", f"{own:.3f}", f"{base / own:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
