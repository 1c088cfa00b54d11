"""The pictures of docs/architecture.md, drawn from what they say, so that a test can hold them to
the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

COLOURS = {  # fill and line, by what a box is
    "motion": ("#e3f4e6", "#2e7d46"),
    "model": ("#e4ecfb", "#3559a8"),
    "page": ("#f6efdd", "#8a6d1f"),
    "cell": ("#eeeeee", "#666666"),
    "latched": ("#fbe5e3", "#b03a2e"),
}
SIZE = 13  # px, of letters
INK = "#333333"


@dataclass(frozen=True)
class Box:
    """A process or a state."""

    name: str
    place: tuple[int, int, int, int]  # px: x, y of the upper left corner, width, height
    kind: str
    lines: tuple[str, ...] = ()  # under its name


@dataclass(frozen=True)
class Arrow:
    """What goes from one box to another."""

    start: str
    end: str
    points: tuple[tuple[int, int], ...]  # px
    names: tuple[str, ...]  # topics, services that begin with `~/`, or events
    text_at: tuple[int, int]  # px, of the first line
    anchor: str = "middle"
    label: tuple[str, ...] = ()  # instead of the names


@dataclass(frozen=True)
class Picture:
    """Boxes and arrows."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """As a file for the browser; on white, so that it can be read on any page."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="sans-serif" '
            f'font-size="{SIZE}" fill="{INK}">'
        )
        tip = (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0 0 10 5 0 10z" fill="{INK}"/></marker>'
            "</defs>"
        )
        ground = '<rect width="100%" height="100%" fill="white"/>'
        parts = [part for arrow in self.arrows for part in _arrow(arrow)]
        parts += [part for box in self.boxes for part in _box(box)]
        return "\n".join([head, tip, ground, *parts, "</svg>", ""])


def _box(box: Box) -> list[str]:
    fill, line = COLOURS[box.kind]
    left, top, width, height = box.place
    x = left + width // 2
    first = top + height / 2 - 8 * len(box.lines) + SIZE / 3
    return [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" '
        f'fill="{fill}" stroke="{line}" stroke-width="1.5"/>',
        f'<text x="{x}" y="{first:g}" text-anchor="middle" font-weight="bold">{box.name}</text>',
        *(
            _text(x, round(first + 17 * (k + 1)), words, "middle", SIZE - 1)
            for k, words in enumerate(box.lines)
        ),
    ]


def _arrow(arrow: Arrow) -> list[str]:
    path = " ".join(f"{x},{y}" for x, y in arrow.points)
    x, y = arrow.text_at
    return [
        f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.4" '
        'marker-end="url(#tip)"/>',
        *(
            _text(x, y + 15 * k, words, arrow.anchor, SIZE - 1)
            for k, words in enumerate(arrow.label or arrow.names)
        ),
    ]


def _text(x: int, y: int, words: str, anchor: str, size: int) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


