"""The parameters of the view node."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param


@dataclass(frozen=True)
class ViewParams:
    """Parameters of view_node."""

    embodiment: str = param(
        "panda", doc="robot: a name in config/embodiments or the path of a YAML file"
    )
    world: str = param(
        "", doc="what stands around it: a name in config/worlds; empty: the embodiment's"
    )
    tf_prefix: str = param("", doc="in front of every frame of the robot, such as left/")
    host: str = param(
        "127.0.0.1",
        doc="IP address to listen on; whoever reaches it and has the link can move the robot",
    )
    port: int = param(
        8080, low=0, high=65535, doc="TCP port of the page; 0: no page, only pictures for RViz"
    )
    tls_certificate: str = param("", doc="PEM file of a certificate; with tls_key the page is TLS")
    tls_key: str = param("", doc="PEM file of its key")
    arm_hz: float = param(
        20.0, unit="Hz", low=1.0, high=60.0, doc="updates of the drawn arm per second"
    )
    image_hz: float = param(
        5.0, unit="Hz", low=0.5, high=15.0, doc="updates of frames, plan and state per second"
    )
    board_hz: float = param(
        10.0, unit="Hz", low=0.5, high=30.0, doc="boards for RViz per second, while one is shown"
    )
