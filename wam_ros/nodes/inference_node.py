"""Observations in; action chunks, imagined futures and a status out. The model runs on its own
thread.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.appraisal import Outlook
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import LatencyWindow
from wam_ros.core.notices import Notice
from wam_ros.core.policy import Policy, abilities_of, calm_of, runs_on
from wam_ros.core.types import NS, ImaginedFuture, StageLatency
from wam_ros.msg import ActionChunk, Appraisal, Observation, WamStatus
from wam_ros.msg import ImaginedFuture as ImaginedFutureMsg
from wam_ros.msg import StageLatency as StageLatencyMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.inference_node.due import DueChunks
from wam_ros.ros.inference_node.parameters import (
    InferenceParams,
    make_engine,
    make_policy,
    make_session,
)
from wam_ros.ros.inference_node.services import ModelServices
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.progress import LockstepParams, ProgressTeller
from wam_ros.ros.running import run_node
from wam_ros.ros.stages import in_order, stages_from_msgs
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.prediction import keyframes
from wam_ros.runtime.results import EngineResult
from wam_ros.runtime.session import InferenceSession


class InferenceNode(WamNode):
    """Wires topics and services to an `InferenceEngine` and an `InferenceSession`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("inference_node", InferenceParams, LockstepParams, **kwargs)
        self._engine: InferenceEngine | None = None
        self._session: InferenceSession | None = None

    def make_policy(self, robot: Embodiment, model: str, checkpoint: str) -> Policy:
        """Load a model; raises `WamError` with the choices."""
        policy = make_policy(self.params, robot, model, checkpoint)
        if said := runs_on(policy):
            self.get_logger().info(f"model '{model}': {said}")
        return policy

    def configure(self) -> None:
        """Load model and weights, warm up, take the first instruction; whatever is wrong is an
        error here.
        """
        p = self.params
        self._robot = robot = load_embodiment(p.embodiment)
        # The engine wakes the executor through a guard condition: no polling, hence no latency and
        # no idle load.
        self._guard = self.create_guard_condition(self._on_result)
        self._progress = ProgressTeller(self)
        self._due = DueChunks(self, self._progress, p.latency_s, self._now_ns, self._on_chunk)
        policy = self.make_policy(robot, p.model, p.checkpoint)
        # a world that waits for chunks waits for what was imagined with them, too
        apart = not self._progress.enabled
        self._engine = make_engine(p, robot, policy, self._guard.trigger, apart)
        load = partial(self.make_policy, robot)
        self._model_services = ModelServices(
            node=self,
            p=p,
            engine=self._engine,
            load=load,
            on_reset=self._on_forgotten,
            on_swap=self._on_swapped,
        )
        warm = self._engine.warm_up().result(p.warmup_timeout_s)
        if not warm.ok:
            raise WamError(f"the warm-up failed: {warm.message}")
        if p.instruction and not (outcome := self._model_services.reset_to(p.instruction)).ok:
            raise WamError(outcome.message)
        self._make_interfaces()

    def activate(self) -> None:
        """Begin a session: chunks of an earlier one can be told apart by its id."""
        p = self.params
        engine = self._engine
        if not (outcome := self._model_services.reset_to(None)).ok or engine is None:
            raise WamError(outcome.message)
        policy = engine.status().policy
        assert policy is not None
        self._session = make_session(p, self._robot, policy, self._progress.enabled)
        self._notice = Notice(5.0)
        self._said_timing = ""
        # of the oldest frame when an observation comes
        self._ages = LatencyWindow(p.latency_window, 0)
        self._stages: dict[str, StageLatency] = {}  # those that the bridge measures
        self._quiet_until = time.monotonic() + 2.0
        self._input = self.create_subscription(
            Observation, "observation", self._on_observation, qos.OBSERVATION
        )
        heard = lambda m: self._stages.update(stages_from_msgs([m]))  # noqa: E731
        self._later = self.create_subscription(StageLatencyMsg, "stage_latency", heard, qos.STATUS)
        self._timer = self.create_timer(
            1.0 / p.status_rate_hz, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._progress.start()

    def deactivate(self) -> None:
        """End the session; what the model still computes is thrown away."""
        self._due.forget()
        self._progress.stop()
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._input)
        self.destroy_subscription(self._later)
        self._session = None

    def cleanup(self) -> None:
        """End the model's thread."""
        engine = self._engine
        self._engine = None
        if engine is not None and not engine.close():
            self.get_logger().error("the model does not come to an end; its thread is left behind")

    def _make_interfaces(self) -> None:
        make = self.create_lifecycle_publisher
        self._chunks = make(ActionChunk, "action_chunk", qos.CHUNK)
        self._candidates = make(JointTrajectory, "candidates", qos.OBSERVATION)
        self._futures = make(ImaginedFutureMsg, "imagined_future", qos.OBSERVATION)
        self._appraisals = make(Appraisal, "appraisal", qos.OBSERVATION)
        self._diagnostics = make(DiagnosticArray, "/diagnostics", qos.STATUS)
        self._status = make(WamStatus, "wam_status", qos.STATUS)
        self._images = {
            v: make(Image, f"imagined/{v}/image", qos.OBSERVATION) for v in self._robot.view_names
        }

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    # A callback may still run right after the transition that destroyed its entity: hence the
    # checks for None.

    def _on_observation(self, msg: Observation) -> None:
        if self._engine is None or self._session is None:
            return
        engine = self._engine.status()
        asked = False
        try:
            observation = convert.observation_from_msg(msg)
            oldest_ns = min(observation.frame_stamps_ns, default=observation.stamp_ns)
            self._ages.add((self._now_ns() - oldest_ns) / NS)
            request = self._session.observe(observation)
            if request is not None:
                self._engine.submit(observation, request)
            # without an instruction nothing is predicted
            asked = request is not None and request.predict and bool(engine.instruction)
            if not asked and engine.instruction:
                # the model says nothing of it, but what was imagined for it is known
                told = self._session.appraise(
                    observation, engine.epoch, engine.instruction, Outlook()
                )
                self._appraisals.publish(convert.appraisal_to_msg(told))
        except WamError as error:
            self._say(f"observation refused: {error}")
        self._due.observed(convert.time_to_ns(msg.header.stamp), asked)

    def _on_result(self) -> None:
        if self._engine is None or self._session is None:
            return
        if (result := self._engine.take()) is not None:
            self._due.take(result)
        result = self._engine.take_imagined()
        if result is not None and (future := self._session.imagined(result)) is not None:
            self._publish_imagined(future)

    def _on_chunk(self, result: EngineResult, now_ns: int) -> None:
        engine = self._engine
        session = self._session
        if engine is None or session is None:
            return
        if result.output is None:
            session.scheduler.answered(result.observation.stamp_ns)
            if result.error:
                self._say(f"no chunk: {result.error}")
        else:
            chunk, future = session.chunk(result, now_ns)
            if session.candidates is not None and self._candidates.get_subscription_count():
                self._candidates.publish(convert.candidates_to_msg(session.candidates))
            self._chunks.publish(convert.chunk_to_msg(chunk))
            self._due.said(chunk.seq + 1)
            if session.appraisal is not None:
                self._appraisals.publish(convert.appraisal_to_msg(session.appraisal))
            self._publish_imagined(future)
        if (look := session.scheduler.next_look()) is not None:
            engine.submit(*look)
            if look[1].predict:
                self._due.ask(look[0].stamp_ns)

    def _publish_imagined(self, future: ImaginedFuture) -> None:
        if self.params.imagination == "off" or not len(future.frames):
            return
        future = future if self.params.imagination == "full" else keyframes(future)
        self._futures.publish(convert.imagined_to_msg(future))
        for view, frame in zip(future.view_names, future.frames[-1], strict=True):
            image = convert.numpy_to_image(
                np.ascontiguousarray(frame), future.instants_ns[-1], view
            )
            self._images[view].publish(image)

    def _on_timer(self) -> None:
        if self._engine is None or self._session is None:
            return
        status = self._session.status(self._now_ns(), self._engine.status(), self.params.silence_s)
        stages = in_order(
            {**self._stages, **status.stages, "camera to observation": self._ages.stage}
        )
        self._status.publish(convert.status_to_msg(replace(status, stages=stages)))
        figures = {"camera to observation [ms]": str(self._ages)} | self._session.figures()
        self._diagnostics.publish(self._diagnosis(status.error, figures))
        if time.monotonic() > self._quiet_until:
            self._say(status.error)
        timing = self._session.scheduler.timing
        if status.latency_p95_s and str(timing.mode) != self._said_timing:
            self._said_timing = str(timing.mode)
            self.get_logger().info(str(timing))

    def _diagnosis(self, error: str, figures: dict[str, str]) -> DiagnosticArray:
        values = [KeyValue(key=k, value=v) for k, v in figures.items()]
        level = DiagnosticStatus.WARN if error else DiagnosticStatus.OK
        assert self._engine is not None
        policy = self._engine.status().policy
        name = f"{self.get_name()}: {'' if policy is None else policy.name}"
        array = DiagnosticArray(
            status=[DiagnosticStatus(level=level, name=name, message=error or "OK", values=values)]
        )
        array.header.stamp = self.get_clock().now().to_msg()
        return array

    def _say(self, complaint: str) -> None:
        subject = "".join(c for c in complaint if not c.isdigit())
        if self._notice.due(complaint, time.monotonic(), subject):
            self.get_logger().warning(complaint)

    def _on_forgotten(self) -> None:
        if self._session is not None:
            self._session.forget()
        self._due.forget()

    def _on_swapped(self, policy: Policy) -> None:
        if self._session is not None:
            self._session.scheduler.abilities = abilities_of(policy)
            self._session.calm = calm_of(policy)


def main() -> None:
    """Entry point of `ros2 run wam_ros inference_node`."""
    run_node(InferenceNode)


if __name__ == "__main__":
    main()
