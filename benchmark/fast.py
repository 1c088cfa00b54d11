"""What makes the shipped model answer faster on a processor, and what does not: everything that was
tried, side by side in one run, each by itself and beside the model as it is shipped.

    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python -m benchmark.fast --json fast.json

The two variables take from a processor with AVX-512 what one with AVX2 lacks. The ways take turns,
chunk by chunk, so that a disturbance meets all of them; the median counts, and the ratio is one of
processor time, which other work on the machine changes least. Beside the times stands
how far a chunk's joints are from those of the shipped model, for the same noise, over the frames of
one episode that is driven by it. Whether the arm still picks up its block says

    wam eval --episodes 50 --steps 2
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.types import NS, JointState, Observation
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.shared.packed import pack
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.models.dreamzero.small.load import Networks, load_checkpoint
from wam_ros.models.dreamzero.small.policy import PLAIN, DreamZeroPolicy
from wam_ros.models.processor import processor
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.world import World
from wam_ros.train.record import observe

PANDA = load_embodiment("panda")
CONFIG = load_model_config("tiny")
SHIPPED = "as shipped"
Way = Callable[[Networks], DreamZeroPolicy]


class Unseen(DreamZeroPolicy):
    """Frames are imagined, but nobody looks: none is decoded."""

    def predict(self, observation, request=PLAIN):
        return super().predict(observation, dataclasses.replace(request, apart=True))


def precision(networks: Networks, dtype: torch.dtype) -> Networks:
    networks.model.to(dtype)
    networks.tokenizer.to(dtype).to(memory_format=torch.channels_last)
    return networks


def policy(networks: Networks, steps: int = 0, kind=DreamZeroPolicy) -> DreamZeroPolicy:
    return kind(CONFIG, PANDA, networks, steps or CONFIG.denoising_steps)


def packed(networks: Networks, dtype: torch.dtype | None = None) -> Networks:
    precision(networks, dtype or processor().predicting)
    if not pack(networks.model):
        raise RuntimeError("this processor does not pack matrices of this precision")
    return networks


def usual(networks: Networks) -> Networks:
    """What `load_policy` makes of a checkpoint."""
    precision(networks, processor().predicting)
    pack(networks.model)
    return networks


def compiled_tokenizer(networks: Networks) -> DreamZeroPolicy:
    usual(networks)
    networks.tokenizer.encoder = torch.compile(networks.tokenizer.encoder)
    networks.tokenizer.decoder = torch.compile(networks.tokenizer.decoder)
    return policy(networks)


def compiled_blocks(networks: Networks) -> DreamZeroPolicy:
    precision(networks, processor().predicting)
    networks.model.denoise = torch.compile(networks.model.denoise)
    return policy(networks)


def int8(networks: Networks) -> Networks:
    """Linear layers in int8, with the range of what comes in found at every call."""
    precision(networks, torch.float32)
    quantised = torch.ao.quantization.quantize_dynamic(networks.model, {nn.Linear}, torch.qint8)
    # a quantised matrix has no precision that could be asked for
    quantised.__class__ = type("Int8", (type(quantised),), {"dtype": torch.float32})
    networks.model = quantised
    return networks


def traced_tokenizer(networks: Networks) -> DreamZeroPolicy:
    """Convolutions fused with what follows them, by TorchScript."""
    usual(networks)
    t = networks.tokenizer
    dtype = t.mean.dtype
    (h, w) = CONFIG.latent_size
    canvas = torch.zeros(1, 3, CONFIG.image_height, CONFIG.image_width * CONFIG.views, dtype=dtype)
    latents = torch.zeros(1 + CONFIG.chunk.imagined_frames, CONFIG.tokenizer.latent_channels, h, w)
    t.encoder = fused(t.encoder, canvas)
    t.decoder = fused(t.decoder, latents.to(dtype))
    return policy(networks)


def fused(module: nn.Module, example: torch.Tensor):
    with torch.inference_mode():
        example = example.to(memory_format=torch.channels_last)
        return torch.jit.optimize_for_inference(torch.jit.trace(module.eval(), example))


def openvino_tokenizer(networks: Networks) -> DreamZeroPolicy:
    import openvino

    usual(networks)
    t = networks.tokenizer.float().to(memory_format=torch.contiguous_format)
    (h, w) = CONFIG.latent_size
    canvas = torch.zeros(1, 3, CONFIG.image_height, CONFIG.image_width * CONFIG.views)
    latents = torch.zeros(1 + CONFIG.chunk.imagined_frames, CONFIG.tokenizer.latent_channels, h, w)
    t.encoder = in_openvino(openvino, t.encoder, canvas)
    t.decoder = in_openvino(openvino, t.decoder, latents)
    return policy(networks)


class InOpenVino(nn.Module):
    def __init__(self, run) -> None:
        super().__init__()
        self._run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (out,) = self._run([x.contiguous().numpy()]).values()
        return torch.from_numpy(out.copy())  # the next call writes over it


def in_openvino(openvino, module: nn.Module, example: torch.Tensor) -> nn.Module:
    with torch.inference_mode():
        graph = openvino.convert_model(module.eval(), example_input=example.contiguous())
    few = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return InOpenVino(openvino.Core().compile_model(graph, "CPU", few))


WAYS: dict[str, Way] = {
    SHIPPED: lambda n: policy(usual(n)),
    "float32": lambda n: policy(precision(n, torch.float32)),
    "float32, matrices packed": lambda n: policy(packed(n, torch.float32)),
    "bfloat16": lambda n: policy(precision(n, torch.bfloat16)),
    "bfloat16, matrices packed": lambda n: policy(packed(n, torch.bfloat16)),
    "int8 linear layers": lambda n: policy(int8(n)),
    "2 denoising steps": lambda n: policy(usual(n), 2),
    "1 denoising step": lambda n: policy(usual(n), 1),
    "frames decoded only when somebody looks": lambda n: policy(usual(n), kind=Unseen),
    "2 steps, nobody looks": lambda n: policy(usual(n), 2, Unseen),
    "1 step, nobody looks": lambda n: policy(usual(n), 1, Unseen),
    "int8, 2 steps": lambda n: policy(int8(n), 2),
    "int8, nobody looks": lambda n: policy(int8(n), kind=Unseen),
    "int8, 2 steps, nobody looks": lambda n: policy(int8(n), 2, Unseen),
    "tokenizer by TorchScript, fused": traced_tokenizer,
    "tokenizer by torch.compile": compiled_tokenizer,
    "denoising by torch.compile": compiled_blocks,
    "tokenizer by OpenVINO": openvino_tokenizer,
}


def episode(chunks: int) -> list[Observation]:
    """Observations, four steps apart, of the arm that does what the shipped model says."""
    world = World(PANDA)
    instruction = world.reset(1000)
    shipped = load_policy(CONFIG.name, "", PANDA)
    shipped.reset(instruction)
    driver = StepDriver(world)
    step_ns = round(PANDA.step_period_s * NS)
    seen: list[Observation] = []
    for k in range(chunks):
        stamp = 4 * k * step_ns
        zero = np.zeros(len(PANDA.joint_names))
        joints = JointState(stamp, PANDA.joint_names, world.q, zero, zero)
        frames = observe(world, PANDA)
        stamps = (stamp,) * len(PANDA.view_names)
        seen.append(Observation(stamp, PANDA.view_names, frames, stamps, joints))
        for row in shipped.predict(seen[-1]).positions[:4]:
            driver.to(row)
    world.close()
    return seen


def make(networks: Networks, ways: list[str]) -> tuple[dict[str, DreamZeroPolicy], dict[str, str]]:
    """The policies that can be made here and asked twice, and why the others cannot."""
    made: dict[str, DreamZeroPolicy] = {}
    failed: dict[str, str] = {}
    for name in ways:
        try:
            made[name] = WAYS[name](copy.deepcopy(networks))
        except Exception as error:  # whatever a compiler or runtime has to say
            failed[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:70]}"
    return made, failed


def measure(
    made: dict[str, DreamZeroPolicy], seen: list[Observation], rounds: int, instruction: str
) -> tuple[dict[str, dict], dict[str, str]]:
    """Times of the ways in turns [s], by part too, and their joints; who fails is left out."""
    found: dict[str, dict] = {name: {"s": [], "parts": [], "q": []} for name in made}
    failed: dict[str, str] = {}
    for k in range(rounds + 1):  # the first is not timed
        for p in made.values():
            p.reset(instruction)
        for observation in seen:
            for name, p in made.items():
                if name in failed:
                    continue
                try:
                    began = time.perf_counter(), time.process_time()
                    out = p.predict(observation)
                    took = time.perf_counter() - began[0], time.process_time() - began[1]
                except Exception as error:
                    failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:70]}"
                    continue
                if k:
                    found[name]["s"].append(took)
                    found[name]["parts"].append(out.timing_s)
                if k == 1:
                    found[name]["q"].append(out.positions)
    return {name: v for name, v in found.items() if name not in failed}, failed


def rows(found: dict[str, dict]) -> dict[str, dict[str, float]]:
    wall, busy = (
        {name: 1e3 * statistics.median(s[k] for s in v["s"]) for name, v in found.items()}
        for k in (0, 1)
    )
    table = {}
    for name, v in found.items():
        parts = {
            part: round(1e3 * statistics.median(p[part] for p in v["parts"]), 2)
            for part in v["parts"][0]
        }
        off = np.abs(np.array(v["q"]) - np.array(found[SHIPPED]["q"]))[..., :-1]
        table[name] = {
            "ms": round(wall[name], 2),
            "processor_ms": round(busy[name], 2),
            "ratio": round(busy[name] / busy[SHIPPED], 3),
            "chunks_s": round(1e3 / wall[name], 2),
            **{f"{part}_ms": ms for part, ms in parts.items()},
            "off_mean_mrad": round(1e3 * float(off.mean()), 2),
            "off_max_mrad": round(1e3 * float(off.max()), 2),
        }
    return table


def show(table: dict[str, dict[str, float]], failed: dict[str, str], console: Console) -> None:
    columns = (
        "ms",
        "processor_ms",
        "ratio",
        "chunks_s",
        "encode_ms",
        "prefill_ms",
        "denoise_ms",
        "decode_ms",
    )
    columns += ("off_mean_mrad", "off_max_mrad")
    grid = Table("one chunk", *(c.replace("_", " ") for c in columns))
    for name, row in sorted(table.items(), key=lambda item: item[1]["ratio"]):
        grid.add_row(name, *(f"{row[c]:.2f}" for c in columns))
    console.print(grid)
    for name, why in failed.items():
        console.print(f"{name}: not here: {why}", markup=False)


def main() -> None:
    """Print the table; write it as JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="times that the episode is predicted")
    parser.add_argument("--chunks", type=int, default=12, help="predictions of the episode")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    require_writable("--json", args.json)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("MUJOCO_GL", "egl")
    torch.set_num_threads(args.threads)
    ways = [SHIPPED, *(w for w in args.ways if w != SHIPPED)]
    networks = load_checkpoint(Path("weights/tiny.safetensors"), CONFIG)
    made, failed = make(networks, ways)
    found, later = measure(made, episode(args.chunks), args.rounds, "pick up the red block")
    table = rows(found)
    console = Console(width=160)
    console.print(str(processor()), highlight=False)
    show(table, failed | later, console)
    if args.json:
        setting = {"processor": str(processor()), "threads": args.threads, "load": os.getloadavg()}
        write_json(args.json, {"setting": setting, "ways": table, "failed": failed | later})


if __name__ == "__main__":
    main()
