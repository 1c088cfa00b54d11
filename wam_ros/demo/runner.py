"""Runs episodes through a session: place the scene, instruct, arm, wait for the outcome, disarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.lockstep import describe_speed
from wam_ros.core.types import Forwarding, SafetyState
from wam_ros.demo.args import INTERACTIVE, DemoArgs
from wam_ros.demo.episodes import Episode, EpisodeResult, colour_in, other_colour, require_colour
from wam_ros.demo.errors import LoopError
from wam_ros.sim.names import has_colours
from wam_ros.sim.outcomes import STOPPED, SUCCESS, WRONG

if TYPE_CHECKING:
    from wam_ros.demo.session import Session

_SETTLE_S = 30.0  # wall time for the arm to come to rest, in a simulator that may be slow
_ARM_S = 5.0  # wall time until safety must accept to be armed
# wall time until a new scene must have been seen: on a busy machine frames come too old for seconds
_SCENE_S = 30.0
_STILL_S = 30.0  # wall time in which a simulator that runs must get on
_RETRY_S = 0.1
_SHOW_S = 1.5  # pause after an episode while somebody watches
_LATCHED = (SafetyState.FAULT, SafetyState.ESTOP)


class Runner:
    """Runs the episodes that the arguments ask for.

    Args:
        session: the running loop.
        args: of the demo.
        embodiment: of the robot.
        console: where the outcomes are printed.
    """

    def __init__(
        self, session: Session, args: DemoArgs, embodiment: Embodiment, console: Console
    ) -> None:
        self._s = session
        self._args = args
        self._console = console
        self._step_period_s = embodiment.step_period_s
        self._interactive = args.n_episodes == INTERACTIVE
        self._waits = not args.real_time  # the simulated world
        self._wanted = args.instruction or ""  # what the person wants until told otherwise
        self._told = ""  # what was printed of the bridge
        self.results: list[EpisodeResult] = []

    def run(self) -> None:
        """Run all episodes; `results` grows with each.

        Raises:
            WamError: the model refuses the instruction, or the simulator the scene.
            LoopError, ProcessDiedError: the loop cannot go on.
        """
        for seed in self._seeds():
            try:
                result = self._run_episode(seed)
            finally:
                self._s.episode = None
                self._s.chunk_rate.pause()
                self._s.speed.pause()
            self.results.append(result)
            self._report(result)
            if self._interactive:
                self._s.spin_until(lambda: False, _SHOW_S)
                self._wanted = self._s.redirected or self._wanted
            if self._s.strip is not None:
                self._s.strip.write()  # of the first episode
        self._disarm()

    def _seeds(self) -> Iterator[int]:
        first = self._args.seed
        return (
            count(first) if self._interactive else iter(range(first, first + self._args.n_episodes))
        )

    def _run_episode(self, seed: int) -> EpisodeResult:
        self._disarm()
        if self._interactive:
            self._tell_bridge()
            # whoever paused it resumes it
            self._s.spin_until(lambda: not self._paused, float("inf"))
        # All that begins an episode happens while a world in lock-step stands: at the same instant
        # of the scene each time, however long the calls take.
        if self._waits:
            self._s.stand(_SCENE_S)
        self._s.call("bridge_node/pause", data=True)  # placing moves the arm past the bridge
        instruction = self._place(seed)
        self._s.call("bridge_node/pause", data=False)
        self._s.spin_until(lambda: not self._paused, _ARM_S)
        self._s.instruct(instruction)
        self._s.imagination.clear_pending()
        self._s.latency.clear_pending()
        episode = Episode(seed, instruction, self._args.limit_s, self._step_period_s)
        self._arm()
        self._s.episode = episode
        if self._waits:
            self._s.go_on()
        self._wait(episode)
        return episode.result()

    @property
    def _paused(self) -> bool:
        return self._s.bridge is not None and self._s.bridge.forwarding == Forwarding.PAUSED

    def _tell_bridge(self) -> None:
        """Print why the bridge does not forward, and that it does again."""
        state = self._s.bridge
        if state is None or state.forwarding == Forwarding.UNHEARD:
            return
        told = "" if state.forwarding == Forwarding.FORWARDING else state.words
        if told != self._told:
            self._told = told
            self._console.print(
                f"[yellow]bridge: {escape(told)}[/]" if told else "bridge: forwarding again"
            )

    def _disarm(self) -> None:
        self._s.call("safety_node/arm", data=False)
        if not self._s.spin_until(self._at_rest, _SETTLE_S):
            raise LoopError(f"the arm did not come to rest within {_SETTLE_S:.0f} s of disarming")
        sim = self._s.sim
        # its way to rest is measured, too
        if self.results and sim is not None and sim.seed == self.results[-1].seed:
            self.results[-1] = replace(
                self.results[-1], violations=dict(sorted(sim.violations.items()))
            )

    def _at_rest(self) -> bool:
        return self._s.safety != SafetyState.ARMED and self._s.at_rest is True

    def _place(self, seed: int) -> str:
        instruction = self._reset(seed, self._colour())
        if self._args.swap:
            instruction = self._reset(seed, other_colour(require_colour(instruction), seed))
        return self._wanted or instruction

    def _colour(self) -> str:
        """Of what the scene shall ask for; '' leaves it to the seed."""
        if not self._wanted or not has_colours(self._args.task):
            return ""
        return colour_in(self._wanted) if self._interactive else require_colour(self._wanted)

    def _reset(self, seed: int, colour: str) -> str:
        answer = self._s.call(
            "sim_node/reset_episode", seed=seed, colour=colour, nudge=self._args.nudge
        )
        if not answer.ok:
            raise WamError(answer.message)
        # Frames of the scene before may still be on their way: the model must not remember them.
        self._s.sim = None
        new_scene = self._s.spin_until(
            lambda: self._s.sim is not None and self._s.sim.seed == seed, _SCENE_S
        )
        placed_ns = self._s.sim.stamp_ns if self._s.sim else 0
        if not new_scene or not self._s.spin_until(
            lambda: self._s.observation_ns > placed_ns, _SCENE_S
        ):
            raise LoopError(
                f"no camera frame within {_SCENE_S:.0f} s of placing the scene of seed {seed}"
            )
        if self._waits:
            self._s.await_standing(placed_ns, _SCENE_S)
        return str(answer.instruction)

    def _arm(self) -> None:
        if self._interactive and self._s.safety == SafetyState.ESTOP:
            self._console.print("[yellow]emergency stop: press reset in the page to go on[/]")
            if self._waits:  # a reset has a time to wait, of the world's
                self._s.go_on()
            self._s.spin_until(lambda: self._s.safety not in _LATCHED, float("inf"))
            if self._waits:
                self._s.stand(_SCENE_S)
        refusals: list[str] = []

        def accepted() -> bool:
            refusals.clear()
            if self._s.safety in _LATCHED:
                self._ask("reset", refusals)
            return self._ask("arm", refusals, data=True) or self._s.spin_until(
                lambda: False, _RETRY_S
            )

        if not self._s.spin_until(accepted, _ARM_S):
            raise LoopError(f"safety refuses: {'; '.join(refusals)}")

    def _ask(self, service: str, refusals: list[str], **fields: bool) -> bool:
        answer = self._s.call(f"safety_node/{service}", **fields)
        if not answer.success:
            refusals.append(answer.message)
        return bool(answer.success)

    def _wait(self, episode: Episode) -> None:
        def over() -> bool:
            self._tell_bridge()
            outcome = episode.outcome()
            # who has disarmed the arm to look at it is not told that the time is over
            late = outcome not in (None, SUCCESS, STOPPED)
            paused = self._interactive and late and self._s.safety != SafetyState.ARMED
            return outcome is not None and not paused

        ended = False
        while not ended:
            before_s = episode.elapsed_s
            limit_s = float("inf") if self._interactive else _STILL_S
            ended = self._s.spin_until(over, limit_s)
            if not ended and episode.elapsed_s <= before_s:
                words = f": {self._s.pace.words}" if self._s.pace else ""
                raise LoopError(
                    f"the simulator's time stands still after {episode.elapsed_s:.1f} s{words}"
                )

    def _report(self, result: EpisodeResult) -> None:
        outcome = {SUCCESS: "[green]done[/]", WRONG: "[red]lifted another one[/]"}
        text = outcome.get(result.outcome, f"[yellow]{result.outcome}[/] {result.note}".rstrip())
        speed = f", {describe_speed(self._s.speed.speed, self._args.rate)}" if self._waits else ""
        self._console.print(
            f"seed {result.seed}  {result.instruction:<28}  {text}  {result.steps} steps, "
            f"{result.chunks} chunks{speed}",
            highlight=False,
        )
