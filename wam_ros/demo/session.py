"""The running loop seen from the demo: listens to every topic, feeds the measures, calls the
services.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.lockstep import Pace
from wam_ros.core.trace import Trace
from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    ImaginedFuture,
    Observation,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.demo.args import DemoArgs
from wam_ros.demo.episodes import Episode, SimEpisode
from wam_ros.demo.errors import LoopError, ProcessDiedError
from wam_ros.demo.rate import RateMeter, SpeedMeter
from wam_ros.demo.supervisor import Supervisor
from wam_ros.tools.latency import COMMAND, Feed, time_ns
from wam_ros.view.films import StripRecorder, VideoRecorder
from wam_ros.view.words import describe_decision, describe_safety

if TYPE_CHECKING:
    from wam_ros.ros.link import Link

Handlers = dict[str, Callable[[Any, int], None]]
_POLL_S = 0.05  # between two looks at the processes
AT_REST = 0.02  # rad/s or m/s
# of the arm's own time after the last command to move: the bridge leaves the arm alone by then
SETTLED_S = 0.2


class Session:
    """Owns the ROS side of the demo; single-threaded, everything happens inside `spin_until`.

    Args:
        args: of the demo.
        embodiment: of the robot.
        supervisor: whose processes are watched while waiting.
        make_link: connects the handlers, one per topic, to ROS.
    """

    def __init__(
        self,
        args: DemoArgs,
        embodiment: Embodiment,
        supervisor: Supervisor,
        make_link: Callable[[Handlers], Link],
    ) -> None:
        self._supervisor = supervisor
        self.latency = Trace()
        self.imagination = ImaginationTracker()
        self.chunk_rate = RateMeter()
        self._feed = Feed(self.latency, lambda: self.link.joints())
        # otherwise stamps and publication times are on two clocks
        self._measure_latency = args.real_time
        self.video = VideoRecorder(args.record, embodiment.frame_rate_hz) if args.record else None
        self.strip = StripRecorder(args.strip) if args.strip else None
        self.episode: Episode | None = None
        self.sim: SimEpisode | None = None
        self.pace: Pace | None = None  # of a world in lock-step
        self.speed = SpeedMeter()
        self._waits = not args.real_time
        self.report: SafetyReport | None = None
        self.bridge: BridgeState | None = None
        self.status: WamStatus | None = None
        self.observation_ns = self._moving_ns = 0
        self.instruction = ""
        self.epoch = -1
        self._statuses = 0
        self.redirected = ""  # an instruction that somebody else gave
        self.link = make_link(self._handlers())

    def _handlers(self) -> Handlers:
        return {
            "observation": self._on_observation,
            "action_chunk": self._on_chunk,
            "imagined_future": self._on_imagined,
            "wam_status": self._on_status,
            "safe_trajectory": self._feed.safe,
            "commanded_state": self._on_commanded,
            "bridge_state": self._on_bridge,
            "safety_report": self._on_report,
            COMMAND: self._feed.command,
            "episode": self._on_sim,
            "pace": self._on_pace,
        }

    @property
    def safety(self) -> SafetyState:
        """State in the newest safety report."""
        return SafetyState.UNKNOWN if self.report is None else self.report.state

    def _on_observation(self, observation: Observation, published_ns: int) -> None:
        self.observation_ns = observation.stamp_ns
        if self._measure_latency:
            self._feed.observation(observation, published_ns)
        if self.episode is None:
            return
        comparisons = self.imagination.on_observation(observation)
        horizons_s = self.imagination.horizons_s
        if self.video is not None:
            footer = f"{describe_safety(self.report)}   |   {describe_decision(self.report)}"
            self.video.add(
                observation, comparisons, horizons_s, self.redirected or self.instruction, footer
            )
        if self.strip is not None:
            self.strip.add(observation, comparisons, horizons_s)

    def _on_chunk(self, chunk: ActionChunk, published_ns: int) -> None:
        if self.episode is None:
            return
        self.episode.on_chunk()
        self.chunk_rate.on_event(published_ns)
        self.imagination.on_chunk(chunk.seq, chunk.observation_ns, chunk.anchor_ns)
        self._feed.chunk(chunk, published_ns)
        if chunk.epoch > self.epoch and chunk.instruction != self.instruction:
            self.redirected = chunk.instruction

    def _on_imagined(self, future: ImaginedFuture, _published_ns: int) -> None:
        if self.episode is not None:
            self.imagination.on_imagined(future)

    def _on_status(self, status: WamStatus, _published_ns: int) -> None:
        self.status = status
        # The first status may have been on its way before our instruction; a later one tells what
        # is followed now.
        self._statuses += 1
        if (
            self._statuses > 1
            and self.instruction
            and status.instruction not in ("", self.instruction)
        ):
            self.redirected = status.instruction

    def _on_commanded(self, told: Any, published_ns: int) -> None:
        self._feed.commanded(told, published_ns)
        if any(told.velocity):
            self._moving_ns = time_ns(told.header.stamp)

    def _on_bridge(self, state: BridgeState, _published_ns: int) -> None:
        self.bridge = state

    def _on_pace(self, pace: Pace, _published_ns: int) -> None:
        self.pace = pace
        if self.episode is not None:
            self.speed.on_pace(pace.now_ns, time.monotonic_ns())

    def _on_report(self, report: SafetyReport, _published_ns: int) -> None:
        self.report = report
        if self.episode is not None:
            self.episode.on_report(report)

    def _on_sim(self, m: Any, _published_ns: int) -> None:
        violations = {
            n: int(c) for n, c in zip(m.violation_names, m.violation_counts, strict=False)
        }
        stamp_ns = time_ns(m.header.stamp)
        self.sim = SimEpisode(
            stamp_ns=stamp_ns,
            seed=m.seed,
            instruction=m.instruction,
            t_s=m.t,
            success=m.success,
            wrong=m.wrong,
            outcome=m.outcome,
            nudged=m.nudged,
            violations=violations,
        )
        if self.episode is not None:
            self.episode.on_sim(self.sim)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Handle messages until `done()`; False when `timeout_s` of wall time went by.

        Raises:
            ProcessDiedError: a process ended meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        watch_at = 0.0
        while not done():
            now = time.monotonic()
            if now >= deadline:
                return False
            if now >= watch_at:
                if deaths := self._supervisor.deaths():
                    raise ProcessDiedError(deaths[0])
                watch_at = now + _POLL_S
            self.link.spin(min(_POLL_S, deadline - now))
        return True

    def call(self, service: str, timeout_s: float = 5.0, **fields: Any) -> Any:
        """Call a service and wait for its answer.

        Raises:
            LoopError: no answer in time.
        """
        future = self.link.call(service, **fields)
        if not self.spin_until(future.done, timeout_s):
            raise LoopError(f"{service} did not answer within {timeout_s:.0f} s")
        return future.result()

    def instruct(self, instruction: str) -> None:
        """Give the model an instruction.

        Raises:
            WamError: the model refuses it; its message lists the words it knows.
        """
        answer = self.call("inference_node/set_instruction", instruction=instruction)
        if not answer.ok:
            raise WamError(answer.message)
        self.instruction = instruction
        self.epoch = answer.epoch
        self.redirected = ""
        self._statuses = 0

    @property
    def at_rest(self) -> bool | None:
        """Whether the newest joint state is slower than `AT_REST` and from after the last motion
        was commanded to end.

        None before the first joint state. A simulator that is behind tells of an arm at rest before
        it has moved: whoever places the arm then is taken for an arm that does not follow.
        """
        if self.link.joint_speed() is None:
            return None
        return not self.moving and self.joints_ns > self._moving_ns + SETTLED_S * NS

    @property
    def moving(self) -> bool:
        """Whether a joint of the newest joint state is not slower than `AT_REST`."""
        return (self.link.joint_speed() or 0.0) >= AT_REST

    @property
    def joints_ns(self) -> int:
        """The arm's own time: stamp of the newest joint state [ns], 0 before the first."""
        joints = self.link.joints()
        return 0 if joints is None else time_ns(joints.header.stamp)

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until every service is there and every stream flows.

        Raises:
            LoopError: something is still missing after `timeout_s`; it is named.
        """
        if not self.spin_until(lambda: not self._missing(), timeout_s):
            raise LoopError(
                f"after {timeout_s:.0f} s there is still no {', '.join(self._missing())}"
            )

    def _missing(self) -> list[str]:
        streams = {
            "joint_states": self.link.joint_speed() is not None,
            "observation": self.observation_ns > 0,
            "wam_status": self.status is not None,
            "safety_report": self.report is not None,
            "episode": self.sim is not None,
        }
        return [name for name, flows in streams.items() if not flows] + self.link.missing_services()

    def stand(self, timeout_s: float) -> None:
        """Let a world in lock-step stand, and wait until it does.

        Raises:
            LoopError: it does not within `timeout_s` of wall time.
        """
        self.pace = None
        self.call("sim_node/stand", data=True)
        self.await_standing(0, timeout_s)

    def go_on(self) -> None:
        """Let a world in lock-step go on, whether it stands or not, without waiting for it."""
        if self._waits:
            self.link.call("sim_node/stand", data=False)

    def await_standing(self, after_ns: int, timeout_s: float) -> None:
        """Wait until a world in lock-step stands at an instant later than `after_ns`.

        Raises:
            LoopError: it does not within `timeout_s` of wall time; says who it waits for.
        """

        def stands() -> bool:
            pace = self.pace
            return pace is not None and pace.standing and pace.now_ns > after_ns

        if not self.spin_until(stands, timeout_s):
            words = "is silent" if self.pace is None else self.pace.words
            raise LoopError(f"the simulated world does not come to stand: {words}")

    def close(self) -> None:
        """Finish the video and leave ROS."""
        if self.video is not None:
            self.video.close()
        self.link.close()
