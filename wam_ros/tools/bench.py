"""`wam bench`: how fast a model answers on this machine, alone, and where its time goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import require_within
from wam_ros.core.policy import Policy, runs_on
from wam_ros.core.trace import percentiles_ms
from wam_ros.core.types import NS, Observation

WHOLE = "whole chunk"


@dataclass(frozen=True)
class Bench:
    """Time a model's predictions on random frames, with its memory full."""

    model: str = "tiny"  # name in config/models, or a path ending in .yaml
    checkpoint: str = ""  # weights file; empty: the shipped one
    embodiment: str = "panda"  # robot that the model was trained for
    instruction: str = "pick up the red block"  # one that the model accepts
    steps: int = 0  # denoising steps; 0 takes the model's own
    threads: int = 1  # CPU threads of the network
    chunks: int = 100  # predictions timed
    warmups: int = 10  # predictions before, not timed


def main(args: Bench) -> None:
    """Print the table.

    Raises:
        WamError: unknown names, or a damaged checkpoint.
    """
    for name, low in (("chunks", 1), ("warmups", 0), ("threads", 1), ("steps", 0)):
        require_within(f"--{name}", getattr(args, name), low)
    from wam_ros.models import load_policy

    embodiment = load_embodiment(args.embodiment)
    policy = load_policy(
        args.model, args.checkpoint, embodiment, threads=args.threads, steps=args.steps
    )
    policy.reset(args.instruction)
    from wam_ros.runtime.prediction import example_observation

    times = measure(
        policy, example_observation(embodiment), round(NS / embodiment.frame_rate_hz), args
    )
    table = Table("part", "p50 ms", "p95 ms", "p99 ms")
    for part, values in times.items():
        p = percentiles_ms(values)
        table.add_row(part, *(f"{p[k]:.1f}" for k in ("p50_ms", "p95_ms", "p99_ms")))
    console = Console()
    console.print(runs_on(policy))
    console.print(table)
    rate = len(times[WHOLE]) * 1e3 / sum(times[WHOLE])
    console.print(
        f"{rate:.1f} chunks/s with {args.threads} thread(s), checkpoint "
        f"{policy.checkpoint_hash[:12]}"
    )


def measure(
    policy: Policy, observation: Observation, period_ns: int, args: Bench
) -> dict[str, list[float]]:
    """Times of the parts that the policy names and of the whole, ms per chunk."""
    times: dict[str, list[float]] = {}
    for k in range(args.warmups + args.chunks):
        stamp_ns = observation.stamp_ns + k * period_ns
        joints = replace(observation.joints, stamp_ns=stamp_ns)
        stamped = replace(
            observation,
            stamp_ns=stamp_ns,
            frame_stamps_ns=(stamp_ns,) * len(observation.view_names),
            joints=joints,
        )
        started = time.perf_counter()
        output = policy.predict(stamped)
        elapsed_s = time.perf_counter() - started
        if k >= args.warmups and output is not None:
            for part, seconds in {**output.timing_s, WHOLE: elapsed_s}.items():
                times.setdefault(part, []).append(1e3 * seconds)
    return times
