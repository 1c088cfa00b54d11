"""What this processor computes fast: found by trying and timing, once, and kept.

What a processor says of itself does not tell: bfloat16 is offered where it is emulated, 30 times
slower than float32, and oneDNN is there where it refuses to pack the matrices of a precision.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wam_ros.core.errors import WamError
from wam_ros.core.files import cache_folder, write_json

# a narrower precision, or weights in another order, must be worth it
GAIN = 0.9
NO_LOSS = 1.1
ROUNDS = 3  # the fastest counts: the others were disturbed
TOKENS = 512
WIDTH = 256
CHANNELS = 48
PIXELS = 32
VERSION = 1  # of what is timed; a file of another version is not read
# they take abilities away from libraries, so that one machine can stand for another
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


@dataclass(frozen=True)
class Timing:
    """Seconds of the same small work in one precision on one thread; infinite: not possible
    here.
    """

    product: float  # a linear layer
    packed: float  # the same with its matrix in the order of oneDNN
    convolution: float
    training: float  # both, forward and back

    @property
    def predicting(self) -> float:
        """A linear layer, in the better order, and a convolution."""
        return min(self.product, self.packed) + self.convolution


@dataclass(frozen=True)
class Processor:
    """What was found."""

    name: str  # as the system calls it, and the widest instructions that torch uses
    float32: Timing
    bfloat16: Timing

    @property
    def predicting(self) -> torch.dtype:
        """Precision of a network that answers."""
        return _better(self.bfloat16.predicting, self.float32.predicting)

    @property
    def training(self) -> torch.dtype:
        """Precision of the arithmetic of a network that learns."""
        return _better(self.bfloat16.training, self.float32.training)

    def packs(self, dtype: torch.dtype) -> bool:
        """Whether matrices of this precision can be packed, and are then no slower."""
        timing = {torch.float32: self.float32, torch.bfloat16: self.bfloat16}.get(dtype)
        return timing is not None and timing.packed <= NO_LOSS * timing.product < math.inf

    def __str__(self) -> str:
        """One line: what is chosen, and why."""

        def said(what: str, chosen: torch.dtype, narrow: float, wide: float) -> str:
            if chosen == torch.bfloat16:
                return f"{what} in bfloat16 (float32 takes {wide / narrow:.1f} times as long)"
            slow = "is not there" if narrow == math.inf else f"takes {narrow / wide:.1f} times"
            return f"{what} in float32 (bfloat16 {slow}{' as long' * (narrow < math.inf)})"

        answers = said(
            "answers", self.predicting, self.bfloat16.predicting, self.float32.predicting
        )
        learns = said("learns", self.training, self.bfloat16.training, self.float32.training)
        packed = "" if self.packs(self.predicting) else "not "
        return f"{self.name}: {answers}, matrices {packed}packed; {learns}"


def _better(bfloat16: float, float32: float) -> torch.dtype:
    return torch.bfloat16 if bfloat16 < GAIN * float32 else torch.float32


@functools.cache
def processor() -> Processor:
    """This machine's, from the user's cache folder, or measured now (a fraction of a second) and
    put there.

    A file that is damaged or cannot be written costs a measurement, never an error.
    """
    path = cache_file()
    found = None if path is None else _read(path)
    if found is None:
        found = measure()
        if path is not None:
            _write(path, found)
    return found


def cache_file() -> Path | None:
    """Where the abilities of this processor with this torch and these limits are kept; None where
    there is no such place.
    """
    folder = cache_folder("processor")
    limits = [f"{name}={os.environ.get(name, '')}" for name in LIMITS]
    facts = [str(VERSION), torch.__version__, _name(), _cpuinfo("flags", "Features"), *limits]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return None if folder is None else folder / f"{digest}.json"


def _name() -> str:
    model = _cpuinfo("model name", "Model") or platform.processor() or platform.machine()
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"


def _cpuinfo(*keys: str) -> str:
    """The first value under one of the keys; '' where the system has no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    rows = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in rows if key.strip() in keys), "")


def _read(path: Path) -> Processor | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        timings = [_timing(data[name]) for name in ("float32", "bfloat16")]
        return Processor(str(data["name"]), *timings)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _timing(data: dict[str, Any]) -> Timing:
    values = {f.name: float(data[f.name]) for f in fields(Timing)}
    if not all(v > 0 for v in values.values()):
        raise ValueError(f"no seconds: {values}")
    return Timing(**values)


def _write(path: Path, found: Processor) -> None:
    with contextlib.suppress(WamError):
        write_json(path, asdict(found))


def measure() -> Processor:
    """Try both precisions on this thread, in turns, so that a disturbance meets both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # whoever asks may be predicting: what is timed here must be able to learn
        with torch.inference_mode(False), torch.enable_grad():
            work = {d: _work(d) for d in (torch.float32, torch.bfloat16)}
            best = {d: dict.fromkeys(parts, math.inf) for d, parts in work.items()}
            for _ in range(ROUNDS):
                for dtype, parts in work.items():
                    for name, part in parts.items():
                        best[dtype][name] = min(best[dtype][name], _seconds(part))
    finally:
        torch.set_num_threads(threads)
    return Processor(_name(), *(Timing(**best[d]) for d in work))


def _work(dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """The parts of `Timing` in one precision, on numbers that leave torch's own generator alone."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    x = randn(TOKENS, WIDTH)
    weight = randn(WIDTH, WIDTH).requires_grad_()
    bias = randn(WIDTH)
    picture = randn(1, CHANNELS, PIXELS, PIXELS)
    kernel = randn(CHANNELS, CHANNELS, 3, 3).requires_grad_()
    order: list[Tensor] = []

    def product() -> Tensor:
        return functional.linear(x, weight, bias)

    def packed() -> Tensor:
        if not order:
            order.append(torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None))
        return torch.ops.mkldnn._linear_pointwise(
            x, order[0], bias, attr="none", scalars=[], algorithm=""
        )

    def convolution() -> Tensor:
        return functional.conv2d(picture, kernel, padding=1)

    def training() -> None:
        torch.autograd.grad(product().sum() + convolution().sum(), (weight, kernel))

    return {
        "product": torch.no_grad()(product),
        "packed": torch.no_grad()(packed),
        "convolution": torch.no_grad()(convolution),
        "training": training,
    }


def _seconds(part: Callable[[], Any]) -> float:
    """Of one run; infinite where torch refuses it, in whatever words."""
    began = time.thread_time()
    try:
        part()
    except (RuntimeError, NotImplementedError, AttributeError):
        return math.inf
    return time.thread_time() - began
