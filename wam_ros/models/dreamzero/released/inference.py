"""How a released model is run: the part `inference` of its file in `config/models`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml
from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.compiled import compile_denoising
from wam_ros.models.dreamzero.released.history import HISTORY
from wam_ros.models.dreamzero.released.rehearsal import play
from wam_ros.models.dreamzero.released.rollout import Sampling
from wam_ros.models.dreamzero.released.speedups import SpeedUps
from wam_ros.models.dreamzero.shared.float8 import require_float8, to_float8
from wam_ros.models.dreamzero.shared.packed import pack
from wam_ros.models.processor import processor
from wam_ros.models.reuse import FirstStep

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Inference:
    """Every default is what the released server does, computed faster."""

    sampling: Sampling = field(default_factory=Sampling)
    history: str = "reference"  # or newest, sliding (see `history.History`)
    precision: str = ""  # float32 or bfloat16; empty: bfloat16 on an accelerator, float32 on a CPU
    float8: bool = False  # block matrices in e4m3; changes the numbers
    # blocks, and on CUDA one recorded graph per length of the memory; loading takes longer
    compile: bool = False
    speedups: SpeedUps = field(default_factory=SpeedUps)

    def dtype(self, device: str) -> torch.dtype:
        """Arithmetic on a type of device."""
        return PRECISIONS[self.precision or ("float32" if device == "cpu" else "bfloat16")]

    def runs_on(self, device: torch.device) -> str:
        """One line: the device, and the precision that is computed in there."""
        dtype = self.dtype(device.type)
        if device.type != "cpu":
            return f"{torch.cuda.get_device_name(device)}: answers in {named(dtype)}"
        here = processor()
        slower = here.bfloat16.predicting / here.float32.predicting
        warning = ""
        if dtype == torch.bfloat16 and here.predicting != dtype:
            warning = f", which takes {slower:.1f} times as long here as float32"
        loose = self.float8 or self.compile or not self.speedups.packed_weights
        packed = "not " if loose or not here.packs(dtype) else ""
        return f"{here.name}: answers in {named(dtype)}{warning}, matrices {packed}packed"

    def accelerate(self, model: CausalDiT) -> int:
        """Turn loaded weights in place into what this machine multiplies fastest; they can then not
        be saved.

        Returns:
            How many matrices are in 8 bits.

        Raises:
            WamError: what is asked for does not go together, or not on this device.
        """
        device = model.head.modulation.device
        narrowed = 0
        if self.float8:
            require_float8(device, model.dtype)
            narrowed = to_float8(model)
        elif self.speedups.packed_weights and device.type == "cpu" and not self.compile:
            pack(model)
        if self.compile and device.type != "meta":
            compile_denoising(model)
        return narrowed

    def rehearse(self, model: CausalDiT) -> None:
        """Compile for every length of the memory now, and its first slide, and not in the loop."""
        if self.compile:
            play(model, self.sampling, model.config.blocks + 1, reuse=FirstStep())


def named(dtype: torch.dtype) -> str:
    """The name of a precision."""
    return next(name for name, known in PRECISIONS.items() if known == dtype)


def load_inference(name: str) -> Inference:
    """Read and check the part `inference` of a model's description; what it does not name takes its
    default.

    Raises:
        WamError: unknown name, key or choice, or numbers that do not go together.
    """
    path = config_path("models", name)
    where = f"{path}: inference"
    i = from_mapping(Inference, load_yaml(path).get("inference", {}), where)
    try:
        require_known("history", i.history, HISTORY)
        if i.precision:
            require_known("precision", i.precision, PRECISIONS)
        require_sampling(i.sampling)
    except WamError as error:
        raise WamError(f"{where}: {error}") from error
    return i


def require_sampling(s: Sampling) -> None:
    """Raise `WamError` for numbers outside their range, or a combination that no table has."""
    if s.steps < 1 or s.evaluations < 0 or s.shift <= 0 or s.guidance < 1:
        raise WamError("sampling needs steps >= 1, evaluations >= 0, shift > 0 and guidance >= 1")
    if not 0 <= s.last_video_level < 1:
        raise WamError(f"sampling.last_video_level must be in [0, 1), found {s.last_video_level}")
    s.make_solvers()
    s.make_reuse()
