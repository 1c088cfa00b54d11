"""A world that waits: it goes on, tick by tick, when the loop has dealt with what came before."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from std_srvs.srv import SetBool

from wam_ros.core.lockstep import Lockstep, Pace
from wam_ros.core.types import NS
from wam_ros.msg import LoopProgress
from wam_ros.msg import Pace as PaceMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode

TELL_NS = NS // 4  # between two words of the pace
AGAIN_NS = NS // 2  # after it what is not heard is told again
LOST_NS = 3 * NS  # after it what is not heard was lost
LONG_NS = NS  # who is awaited for so long is named
DEBT_NS = NS // 10  # of lateness that is caught up: the rate is that asked for on the average
WINDOW_NS = 2 * NS  # over which the speed is told
# after it others are heard, however far the world is behind the rate that is asked for
HELD_NS = NS // 20
SETTLE_NS = NS // 2  # between placing a scene and standing still
SHORTER = 2  # times shorter than the longest a tick may be to fit between images


def make_ticks(frame_ns: int, step_ns: int, longest_ns: int) -> tuple[int, int]:
    """Tick of a clock [ns] and how many there are from image to image.

    A tick is a whole number of physics steps and at most `longest_ns`. Where none fits, and is not
    much shorter, the images come at the nearest rate at which one does.
    """
    fewest = -(-frame_ns // longest_ns)
    for n in range(fewest, SHORTER * fewest + 1):
        if frame_ns % n == 0 and frame_ns // n % step_ns == 0:
            return frame_ns // n, n
    return max(step_ns, min(longest_ns, round(frame_ns / fewest / step_ns) * step_ns)), fewest


class WaitingWorld:
    """Decides when the next tick of a simulated world may begin.

    Args:
        node: of the simulation.
        tick_ns: of the world's clock.
        frame_ns: between two images, a whole number of ticks.
        rate: simulated s per s at most.
        step: lets the world go on to an instant and publishes what is due on the way.
        commanded: stamp of the newest command that was heard.
        again: publishes the present once more, for who did not hear it.
    """

    def __init__(
        self,
        node: WamNode,
        tick_ns: int,
        frame_ns: int,
        rate: float,
        step: Callable[[int], None],
        commanded: Callable[[], int],
        again: Callable[[], None],
    ) -> None:
        self.now_ns = 0  # that the world has reached
        self._node = node
        self._tick_ns = tick_ns
        self._frame_ns = frame_ns
        self._rate = rate
        self._step = step
        self._commanded = commanded
        self._again = again
        self._lockstep = Lockstep()
        self._stand_ns: int | None = None  # where it is to stand
        self._standing = False
        self._awaited: list[str] = []
        self._past: deque[tuple[int, int]] = deque()  # steady and simulated instants
        node.create_subscription(LoopProgress, "loop_progress", self._on_progress, qos.STATUS)
        node.create_service(SetBool, "~/stand", self._on_stand)
        self._publisher = node.create_publisher(PaceMsg, "pace", qos.STATUS)

    def begin(self, origin_ns: int) -> None:
        """The world's clock shows `origin_ns`; its first frame is seen one step later."""
        steady_ns = time.monotonic_ns()
        self.now_ns = origin_ns
        self._lockstep.shown_ns = 0
        self._due_ns = steady_ns  # steady instant at which the next tick may begin
        self._since_ns = steady_ns  # since when it has not gone on
        self._unheard_ns: int | None = None  # since when somebody has not heard something
        self._told_ns = self._again_ns = 0
        self._past.clear()

    @property
    def shown_ns(self) -> int:
        """Stamp of the newest images."""
        return self._lockstep.shown_ns

    def shown(self, now_ns: int) -> None:
        """Images were published."""
        self._lockstep.shown_ns = now_ns

    def placed(self) -> None:
        """A scene was placed: a world that stands goes on until it has settled, and stands
        again.
        """
        if self._stand_ns is not None:
            self._stand_ns = self._frame_after(self.now_ns + SETTLE_NS)
            self._standing = False

    def go(self) -> None:
        """Go on as far as nobody is waited for; call it whenever something came, and often."""
        steady_ns = time.monotonic_ns()
        for name in self._lockstep.drop_silent(steady_ns):
            self._node.get_logger().warning(f"{name} is silent: the world does not wait for it")
        until_ns = steady_ns + HELD_NS
        while steady_ns < until_ns and self._may_go(steady_ns):
            self._due_ns = max(self._due_ns, steady_ns - DEBT_NS) + round(
                self._tick_ns / self._rate
            )
            self.now_ns += self._tick_ns
            self._step(self.now_ns)
            steady_ns = self._since_ns = time.monotonic_ns()
        if steady_ns - self._told_ns >= TELL_NS:
            self._tell(steady_ns, settled=False)
            if self._node.count_publishers("/clock") > 1:
                self._node.get_logger().error(
                    "another one gives the time on /clock: keep real time (real_time:=true), or "
                    "use another ROS_DOMAIN_ID",
                    throttle_duration_sec=5.0,
                )

    def _may_go(self, steady_ns: int) -> bool:
        self._awaited = self._lockstep.awaited(self.now_ns, self._commanded())
        if self._awaited:
            self._remind(steady_ns)
            return False
        self._unheard_ns = None
        next_ns = self.now_ns + self._tick_ns
        stands = self._stand_ns is not None and next_ns > self._stand_ns
        due = self._lockstep.due(self.now_ns)
        if stands and not self._standing:
            self._standing = True
            self._tell(steady_ns, settled=True)
        if due:
            self._awaited = due
            # told once more now and then: a word may be lost
            if self._since_ns > self._told_ns or steady_ns - self._told_ns >= TELL_NS:
                self._tell(steady_ns, settled=True)
        return not (stands or due) and steady_ns >= self._due_ns

    def _remind(self, steady_ns: int) -> None:
        if self._unheard_ns is None:
            self._unheard_ns = steady_ns
        waited_ns = steady_ns - self._unheard_ns
        if waited_ns > LOST_NS:
            names = ", ".join(self._awaited)
            self._node.get_logger().warning(f"a message to {names} was lost: the world goes on")
            self._lockstep.give_up(self.now_ns)
        elif waited_ns > AGAIN_NS and steady_ns - self._again_ns > AGAIN_NS:
            self._again_ns = steady_ns
            self._again()

    def _frame_after(self, instant_ns: int) -> int:
        """The first instant with images that is not before this one."""
        periods = -((self.shown_ns - instant_ns) // self._frame_ns)
        return self.shown_ns + max(0, periods) * self._frame_ns

    def _on_progress(self, msg: LoopProgress) -> None:
        new = self._lockstep.hear(convert.progress_from_msg(msg), time.monotonic_ns())
        if not self._node.active:
            return
        if new:
            self._again()  # it has not heard the clock, and in a world that stands it would not
        self.go()

    def _on_stand(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Stand at the next frame, or go on."""
        response.success = self._node.active
        if not self._node.active:
            response.message = "sim_node is not active"
        elif request.data and self._stand_ns is None:
            self._stand_ns = self._frame_after(self.now_ns)
        elif not request.data:
            self._stand_ns = None
            self._standing = False
            self._tell(time.monotonic_ns(), settled=False)
        return response

    def _tell(self, steady_ns: int, settled: bool) -> None:
        self._told_ns = steady_ns
        self._past.append((steady_ns, self.now_ns))
        while len(self._past) > 1 and self._past[1][0] < steady_ns - WINDOW_NS:
            self._past.popleft()
        passed_ns = steady_ns - self._past[0][0]
        speed = (self.now_ns - self._past[0][1]) / passed_ns if passed_ns else self._rate
        long = steady_ns - self._since_ns > LONG_NS
        pace = Pace(
            now_ns=self.now_ns,
            settled=settled,
            standing=self._standing,
            speed=speed,
            asked=self._rate,
            awaited=tuple(self._awaited) if long else (),
        )
        self._publisher.publish(convert.pace_to_msg(pace))
