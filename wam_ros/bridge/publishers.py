"""Whose messages count: those of one publisher, known by its endpoint in the middleware. A name in
a message can be copied, an endpoint not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wam_ros.core.types import NS

# who died without a word stays in the graph until the middleware gives it up, some 20 s later
GHOST_NS = 30 * NS
MOST = 4  # publishers that are named


class Endpoint(NamedTuple):
    """A publisher as the middleware knows it."""

    gid: bytes
    node: str  # its full name

    def __str__(self) -> str:
        return f"{self.node} ({self.gid.hex()})"


class OnlyPublisher:
    """Pins the one publisher of a topic that is believed. Not thread-safe.

    Another one beside it is never believed, whatever it says of itself, and as long as it is there
    nobody is: a message does not tell from which of the two it comes (only newer distributions do).
    A successor is pinned while the arm rests, when the former one is gone, or had fallen silent
    before the other one came and stays so: it died, and the middleware has not noticed yet.

    Args:
        topic: its full name.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.dispute = ""  # why nobody is believed, as of the newest look
        self._pinned: Endpoint | None = None
        self._number: int | None = None  # of its newest message
        self._given_up_ns: dict[bytes, int] = {}  # that died, as far as is known, and when
        self._others: frozenset[bytes] = frozenset()  # beside it
        self._rivals: frozenset[bytes] = frozenset()  # of them, who came while it lived

    def look(
        self,
        endpoints: Iterable[Endpoint],
        steady_ns: int,
        *,
        resting: bool,
        silent: bool = False,
        died: bool = False,
    ) -> None:
        """Take who publishes now.

        Args:
            endpoints: all that the middleware knows.
            steady_ns: of a clock that never jumps.
            resting: whether nothing is under way, so that another one may take over.
            silent: whether the safety node was heard once and now is not.
            died: whether that has lasted so long that it will not come again.
        """
        here = {e.gid: e for e in endpoints}
        self._given_up_ns = {
            gid: ns
            for gid, ns in self._given_up_ns.items()
            if gid in here and steady_ns - ns < GHOST_NS
        }
        living = [e for gid, e in here.items() if gid not in self._given_up_ns]
        others = [e for e in living if e != self._pinned]
        self._others = frozenset(e.gid for e in others)
        came = frozenset() if silent else self._others
        self._rivals = (self._rivals | came) & self._others if len(living) > 1 else frozenset()
        self.dispute = ""
        if len(living) == len(others) == 1 or (
            died and len(others) == 1 and resting and not self._rivals
        ):
            self._succeed(others[0], here, steady_ns, resting)
        elif others:
            named = ", ".join(str(e) for e in living[:MOST])
            self.dispute = (
                f"{self.topic} has {len(living)} publishers, one alone may speak there: {named}; "
                "end all but the safety node"
            )

    @property
    def contested(self) -> bool:
        """Whether another one came while the one that is believed lived: no matter of time."""
        return bool(self._rivals)

    def _succeed(
        self, new: Endpoint, here: dict[bytes, Endpoint], steady_ns: int, resting: bool
    ) -> None:
        """Pin the only one that lives, at rest."""
        if not resting:
            self.dispute = f"{self.topic} has another publisher than the motion under way: {new}"
            return
        if self._pinned is not None and self._pinned.gid in here:
            self._given_up_ns[self._pinned.gid] = steady_ns
        self._pinned = new
        self._number = None
        self._others = self._rivals = frozenset()

    @property
    def known(self) -> bool:
        """Whether there is one that is believed."""
        return self._pinned is not None

    def why_not_believed(self, number: int | None, gid: bytes | None) -> str:
        """Why a message does not count; empty when it does, which is noted.

        Args:
            number: that its publisher gave it; None: the middleware does not tell.
            gid: of its publisher; None: the distribution does not tell.
        """
        if self.dispute:
            if number is not None and self._number is not None and number > self._number:
                # its numbers go on: it lives, perhaps
                self._rivals = self._others
            return self.dispute
        if self._pinned is None:
            return f"{self.topic} has no publisher that is known yet"
        if gid is not None and gid != self._pinned.gid:
            return f"a message on {self.topic} is of {gid.hex()}, believed is {self._pinned}"
        if number is None:
            return ""
        if self._number is not None and number <= self._number:
            return (
                f"a message on {self.topic} is number {number} after {self._number}: it is not of "
                f"{self._pinned}, which is believed"
            )
        self._number = number
        return ""
