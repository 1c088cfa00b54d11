"""`wam embodiment`: a robot's YAML from its URDF; what is right about a robot and what not."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_whole
from wam_ros.core.resources import config_names
from wam_ros.core.xacro import expand
from wam_ros.embodiments.draft import Draft, Wishes, make_draft
from wam_ros.embodiments.review import DOUBTFUL, RIGHT, WRONG, Row, review, review_by_name
from wam_ros.embodiments.tree import stuck_joints
from wam_ros.embodiments.yaml_text import as_yaml
from wam_ros.robot.model import SafetyModel

COLUMNS = ("name", "joints", "grippers", "arms", "views", "controller")  # of those shipped
COLOURS = {RIGHT: "green", DOUBTFUL: "yellow", WRONG: "red"}


@dataclass(frozen=True)
class New:
    """Write the YAML of a robot from its description, and the pairs of links that are not watched.

    What is not told is guessed and marked with (?) in the file: arms and grippers from the tree of
    links, home from an SRDF beside the description or a free pose near the middle of the ranges,
    the joints of everything else parked.
    """

    # of the robot; or the topic on which one that runs says it
    urdf: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="URDF|XACRO|/robot_description")
    ]
    out: Path | None = None  # the file to write; NAME.yaml in this folder
    name: str = ""  # what to call it; the name of the description
    arm: tuple[str, ...] = ()  # how the arms are called that are commanded: left; all if not told
    joint: tuple[str, ...] = ()  # the commanded joints by name, instead of arms
    further: tuple[
        str, ...
    ] = ()  # joints that are commanded beside those of the arms, a lift's say
    tool: tuple[str, ...] = ()  # link of the tool of each arm
    base: str = ""  # link that stands, in which poses are told
    home: tuple[float, ...] = ()  # rad or m, one per commanded joint
    parked: dict[str, float] = field(default_factory=dict)  # rad or m, where other joints stand
    # joints whose place joint_states tells: neither commanded nor parked
    sensed: tuple[str, ...] = ()
    unguarded: tuple[str, ...] = ()  # links without a collision body that need not be watched
    # m, of two links ("a, b") that are built nearer to each other than the 5 mm that are kept
    clearance: dict[str, float] = field(default_factory=dict)
    # Nm or N, of joints whose limit in the description is a placeholder
    effort_limit: dict[str, float] = field(default_factory=dict)
    # rad/s or m/s, of joints of which the description tells none, or too large a one
    velocity_limit: dict[str, float] = field(default_factory=dict)
    # kg, of links without an inertia: it is then that of their shapes, all of it one material
    mass: dict[str, float] = field(default_factory=dict)
    # joints where a spring or counterweight carries the robot's own weight
    supported_by_spring: tuple[str, ...] = ()
    # folders of packages that are not found by themselves
    package: dict[str, str] = field(default_factory=dict)
    xacro_argument: dict[str, str] = field(default_factory=dict)  # of a xacro file
    srdf: Path | None = None  # whose named poses are tried as home; that beside the description
    world: str = "empty"  # what stands around it: a name in config/worlds or a YAML file
    camera: dict[str, str] = field(
        default_factory=dict
    )  # topics of the images, in the model's order
    live: bool = False  # take for cameras what publishes images now, as with /robot_description


@dataclass(frozen=True)
class Check:
    """Say what is right, doubtful and wrong about a robot; draw it with what its cameras see, and
    as it is watched.
    """

    # a name in config/embodiments or the path of a YAML file
    embodiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    picture: Path | None = None  # draw it into this .png; NAME.png in this folder
    no_picture: bool = False  # draw nothing


@dataclass(frozen=True)
class List:
    """Name the robots that are shipped."""


@dataclass(frozen=True)
class EmbodimentArgs:
    """Check the description of a robot. `wam embodiment new --help` makes one; `wam embodiment
    rehearse --help`: whether a recording means the same by its numbers and pictures.
    """

    run: Annotated[
        Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[List, tyro.conf.subcommand("list")],
        tyro.conf.arg(name=""),
    ]


def main(args: EmbodimentArgs) -> int:
    """Run the subcommand; 1 when something is wrong with the robot."""
    if isinstance(args.run, Check):
        return check(args.run)
    list_shipped()
    return 0


def write_new(args: New) -> int:
    """Guess an embodiment and write it with its pairs of links; 1 when it does not load as it is.

    Raises:
        WamError: what is wrong with the description or a wish; a file that is there already.
    """
    if not args.urdf.is_file():
        raise WamError(f"there is no file {args.urdf}")
    packages = {n: str(Path(f).resolve()) for n, f in args.package.items()}
    xacro = args.urdf.suffix == ".xacro"
    path = expand(args.urdf, args.xacro_argument, packages) if xacro else args.urdf.resolve()
    name = args.name or args.urdf.name.partition(".")[0]
    out = args.out or Path(f"{name}.yaml")
    pairs = out.with_suffix(".srdf")
    for file in (out, pairs):
        if file.exists():
            raise WamError(f"{file} is there already; name another one with --out")
        require_writable("--out", file)
    if out.suffix not in (".yaml", ".yml"):
        raise WamError(f"--out {out} must end in .yaml")
    draft = make_draft(
        Wishes(
            urdf=args.urdf.resolve(),
            name=name,
            arms=args.arm,
            joints=args.joint,
            further=args.further,
            tools=args.tool,
            base=args.base,
            home=args.home,
            parked=args.parked,
            sensed=args.sensed,
            unguarded=args.unguarded,
            clearance=args.clearance,
            effort_limit=args.effort_limit,
            velocity_limit=args.velocity_limit,
            mass=args.mass,
            supported_by_spring=args.supported_by_spring,
            packages=packages,
            xacro_arguments=args.xacro_argument,
            srdf=args.srdf,
            world=args.world,
            cameras=args.camera,
        ),
        path,
    )
    urdf = _named_from(args.urdf.resolve(), out.resolve().parent)
    write_whole(pairs, draft.srdf)  # first: the YAML names it
    write_whole(out, as_yaml(draft, urdf, pairs.name, args.xacro_argument))
    rows = [*_guesses(draft), *review(draft.model)]
    _tell(f"{draft.embodiment.name}: {out} and {pairs} are written", rows)
    return int(any(row.level == WRONG for row in rows))


def check(args: Check) -> int:
    """Print the table of a robot and draw it; 1 when something is wrong with it.

    Raises:
        WamError: an unknown name, or a picture that cannot be written.
    """
    model, rows = review_by_name(args.embodiment)
    name = Path(args.embodiment).stem
    _tell(name, rows)
    if model is not None and not args.no_picture:
        _draw(model, args.picture or Path(f"{name}.png"), told=args.picture is not None)
    return int(any(row.level == WRONG for row in rows))


def list_shipped() -> None:
    """Print the shipped robots."""
    table = Table(*COLUMNS, padding=(0, 0, 0, 1))
    for column in table.columns:
        column.overflow = "fold"
    # a name that a person copies is in one piece
    table.columns[-1].no_wrap = True
    for name in config_names("embodiments"):
        try:
            e = load_embodiment(name)
        except WamError as error:  # its maker's package is not here
            table.add_row(name, *[""] * 3, _plain(str(error).partition(":")[0]), "")
            continue
        numbers = (len(e.joint_names), len(e.gripper_joints), len(e.tool_frames))
        moved = ", ".join(dict.fromkeys(g.kind for g in e.controllers.values())) or e.controller
        table.add_row(name, *map(str, numbers), ", ".join(e.view_names), moved)
    Console().print(table)


def _draw(model: SafetyModel, path: Path, told: bool) -> None:
    missing = [m for m in ("mujoco", "PIL") if importlib.util.find_spec(m) is None]
    if missing:
        words = f"the picture needs the Python module '{missing[0]}': `pip install '.[sim,view]'`"
        if told:
            raise WamError(words)
        Console(stderr=True).print(words, markup=False)
        return
    os.environ.setdefault("MUJOCO_GL", "egl")  # there need not be a screen
    from wam_ros.embodiments.picture import draw_robot, save

    require_writable("--picture", path)
    seen = {b.link for b in model.link_bodies if b.seen}
    save(draw_robot(model, seen), path)
    Console().print(f"{path} shows it at home, as drawn and as watched", markup=False)


def _guesses(draft: Draft) -> list[Row]:
    """What was guessed, for a person to confirm."""
    e = draft.embodiment
    rows = [
        Row(RIGHT, "tool", f"{', '.join(e.tool_frames)}; base {e.base_frame} (guessed)"),
        Row(RIGHT, "home", f"{draft.origin}: {', '.join(f'{q:g}' for q in e.home)}"),
    ]
    if draft.hands:
        words = f"{len(draft.hands)} joints of a hand stand: {', '.join(draft.hands)}"
        rows.append(Row(DOUBTFUL, "hand", words))
    if stuck := [n for n in stuck_joints(draft.model.joints.urdf) if n in e.parked]:
        words = f"the limits of {', '.join(stuck)} leave no way to go: they stand"
        rows.append(Row(DOUBTFUL, "joints", words))
    for (a, b), depth in draft.built_together.items():
        words = f"overlap in most poses, by up to {depth * 1e3:.1f} mm: not watched against each "
        rows.append(Row(DOUBTFUL, f"{a}, {b}", f"{words}other"))
    return rows


def _named_from(file: Path, folder: Path) -> str:
    """A file as another one in `folder` names it."""
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def _tell(title: str, rows: list[Row]) -> None:
    table = Table("", "what", "", title=title, title_justify="left")
    for row in rows:
        table.add_row(f"[{COLOURS[row.level]}]{row.level}", _plain(row.subject), _plain(row.words))
    Console().print(table)


def _plain(words: str) -> str:
    """Words in which nothing is markup."""
    return words.replace("[", "\\[")
