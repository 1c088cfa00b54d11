"""The closed loop's model: observed frames in, a chunk of joint targets and imagined frames out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.images import tile, untile
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.types import NS, Conditioning, Observation
from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.config import DreamZeroConfig, load_model_config
from wam_ros.models.dreamzero.load import Networks, load_checkpoint
from wam_ros.models.dreamzero.memory import FrameMemory
from wam_ros.models.dreamzero.model import Context
from wam_ros.models.sampling import Euler, integrate, schedule

STILL = 0.1  # of full brightness: an imagined change beyond this is motion
NOISE_SEED = 1140  # one noise for every chunk, as in the reference server: successive chunks then agree


def load(name: str, weights: Path, embodiment: Embodiment, threads: int, steps: int, memory: str) -> DreamZeroPolicy:
    """Build the policy; raises `WamError` when weights, model and robot do not fit."""
    config = load_model_config(name)
    if config.embodiment != embodiment.name:
        raise WamError(f"model '{config.name}' was trained for '{config.embodiment}', not for '{embodiment.name}'")
    wanted = (config.image_height, config.image_width, config.views, config.action_dim, config.chunk.action_horizon)
    e = embodiment
    found = (e.image_height, e.image_width, len(e.cameras), len(e.joint_names), e.action_horizon)
    if wanted != found:
        raise WamError(
            f"model '{config.name}' wants (height, width, views, joints, horizon) {wanted}, {e.name} has {found}"
        )
    torch.set_num_threads(threads)
    networks = load_checkpoint(weights, config)
    networks.model.to(arithmetic())
    networks.tokenizer.to(arithmetic(), memory_format=torch.channels_last)
    return DreamZeroPolicy(config, embodiment, networks, steps or config.denoising_steps, memory)


def arithmetic() -> torch.dtype:
    """bf16, the precision of training, where the processor multiplies it natively; else fp32."""
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


class DreamZeroPolicy:
    """Implements `core.policy.Policy`. One thread owns it."""

    def __init__(
        self, config: DreamZeroConfig, embodiment: Embodiment, networks: Networks, steps: int, memory: str = "real"
    ) -> None:
        self.name, self.checkpoint_hash = config.name, networks.digest
        self.config, self.embodiment, self.networks = config, embodiment, networks
        self.solver = Euler(schedule(steps, config.shift))
        self._refresh = memory == "real"
        self._grip = [embodiment.joint_names.index(j) for j in embodiment.gripper_joints]
        generator = torch.Generator().manual_seed(NOISE_SEED)
        chunk, (h, w) = config.chunk, config.latent_size
        channels = config.tokenizer.latent_channels
        self._video_noise = torch.randn(1, 1, chunk.imagined_frames, channels, h, w, generator=generator)
        self._action_noise = torch.randn(1, 1, chunk.action_horizon, config.action_dim, generator=generator)
        self._context: Context | None = None

    @torch.inference_mode()
    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction; see `core.policy.Policy.reset`."""
        model = self.networks.model
        self._context = model.encode_text(model.text_encoder.tokenize([instruction]))
        self._memory = FrameMemory(model, self._context)
        self._first_ns: int | None = None
        self._due = 0  # control step at which an unrefreshed memory takes its own imagination for the next frame
        self._own: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def predict(self, observation: Observation) -> PolicyOutput | None:
        """Refresh the memory with the observed frame and predict from it.

        Raises:
            WamError: no instruction was set, or the observation has other views or joints than the model.
        """
        if self._context is None:
            raise WamError("no instruction was set")
        if self._first_ns is None:
            self._first_ns = observation.stamp_ns
        step = round((observation.stamp_ns - self._first_ns) / NS / self.embodiment.step_period_s)
        if not self._refresh and step < self._due:
            return None
        began = time.perf_counter()
        latent, state = self._see(observation)
        encoded = time.perf_counter()
        if not self._refresh:
            step, self._due = self._due, self._due + self.config.chunk.frame_stride
        cache, rope = self._memory.observe(step, latent)
        remembered = time.perf_counter()
        video, action = self._denoise(latent, state, cache, rope)
        positions = self.networks.normaliser.to_joints(action, state)
        denoised = time.perf_counter()
        video = video.to(latent.dtype)
        self._own = (video[:, :, 0], positions[:, :, self.config.chunk.frame_stride - 1])
        frames = self._decode(video[0, 0], latent[0], observation)
        stride_ns = round(self.config.chunk.frame_stride * self.embodiment.step_period_s * NS)
        return PolicyOutput(
            positions=self._feasible(positions[0, 0].double().numpy(), observation),
            frames=frames,
            frame_offsets_ns=tuple(stride_ns * (i + 1) for i in range(len(frames))),
            conditioning=Conditioning.REAL if self._refresh or step == 0 else Conditioning.IMAGINED,
            evaluations=len(self.solver.times),
            timing_s={
                "encode": encoded - began,
                "prefill": remembered - encoded,
                "denoise": denoised - remembered,
                "decode": time.perf_counter() - denoised,
            },
        )

    def _see(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Latent (1, 1, C, h, w) and state (1, 1, A) rad, m; an unrefreshed memory sees its own imagination instead."""
        if not self._refresh and self._own is not None:
            return self._own
        e, shape = self.embodiment, observation.frames.shape
        if observation.view_names != e.view_names or observation.joints.joint_names != e.joint_names:
            raise WamError(f"observation has views {observation.view_names}, expected {e.view_names}, or other joints")
        if shape != (len(e.cameras), e.image_height, e.image_width, 3):
            raise WamError(f"observation frames are {shape}, expected {e.image_height}x{e.image_width} RGB per view")
        canvas = torch.from_numpy(tile(observation.frames))
        latent = self.networks.tokenizer.encode(canvas[None])[None]
        state = torch.from_numpy(np.asarray(observation.joints.positions, np.float32))[None, None]
        return latent, state

    def _denoise(
        self, latent: Tensor, state: Tensor, cache: KvCache, rope: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Future latents (1, 1, F, C, h, w) and normalised actions (1, 1, T, A)."""
        model, context = self.networks.model, self._context
        assert context is not None
        dtype = model.dtype
        cond = model.condition(self.networks.normaliser.state(state).to(dtype), latent, context)

        def velocity(video: Tensor, action: Tensor, t_video: float, t_action: float) -> tuple[Tensor, Tensor]:
            v = model.denoise(video.to(dtype), action.to(dtype), t_video, t_action, cond, latent, rope, context, cache)
            return v.video.float(), v.action.float()

        return integrate(velocity, self._video_noise, self._action_noise, self.solver, self.solver)

    def _decode(self, video: Tensor, latent: Tensor, observation: Observation) -> np.ndarray:
        """(F, V, H, W, 3) uint8 imagined frames.

        What the tokenizer loses of the observed frame is added back where the picture is imagined to stay as it is.
        """
        decoded = self.networks.tokenizer.decode(torch.cat([latent, video])).float()
        if self._refresh or self._due == self.config.chunk.frame_stride:
            seen = torch.from_numpy(tile(observation.frames)).float() / 255
            change = (decoded - decoded[:1]).abs().amax(-1, keepdim=True)
            decoded = decoded + (1 - change / STILL).clamp_min(0) * (seen - decoded[:1])
        canvas = (decoded[1:].clamp(0, 1) * 255).round().byte().numpy()
        return np.stack([untile(c, self.config.views) for c in canvas])

    def _feasible(self, positions: np.ndarray, observation: Observation) -> np.ndarray:
        """Fingers no faster than demonstrated: their open-or-closed targets are the one thing that may jump."""
        before = np.asarray(observation.joints.positions)[self._grip]
        for row in positions:
            row[self._grip] = np.clip(
                row[self._grip], before - self.config.gripper_step, before + self.config.gripper_step
            )
            before = row[self._grip]
        return positions
