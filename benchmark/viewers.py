"""Whether those who look at the page make the loop slower: camera to command with nobody, with two
pages, and with one of them hanging.

The demo in real time with all its processes, three times; the pages are clients of its page that
take all they are told, or that read nothing.

    python -m benchmark.viewers [--episodes 3] [--json docs/results/viewers.json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testing.peers import Deaf, Peer, free_port
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json

# pages that read, pages that do not
VIEWERS = {"nobody looks": (0, 0), "two pages": (2, 0), "two pages, one of them hangs": (1, 1)}
LINK = re.compile(r"http://localhost:\d+/open\?token=(\S+)")
TOTAL = "camera to command"


@contextlib.asynccontextmanager
async def watched(port: int, token: str, reading: int, deaf: int) -> AsyncIterator[None]:
    """Pages are open meanwhile."""
    async with Peer(port, token) as peer:
        pages = [await peer.open() for _ in range(reading)]
        tasks = [asyncio.ensure_future(_read(page)) for page in pages]
        mute = [Deaf(port, peer.cookie) for _ in range(deaf)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for one in mute:
                one.close()


async def _read(page: object) -> None:
    async for _ in page:  # type: ignore[attr-defined]
        pass


async def run(episodes: int, reading: int, deaf: int) -> dict[str, float]:
    """Camera to command [ms] and chunks per second of one demo.

    Raises:
        WamError: the demo did not run through.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--real-time"]
        argv += ["--episodes", str(episodes), "--port", str(port), "--json", str(file)]
        demo = await asyncio.create_subprocess_exec(
            *argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert demo.stdout is not None
        said = ""
        try:
            while not (link := LINK.search(said)):
                line = await demo.stdout.readline()
                if not line:
                    raise WamError(f"the demo ended before its page was open: {said[-400:]}")
                said += line.decode()
            async with watched(port, link[1], reading, deaf):
                said += (await demo.stdout.read()).decode()
            if await demo.wait():
                raise WamError(f"the demo failed: {said[-400:]}")
        finally:
            if demo.returncode is None:
                demo.terminate()
                await demo.wait()
        found = json.loads(file.read_text())
    total = found["latency"][TOTAL]
    rate = found["summary"]["chunk_rate_hz"]
    return {**{key: round(total[key], 1) for key in ("n", "p50_ms", "p95_ms")}, "chunks_hz": rate}


def main() -> None:
    """Run all three and print them as multiples of the first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    require_writable("--json", args.json)
    rows = {}
    for name, (reading, deaf) in VIEWERS.items():
        rows[name] = asyncio.run(run(args.episodes, reading, deaf))
    alone = rows["nobody looks"]
    table = Table(TOTAL, "n", "p50 ms", "p95 ms", "chunks/s", "p50, nobody = 1")
    for name, row in rows.items():
        row["ratio"] = round(row["p50_ms"] / alone["p50_ms"], 2)
        table.add_row(name, *(f"{value:g}" for value in row.values()))
    Console().print(table)
    if args.json:
        write_json(args.json, {"episodes": args.episodes, "viewers": rows})


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
