"""Imagined pictures in space, before their cameras, as markers for RViz.

Each cell of a picture is two triangles of one colour. A texture would be finer, but RViz multiplies
a new one onto the last, and keeps that of every marker that is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import Point
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core import palette
from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.frustum import picture_corners, pinhole
from wam_ros.core.images import resize
from wam_ros.core.types import NS
from wam_ros.ros import qos
from wam_ros.ros.latest import Latest
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.markers import colour_msg, lifetime_msg
from wam_ros.ros.view_node.picture import Picture
from wam_ros.ros.view_node.wire import WireMarker, markers_to_wire
from wam_ros.view.board import LATE_S
from wam_ros.view.model import ViewModel

TOPIC = "imagination/frames"
HZ = 1.0  # a picture is a thousand cells
LIFETIME_S = 2.0
CELLS = 32  # along an edge
# m, height of a picture: before a camera that stands, and before one that moves with a link, where
# a large one would hide the hand
STANDING_M = 0.25
MOVING_M = 0.1
_LINE_M = 0.003


class FramePublisher(Picture):
    """Hangs the farthest imagined frame of each view before its camera.

    A camera is shown when the embodiment says where it is mounted, and it has the calibration of
    its lens or its `camera_info` was heard.

    Args:
        node: that publishes.
        embodiment: the robot.
        prefix: in front of every frame of it.
        on_matched: called when somebody begins or ceases to look.
    """

    hears = frozenset(("observation", "action_chunk", "imagined_future"))

    def __init__(
        self,
        node: WamNode,
        embodiment: Embodiment,
        prefix: str,
        on_matched: Callable[[], None],
    ) -> None:
        super().__init__(
            node, MarkerArray, TOPIC, profile=qos.OBSERVATION, hz=HZ, on_matched=on_matched
        )
        self._robot = embodiment
        self._prefix = prefix
        self._heard: dict[str, Latest] = {}
        self._shapes: dict[str, list[WireMarker]] = {}
        self._told: dict[str, tuple[float, ...]] = {}  # calibration of each camera as it came
        for camera in embodiment.cameras:
            if camera.calibration is not None and (known := pinhole(camera)) is not None:
                self._hang(camera, *known)

    def attend(self, watched: bool) -> None:
        """Begin or cease to hear the calibrations."""
        if watched and not self._heard:
            self._heard = {
                c.name: Latest(self._node, CameraInfo, c.info_topic)
                for c in self._robot.cameras
                if c.info_topic and c.mount is not None
            }
        elif not watched and self._heard:
            for heard in self._heard.values():
                heard.close()
            self._heard.clear()

    def show(self, model: ViewModel) -> None:
        """Publish the pictures that there are now."""
        now_ns = self._node.get_clock().now().nanoseconds
        columns = [c for c in model.columns() if c.kind == "imagined"]
        seen = model.observation
        late = seen is None or abs(now_ns - seen.stamp_ns) > LATE_S * NS
        if late or (columns and len(columns[-1].frames) != len(self._robot.cameras)):
            columns = []
        markers = []
        for view, camera in enumerate(self._robot.cameras):
            self._calibrate(camera)
            if camera.name in self._shapes and columns:
                picture, frustum = self._shapes[camera.name]
                picture.paint(cell_colours(columns[-1].frames[view]))
                markers += [picture, frustum]
        if markers:
            self._publisher.publish(markers_to_wire(markers, now_ns))

    def _calibrate(self, camera: Camera) -> None:
        """Make the shapes of a camera anew when its calibration is told."""
        heard = self._heard.get(camera.name)
        if heard is None or (info := heard.take()) is None:
            return
        k = np.array(info.k, dtype=float).reshape(3, 3)
        known = (*info.k, info.width, info.height)
        if known != self._told.get(camera.name):
            self._told[camera.name] = known
            self._hang(camera, k, (info.width, info.height))

    def _hang(self, camera: Camera, k: np.ndarray, size: tuple[int, int]) -> None:
        """Make the shapes of a camera whose intrinsics (3, 3) px are known."""
        if camera.mount is None:
            return
        base = self._robot.base_frame
        parent = base if camera.mount.parent == "world" else camera.mount.parent
        header = Header(frame_id=self._prefix + parent)
        edge_m = STANDING_M if parent == base else MOVING_M
        try:
            corners = picture_corners(camera, k, size, edge_m)
        except WamError as error:
            self._node.get_logger().warning(str(error), once=True)
            return
        self._shapes[camera.name] = [
            WireMarker(_picture(header, camera.name, corners)),
            WireMarker(_frustum(header, camera.name, corners)),
        ]


def cell_colours(frame: np.ndarray) -> np.ndarray:
    """(N, 4) in [0, 1]: two colours for each cell, row by row, of a frame (H, W, 3) uint8."""
    cells = resize(frame, CELLS, CELLS).reshape(-1, 3) / np.float32(255)
    return np.column_stack([cells, np.ones(len(cells), np.float32)]).repeat(2, 0)


def _picture(header: Header, view: str, corners: np.ndarray) -> Marker:
    """The cells of a picture between its corners."""
    marker = _marker(header, f"imagined {view}", Marker.TRIANGLE_LIST)
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    _, upper_left, upper_right, lower_right, lower_left = corners
    across = np.linspace(0.0, 1.0, CELLS + 1)[None, :, None]
    down = np.linspace(0.0, 1.0, CELLS + 1)[:, None, None]
    upper = (1 - across) * upper_left + across * upper_right
    lower = (1 - across) * lower_left + across * lower_right
    grid = ((1 - down) * upper + down * lower).tolist()
    for row in range(CELLS):
        for column in range(CELLS):
            a, b = grid[row][column], grid[row][column + 1]
            c, d = grid[row + 1][column + 1], grid[row + 1][column]
            marker.points += [Point(x=x, y=y, z=z) for x, y, z in (a, d, c, a, c, b)]
    marker.colors = [colour_msg(palette.WHITE)] * (len(marker.points) // 3)
    return marker


def _frustum(header: Header, view: str, corners: np.ndarray) -> Marker:
    """Lines from a camera to the corners of its picture, and around that."""
    marker = _marker(header, f"camera {view}", Marker.LINE_LIST)
    marker.scale.x = _LINE_M
    ends = [Point(x=x, y=y, z=z) for x, y, z in corners.tolist()]
    for k in range(1, 5):
        marker.points += [ends[0], ends[k], ends[k], ends[k % 4 + 1]]
    return marker


def _marker(header: Header, name: str, kind: int) -> Marker:
    marker = Marker(header=header, ns=name, id=0, type=kind, lifetime=lifetime_msg(LIFETIME_S))
    marker.pose.orientation.w = 1.0
    marker.color = colour_msg(palette.WHITE)
    return marker
