"""How often something happens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RateMeter:
    """Mean rate of events while something else is on, such as chunks while the arm is armed."""

    events: int = 0
    duration_s: float = 0.0
    _last_ns: int | None = field(default=None, repr=False)

    def on_event(self, now_ns: int) -> None:
        """Count one event and the time since the one before it."""
        if self._last_ns is not None:
            self.events += 1
            self.duration_s += (now_ns - self._last_ns) / 1e9
        self._last_ns = now_ns

    def pause(self) -> None:
        """The next event begins a new run; the time until then does not count."""
        self._last_ns = None

    @property
    def rate_hz(self) -> float:
        """Events per second, 0 before the second event."""
        return self.events / self.duration_s if self.duration_s > 0 else 0.0
