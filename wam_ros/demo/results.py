"""Results of a run: the summary, the JSON file and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from wam_ros.core.files import write_json
from wam_ros.core.intervals import wilson_interval
from wam_ros.core.lockstep import describe_speed
from wam_ros.demo.episodes import EpisodeResult
from wam_ros.sim.outcomes import SUCCESS, WRONG

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
IMAGINATION = ("imagined frames", "ahead", "n", "PSNR dB", "copying the last frame", "gain dB")


@dataclass(frozen=True)
class RunResults:
    """Everything that one run measured."""

    episodes: tuple[EpisodeResult, ...]
    chunk_rate_hz: float
    settings: dict[str, Any] = field(default_factory=dict)
    # stage -> n, p50_ms, p95_ms, p99_ms
    latency: dict[str, dict[str, float]] = field(default_factory=dict)
    # view -> offset -> dB
    imagination: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    failure: str = ""  # why the run did not complete
    speed: float = 0.0  # of a world in lock-step, simulated s per s while armed; 0: in real time

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {
            "schema": SCHEMA_VERSION,
            "completed": not self.failure,
            "failure": self.failure,
            "settings": self.settings,
            "episodes": [asdict(e) for e in self.episodes],
            "summary": summarise(self.episodes, self.chunk_rate_hz) | {"speed": self.speed},
            "latency": self.latency,
            "imagination": self.imagination,
        }

    def write(self, file: str) -> None:
        """Write the JSON document; the file is complete or absent.

        Raises:
            WamError: it cannot be written.
        """
        write_json(file, self.to_dict())


def summarise(episodes: Sequence[EpisodeResult], chunk_rate_hz: float) -> dict[str, Any]:
    """Counts and rates over all episodes; rates are 0 when there are none."""
    n = len(episodes)
    successes = sum(e.success for e in episodes)
    wrong = sum(e.wrong for e in episodes)
    low, high = wilson_interval(successes, n)
    return {
        "episodes": n,
        "successes": successes,
        "success_rate": successes / n if n else 0.0,
        "success_rate_95": [low, high],
        "wrong": wrong,
        "wrong_rate": wrong / n if n else 0.0,
        "nudged": sum(e.nudged for e in episodes),
        "mean_steps_of_successes": _mean(e.steps for e in episodes if e.success),
        "chunks": sum(e.chunks for e in episodes),
        "chunk_rate_hz": chunk_rate_hz,
        "decisions": _total(e.decisions for e in episodes),
        "stops": _total(e.stops for e in episodes),
        "violations": _total(e.violations for e in episodes),
    }


def _mean(values: Iterable[int]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def format_counts(counts: dict[str, int]) -> str:
    """`velocity 2, jerk 1`, or a dash for none."""
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in counts.items()) or "-"


def print_results(results: RunResults, console: Console) -> None:
    """Print episodes, summary, latency and imagination as tables."""
    from rich.table import Table

    table = Table(title="Episodes", title_justify="left")
    for name in (
        "seed",
        "instruction",
        "outcome",
        "steps",
        "chunks",
        "changed by safety",
        "stops",
        "limits exceeded",
    ):
        table.add_column(name, justify="right" if name in ("seed", "steps", "chunks") else "left")
    for e in results.episodes:
        changed = {k: v for k, v in e.decisions.items() if k != "pass"}
        colour = {SUCCESS: "green", WRONG: "red"}.get(e.outcome, "default")
        outcome = f"[{colour}]{e.outcome}[/]"
        cells = (str(e.steps), str(e.chunks), *map(format_counts, (changed, e.stops, e.violations)))
        table.add_row(str(e.seed), e.instruction, outcome, *cells)
    console.print(table)
    _print_latency(results, console)
    _print_imagination(results, console)
    _print_summary(results, console)


def _print_summary(results: RunResults, console: Console) -> None:
    s = summarise(results.episodes, results.chunk_rate_hz)
    low, high = s["success_rate_95"]
    console.print(
        f"[bold]{s['successes']}/{s['episodes']} succeeded ({s['success_rate']:.0%}; "
        f"95 % interval {low:.0%} to {high:.0%})[/], another object lifted {s['wrong']}, "
        f"limits exceeded: {format_counts(s['violations'])}, {s['chunk_rate_hz']:.1f} chunks/s"
    )
    if results.speed:
        console.print(describe_speed(results.speed, results.settings.get("rate", 1.0)))


def _print_latency(results: RunResults, console: Console) -> None:
    from rich.table import Table

    if not results.latency:
        return
    table = Table("latency", "n", "p50 ms", "p95 ms", "p99 ms", title_justify="left")
    for stage, v in results.latency.items():
        table.add_row(stage, str(v["n"]), *(f"{v[p]:.1f}" for p in ("p50_ms", "p95_ms", "p99_ms")))
    console.print(table)


def _print_imagination(results: RunResults, console: Console) -> None:
    from rich.table import Table

    if not results.imagination:
        return
    table = Table(*IMAGINATION)
    for view, offsets in results.imagination.items():
        for offset, v in offsets.items():
            values = (f"{v[k]:.2f}" for k in ("psnr_db", "copy_last_psnr_db", "gain_db"))
            table.add_row(view, offset, str(v["n"]), *values)
    console.print(table)