TRAJECTORY = "joint_trajectory_controller/joint_trajectory"
CELL = "the cell"
LOOP = Picture(
    width=1000,
    height=470,
    boxes=(
        Box("view_node", (20, 20, 960, 54), "page", ("the page: shows the loop, hears a person",)),
        Box("camera_node", (20, 170, 150, 110), "cell", ("images and joints", "of one instant")),
        Box(
            "inference_node",
            (270, 170, 170, 110),
            "model",
            ("the model, on a", "thread of its own"),
        ),
        Box("safety_node", (550, 170, 160, 110), "motion", ("proves every motion", "and its stop")),
        Box("bridge_node", (830, 170, 150, 110), "motion", ("last look, then", "the controller")),
        Box(
            CELL,
            (20, 390, 960, 60),
            "cell",
            ("cameras, arm, ros2_control, obstacles; or sim_node",),
        ),
    ),
    arrows=(
        Arrow(
            "camera_node", "inference_node", ((170, 225), (268, 225)), ("observation",), (219, 217)
        ),
        Arrow(
            "inference_node", "safety_node", ((440, 225), (548, 225)), ("action_chunk",), (494, 217)
        ),
        Arrow(
            "safety_node",
            "bridge_node",
            points=((710, 205), (828, 205)),
            names=("safe_trajectory", "safety_report"),
            text_at=(769, 182),
        ),
        Arrow(
            "bridge_node",
            "safety_node",
            points=((830, 245), (712, 245)),
            names=("commanded_state", "bridge_state"),
            text_at=(771, 262),
        ),
        Arrow(
            CELL,
            "camera_node",
            points=((95, 390), (95, 282)),
            names=("front/image_raw", "joint_states"),
            text_at=(103, 332),
            anchor="start",
            label=("images", "joint_states"),
        ),
        Arrow(
            CELL,
            "safety_node",
            points=((600, 390), (600, 282)),
            names=("joint_states",),
            text_at=(592, 340),
            anchor="end",
        ),
        Arrow(
            CELL,
            "safety_node",
            points=((660, 390), (660, 282)),
            names=("obstacles", "obstacle_shapes", "obstacle_points"),
            text_at=(668, 325),
            anchor="start",
        ),
        Arrow(
            CELL,
            "bridge_node",
            points=((870, 390), (870, 282)),
            names=("joint_states",),
            text_at=(862, 340),
            anchor="end",
        ),
        Arrow(
            "bridge_node",
            CELL,
            points=((905, 280), (905, 388)),
            names=(TRAJECTORY,),
            text_at=(913, 340),
            anchor="start",
            label=("trajectories",),
        ),
        Arrow(
            "view_node",
            "inference_node",
            points=((340, 74), (340, 168)),
            names=("~/set_instruction",),
            text_at=(332, 124),
            anchor="end",
        ),
        Arrow(
            "inference_node",
            "view_node",
            points=((372, 170), (372, 76)),
            names=("imagined_future", "wam_status"),
            text_at=(380, 117),
            anchor="start",
        ),
        Arrow(
            "view_node",
            "safety_node",
            points=((614, 74), (614, 168)),
            names=("~/arm", "~/reset", "~/estop"),
            text_at=(606, 110),
            anchor="end",
        ),
        Arrow(
            "safety_node",
            "view_node",
            points=((646, 170), (646, 76)),
            names=("safety_report",),
            text_at=(654, 124),
            anchor="start",
        ),
        Arrow(
            "view_node",
            "bridge_node",
            points=((905, 74), (905, 168)),
            names=("~/pause",),
            text_at=(897, 124),
            anchor="end",
        ),
    ),
)
EVERY = "every state"
UNLATCHED = "every state that is not latched"
STATES = Picture(
    width=1060,
    height=350,
    boxes=(
        Box("DISABLED", (20, 90, 120, 60), "cell", ("nothing is judged",)),
        Box("SHADOW", (245, 90, 120, 60), "cell", ("nothing is sent",)),
        Box("HOLD", (470, 90, 120, 60), "cell", ("stands still",)),
        Box("ARMED", (695, 90, 120, 60), "motion", ("chunks move it",)),
        Box("BRAKING", (920, 90, 120, 60), "motion", ("a stop plays",)),
        Box("FAULT", (810, 270, 120, 60), "latched", ("until ~/reset",)),
        Box("ESTOP", (245, 270, 120, 60), "latched", ("until ~/reset",)),
    ),
    arrows=(
        Arrow("DISABLED", "SHADOW", ((140, 120), (243, 120)), ("activate",), (191, 112)),
        Arrow(
            "SHADOW",
            "HOLD",
            points=((365, 120), (468, 120)),
            names=("joint states", "come, unless", "dry_run"),
            text_at=(416, 82),
        ),
        Arrow("HOLD", "ARMED", ((590, 108), (693, 108)), ("~/arm",), (641, 100)),
        Arrow(
            "ARMED",
            "HOLD",
            points=((695, 132), (592, 132)),
            names=("disarmed,", "or idle"),
            text_at=(643, 148),
        ),
        Arrow("ARMED", "BRAKING", ((815, 108), (918, 108)), ("a stop begins",), (866, 100)),
        Arrow(
            "BRAKING",
            "ARMED",
            points=((920, 132), (817, 132)),
            names=("next chunk,", "or rest"),
            text_at=(868, 148),
        ),
        Arrow(
            "BRAKING",
            "HOLD",
            points=((980, 90), (980, 36), (530, 36), (530, 88)),
            names=("at rest, after it was disarmed",),
            text_at=(755, 28),
        ),
        Arrow(
            "BRAKING",
            "FAULT",
            points=((960, 150), (900, 268)),
            names=("at rest,", "after a fault"),
            text_at=(944, 212),
            anchor="start",
        ),
        Arrow(
            "ARMED",
            "FAULT",
            points=((775, 150), (840, 268)),
            names=("joint states", "stop coming"),
            text_at=(796, 217),
            anchor="end",
        ),
        Arrow(
            "HOLD",
            "FAULT",
            points=((578, 150), (578, 282), (808, 282)),
            names=("something else", "moves the arm"),
            text_at=(588, 256),
            anchor="start",
        ),
        Arrow("FAULT", "HOLD", ((810, 306), (548, 306), (548, 152)), ("~/reset",), (640, 322)),
        Arrow("ESTOP", "HOLD", ((365, 300), (500, 300), (500, 152)), ("~/reset",), (430, 292)),
        Arrow(
            EVERY,
            "ESTOP",
            points=((150, 300), (243, 300)),
            names=("from every state:", "~/estop, topic estop"),
            text_at=(20, 296),
            anchor="start",
        ),
        Arrow(
            UNLATCHED,
            "DISABLED",
            points=((80, 205), (80, 152)),
            names=("from every state that is", "not latched: deactivate"),
            text_at=(20, 221),
            anchor="start",
        ),
    ),
)
# Where a reset leads in a dry run, and while the node is inactive: told beside the picture.
IN_WORDS = {("ESTOP", "SHADOW"), ("ESTOP", "DISABLED"), ("FAULT", "DISABLED")}
