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


@dataclass
class SpeedMeter:
    """How fast a simulated world runs while something else is on."""

    simulated_ns: int = 0
    passed_ns: int = 0
    _last: tuple[int, int] | None = field(default=None, repr=False)

    def on_pace(self, now_ns: int, steady_ns: int) -> None:
        """The world has come to `now_ns` when a steady clock showed `steady_ns`."""
        if self._last is not None:
            self.simulated_ns += now_ns - self._last[0]
            self.passed_ns += steady_ns - self._last[1]
        self._last = now_ns, steady_ns

    def pause(self) -> None:
        """The time until the next word does not count."""
        self._last = None

    @property
    def speed(self) -> float:
        """Simulated s per s, 0 before the second word."""
        return self.simulated_ns / self.passed_ns if self.passed_ns else 0.0
