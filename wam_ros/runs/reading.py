"""The one reader of a run: the folder of a recording, or what `wam demo --json` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.appraisal import Appraisal
from wam_ros.core.drivers import JOINTS, MEASURED
from wam_ros.core.errors import WamError
from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.core.trace import Trace
from wam_ros.core.types import (
    NS,
    ActionChunk,
    Decision,
    ImaginedFuture,
    Observation,
    Reason,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.core.yamlfile import load_yaml
from wam_ros.ros import convert
from wam_ros.ros.fields import time_to_ns
from wam_ros.ros.recording import METADATA, Recorded, Recording, expecting
from wam_ros.runs.run import Episode, Episodes, Run, Stop
from wam_ros.tools.latency import Feed, feed_recorded

JOINTS_NS = NS // 50  # between two samples of measured joints that are kept
NEEDED = ("safety_report", "observation", "action_chunk", "wam_status")


def read_run(source: Path, namespace: str | None = None) -> Run:
    """All of a run but its frames.

    Args:
        source: folder of a recording, or a file that `wam demo --json` wrote.
        namespace: of the loop in a recording; None takes the only one.

    Raises:
        WamError: it is none of both, or cannot be read.
    """
    if source.suffix == ".json":
        return _from_json(source)
    with Recording(source, namespace) as recording:
        reader = _Reader(source)
        for recorded in recording.messages(reader.topics, NEEDED):
            with expecting(recorded):
                reader.take(recorded)
        run = reader.finish()
        run.facts |= _metadata(recording.path)
    return run


class _Reader:
    """Takes the messages of a recording, one after another."""

    def __init__(self, source: Path) -> None:
        self._run = Run(str(source))
        self._trace = Trace()
        self._newest: list[Any] = [None]
        self._feed = Feed(self._trace, lambda: self._newest[0]).handlers()
        self._episodes = Episodes()
        self._imagination = ImaginationTracker()
        self._chunk: ActionChunk | None = None
        self._under_way: SafeTrajectory | None = None
        self._joints_ns = 0
        self._first_ns: list[int] = []
        self._rows: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("joints", "errors", "surprise", "inference", "seams")
        }
        self._surprise: dict[int, float] = {}  # by the stamp of the observation
        self._answers = 0  # of the model, as its node counted them last
        self._readers: dict[str, Callable[[Recorded], None]] = {
            "observation": lambda r: self._on_observation(convert.observation_from_msg(r.message)),
            "action_chunk": lambda r: self._on_chunk(convert.chunk_from_msg(r.message)),
            "imagined_future": lambda r: self._on_future(convert.imagined_from_msg(r.message)),
            "appraisal": lambda r: self._on_appraisal(convert.appraisal_from_msg(r.message)),
            "wam_status": lambda r: self._on_status(convert.status_from_msg(r.message)),
            "safety_report": lambda r: self._on_report(convert.report_from_msg(r.message)),
            "safe_trajectory": lambda r: self._on_motion(convert.trajectory_from_wire(r.data)),
            JOINTS: lambda r: self._on_joints(r.message),
            MEASURED: lambda r: self._on_measured(r.message),
            "episode": lambda r: self._on_scene(r.message),
            "task_state": lambda r: self._on_task(convert.task_state_from_msg(r.message)),
        }
        self.topics = {*self._readers, *self._feed}

    def take(self, recorded: Recorded) -> None:
        """One message, in the order of recording."""
        feed_recorded(recorded, self._feed, self._newest)
        if (read := self._readers.get(recorded.topic)) is not None:
            read(recorded)

    def _seen(self, stamp_ns: int) -> None:
        run = self._run
        run.began_ns = min(run.began_ns or stamp_ns, stamp_ns)
        run.ended_ns = max(run.ended_ns, stamp_ns)

    def _on_observation(self, observation: Observation) -> None:
        self._seen(observation.stamp_ns)
        if not self._run.joint_names:
            self._run.joint_names = observation.joints.joint_names
        if found := self._imagination.on_observation(observation):
            row = observation.stamp_ns, found[0].mse, found[0].copy_mse
            self._rows["errors"].append(row)

    def _on_chunk(self, chunk: ActionChunk) -> None:
        run = self._run
        last = self._chunk
        if last is not None and last.session_id != chunk.session_id:
            run.chunks.clear()
        if last is not None and last.epoch != chunk.epoch:
            self._imagination.clear_imagined()
        self._chunk = chunk
        run.chunks[chunk.seq] = chunk
        run.embodiment = chunk.embodiment or run.embodiment
        model = f"{chunk.model} {chunk.checkpoint_hash[:12]}".strip()
        _tell(run.facts, "model", model)
        self._imagination.on_chunk(chunk.seq, chunk.observation_ns, chunk.anchor_ns)

    def _on_future(self, future: ImaginedFuture) -> None:
        self._imagination.on_imagined(future)

    def _on_appraisal(self, appraisal: Appraisal) -> None:
        """An observation is appraised when it is seen, and again, knowing more, with its chunk."""
        if np.isfinite(appraisal.surprise):
            self._surprise[appraisal.stamp_ns] = appraisal.surprise

    def _on_status(self, status: WamStatus) -> None:
        self._seen(status.stamp_ns)
        news = status.chunks != self._answers  # it is a heartbeat, too
        self._answers = status.chunks
        if status.chunks and news:
            self._rows["inference"].append((status.stamp_ns, status.latency_last_s))

    def _on_report(self, report: SafetyReport) -> None:
        self._seen(report.stamp_ns)
        self._run.reports.append(report)
        self._episodes.on_report(report, self._chunk.instruction if self._chunk else "")

    def _on_scene(self, message: Any) -> None:
        self._episodes.on_scene(int(message.seed), bool(message.success), bool(message.wrong))

    def _on_task(self, state: TaskState) -> None:
        if not state.running and state.reason != TaskEnd.UNKNOWN:
            self._episodes.on_task(f"{state.reason.name.lower()}: {state.sentence}")

    def _on_measured(self, message: Any) -> None:
        """Of a robot whose drivers have numbers of their own: those are no rad."""
        if JOINTS in self._readers:
            del self._readers[JOINTS]
            self._rows["joints"].clear()
        self._on_joints(message)

    def _on_joints(self, message: Any) -> None:
        stamp_ns = time_to_ns(message.header.stamp)
        names = self._run.joint_names
        if not names or abs(stamp_ns - self._joints_ns) < JOINTS_NS:
            return
        self._joints_ns = stamp_ns
        # a broadcaster of another group of joints may say something, too
        if set(names) <= set(message.name):
            state = convert.joint_state_from_msg(message, names)
            self._rows["joints"].append((stamp_ns, *state.positions))

    def _on_motion(self, motion: SafeTrajectory) -> None:
        """Where a motion takes over from the one under way."""
        before = self._under_way
        self._under_way = motion
        if before is None or before.joint_names != motion.joint_names:
            return
        at_s = (motion.start_ns - before.start_ns) / NS
        if not 0.0 <= at_s <= before.duration_s:
            return  # from rest
        q, dq = (_row_at(before.t, rows, at_s) for rows in (before.q, before.dq))
        wanted = np.nan
        chunk = self._run.chunks.get(motion.chunk_seq)
        if chunk is not None and set(motion.joint_names) <= set(chunk.joint_names):
            columns = [chunk.joint_names.index(name) for name in motion.joint_names]
            steps = np.arange(1, chunk.n_steps + 1) * chunk.step_period_ns
            due_s = (chunk.anchor_ns + steps - motion.start_ns) / NS
            if due_s[0] <= 0.0 <= due_s[-1]:
                wanted = np.abs(_row_at(due_s, chunk.positions[:, columns], 0.0) - q).max()
        leapt = np.abs(motion.dq[0] - dq).max()
        self._rows["seams"].append((motion.start_ns, wanted, leapt))

    def finish(self) -> Run:
        """The run, when the last message was taken."""
        run = self._run
        run.episodes = self._episodes.close()
        run.imagination = self._imagination.summary()
        self._rows["surprise"] = sorted(self._surprise.items())
        for name, rows in self._rows.items():
            if rows:
                stamps = np.array([row[0] for row in rows], np.int64)
                numbers = np.array([row[1:] for row in rows], float)
                setattr(run, name, np.column_stack([(stamps - run.began_ns) / NS, numbers]))
        if why := self._trace.why_not_comparable:
            run.notes.append(f"no latency camera to command: {why}")
        else:
            run.latency = self._trace.summary()
            run.latency_ms = self._trace.values_ms()
        for missing, what in (
            (not run.reports, "what safety decided (safety_report)"),
            (not len(run.joints), "the measured joints (joint_states)"),
            (not len(run.errors), "what was imagined (imagined_future), or an instant of it"),
        ):
            if missing:
                run.notes.append(f"the recording does not hold {what}")
        return run


def _row_at(t: np.ndarray, rows: np.ndarray, at: float) -> np.ndarray:
    """(A,) of rows (N, A) over rising t (N,), straight between them."""
    return np.array([np.interp(at, t, column) for column in rows.T])


def _tell(facts: dict[str, str], name: str, words: str) -> None:
    """Add to what is known under a name, unless it is there."""
    known = facts.get(name, "")
    if words and words not in known.split(", "):
        facts[name] = f"{known}, {words}" if known else words


def _metadata(folder: Path) -> dict[str, str]:
    """What the recorder wrote beside the messages; what is not there is left out."""
    path = folder / METADATA
    if not path.is_file():
        return {}
    told = load_yaml(path).get("rosbag2_bagfile_information")
    told = told if isinstance(told, dict) else {}
    found = {"recorded on": told.get("ros_distro"), "storage": told.get("storage_identifier")}
    found["messages"] = told.get("message_count")
    return {name: str(value) for name, value in found.items() if value not in (None, "unknown")}


def _from_json(file: Path) -> Run:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        settings = told["settings"]
        episodes = [_episode(e) for e in told["episodes"]]
        run = Run(
            source=str(file),
            facts={
                "model": str(settings.get("running_model") or settings.get("model") or ""),
                "completed": "yes" if told["completed"] else f"no: {told['failure']}",
                "chunks a second": f"{told['summary']['chunk_rate_hz']:.1f}",
            },
            embodiment=str(settings.get("embodiment", "")),
            episodes=episodes,
            latency=dict(told["latency"]),
            imagination=dict(told["imagination"]),
            notes=[
                "a file of results holds no curves and no pictures: name the recording for them"
            ],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WamError(
            f"'{file}' is no result of `wam demo --json`: {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error
    run.ended_ns = sum(e.ended_ns for e in episodes)
    return run


def _episode(told: dict[str, Any]) -> Episode:
    """One row of the results; when it began is not in there."""
    return Episode(
        began_ns=0,
        ended_ns=round(float(told["duration_s"]) * NS),
        instruction=str(told["instruction"]),
        chunks=int(told["chunks"]),
        decisions={
            name: int(n)
            for name, n in told["decisions"].items()
            if name.upper() in Decision.__members__
        },
        stops=[
            Stop(0, SafetyState.UNKNOWN, _reason(name), name.replace("_", " "))
            for name, n in told["stops"].items()
            for _ in range(int(n))
        ],
        ended=str(told["note"]),
        verdict=str(told["outcome"]),
        seed=int(told["seed"]),
    )


def _reason(name: str) -> Reason:
    return Reason.__members__.get(name.upper(), Reason.NONE)
