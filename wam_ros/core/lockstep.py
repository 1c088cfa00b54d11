"""When a simulated world may go on: in lock-step with the loop it waits for what is under way.

Conservative synchronisation, as of Chandy, Misra and Bryant (1979, 1981): every node tells how far
it has come and until when nothing of it is due. The outcome of an episode then depends on the model
and the seed and not on how fast the host is.
"""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.types import NS

# Round the loop, each hears what the one before it says: the camera node the world's images, and
# the world the commands of the bridge.
RING = ("camera_node", "inference_node", "safety_node", "bridge_node")
JUDGED_BY_CLOCK = ("safety_node", "bridge_node")  # what they do depends on what their clock shows
BUSY = 0.9  # of the speed that was asked for; below it the machine is said to be busy


@dataclass(frozen=True)
class Progress:
    """How far one node of the loop has come."""

    node: str  # one of `RING`
    at_ns: int = 0  # newest instant of the world's clock that it has dealt with
    heard: int = 0  # stamp [ns] or number of the newest message that it has dealt with; 0: none
    said: int = 0  # of the newest one that it published; 0: none
    until_ns: int = 0  # the world may go on until then; 0: it need not stop
    leaves: bool = False  # nobody need wait for it any more


@dataclass(frozen=True)
class Pace:
    """How a simulated world keeps time."""

    now_ns: int  # that it has reached
    settled: bool  # all that was said up to now has been heard: what is due may be said
    standing: bool  # it waits until it is told to go on
    speed: float  # simulated s per s
    asked: float  # the same, as fast as it may go
    awaited: tuple[str, ...] = ()  # who it has been waiting for, for longer than usual

    @property
    def words(self) -> str:
        """In words, for a person who watches."""
        if self.awaited:
            return f"waiting for {', '.join(self.awaited)}"
        return "standing" if self.standing else describe_speed(self.speed, self.asked)


def describe_speed(speed: float, asked: float) -> str:
    """How fast a simulated world runs [simulated s per s], and why not as fast as was asked."""
    busy = ": this machine is busy" if speed < BUSY * asked else ""
    return f"{speed:.1f} x real time{busy}"


@dataclass
class _Member:
    """A node that has spoken and has not left."""

    progress: Progress
    heard_ns: int  # steady clock
    missed: int = 0  # what was said before it listened, or was lost on the way: not waited for
    excused_ns: int = 0  # instant of the world's clock that it did not hear: not waited for either


class Lockstep:
    """Knows who the world waits for. Clocks come by argument; not thread-safe.

    A node counts from its first word to its last one, or until it has been silent for `silent_ns`:
    nobody waits for the dead.
    """

    def __init__(self, silent_ns: int = 2 * NS) -> None:
        self.shown_ns = 0  # stamp of the world's newest images; 0: none
        self._silent_ns = silent_ns
        self._members: dict[str, _Member] = {}

    def hear(self, progress: Progress, steady_ns: int) -> bool:
        """Take the word of a node, and whether it is its first; `steady_ns` is of a clock that
        never jumps.
        """
        if progress.node not in RING:
            return False
        if progress.leaves:
            self._members.pop(progress.node, None)
            return False
        known = self._members.get(progress.node)
        if known is None or known.progress.said > progress.said == 0:  # new, or started anew
            missed = self._said_before(progress.node)
            self._members[progress.node] = _Member(progress, steady_ns, missed)
            return True
        known.progress = progress
        known.heard_ns = steady_ns
        return False

    def drop_silent(self, steady_ns: int) -> list[str]:
        """Wait no longer for who has not spoken for too long; their names."""
        silent = [
            name for name, m in self._members.items() if steady_ns - m.heard_ns > self._silent_ns
        ]
        for name in silent:
            del self._members[name]
        return silent

    def awaited(self, now_ns: int, commanded: int) -> list[str]:
        """Who has not dealt yet with all that was said up to now, in the order of the loop.

        Args:
            now_ns: the instant that the world has reached.
            commanded: stamp of the newest command that it has heard [ns].
        """
        waits = []
        for name, member in self._in_order():
            said = self._said_before(name)
            at_ns = member.progress.at_ns
            late = name in JUDGED_BY_CLOCK and now_ns not in (at_ns, member.excused_ns)
            if late or said not in (0, member.progress.heard, member.missed):
                waits.append(name)
        last = self._members.get(RING[-1])
        if last and last.progress.said not in (0, commanded) and RING[-1] not in waits:
            waits.append(RING[-1])
        return waits

    def due(self, now_ns: int) -> list[str]:
        """Whose answer is due at `now_ns`: the first tick that is not before it."""
        return [name for name, m in self._members.items() if 0 < m.progress.until_ns <= now_ns]

    def give_up(self, now_ns: int) -> None:
        """What is still not heard at `now_ns`, the clock too, was lost on the way: do not wait for
        it.
        """
        for name, member in self._in_order():
            member.missed = self._said_before(name)
            member.excused_ns = now_ns

    def _in_order(self) -> list[tuple[str, _Member]]:
        return [(name, self._members[name]) for name in RING if name in self._members]

    def _said_before(self, name: str) -> int:
        """Newest message of the one before in the loop; 0 where that one does not speak."""
        index = RING.index(name)
        if index == 0:
            return self.shown_ns
        before = self._members.get(RING[index - 1])
        return 0 if before is None else before.progress.said
