"""`wam bench model`: what a chunk of a released model costs on this machine, with random weights.

Nothing is loaded: the sizes of a named configuration are enough. On `meta` nothing is computed
either, and the table holds what can be counted.
"""

from __future__ import annotations

import dataclasses
import functools
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError, require_known
from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig, load_dit_config
from wam_ros.models.dreamzero.released.flop import chunk_flop
from wam_ros.models.dreamzero.released.inference import PRECISIONS, Inference, named
from wam_ros.models.dreamzero.released.rehearsal import Noise, in_place, play, random_model
from wam_ros.models.dreamzero.released.rollout import Rollout, Sampling
from wam_ros.models.dreamzero.released.speedups import SpeedUps
from wam_ros.models.dreamzero.released.vae import WAN21, WAN22, WanVae
from wam_ros.models.dreamzero.released.vae_layers import Memory
from wam_ros.models.dreamzero.shared.float8 import Float8Linear
from wam_ros.models.dreamzero.shared.packed import PackedLinear
from wam_ros.models.processor import processor
from wam_ros.models.reuse import FirstStep

PARTS = ("encode", "prefill", "denoise", "decode")
COLUMNS = ("evaluations/steps", *PARTS, "chunk", "first", "TFLOP", "%", "GiB")
DEVICES = ("cpu", "cuda", "meta")
ONE = Sampling(steps=1, evaluations=1)
FLASH = Sampling(steps=1, evaluations=1, last_video_level=0.8)
SUITE = {
    "16/16 guided": Sampling(evaluations=16),
    "8/16 guided": Sampling(),
    "4/4 guided": Sampling(steps=4, evaluations=4),
    "Flash 1/1 guided": FLASH,
    "Flash 1/1": dataclasses.replace(FLASH, guidance=1.0),
}


@dataclass(frozen=True)
class BenchModel:
    """Time one chunk of a released model with random weights, its window full."""

    config: str = "dreamzero-100m"  # name of a file in config/models, or a path ending in .yaml
    device: str = "cpu"  # cpu, cuda, or meta (counts only)
    # float32 or bfloat16; empty: bfloat16, on a CPU what that computes fastest
    dtype: str = ""
    chunks: int = 3  # timed, after the window has filled
    threads: int = 1  # of the CPU
    suite: bool = False  # all samplings that the released models are used with, not only 8 of 16
    plain: bool = False  # every speed-up off
    without: tuple[str, ...] = ()  # speed-ups to switch off, by name
    # encode what is observed and decode what is imagined, with a random autoencoder of Wan's sizes
    vae: bool = False
    compile: bool = False  # blocks; on CUDA evaluations are replayed as CUDA graphs, too
    float8: bool = False  # block matrices in e4m3; prints the error that this makes


@dataclass(frozen=True)
class Cost:
    """Of one chunk; parts without a time were not run."""

    seconds: dict[str, float]  # median of each part
    first_s: float  # a window's first chunk, with everything that happens once per window
    flop: int
    peak_bytes: int


