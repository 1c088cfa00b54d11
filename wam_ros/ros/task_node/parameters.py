"""The parameters of the task node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.task import JudgeParams
from wam_ros.ros.params import param

_JUDGE = JudgeParams()


@dataclass(frozen=True)
class TaskParams:
    """Parameters of task_node."""

    embodiment: str = param(
        "panda", doc="Robot: a name in config/embodiments or the path of a YAML file"
    )
    done_s: float = param(
        _JUDGE.done_s,
        unit="s",
        low=0.0,
        high=60.0,
        doc="The model says on the average that it is done, and will be: the task has succeeded",
    )
    failed_s: float = param(
        _JUDGE.failed_s,
        unit="s",
        low=0.0,
        high=60.0,
        doc="It says on the average that it cannot be done any more: the task has failed",
    )
    stuck_s: float = param(
        _JUDGE.stuck_s,
        unit="s",
        low=0.1,
        high=600.0,
        doc="No joint leaves where it is: the task is stuck",
    )
    stuck_rad: float = param(
        _JUDGE.stuck_rad,
        unit="rad",
        low=0.0,
        high=1.0,
        doc="How far a joint may move meanwhile",
    )
    stuck_m: float = param(
        _JUDGE.stuck_m,
        unit="m",
        low=0.0,
        high=1.0,
        doc="How far a sliding joint may move meanwhile",
    )
    max_timeout_s: float = param(
        0.0, unit="s", low=0.0, high=86400.0, doc="Longest time that a goal may ask for; 0: any"
    )
    silence_s: float = param(
        3.0,
        unit="s",
        low=0.2,
        high=60.0,
        doc="A node that is silent for longer is gone, and the task has failed",
    )
    call_timeout_s: float = param(
        6.0, unit="s", low=0.1, high=600.0, doc="Longest wait for the answer of another node"
    )
    rest_timeout_s: float = param(
        5.0, unit="s", low=0.1, high=60.0, doc="Longest wait for the arm to rest after the end"
    )
    feedback_hz: float = param(
        5.0, unit="Hz", low=0.5, high=50.0, doc="Feedback and task_state per second"
    )
    most_instructions: int = param(32, low=1, high=1000, doc="Most instructions of one task")

    def judge(self) -> JudgeParams:
        """How long what is believed."""
        return JudgeParams(
            done_s=self.done_s,
            failed_s=self.failed_s,
            stuck_s=self.stuck_s,
            stuck_rad=self.stuck_rad,
            stuck_m=self.stuck_m,
        )
