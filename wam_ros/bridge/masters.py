"""Who commands the arm: one safety node. Two that speak at once are a mistake of whoever launched
them.
"""

from __future__ import annotations

from wam_ros.core.types import NS

MOST = 8  # that are kept apart; more are as wrong as two
LONGEST = 120  # characters of a name


class Masters:
    """Who has been heard lately, the one that commands first. Not thread-safe.

    Args:
        patience_s: who has been silent for longer is gone.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_ns = round(patience_s * NS)
        self._heard_ns: dict[str, int] = {}  # in the order in which they began

    def hear(self, name: str, steady_ns: int) -> bool:
        """A message came; whether its sender is the one that commands.

        Args:
            name: of the sender; messages without one count as of one sender.
            steady_ns: of a clock that never jumps.
        """
        name = name[:LONGEST] or "one without a name"
        alive = {n: ns for n, ns in self._heard_ns.items() if steady_ns - ns <= self._patience_ns}
        if name in alive or len(alive) < MOST:
            alive[name] = steady_ns
        self._heard_ns = alive
        return next(iter(alive)) == name

    @property
    def why_not_one(self) -> str:
        """Why nobody may command, as of the newest message; empty while there is but one."""
        if len(self._heard_ns) < 2:
            return ""
        return (
            f"{len(self._heard_ns)} safety nodes speak at once: {', '.join(self._heard_ns)}; "
            "end all but one"
        )
