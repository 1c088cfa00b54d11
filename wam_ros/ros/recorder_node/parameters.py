"""The parameters of the recorder node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param


@dataclass(frozen=True)
class RecorderParams:
    """Parameters of recorder_node."""

    embodiment: str = param(
        "panda", doc="Robot: a name in config/embodiments or the path of a YAML file"
    )
    folder: str = param("takes", doc="Folder of the takes; it is made where it is not there")
    begin_at_once: bool = param(
        True, doc="A take begins when the node becomes active; false waits for ~/start"
    )
    images: bool = param(True, doc="Record the robot's cameras, too, not only observations")
    more_topics: str = param(
        "", doc="Names of more topics with blanks between them, heard as soon as they are published"
    )
    chunk_s: float = param(
        0.5,
        unit="s",
        low=0.05,
        high=60.0,
        doc="What was heard is closed after this time; more recent is lost with the process",
    )
    most_waiting_mb: float = param(
        256.0,
        unit="MB",
        low=1.0,
        high=16384.0,
        doc="What waits for the disk at most; what comes beyond it is left out and counted",
    )
    clock_jump_s: float = param(
        0.2, unit="s", low=0.01, high=10.0, doc="A jump of the clock by more is noted"
    )
