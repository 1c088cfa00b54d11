"""Arguments of `wam train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Train:
    """Train a model from recorded demonstrations; under `torchrun` on several devices."""

    data: Path  # LeRobot data set, of `wam record-sim` say
    out: Path  # folder for weights, the state that a run goes on from, and the log
    model: str = "tiny"  # sizes: name in config/models, or a path ending in .yaml
    held_out: float = 0.0  # share of the episodes that is only measured; 0: none
    start: Path | None = None  # weights to begin with
    low_rank: int = 0  # rank of updates of --start (LoRA); 0 trains all weights
    resume: bool = False  # go on in --out where the run was stopped, bit for bit
    steps: int = 0  # of the model's training; 0: as many as --minutes have room for
    minutes: float = 60.0  # for the model itself
    batch: int = 16  # sequences per step, of all processes together
    piece: int = 0  # sequences that a process has in memory at a time; 0: all of its share
    # noise of video and actions: coupled, high-noise, decoupled (Flash); empty: the model's own
    timesteps: str = ""
    ema: float = 0.999  # of the running mean, which is what is written; 0: none
    precision: str = ""  # float32 or bfloat16; empty: what is faster here
    checkpointing: bool = False  # compute blocks twice and remember less
    save_minutes: float = 8.0  # between two states
    threads: int = 2  # CPU threads
    seed: int = 0  # of initial weights and of the order of the data
    contract: str = ""  # released models: name in config/contracts; empty: the model's own
    video_only: Path | None = None  # small model: more data, of which only pictures count
    keep: int = 0  # steps between two files of weights that stay, in --out/steps; 0: none stays
    # small model: learn to imagine, too; without, frames to come are noise and only actions are
    # learned (behaviour cloning)
    imagine: bool = True
    # small model: learn to act, too; without, --data are films, and weights can only be begun with
    act: bool = True
    blocks: int = 5  # small model: of a training sequence, at most
    tokenizer_minutes: float = 8.0  # small model: for the frame tokenizer
    grounding_minutes: float = 2.0  # small model: for what finds the named block in a frame
    tokenizer_from: Path | None = None  # small model: take both of an earlier checkpoint
