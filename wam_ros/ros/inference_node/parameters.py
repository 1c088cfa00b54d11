"""The parameters of the inference node and what is made of them."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import AUTO, CHUNKING, LatencyWindow, require_offered
from wam_ros.core.policy import Policy, abilities_of, calm_of
from wam_ros.core.types import NS
from wam_ros.ros.params import param
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.prediction import example_observation
from wam_ros.runtime.scheduler import InferenceScheduler
from wam_ros.runtime.session import InferenceSession
from wam_ros.runtime.values import VALUES, load_goal, make_value

ANY_VALUE = -1e6  # the least that a candidate may have


@dataclass(frozen=True)
class InferenceParams:
    """Parameters of the inference node."""

    embodiment: str = param(
        "panda", doc="Robot: a name in config/embodiments or the path of a YAML file"
    )
    model: str = param(
        "tiny",
        doc="World action model: a name in config/models, the path of a YAML file, or a server: "
        "ws://HOST:PORT, or CONTRACT@ws://HOST:PORT with a name in config/wires or a path",
    )
    checkpoint: str = param(
        "", doc="Weights, a file or a released folder; empty takes those of the model"
    )
    instruction: str = param("", doc="First instruction; empty waits for ~/set_instruction")
    memory: str = param(
        "real",
        choices=("real", "imagined"),
        doc="What the model remembers: what it saw, or what it imagined (ablation)",
    )
    imagination: str = param(
        "full",
        choices=("off", "keyframes", "full"),
        doc="Imagined frames to publish: none, the farthest, all",
    )
    execute_steps: int = param(
        1,
        unit="steps",
        low=1,
        high=1000,
        doc="Steps of a chunk to execute before the next one is predicted",
    )
    chunking: str = param(
        AUTO,
        choices=(AUTO, *CHUNKING),
        doc="How chunks follow each other; auto takes the best one that model and delay allow",
    )
    candidates: int = param(
        1, low=1, high=64, doc="Chunks predicted in one batch, of which the best is taken"
    )
    value: str = param("consensus", choices=tuple(VALUES), doc="What makes a candidate the best")
    least_value: float = param(
        ANY_VALUE,
        low=ANY_VALUE,
        high=1e6,
        doc="The best candidate needs at least this value, else there is no chunk and the arm "
        "comes to rest; the lowest number: any will do",
    )
    goal_image: str = param(
        "", doc="Views of the wished-for end, .npy (V, H, W, 3) uint8, for value goal_image"
    )
    steps: int = param(
        0, unit="steps", low=0, high=1000, doc="Denoising steps per chunk; 0 takes the model's own"
    )
    threads: int = param(1, low=1, high=256, doc="CPU threads of the model")
    warmups: int = param(
        2, low=0, high=100, doc="Predictions thrown away before the first real one"
    )
    warmup_timeout_s: float = param(
        60.0, unit="s", low=0.1, high=3600.0, doc="Longest warm-up at configure"
    )
    max_gap_s: float = param(
        1.0,
        unit="s",
        low=0.05,
        high=60.0,
        doc="Gap between observations after which the model forgets",
    )
    lead_s: float = param(
        0.08, unit="s", low=0.0, high=0.5, doc="lead_s of safety_node: until a chunk is followed"
    )
    latency_s: float = param(
        0.1,
        unit="s",
        low=0.0,
        high=10.0,
        doc="With lockstep: a chunk is due so long after its observation, however long it takes",
    )
    latency_window: int = param(
        100, low=1, high=100000, doc="Latencies from which the delay is forecast, at most"
    )
    latency_span_s: float = param(
        5.0, unit="s", low=0.1, high=3600.0, doc="Older latencies are forgotten"
    )
    latency_warmup: int = param(
        2, low=0, high=1000, doc="First latencies of a session that do not count"
    )
    status_rate_hz: float = param(2.0, unit="Hz", low=0.1, high=50.0, doc="Rate of wam_status")
    silence_s: float = param(
        1.0,
        unit="s",
        low=0.05,
        high=60.0,
        doc="Silence of the cameras or of the model that is an error",
    )
    reset_timeout_s: float = param(
        5.0,
        unit="s",
        low=0.1,
        high=600.0,
        doc="How long a service waits for a busy model before it gives up",
    )
    max_characters: int = param(200, low=1, high=10000, doc="Longest instruction accepted")


def make_policy(p: InferenceParams, robot: Embodiment, model: str, checkpoint: str) -> Policy:
    """Load a model; raises `WamError` with the choices."""
    if p.candidates > 1 and (p.chunking == "lookahead" or p.memory == "imagined"):
        what = "chunking lookahead" if p.chunking == "lookahead" else "memory imagined"
        raise WamError(
            f"candidates is {p.candidates}, but {what} goes on from what one chunk imagined: it "
            "must be 1"
        )
    from wam_ros.models import load_policy  # torch only where the model runs

    policy = load_policy(
        model, checkpoint, robot, threads=p.threads, steps=p.steps, memory=p.memory
    )
    abilities = abilities_of(policy)
    require_offered(p.chunking, abilities)
    if p.candidates > abilities.candidates:
        raise WamError(
            f"candidates is {p.candidates}, '{policy.name}' predicts at most {abilities.candidates}"
        )
    return policy


def make_engine(
    p: InferenceParams,
    robot: Embodiment,
    policy: Policy,
    on_event: Callable[[], None],
    apart: bool = True,
) -> InferenceEngine:
    """The thread that runs `policy`; raises `WamError` when the goal image cannot be read."""
    judges = p.candidates > 1 or p.least_value > ANY_VALUE
    return InferenceEngine(
        policy,
        max_gap_ns=round(p.max_gap_s * NS),
        step_period_ns=round(robot.step_period_s * NS),
        example=example_observation(robot),
        warmups=p.warmups,
        value=make_value(p.value, load_goal(p.goal_image)) if judges else None,
        least_value=p.least_value if p.least_value > ANY_VALUE else -math.inf,
        apart=apart,
        on_event=on_event,
    )


def make_session(
    p: InferenceParams, robot: Embodiment, policy: Policy, lockstep: bool = False
) -> InferenceSession:
    """A session of its own id: chunks of an earlier one can be told apart. In lock-step the delay
    is known beforehand.
    """
    window = LatencyWindow(p.latency_window, 0 if lockstep else p.latency_warmup, p.latency_span_s)
    if lockstep:
        window.add(p.latency_s)
    scheduler = InferenceScheduler(
        robot,
        window,
        execute_steps=p.execute_steps,
        abilities=abilities_of(policy),
        chunking=p.chunking,
        candidates=p.candidates,
        lead_s=p.lead_s,
    )
    return InferenceSession(
        embodiment=robot,
        model=policy.name,
        checkpoint_hash=policy.checkpoint_hash,
        session_id=uuid.uuid4().bytes,
        scheduler=scheduler,
        calm=calm_of(policy),
    )
