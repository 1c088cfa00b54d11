"""Camera frames and joint states, each on its own rhythm, into one `Observation` per model frame.

The *instant* of an observation is the newest one that every view has reached; when a view is late,
the newest frame of the others, once `patience_ns` has passed. Each view gives its newest frame not
newer than the instant; the joints are interpolated to it, or carried to it by their velocities
where they end shortly before: waiting for the next joint state would cost half its period. A stream
too old for the instant means no observation: a frame is never repeated to hide a dead camera. One
thread owns an aligner; the clock is an argument.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_ros.core.drivers import JOINTS
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS, JointState, Observation


@dataclass(frozen=True)
class StreamFault:
    """Why one stream holds back observations."""

    stream: str  # a view name, or `JOINTS`
    kind: str  # "missing", "stale" or "ahead"
    age_s: float = float("nan")  # of its newest sample; negative when stamped in the future
    stamp_s: float = 0.0  # of that sample

    def __str__(self) -> str:
        if self.kind == "missing":
            return "nothing has arrived"
        if self.kind == "ahead":
            return f"stamped {-self.age_s:.2f} s ahead of the clock"
        if self.age_s > 1e8:
            far = f"stamped {self.stamp_s:.0f} s by another clock, since its start perhaps"
            return far if self.stamp_s else "stamped 0"
        return f"newest is {self.age_s:.2f} s old"


@dataclass(frozen=True)
class _Pixels:
    """A frame that has been decoded."""

    rgb: np.ndarray  # (H, W, 3) uint8


class _Stream:
    """Samples in rising stamp order, bounded in time."""

    def __init__(self, keep_ns: int) -> None:
        self._keep_ns = keep_ns
        self.stamps: list[int] = []
        self.values: list[Any] = []
        self.interval_ns = 0  # between the two newest samples

    def add(self, stamp_ns: int, value: Any) -> bool:
        """Append; False when the stamp does not rise and the sample is left out."""
        if self.stamps and stamp_ns <= self.stamps[-1]:
            return False
        self.interval_ns = stamp_ns - self.stamps[-1] if self.stamps else 0
        self.stamps.append(stamp_ns)
        self.values.append(value)
        self.drop_before(stamp_ns - self._keep_ns)
        return True

    def drop_before(self, stamp_ns: int) -> None:
        """Forget samples that can no longer be the newest one at `stamp_ns` or later."""
        n = bisect.bisect_right(self.stamps, stamp_ns) - 1
        if n > 0:
            del self.stamps[:n], self.values[:n]

    def newest_before(self, stamp_ns: int) -> int:
        """Index of the newest sample not newer than `stamp_ns`, -1 if none."""
        return bisect.bisect_right(self.stamps, stamp_ns) - 1

    def clear(self) -> None:
        self.stamps.clear()
        self.values.clear()


class ObservationAligner:
    """Collects streams and says when an observation is complete.

    Args:
        view_names: views of an observation, in order.
        joint_names: joints of an observation, in order; `add_joints` takes states that have exactly
            these.
        frame_period_ns: wanted time between observations; one may come early by half a camera
            interval, at most a quarter of the period, so that jitter does not make a camera at a
            multiple of the rate lose every other one.
        max_age_ns: oldest sample allowed in an observation, and oldest observation allowed at all.
        patience_ns: how long to wait for the streams that have not reached an instant.
        carry_ns: joints that end less than this before an instant are not waited for. What
            accelerates by `a` is then off by at most `a / 2 * carry^2`: 1 mrad after 15 ms at 9
            rad/s^2.
        decode: turns what `add_frame` was given into (H, W, 3) uint8; called only for frames that
            are used.
    """

    def __init__(
        self,
        view_names: Sequence[str],
        joint_names: Sequence[str],
        *,
        frame_period_ns: int,
        max_age_ns: int,
        patience_ns: int,
        carry_ns: int = 0,
        decode: Callable[[Any], np.ndarray] = lambda frame: frame,
    ) -> None:
        self.view_names = tuple(view_names)
        self.joint_names = tuple(joint_names)
        self._period_ns = frame_period_ns
        self._max_age_ns = max_age_ns
        self._patience_ns = patience_ns
        self._decode = decode
        self._carry_ns = carry_ns
        keep = max_age_ns + patience_ns + frame_period_ns
        self._views = {v: _Stream(keep) for v in self.view_names}
        self._joints = _Stream(keep)
        self._due: int | None = None  # when the next instant is expected
        self._last_now: int | None = None
        self.flushes = 0

    def add_frame(self, view: str, stamp_ns: int, frame: Any) -> None:
        """Take one camera frame. A stamp that falls back by more than `max_age_ns` flushes
        everything.
        """
        self._add(self._views[require_known("view", view, self._views)], stamp_ns, frame)

    def add_joints(self, state: JointState) -> None:
        """Take one joint state.

        Raises:
            WamError: its joints are not exactly the aligner's, in order, or a position is not
                finite.
        """
        if state.joint_names != self.joint_names:
            raise WamError(
                f"expected joints {', '.join(self.joint_names)}, found "
                f"{', '.join(state.joint_names)}"
            )
        if not np.isfinite(state.positions).all():
            i = int(np.argmin(np.isfinite(state.positions)))
            raise WamError(f"position of '{state.joint_names[i]}' is {state.positions[i]}")
        self._add(self._joints, state.stamp_ns, state)

    def flush(self) -> None:
        """Forget every sample and the last instant: the clock was set back."""
        for stream in (*self._views.values(), self._joints):
            stream.clear()
        self._due = self._last_now = None
        self.flushes += 1

    @property
    def reached_ns(self) -> int:
        """The newest instant that every stream has reached; 0 while one is missing."""
        streams = (*self._views.values(), self._joints)
        return min(s.stamps[-1] if s.stamps else 0 for s in streams)

    def poll(self, now_ns: int) -> Observation | None:
        """The next observation, if one is complete at ROS time `now_ns`.

        Raises:
            WamError: `decode` refused a frame; that instant is skipped.
        """
        if self._last_now is not None and now_ns < self._last_now:
            self.flush()
        self._last_now = now_ns
        instant = self._settled_instant(now_ns)
        if instant is None or now_ns - instant > self._max_age_ns or self._ahead(now_ns):
            return None
        picks = {view: stream.newest_before(instant) for view, stream in self._views.items()}
        stamps = {view: self._views[view].stamps[i] for view, i in picks.items() if i >= 0}
        at = self._joints.newest_before(instant)
        if len(stamps) < len(picks) or at < 0:
            return None
        ages = [instant - s for s in (*stamps.values(), self._joints.stamps[at])]
        if max(ages) > self._max_age_ns:
            return None
        self._expect_after(instant)
        frames = [self._decoded(view, i) for view, i in picks.items()]
        observation = Observation(
            stamp_ns=instant,
            view_names=self.view_names,
            frames=np.stack(frames),
            frame_stamps_ns=tuple(stamps.values()),
            joints=self._joints_at(instant, at),
            age_ns=max(ages),
        )
        for stream in (*self._views.values(), self._joints):
            stream.drop_before(instant)
        return observation

    def faults(self, now_ns: int) -> list[StreamFault]:
        """Every stream that is missing, stale or stamped ahead at ROS time `now_ns`, in order."""
        found = []
        for name, stream in (*self._views.items(), (JOINTS, self._joints)):
            if not stream.stamps:
                found.append(StreamFault(name, "missing"))
            elif abs(age := now_ns - stream.stamps[-1]) > self._max_age_ns:
                kind = "stale" if age > 0 else "ahead"
                found.append(StreamFault(name, kind, age / NS, stream.stamps[-1] / NS))
        return found

    def _add(self, stream: _Stream, stamp_ns: int, value: Any) -> None:
        if not stream.add(stamp_ns, value) and stream.stamps[-1] - stamp_ns > self._max_age_ns:
            self.flush()
            stream.add(stamp_ns, value)

    def _ahead(self, now_ns: int) -> bool:
        return any(f.kind == "ahead" for f in self.faults(now_ns))

    def _settled_instant(self, now_ns: int) -> int | None:
        due = self._earliest_ns()
        usable = {v: s.newest_before(now_ns) for v, s in self._views.items()}
        newest = [self._views[v].stamps[i] for v, i in usable.items() if i >= 0]
        if len(newest) < len(usable):
            return None
        reached = min(newest)
        complete = reached >= due
        if complete and (now_ns >= reached + self._patience_ns or self._joints_reached(reached)):
            return reached
        for view, stream in self._views.items():  # something else is awaited anyway
            i = stream.newest_before(reached if complete else now_ns)
            if complete or stream.stamps[i] >= due:
                self._decoded(view, i)
        if complete:
            return None
        fresh = [t for s in self._views.values() for t in s.stamps if due <= t <= now_ns]
        return max(newest) if fresh and now_ns >= min(fresh) + self._patience_ns else None

    def _decoded(self, view: str, index: int) -> np.ndarray:
        """A frame as pixels; decoding is done once."""
        values = self._views[view].values
        if not isinstance(values[index], _Pixels):
            values[index] = _Pixels(self._decode(values[index]))
        return values[index].rgb

    def _earliest_ns(self) -> int:
        """Smallest stamp that the next instant may have."""
        if self._due is None:
            return -1
        early = min(self._period_ns // 4, max(s.interval_ns for s in self._views.values()) // 2)
        return self._due - early

    def _expect_after(self, instant: int) -> None:
        """Keep to a grid of periods, so that jitter does not raise the rate, and let it follow the
        cameras slowly.
        """
        if self._due is None or instant - self._due >= self._period_ns:
            self._due = instant + self._period_ns
        else:
            self._due += self._period_ns + (instant - self._due) // 5

    def _joints_reached(self, instant: int) -> bool:
        return bool(self._joints.stamps) and (
            self._joints.stamps[-1] >= instant or self._carries(instant)
        )

    def _carries(self, instant: int) -> bool:
        """Whether the newest joints come to an instant after them by their velocities."""
        near = instant - self._joints.stamps[-1] <= self._carry_ns
        return near and bool(np.isfinite(self._joints.values[-1].velocities).all())

    def _joints_at(self, instant: int, at: int) -> JointState:
        """Linear between the neighbours of `instant`; with none near after it the state before,
        carried or as is.
        """
        stamps = self._joints.stamps
        before = self._joints.values[at]
        if at + 1 == len(stamps) and self._carries(instant):
            positions = before.positions + (instant - stamps[at]) / NS * before.velocities
            return JointState(
                instant, self.joint_names, positions, before.velocities, before.efforts
            )
        if at + 1 == len(stamps) or stamps[at + 1] - stamps[at] > self._max_age_ns:
            return before
        after = self._joints.values[at + 1]
        w = (instant - stamps[at]) / (stamps[at + 1] - stamps[at])
        mix = [
            (1 - w) * getattr(before, k) + w * getattr(after, k)
            for k in ("positions", "velocities", "efforts")
        ]
        return JointState(instant, self.joint_names, *mix)
