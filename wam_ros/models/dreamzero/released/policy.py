"""A released checkpoint behind the loop's policy protocol."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import torch

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.resources import config_names, config_path, share_dir
from wam_ros.core.types import NS, Conditioning, Observation
from wam_ros.core.yamlfile import load_yaml
from wam_ros.models.dreamzero.released.bound import BoundRobot
from wam_ros.models.dreamzero.released.checkpoint import Checkpoint, open_checkpoint
from wam_ros.models.dreamzero.released.contract import Contract, load_contract
from wam_ros.models.dreamzero.released.dit_config import load_dit_config
from wam_ros.models.dreamzero.released.inference import load_inference, require_sampling
from wam_ros.models.dreamzero.released.prompts import FILES, PromptTokenizer, clean, paragraph
from wam_ros.models.dreamzero.released.quantiles import read_scaling
from wam_ros.models.dreamzero.released.ranks import Ranks, rank_of_environment
from wam_ros.models.dreamzero.released.rollout import Rollout
from wam_ros.models.dreamzero.released.towers import Towers
from wam_ros.models.dreamzero.released.vae import VaeConfig

# folders of a checkpoint that may hold one
VOCABULARIES = ("", "tokenizer", "umt5-xxl", "google/umt5-xxl")
METADATA = "experiment_cfg/metadata.json"
PLAIN = Request()


def load(
    name: str, weights: Path, embodiment: Embodiment, threads: int, steps: int, memory: str
) -> ReleasedPolicy:
    """Build the policy of a checkpoint folder; `steps` are evaluations of the network, 0 those of
    its description.

    Raises:
        WamError: checkpoint, model and robot do not fit.
    """
    described = load_dit_config(name)
    inference = load_inference(name)
    if memory != "real":
        raise WamError(f"model '{name}' remembers real frames only, found memory '{memory}'")
    if weights == share_dir():
        raise WamError(f"model '{name}' has no shipped weights: name the folder of its checkpoint")
    if steps:
        sampling = dataclasses.replace(inference.sampling, evaluations=steps)
        require_sampling(sampling)
        inference = dataclasses.replace(inference, sampling=sampling)
    torch.set_num_threads(threads)
    checkpoint = open_checkpoint(weights, described)
    contract = named_contract(name) or find_contract(checkpoint, embodiment)
    checkpoint.trained.require(contract)
    scaling = read_scaling(
        checkpoint.metadata,
        contract,
        f"{weights / METADATA}",
        checkpoint.trained.modes(contract),
        described.actions_per_block if checkpoint.trained.per_horizon() else 0,
    )
    robot = BoundRobot(contract, scaling, embodiment, checkpoint.config.dit.actions_per_block)
    require_block(robot, checkpoint.config.vae, checkpoint)
    tokenizer = PromptTokenizer(
        find_vocabulary(weights), checkpoint.config.dit.transformer.text_len
    )
    clean("")  # its library is asked for now, not in the loop
    rank = rank_of_environment()
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda") if rank is None else torch.device("cuda", rank)
    network = checkpoint.load(device, inference.dtype(device.type))
    network.model.use(inference.speedups)
    inference.accelerate(network.model)
    inference.rehearse(network.model)
    towers = Towers(network, tokenizer)
    negative = str(load_yaml(share_dir() / "config" / "negative_prompt.yaml")["negative_prompt"])
    rollout = Rollout(
        model=network.model,
        encoders=towers,
        negative=negative,
        sampling=inference.sampling,
        history=inference.history,
        ranks=None if rank is None else Ranks(rank, device),
    )
    return ReleasedPolicy(
        name=name,
        digest=checkpoint.digest,
        robot=robot,
        towers=towers,
        rollout=rollout,
        runs_on=inference.runs_on(device),
    )


def named_contract(name: str) -> Contract | None:
    """The contract that a model's description names, by its name or by a path, also from where that
    description lies.
    """
    path = config_path("models", name)
    contract = str(load_yaml(path).get("contract", ""))
    if not contract:
        return None
    beside = path.parent / contract
    return load_contract(str(beside) if beside.is_file() else contract)


def find_contract(checkpoint: Checkpoint, embodiment: Embodiment) -> Contract:
    """The contract that has statistics in the checkpoint and a binding for the robot.

    Raises:
        WamError: no statistics (the message says how to supply them), or none or several contracts
            fit.
    """
    known = {n: load_contract(n) for n in config_names("contracts")}
    bound = [c for c in known.values() if embodiment.name in c.robots]
    path = checkpoint.folder / METADATA
    if checkpoint.metadata is None:
        name = (bound or list(known.values()))[0].name
        entry = (
            f"{{{name}: {{statistics: {{state|action: {{<group>: {{q01: [...], q99: [...]}}}}}}}}}}"
        )
        raise WamError(
            f"'{path}' is missing, so joints cannot be scaled (the AgiBot release comes "
            "without). Write it from your "
            f"data: {entry}, with the groups of config/contracts/{name}.yaml, relative ones of "
            "the differences"
        )
    fitting = [c for c in bound if c.name in checkpoint.metadata]
    if len(fitting) != 1:
        raise WamError(
            f"{path} has statistics of {sorted(checkpoint.metadata)}; contracts that bind "
            f"'{embodiment.name}': "
            f"{', '.join(c.name for c in bound) or 'none'}; exactly one must be in both. Name "
            "yours as `contract` in the model's file"
        )
    return fitting[0]


def require_block(robot: BoundRobot, vae: VaeConfig, checkpoint: Checkpoint) -> None:
    """Refuse networks whose block is not `frame_stride` control steps per imagined frame, or that
    lack columns.
    """
    dit = checkpoint.config.dit
    c = robot.contract
    if (
        dit.frames_per_block * vae.frames * c.frame_stride != dit.actions_per_block
        or dit.states_per_block != 1
    ):
        raise WamError(
            f"{checkpoint.folder}: a block has {dit.actions_per_block} actions, "
            f"{dit.frames_per_block} latent frames "
            f"and {dit.states_per_block} states; '{c.name}' wants a frame every {c.frame_stride} "
            "steps and one state"
        )
    if c.action_dim > dit.action_dim or c.state_dim > dit.state_dim:
        raise WamError(
            f"{checkpoint.folder}: '{c.name}' needs {c.action_dim} action columns, found "
            f"{dit.action_dim}"
        )


def find_vocabulary(folder: Path) -> Path:
    """The folder of a checkpoint that holds its vocabulary.

    Raises:
        WamError: none does; lists the places.
    """
    for place in VOCABULARIES:
        if any((folder / place / name).is_file() for name in FILES):
            return folder / place
    places = ", ".join(f"'{folder / p}'" for p in VOCABULARIES)
    raise WamError(
        f"no vocabulary of umT5 ({' or '.join(FILES)}) in {places}: copy it from google/umt5-xxl"
    )


class ReleasedPolicy:
    """Implements `core.policy.Policy`. One thread owns it.

    A chunk continues the window when it is asked for exactly one block of actions after the one
    before and the frames in between were remembered; otherwise the window begins anew from the
    present frame, so that the model's time axis and the robot's never disagree.
    """

    def __init__(
        self,
        name: str,
        digest: str,
        robot: BoundRobot,
        towers: Towers,
        rollout: Rollout,
        runs_on: str = "",
    ) -> None:
        self.name = name
        self.checkpoint_hash = digest
        self.robot = robot
        self.towers = towers
        self.rollout = rollout
        self.abilities = Abilities(
            frame_stride=robot.contract.frame_stride, action_conditioned=True
        )
        self.example_instruction = "pick up the cup"
        self.runs_on = runs_on
        self._paragraph = ""

    def follow(self) -> None:
        """The second of two processes that `torchrun` started: compute the other branch of guidance
        for the first one, until that ends.
        """
        self.rollout.follow()

    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction; see `core.policy.Policy.reset`."""
        self._paragraph = paragraph(instruction, self.robot.contract)
        self._frames: dict[int, np.ndarray] = {}  # canvas by control step
        self._first_ns: int | None = None
        self._anchor: int | None = None  # control step that the newest chunk began at

    @torch.inference_mode()
    def predict(self, observation: Observation, request: Request = PLAIN) -> PolicyOutput | None:
        """Remember the observed frame and, when asked, predict from what was remembered.

        Raises:
            WamError: no instruction was set, or the observation has other views or joints than the
                robot.
        """
        if not self._paragraph:
            raise WamError("no instruction was set")
        began = time.perf_counter()
        step = self._step(observation, request)
        self._frames[step] = self.robot.canvas(observation)
        if not request.predict:
            return None
        dit = self.rollout.model.config
        columns = self.robot.columns(observation)
        plan = None
        if request.plan is not None and 0 < len(request.plan) <= request.committed:
            # several are imagined from one frame, and each from the same
            self._anchor = None
            rows = request.plan[: dit.actions_per_block]
            plan = torch.from_numpy(self.robot.action(rows, columns, dit.action_dim))
        frames = self._since_anchor(step)
        device = self.towers.vae.conv1.weight.device
        state = torch.from_numpy(self.robot.state(columns, dit.state_dim)).to(device)
        ready = time.perf_counter()
        chunk = self.rollout.chunk(torch.from_numpy(frames)[None], state, self._paragraph, plan)
        denoised = time.perf_counter()
        action = chunk.action[0].double().cpu().numpy()
        pictures = self.towers.imagined(chunk.video[:, :, -dit.frames_per_block :]).cpu().numpy()
        self._anchor = step
        stride_ns = round(
            self.robot.contract.frame_stride * self.robot.embodiment.step_period_s * NS
        )
        decode_s = time.perf_counter() - denoised
        return PolicyOutput(
            positions=self.robot.positions(action, columns),
            frames=self.robot.frames(pictures, observation),
            frame_offsets_ns=tuple(stride_ns * (i + 1) for i in range(len(pictures))),
            conditioning=Conditioning.REAL,
            evaluations=chunk.evaluations,
            timing_s=chunk.timing_s
            | {"encode": chunk.timing_s["encode"] + ready - began, "decode": decode_s},
        )

    def _step(self, observation: Observation, request: Request) -> int:
        """Control steps since the first observation."""
        if self._first_ns is None:
            self._first_ns = observation.stamp_ns
        if request.step is not None:
            return request.step
        return round(
            (observation.stamp_ns - self._first_ns) / NS / self.robot.embodiment.step_period_s
        )

    def _since_anchor(self, step: int) -> np.ndarray:
        """(T, H, W, 3) frames of the executed block with the one it began from; the present one
        alone begins anew.
        """
        horizon = self.robot.embodiment.action_horizon
        stride = self.robot.contract.frame_stride
        wanted = range(step - horizon, step + 1, stride)
        whole = self._anchor == step - horizon and all(s in self._frames for s in wanted)
        frames = [self._frames[s] for s in wanted] if whole else [self._frames[step]]
        self._frames = {s: f for s, f in self._frames.items() if s >= step}
        return np.stack(frames)