class Autoencoded(Noise):
    """Latents come from random pictures through Wan's autoencoder for these latents."""

    def __init__(self, config: CausalDiTConfig, device: str, dtype: torch.dtype) -> None:
        super().__init__(config, device)
        sizes = {c.latent_channels: c for c in (WAN21, WAN22)}.get(config.out_channels)
        if sizes is None:
            raise WamError(
                f"no autoencoder has {config.out_channels} latent channels; leave out --vae"
            )
        self.vae = in_place(lambda: WanVae(sizes), device, dtype)

    def _latents(self, frames: int) -> Tensor:
        c = self.config
        v = self.vae.config
        size = (c.latent_height * v.pixels, c.latent_width * v.pixels)
        video = self._randn(3, 1 + v.frames * (frames - 1), *size).clamp(-1, 1)
        with torch.inference_mode():
            return self.vae.encode(video.to(next(self.vae.parameters()).dtype)).float()

    def observed(self, frames: Tensor) -> Tensor:
        """See `rollout.Encoders.observed`: one frame before the block's, as the released server
        does.
        """
        return self._latents(1 + self.config.frames_per_block)

    def decode(self, latents: Tensor) -> float:
        """Seconds that showing a chunk takes, as the continuation of what was observed."""
        memory: Memory = {}
        pieces = latents.to(next(self.vae.parameters()).dtype).split(1, 2)
        with torch.inference_mode():
            self.vae.decode_next(pieces[0], memory)
            began = now(self.device)
            for z in pieces:
                self.vae.decode_next(z, memory)
        return now(self.device) - began


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Best measured FLOP/s of one square matrix product, as torch multiplies and, on a CPU, as
    packed matrices do.
    """
    n = square(device)
    layer = nn.Linear(n, n, bias=False, device=device, dtype=dtype).requires_grad_(False)
    ways: list[nn.Module] = [layer]
    if device == "cpu" and processor().packs(dtype):
        ways.append(PackedLinear(layer))
    x = torch.randn(n, n, device=device).to(dtype)
    return max(rate(functools.partial(way, x), device) for way in ways)


def float8_rate(device: str) -> float:
    """The same in 8 bits, narrowing not counted."""
    n = square(device)
    layer = Float8Linear(nn.Linear(n, n, bias=False, device=device))
    x = torch.randn(n, n, device=device).to(torch.float8_e4m3fn)
    return rate(lambda: layer.product(x, torch.ones(n, 1, device=device), torch.bfloat16), device)


def square(device: str) -> int:
    """Side of a matrix that keeps a device busy for more than a launch."""
    return 8192 if device == "cuda" else 1024


def rate(product: Callable[[], Tensor], device: str) -> float:
    """FLOP/s of the fastest of ten products of square matrices."""
    best = float("inf")
    for _ in range(10):
        began = now(device)
        product()
        best = min(best, now(device) - began)
    return 2 * square(device) ** 3 / best


def now(device: str) -> float:
    """Seconds, after the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(model: CausalDiT, sampling: Sampling, chunks: int, towers: Noise | None = None) -> Cost:
    """Time the first chunk of a window, fill the window, then time the next ones; all after a
    rehearsal.
    """
    device = model.head.modulation.device.type
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rows = 1 if sampling.guidance == 1.0 else 2
    flop = chunk_flop(model.config, rows, sampling.evaluations)
    if device == "meta":
        # in 8 bits they are no parameters
        weights = sum(x.nbytes for x in model.state_dict().values())
        return Cost({}, 0.0, flop, weights + getattr(model.make_cache(rows), "bytes", 0))
    full = model.config.blocks  # chunks after which every window is full
    play(model, sampling, full + 1, towers, FirstStep())  # compiles, also what slides the window
    played = play(model, sampling, full + chunks, towers)
    timed = played[full:]
    if not all(c.action.isfinite().all() for c in timed):
        raise WamError("actions are not finite numbers")
    seconds = {
        part: statistics.median(c.timing_s[part] for c in timed) for part in timed[0].timing_s
    }
    if isinstance(towers, Autoencoded):
        seconds["decode"] = statistics.median(towers.decode(c.video) for c in timed)
    return Cost(seconds, sum(played[0].timing_s.values()), flop, peak_bytes(device))


