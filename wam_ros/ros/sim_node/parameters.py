"""The parameters of sim_node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param
from wam_ros.ros.sim_node.controller_server import KINDS
from wam_ros.sim.robots import AUTO


@dataclass(frozen=True)
class SimParams:
    """Parameters of sim_node."""

    embodiment: str = param(
        "panda", doc="robot: a name in config/embodiments or the path of a YAML file"
    )
    task: str = param(
        AUTO,
        doc="what there is to do; auto: pick_block for the panda's hand, else reach, also for "
        "SO-101, which pick_block knows. libero_object/0 and its like are LIBERO's",
    )
    seed: int = param(
        0, low=0, doc="episode placed at start; from 900000 on LIBERO's official initial states"
    )
    lockstep: bool = param(
        False, doc="publish /clock, and wait for the nodes of the loop; else keep real time"
    )
    rate: float = param(
        1.0, unit="1", low=0.05, high=20.0, doc="with lockstep: simulated s per s at most"
    )
    step_s: float = param(
        0.002, unit="s", low=0.0005, high=0.005, doc="physics step and servo period"
    )
    wake_s: float = param(
        0.004, unit="s", low=0.001, high=0.02, doc="real time between catching up with the clock"
    )
    joint_states_hz: float = param(
        100.0, unit="Hz", low=1.0, high=1000.0, doc="joint states per simulated second"
    )
    camera_hz: float = param(
        20.0, unit="Hz", low=0.5, high=100.0, doc="images per camera and simulated second"
    )
    camera_height: int = param(128, unit="px", low=16, high=1080, doc="rows of every image")
    camera_width: int = param(128, unit="px", low=16, high=1920, doc="columns of every image")
    tf_prefix: str = param("", doc="in front of every frame of its messages, such as left/")
    controller: str = param("joint_trajectory", choices=KINDS, doc="kind of the arm's controller")
