"""Observations in; action chunks, imagined futures and a status out. The model runs on its own thread."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import AUTO, CHUNKING, LatencyWindow, require_offered
from wam_ros.core.notices import Notice
from wam_ros.core.policy import Policy, abilities_of
from wam_ros.core.types import NS, ImaginedFuture
from wam_ros.msg import ActionChunk, Observation, WamStatus
from wam_ros.msg import ImaginedFuture as ImaginedFutureMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.params import param
from wam_ros.ros.running import run_node
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.prediction import keyframes, require_instruction
from wam_ros.runtime.results import Outcome
from wam_ros.runtime.session import InferenceSession, example_observation
from wam_ros.runtime.values import VALUES, load_goal, make_value
from wam_ros.srv import LoadModel, SetInstruction


@dataclass(frozen=True)
class InferenceParams:
    """Parameters of the inference node."""

    embodiment: str = param("panda", doc="Robot: a name in config/embodiments or the path of a YAML file")
    model: str = param("tiny", doc="World action model: a name in config/models or the path of a YAML file")
    checkpoint: str = param("", doc="Weights, a file or a released folder; empty takes those of the model")
    instruction: str = param("", doc="First instruction; empty waits for ~/set_instruction")
    memory: str = param(
        "real",
        choices=("real", "imagined"),
        doc="What the model remembers: what it saw, or what it imagined (ablation)",
    )
    imagination: str = param(
        "full", choices=("off", "keyframes", "full"), doc="Imagined frames to publish: none, the farthest, all"
    )
    execute_steps: int = param(
        1, unit="steps", low=1, high=1000, doc="Steps of a chunk to execute before the next one is predicted"
    )
    chunking: str = param(
        AUTO,
        choices=(AUTO, *CHUNKING),
        doc="How chunks follow each other; auto takes the best one that model and delay allow",
    )
    candidates: int = param(1, low=1, high=64, doc="Chunks predicted in one batch, of which the best is taken")
    value: str = param("consensus", choices=tuple(VALUES), doc="What makes a candidate the best")
    goal_image: str = param("", doc="Views of the wished-for end, .npy (V, H, W, 3) uint8, for value goal_image")
    steps: int = param(0, unit="steps", low=0, high=1000, doc="Denoising steps per chunk; 0 takes the model's own")
    threads: int = param(1, low=1, high=256, doc="CPU threads of the model")
    warmups: int = param(2, low=0, high=100, doc="Predictions thrown away before the first real one")
    warmup_timeout_s: float = param(60.0, unit="s", low=0.1, high=3600.0, doc="Longest warm-up at configure")
    max_gap_s: float = param(
        1.0, unit="s", low=0.05, high=60.0, doc="Gap between observations after which the model forgets"
    )
    lead_s: float = param(0.08, unit="s", low=0.0, high=0.5, doc="lead_s of safety_node: until a chunk is followed")
    latency_window: int = param(100, low=1, high=100000, doc="Latencies from which the delay is forecast")
    latency_warmup: int = param(2, low=0, high=1000, doc="First latencies of a session that do not count")
    status_rate_hz: float = param(2.0, unit="Hz", low=0.1, high=50.0, doc="Rate of wam_status")
    silence_s: float = param(
        1.0, unit="s", low=0.05, high=60.0, doc="Silence of the cameras or of the model that is an error"
    )
    reset_timeout_s: float = param(
        5.0, unit="s", low=0.1, high=600.0, doc="How long a service waits for a busy model before it gives up"
    )
    max_characters: int = param(200, low=1, high=10000, doc="Longest instruction accepted")


class InferenceNode(WamNode):
    """Wires topics and services to an `InferenceEngine` and an `InferenceSession`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("inference_node", InferenceParams, **kwargs)
        self._engine: InferenceEngine | None = None
        self._session: InferenceSession | None = None

    def make_policy(self, robot: Embodiment, model: str, checkpoint: str) -> Policy:
        """Load a model; raises `WamError` with the choices."""
        from wam_ros.models import load_policy  # torch only where the model runs

        p = self.params
        policy = load_policy(model, checkpoint, robot, threads=p.threads, steps=p.steps, memory=p.memory)
        abilities = abilities_of(policy)
        require_offered(p.chunking, abilities)
        if p.candidates > abilities.candidates:
            raise WamError(f"candidates is {p.candidates}, '{policy.name}' predicts at most {abilities.candidates}")
        return policy

    def configure(self) -> None:
        """Load model and weights, warm up, take the first instruction; whatever is wrong is an error here."""
        p = self.params
        self._robot = load_embodiment(p.embodiment)
        policy = self.make_policy(self._robot, p.model, p.checkpoint)
        value = make_value(p.value, load_goal(p.goal_image)) if p.candidates > 1 else None
        # The engine wakes the executor through a guard condition: no polling, hence no latency and no idle load.
        self._guard = self.create_guard_condition(self._on_result)
        self._engine = InferenceEngine(
            policy,
            max_gap_ns=round(p.max_gap_s * NS),
            step_period_ns=round(self._robot.step_period_s * NS),
            example=example_observation(self._robot),
            warmups=p.warmups,
            value=value,
            on_event=self._guard.trigger,
        )
        warm = self._engine.warm_up().result(p.warmup_timeout_s)
        if not warm.ok:
            raise WamError(f"the warm-up failed: {warm.message}")
        if p.instruction and not (outcome := self._reset_to(p.instruction)).ok:
            raise WamError(outcome.message)
        self._make_interfaces()

    def activate(self) -> None:
        """Begin a session: chunks of an earlier one can be told apart by its id."""
        p, engine = self.params, self._engine
        if not (outcome := self._reset_to(None)).ok or engine is None:
            raise WamError(outcome.message)
        policy = engine.status().policy
        assert policy is not None
        self._session = InferenceSession(
            self._robot,
            policy.name,
            policy.checkpoint_hash,
            uuid.uuid4().bytes,
            LatencyWindow(p.latency_window, p.latency_warmup),
            execute_steps=p.execute_steps,
            abilities=abilities_of(policy),
            chunking=p.chunking,
            candidates=p.candidates,
            lead_s=p.lead_s,
        )
        self._notice, self._said_timing = Notice(5.0), ""
        self._quiet_until = time.monotonic() + 2.0
        self._input = self.create_subscription(Observation, "observation", self._on_observation, qos.OBSERVATION)
        self._timer = self.create_timer(
            1.0 / p.status_rate_hz, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def deactivate(self) -> None:
        """End the session; what the model still computes is thrown away."""
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._input)
        self._session = None

    def cleanup(self) -> None:
        """End the model's thread."""
        engine, self._engine = self._engine, None
        if engine is not None and not engine.close():
            self.get_logger().error("the model does not come to an end; its thread is left behind")

    def _make_interfaces(self) -> None:
        make = self.create_lifecycle_publisher
        self._chunks = make(ActionChunk, "action_chunk", qos.CHUNK)
        self._futures = make(ImaginedFutureMsg, "imagined_future", qos.OBSERVATION)
        self._diagnostics = make(DiagnosticArray, "/diagnostics", qos.STATUS)
        self._status = make(WamStatus, "wam_status", qos.STATUS)
        self._images = {v: make(Image, f"imagined/{v}/image", qos.OBSERVATION) for v in self._robot.view_names}
        self.create_service(SetInstruction, "~/set_instruction", self._on_set_instruction)
        self.create_service(LoadModel, "~/load_model", self._on_load_model)
        self.create_service(Trigger, "~/reset", self._on_reset)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    # A callback may still run right after the transition that destroyed its entity: hence the checks for None.

    def _on_observation(self, msg: Observation) -> None:
        if self._engine is None or self._session is None:
            return
        try:
            observation = convert.observation_from_msg(msg)
            request = self._session.observe(observation)
        except WamError as error:
            self._say(f"observation refused: {error}")
            return
        if request is not None:
            self._engine.submit(observation, request)

    def _on_result(self) -> None:
        if self._engine is None or self._session is None or (result := self._engine.take()) is None:
            return
        if result.output is None:
            self._session.answered(result.observation.stamp_ns)
            if result.error:
                self._say(f"no chunk: {result.error}")
        else:
            chunk, future = self._session.chunk(result, self._now_ns())
            self._chunks.publish(convert.chunk_to_msg(chunk))
            self._publish_imagined(future)
        if (look := self._session.next_look()) is not None:
            self._engine.submit(*look)

    def _publish_imagined(self, future: ImaginedFuture) -> None:
        if self.params.imagination == "off" or not len(future.frames):
            return
        future = future if self.params.imagination == "full" else keyframes(future)
        self._futures.publish(convert.imagined_to_msg(future))
        for view, frame in zip(future.view_names, future.frames[-1], strict=True):
            image = convert.numpy_to_image(np.ascontiguousarray(frame), future.instants_ns[-1], view)
            self._images[view].publish(image)

    def _on_timer(self) -> None:
        if self._engine is None or self._session is None:
            return
        status = self._session.status(self._now_ns(), self._engine.status(), self.params.silence_s)
        self._status.publish(convert.status_to_msg(status))
        self._diagnostics.publish(self._diagnosis(status.error, self._session.figures()))
        if time.monotonic() > self._quiet_until:
            self._say(status.error)
        timing = self._session.timing
        if timing.delay_steps and str(timing.mode) != self._said_timing:
            self._said_timing = str(timing.mode)
            self.get_logger().info(str(timing))

    def _diagnosis(self, error: str, figures: dict[str, str]) -> DiagnosticArray:
        values = [KeyValue(key=k, value=v) for k, v in figures.items()]
        level = DiagnosticStatus.WARN if error else DiagnosticStatus.OK
        assert self._engine is not None
        policy = self._engine.status().policy
        name = f"{self.get_name()}: {'' if policy is None else policy.name}"
        array = DiagnosticArray(status=[DiagnosticStatus(level=level, name=name, message=error or "OK", values=values)])
        array.header.stamp = self.get_clock().now().to_msg()
        return array

    def _say(self, complaint: str) -> None:
        subject = "".join(c for c in complaint if not c.isdigit())
        if self._notice.due(complaint, time.monotonic(), subject):
            self.get_logger().warning(complaint)

    def _on_set_instruction(self, request: Any, response: Any) -> Any:
        outcome = self._reset_to(request.instruction)
        response.ok, response.message, response.epoch = outcome.ok, outcome.message, outcome.epoch
        return response

    async def _on_load_model(self, request: Any, response: Any) -> Any:
        """Swap the model; the executor goes on publishing chunks of the present one meanwhile."""
        engine, robot = self._engine, self._robot
        if engine is None:
            response.ok, response.message = False, "no model is loaded"
            return response
        model, done = request.model or self.params.model, Future()
        swapped = engine.swap(lambda: self.make_policy(robot, model, request.checkpoint))
        swapped.add_done_callback(lambda f: done.set_result(f.result()))
        outcome = await done
        policy = engine.status().policy
        response.ok, response.message = outcome.ok, outcome.message
        response.checkpoint_hash = "" if policy is None else policy.checkpoint_hash
        if outcome.ok and policy is not None and self._session is not None:
            self._session.abilities = abilities_of(policy)
        self.get_logger().info(f"model '{model}': {response.checkpoint_hash if outcome.ok else outcome.message}")
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        outcome = self._reset_to(None)
        response.success, response.message = outcome.ok, outcome.message
        return response

    def _reset_to(self, instruction: str | None) -> Outcome:
        """Forget, and follow `instruction` if there is one.

        It waits for the prediction under way: the old chunks are void anyway, and an awaiting service keeps the
        executor of rclpy spinning.
        """
        if self._engine is None:
            return Outcome(False, "no model is loaded", 0)
        try:
            text = None if instruction is None else require_instruction(instruction, self.params.max_characters)
        except WamError as error:
            return Outcome(False, str(error), self._engine.status().epoch)
        outcome = self._engine.reset_within(text, self.params.reset_timeout_s)
        if outcome.ok and self._session is not None:
            self._session.forget()
        what = "memory reset" if text is None else f"instruction '{text}'"
        self.get_logger().info(f"{what}: {'epoch ' + str(outcome.epoch) if outcome.ok else outcome.message}")
        return outcome


def main() -> None:
    """Entry point of `ros2 run wam_ros inference_node`."""
    run_node(InferenceNode)


if __name__ == "__main__":
    main()
