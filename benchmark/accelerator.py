"""Every number that an accelerator gives about the released 14B model, with random weights, in one
command.

    python -m benchmark.accelerator [--config dreamzero-14b] [--device cuda] [--chunks 3] [--minutes
    9] [--out FILE]

Each way to compute is a process of its own, the most wanted first, and prints its rows as they are
measured; what failed or did not fit into the time is said and not waited for. FILE has every line
as soon as it is printed, and the ways that it holds already are left out, so that the command goes
on where it was stopped. Needs torch, safetensors, numpy and PyYAML; no ROS, nothing installed.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from wam_ros.core.errors import WamError
from wam_ros.models import bench
from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig, load_dit_config
from wam_ros.models.dreamzero.shared.float8 import Float8Linear

KERNELS = "single kernels"
WAYS = {
    KERNELS: {},
    "bfloat16, compiled": {"suite": True, "compile": True},
    "float8, compiled": {"suite": True, "compile": True, "float8": True},
    "bfloat16": {"suite": True},
    "float8": {"suite": True, "float8": True},
    "bfloat16, plain": {"plain": True},
    "bfloat16, compiled, with the autoencoder": {"compile": True, "vae": True},
}
DONE = "done in"
# of the time left that one way may take, so that one that hangs leaves some to the others
SHARE = 0.6
BACKENDS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION")

Say = Callable[[str], None]


def run(way: str, args: argparse.Namespace, seconds: float, say: Say) -> None:
    """Let a process of its own measure one way, and pass on what it prints as it comes."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "benchmark.accelerator",
        "--way",
        way,
        "--config",
        args.config,
    ]
    command += ["--device", args.device, "--chunks", str(args.chunks)]
    began = time.monotonic()
    say(f"\n{way}\n")
    # it ends the compiler's processes, too
    timed = ["timeout", "--kill-after=10", f"{seconds:.0f}", *command]
    with subprocess.Popen(
        timed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        for line in child.stdout:
            say(line)
    verdict = (
        DONE
        if child.returncode == 0
        else f"ended with {child.returncode} (124, 137: out of time) after"
    )
    say(f"{way}: {verdict} {time.monotonic() - began:.0f} s\n")


def seconds_of(function: Callable[[], Tensor], device: str, repeats: int = 20) -> float:
    """Mean of many runs in a row, after some that are not counted; on a CPU of one."""
    repeats = repeats if device == "cuda" else 1
    for _ in range(3):
        function()
    began = bench.now(device)
    for _ in range(repeats):
        function()
    return (bench.now(device) - began) / repeats


def reached(tflop: float, function: Callable[[], Tensor], device: str) -> str:
    """TFLOP/s, or `none` where no library has a kernel for these sizes on this device."""
    try:
        return f"{tflop / seconds_of(function, device):.0f}"
    except RuntimeError:
        return "none"


@torch.inference_mode()
def kernels(config: CausalDiTConfig, device: str) -> None:
    """What the kernels that do nearly all the work reach one by one, in the sizes of this model."""
    t, n = config.transformer, bench.square(device)
    print(f"{bench.software(device)}; TFLOP/s, mean of many runs in a row")
    if device == "meta":
        return
    square, x = (torch.randn(n, n, device=device).to(torch.bfloat16) for _ in range(2))
    print(
        f"{n} x {n} x {n}, most of a second: "
        f"{2e-12 * n**3 / seconds_of(lambda: square @ x, device, 500):.0f}"
    )
    for rows in (2, 1):
        for inputs, outputs in ((t.dim, t.dim), (t.dim, t.ffn_dim), (t.ffn_dim, t.dim)):
            product(rows * config.own_tokens, inputs, outputs, device)
        attention(config, rows, device)


def product(tokens: int, inputs: int, outputs: int, device: str) -> None:
    """One linear layer in both precisions, narrowing not counted."""
    layer = nn.Linear(inputs, outputs, device=device, dtype=torch.bfloat16)
    narrow = Float8Linear(layer)
    x = torch.randn(tokens, inputs, device=device).to(torch.bfloat16)
    narrow_x, scale = x.to(torch.float8_e4m3fn), torch.ones(tokens, 1, device=device)
    tflop = 2e-12 * tokens * inputs * outputs
    wide = reached(tflop, lambda: layer(x), device)
    eight = reached(tflop, lambda: narrow.product(narrow_x, scale, x.dtype, narrow.bias), device)
    print(f"{tokens} x {inputs} x {outputs}: bfloat16 {wide}, e4m3 {eight}", flush=True)


def attention(config: CausalDiTConfig, rows: int, device: str) -> None:
    """A block's queries over the full memory, laid out as the model has it: as torch chooses, then
    by each library.
    """
    c, t, frames = config, config.transformer, config.window_frames - config.frames_per_block
    head = (t.num_heads, t.dim // t.num_heads)

    def randn(tokens: int) -> Tensor:
        return torch.randn(rows, tokens, *head, device=device).to(torch.bfloat16)

    cache = KvCache(
        layers=1,
        batch=(rows,),
        window=frames,
        frame_tokens=c.frame_tokens,
        own_tokens=c.own_tokens,
        head=head,
        dtype=torch.bfloat16,
        device=torch.device(device),
    )
    cache.advance(frames)
    cache.write(0, randn(frames * c.frame_tokens), randn(frames * c.frame_tokens))
    q, (k, v) = randn(c.own_tokens), cache.with_own(0, randn(c.own_tokens), randn(c.own_tokens))
    q, k, v = (x.transpose(-3, -2) for x in (q, k, v))
    tflop = 4e-12 * rows * c.own_tokens * cache.used * t.dim

    def attended() -> str:
        return reached(tflop, lambda: functional.scaled_dot_product_attention(q, k, v), device)

    found = [f"torch's choice {attended()}"]
    for name in BACKENDS:
        with sdpa_kernel(getattr(SDPBackend, name)):
            found.append(f"{name.lower()} {attended()}")
    print(f"attention, {rows} x {c.own_tokens} x {cache.used}: {', '.join(found)}", flush=True)


def alone(way: str, args: argparse.Namespace) -> int:
    """One way, in this process."""
    if way == KERNELS:
        kernels(load_dit_config(args.config), args.device)
        return 0
    return bench.main(
        bench.BenchModel(config=args.config, device=args.device, chunks=args.chunks, **WAYS[way])
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", default="dreamzero-14b", help="name of a file in config/models, or a .yaml path"
    )
    parser.add_argument(
        "--device", default="cuda", choices=bench.DEVICES, help="meta: counts without computing"
    )
    parser.add_argument(
        "--chunks", type=int, default=3, help="timed in each row, after the window has filled"
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="for all ways together")
    parser.add_argument(
        "--out", type=Path, help="keeps what was printed, and what need not be measured again"
    )
    parser.add_argument("--way", choices=WAYS, help="only this one, in this process")
    args = parser.parse_args()
    try:
        return alone(args.way, args) if args.way else every_way(args)
    except WamError as error:
        print(f"accelerator: {error}", file=sys.stderr)
        return 2


def every_way(args: argparse.Namespace) -> int:
    """All that FILE does not hold yet, one after the other."""
    before = args.out.read_text() if args.out and args.out.is_file() else ""
    end = time.monotonic() + 60 * args.minutes
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a", buffering=1) if args.out else contextlib.nullcontext() as file:

        def say(text: str) -> None:
            print(text, end="", flush=True)
            if file:
                file.write(text)

        for way in WAYS:
            left = end - time.monotonic()
            if f"\n{way}: {DONE}" in before:
                print(f"{way}: in {args.out} already")
            elif left < 10:
                say(f"{way}: no time left\n")
            else:
                run(way, args, left if way == [*WAYS][-1] else max(10, SHARE * left), say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
