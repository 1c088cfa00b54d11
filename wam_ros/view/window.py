"""A page in the browser: arm, ghost of the safe trajectory, observed and imagined frames,
instruction, buttons.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np
import viser
from viser.extras import ViserUrdf

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import load_yaml
from wam_ros.view.port import require_free_port

GHOST = (0.25, 0.75, 0.45, 0.25)  # RGBA in [0, 1]
_PATH_COLOUR = (60, 190, 110)
_TABLE_COLOUR = (170, 158, 140)


@dataclass(frozen=True)
class Box:
    """One box in the robot's base frame."""

    name: str
    position: tuple[float, float, float]  # m, its centre
    wxyz: tuple[float, float, float, float]
    size: tuple[float, float, float]  # m, full edges
    rgb: tuple[float, float, float]  # in [0, 1]


class Window:
    """Serves the page. Methods belong to one thread; what the person does is fetched with
    `take_actions`.

    Args:
        embodiment: robot to show.
        host: address to listen on.
        port: TCP port.

    Raises:
        WamError: the port is in use, or the robot description cannot be drawn.
    """

    def __init__(self, embodiment: Embodiment, host: str = "127.0.0.1", port: int = 8080) -> None:
        require_free_port(port, host)  # the server would silently take the next one
        self._server = viser.ViserServer(host=host, port=port, label="wam", verbose=False)
        self._actions: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._names = embodiment.joint_names
        self._objects: dict[str, viser.BoxHandle] = {}
        self._path: viser.LineSegmentsHandle | None = None
        self._build_scene(embodiment)
        self._build_panel()

    def _build_scene(self, embodiment: Embodiment) -> None:
        scene = self._server.scene
        scene.set_up_direction("+z")
        scene.configure_environment_map(environment_intensity=0.5)
        obstacles = load_yaml(config_path("worlds", embodiment.world)).get("obstacles", {})
        boxes = {name: o for name, o in obstacles.items() if o.get("shape") == "box"}
        floor = min((o["position"][2] - o["size"][2] / 2 for o in boxes.values()), default=0.0)
        scene.add_grid(
            "/grid", width=3.0, height=3.0, cell_size=0.1, section_size=0.5, position=(0, 0, floor)
        )
        for name, obstacle in boxes.items():
            scene.add_box(
                f"/world/{name}",
                _TABLE_COLOUR,
                tuple(obstacle["size"]),
                position=tuple(obstacle["position"]),
                wxyz=tuple(obstacle.get("orientation", (1.0, 0.0, 0.0, 0.0))),
            )
        scene.add_frame("/robot", show_axes=False)
        self._ghost_frame = scene.add_frame("/ghost", show_axes=False, visible=False)
        try:
            self._arm = ViserUrdf(self._server, embodiment.urdf_path, root_node_name="/robot")
            self._ghost = ViserUrdf(
                self._server,
                embodiment.urdf_path,
                root_node_name="/ghost",
                mesh_color_override=GHOST,
            )
        except Exception as error:  # the parser raises whatever its XML and mesh libraries raise
            raise WamError(f"{embodiment.urdf_path} cannot be drawn: {error}") from error
        order = self._arm.get_actuated_joint_names()
        self._columns = [self._names.index(n) if n in self._names else -1 for n in order]
        self.show_joints(np.array(embodiment.home))
        self._server.initial_camera.position = (1.35, 0.55, 0.75)
        self._server.initial_camera.look_at = (0.35, 0.0, 0.25)

    def _build_panel(self) -> None:
        gui = self._server.gui
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        self._instruction = gui.add_text("instruction", "")
        self._filled_in = ""
        for label, action, colour in (
            ("follow", "instruct", "green"),
            ("emergency stop", "estop", "red"),
        ):
            button = gui.add_button(label, color=colour)  # type: ignore[arg-type]
            button.on_click(functools.partial(self._on_button, action))
        self._state = gui.add_markdown("waiting for the loop")
        self._images = gui.add_image(np.zeros((2, 3, 3), np.uint8), format="jpeg", jpeg_quality=85)
        gui.add_markdown(
            "green: the proven motion, and where it ends at rest; in a dry run, the plan as "
            "proposed"
        )
        for label, actions in (
            ("motion", ("arm", "disarm", "reset")),
            ("bridge", ("pause", "resume")),
        ):
            group = gui.add_button_group(label, actions)
            group.on_click(lambda event: self._on_button(event.target.value))

    def _on_button(self, action: str, _event: object = None) -> None:
        self._actions.put((action, self._instruction.value if action == "instruct" else ""))

    def take_actions(self) -> list[tuple[str, str]]:
        """What was pressed since the last call: (instruct | arm | disarm | reset | estop | pause |
        resume, text).
        """
        actions = []
        while True:
            try:
                actions.append(self._actions.get_nowait())
            except Empty:
                return actions

    @property
    def watched(self) -> bool:
        """True while a browser is connected; nobody else needs updates."""
        return bool(self._server.get_clients())

    def _order(self, q: np.ndarray) -> np.ndarray:
        return np.array([q[c] if c >= 0 else 0.0 for c in self._columns])

    def show_joints(self, q: np.ndarray) -> None:
        """Move the arm to (A,) positions in the embodiment's order, rad or m."""
        with self._server.atomic():
            self._arm.update_cfg(self._order(q))

    def show_plan(self, end: np.ndarray | None, path: np.ndarray | None) -> None:
        """Draw where the safe trajectory leads.

        Args:
            end: (A,) joints of the ghost, rad or m; None hides it.
            path: (N, 3) tool positions, m; fewer than two points hide the line.
        """
        with self._server.atomic():
            self._ghost_frame.visible = end is not None
            if end is not None:
                self._ghost.update_cfg(self._order(end))
            if self._path is not None:
                self._path.visible = False
            if path is not None and len(path) > 1:
                segments = np.stack([path[:-1], path[1:]], axis=1).astype(np.float32)
                self._path = self._server.scene.add_line_segments(
                    "/plan", segments, _PATH_COLOUR, thickness=0.005
                )

    def show_objects(self, boxes: Sequence[Box]) -> None:
        """Draw boxes that are not obstacles, such as the blocks of a simulated task; the same name
        is the same box.
        """
        with self._server.atomic():
            for box in boxes:
                handle = self._objects.get(box.name)
                if handle is None:
                    handle = self._server.scene.add_box(f"/objects/{box.name}", box.rgb, box.size)
                    self._objects[box.name] = handle
                handle.position = box.position
                handle.wxyz = box.wxyz

    def show_images(self, board: np.ndarray) -> None:
        """Replace the picture of frames, (H, W, 3) uint8 RGB."""
        self._images.image = board

    def show_state(self, lines: Sequence[tuple[str, str]]) -> None:
        """Replace the state: (name, sentence) lines."""
        text = "\n\n".join(f"**{name}** {plain(sentence)}" for name, sentence in lines)
        if self._state.content != text:
            self._state.content = text

    def show_instruction(self, instruction: str) -> None:
        """Fill the instruction box, as when a new episode begins, unless the person is writing in
        it.
        """
        if self._instruction.value in (self._filled_in, instruction):
            self._instruction.value = self._filled_in = instruction  # type: ignore[misc]  # asymmetric property

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()


def plain(text: str) -> str:
    """Text that a Markdown page shows as it is, on one line."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~" else c for c in " ".join(text.split()))
