"""Every number that an accelerator gives about the released 14B model, with random weights, in one command.

    python -m benchmark.accelerator [--config dreamzero-14b] [--device cuda] [--chunks 3] [--minutes 9] [--out FILE]

Each way to compute is a process of its own, the most wanted first, and prints its rows as they are measured; what
failed or did not fit into the time is said and not waited for. With --out the ways that FILE holds already are left
out, so that the command goes on where it was stopped. Needs torch, safetensors, numpy and PyYAML; no ROS, nothing
installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from wam_ros.models import bench

WAYS = {
    "bfloat16, compiled": {"suite": True, "compile": True},
    "float8, compiled": {"suite": True, "compile": True, "float8": True},
    "bfloat16": {"suite": True},
    "float8": {"suite": True, "float8": True},
    "bfloat16, plain": {"plain": True},
    "bfloat16, compiled, with the autoencoder": {"compile": True, "vae": True},
}
DONE = "done in"


def run(way: str, args: argparse.Namespace, seconds: float) -> str:
    """What a process of its own prints about one way; shown as it comes."""
    command = [sys.executable, "-u", "-m", "benchmark.accelerator", "--way", way, "--config", args.config]
    command += ["--device", args.device, "--chunks", str(args.chunks)]
    began, lines = time.monotonic(), [f"\n{way}\n"]
    print(lines[0], end="", flush=True)
    timed = ["timeout", f"{seconds:.0f}", *command]
    with subprocess.Popen(timed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        for line in child.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    verdict = DONE if child.returncode == 0 else f"ended with {child.returncode} (124: out of time) after"
    lines.append(f"{way}: {verdict} {time.monotonic() - began:.0f} s\n")
    print(lines[-1], end="", flush=True)
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="dreamzero-14b")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu", "meta"))
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=9.0, help="for all ways together")
    parser.add_argument("--out", type=Path, help="keeps what was printed, and what need not be measured again")
    parser.add_argument("--way", choices=WAYS, help="only this one, in this process")
    args = parser.parse_args()
    if args.way:
        bench.main(bench.BenchModel(config=args.config, device=args.device, chunks=args.chunks, **WAYS[args.way]))
        return
    before = args.out.read_text() if args.out and args.out.is_file() else ""
    end = time.monotonic() + 60 * args.minutes
    for way in WAYS:
        left = end - time.monotonic()
        if f"\n{way}: {DONE}" in before:
            print(f"{way}: in {args.out} already")
        elif left < 10:
            print(f"{way}: no time left")
        else:
            text = run(way, args, left)
            if args.out:
                with args.out.open("a") as file:
                    file.write(text)


if __name__ == "__main__":
    main()
