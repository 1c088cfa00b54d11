"""Keep the simulated arm in step with a clock: physics, servo targets and what falls due on the
way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wam_ros.core.types import NS
from wam_ros.sim.forward_controller import ForwardController
from wam_ros.sim.trajectory_controller import TrajectoryController
from wam_ros.sim.worlds import SimulatedRobot

LOST_NS = 2 * NS  # beyond this lag (a suspended machine) time is skipped instead of caught up


class Stepper:
    """Advances a world to instants of an outer clock. Not thread-safe.

    Args:
        world: what is advanced.
        controller: gives a servo target per physics step.
        start_ns: the outer instant of the world's present state.
    """

    def __init__(
        self,
        world: SimulatedRobot,
        controller: TrajectoryController | ForwardController,
        start_ns: int,
    ) -> None:
        self.world = world
        self.controller = controller
        self.now_ns = start_ns  # the instant the physics has reached
        self._step_ns = round(world.timestep_s * NS)
        self._due: list[tuple[int, Callable[[int], None], list[int]]] = []
        self._later: deque[tuple[int, Callable[[], None]]] = deque()

    def every(self, period_s: float, action: Callable[[int], None]) -> None:
        """Call `action(instant_ns)` each time the physics has come another `period_s`; first after
        one step.
        """
        self._due.append(
            (max(self._step_ns, round(period_s * NS)), action, [self.now_ns + self._step_ns])
        )

    def at(self, instant_ns: int, action: Callable[[], None]) -> None:
        """Call `action` once the physics has reached an instant, at once when it has; in the order
        of the calls.

        What reaches a robot at an instant must not act on a physics that is still behind it.
        """
        self._later.append((instant_ns, action))
        self._call_later()

    def advance(self, to_ns: int, max_steps: int = 50) -> int:
        """Step the physics up to `to_ns`, at most `max_steps` at a time; returns the nanoseconds
        still missing.
        """
        if abs(to_ns - self.now_ns) > LOST_NS:
            self._skip(to_ns)
        steps = min(max_steps, (to_ns - self.now_ns) // self._step_ns)
        for _ in range(steps):
            desired = self.controller.sample(self.now_ns + self._step_ns)
            self.world.servo(desired.q, desired.dq)
            self.world.step(1)
            self.now_ns += self._step_ns
            self._call_later()
            self._call_due()
        return max(0, to_ns - self.now_ns)

    def restart(self) -> None:
        """The world was reset: hold its new pose, forget what was to come."""
        self._later.clear()
        self.controller.reset(self.world.q)

    def _skip(self, to_ns: int) -> None:
        # the arm goes on where it was: it neither leaps nor stops dead
        self.controller.pause(to_ns - self.now_ns)
        self._later.clear()
        self.now_ns = to_ns
        for _, _, due in self._due:
            due[0] = to_ns

    def _call_later(self) -> None:
        while self._later and self._later[0][0] <= self.now_ns:
            self._later.popleft()[1]()

    def _call_due(self) -> None:
        for period_ns, action, due in self._due:
            if self.now_ns >= due[0]:
                due[0] += period_ns
                if due[0] <= self.now_ns:
                    due[0] = self.now_ns + period_ns
                action(self.now_ns)