def peak_bytes(device: str) -> int:
    """Taken from the device, recorded graphs included, or by this process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(args: BenchModel) -> int:
    """Print the table.

    Returns:
        1 if a row failed, which says why and leaves the others.

    Raises:
        WamError: unknown names, or no such device here.
    """
    require_known("device", args.device, DEVICES)
    inference = asked(args)
    dtype = inference.dtype(args.device)
    if args.chunks < 1 or args.threads < 1:
        raise WamError(
            f"--chunks and --threads must be at least 1, found {args.chunks} and {args.threads}"
        )
    if args.device == "cuda" and not torch.cuda.is_available():
        raise WamError(
            "no CUDA device here; --device cpu computes slowly, --device meta counts without "
            "computing"
        )
    torch.set_num_threads(args.threads)
    config = load_dit_config(args.config)
    model = random_model(config, args.device, dtype, inference.speedups)
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{config.name}: {parameters:,} parameters, random; {args.device} {inference.precision}, "
        f"{args.threads} thread(s)"
    )
    print(software(args.device))
    found = None if args.device == "meta" else matrix_rate(args.device, dtype)
    print(f"matrix products here: {found / 1e12:.2f} TFLOP/s" if found else "counted, not computed")
    if said := accelerate(model, inference):
        print(said)
    print(
        "times in ms; first: a window's first chunk; TFLOP and % of the rate of matrix products: "
        "prefill and denoise"
    )
    show(COLUMNS)
    towers = Autoencoded(config, args.device, dtype) if args.vae and args.device != "meta" else None
    failed = False
    for name, sampling in (SUITE if args.suite else {"8/16 guided": Sampling()}).items():
        try:
            show((name, *row(measure(model, sampling, args.chunks, towers), found)))
        # whatever a compiler or a device says must not cost the other rows
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            show((name, f"failed: {type(error).__name__}"))
            failed = True
    return int(failed)


def software(device: str) -> str:
    """What the numbers depend on beside this code."""
    if device == "cpu":
        return f"torch {torch.__version__}, {processor()}"
    if device != "cuda":
        return f"torch {torch.__version__}"
    versions = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"torch {torch.__version__}, {versions}, {torch.cuda.get_device_name()}"


def show(cells: Sequence[str]) -> None:
    """Print one row at once: the next one may take minutes."""
    print(f"{cells[0]:18s}", *(f"{cell:>8s}" for cell in cells[1:]), flush=True)


def accelerate(model: CausalDiT, inference: Inference) -> str:
    """Apply what was asked for; returns what that did to the numbers, if it can have done
    anything.
    """
    if not (inference.float8 or inference.compile) or model.head.modulation.is_meta:
        inference.accelerate(model)
        return ""

    def predicted() -> Tensor:
        """What the network makes of the noise, with the same random inputs at every call."""
        torch.manual_seed(0)
        noise = Rollout(model, Noise(model.config, "cpu"), "", ONE).noise[1]
        return play(model, ONE, 1)[0].action - noise.to(model.head.modulation.device)

    exact = predicted()
    replaced = inference.accelerate(model)
    change = float((predicted() - exact).norm() / exact.norm())
    what = f"{replaced} matrices in e4m3" if inference.float8 else "compiled"
    said = f"{what}; action velocities of one evaluation change by {100 * change:.1f} %"
    if not inference.float8:
        return said
    rate = float8_rate(model.head.modulation.device.type) / 1e12
    return (
        f"{said}\nproducts in e4m3: {rate:.2f} TFLOP/s; the % below are of the rate in "
        f"{inference.precision}"
    )


def asked(args: BenchModel) -> Inference:
    """What the arguments ask for; raises `WamError` for a speed-up that there is not."""
    names = [f.name for f in dataclasses.fields(SpeedUps)]
    off = {require_known("speed-up", name, names): False for name in args.without}
    speedups = SpeedUps.none() if args.plain else dataclasses.replace(SpeedUps(), **off)
    usual = processor().predicting if args.device == "cpu" else torch.bfloat16
    precision = require_known("dtype", args.dtype or named(usual), PRECISIONS)
    return Inference(
        precision=precision, float8=args.float8, compile=args.compile, speedups=speedups
    )


def row(cost: Cost, rate: float | None) -> list[str]:
    """Cells after the name."""

    def ms(seconds: float | None) -> str:
        return f"{1e3 * seconds:.0f}" if seconds else ""

    s = cost.seconds
    transformer = s.get("prefill", 0.0) + s.get("denoise", 0.0)
    share = f"{100 * cost.flop / transformer / rate:.0f}" if rate and transformer else ""
    times = [*(ms(s.get(part)) for part in PARTS), ms(sum(s.values())), ms(cost.first_s)]
    return [*times, f"{cost.flop / 1e12:.2f}", share, f"{cost.peak_bytes / 2**30:.2f}"]
