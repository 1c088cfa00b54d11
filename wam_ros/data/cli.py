"""`wam data`: recorded episodes brought in, looked at, judged and handed on."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.data.convert import copy, describe
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.writer import WRITTEN, LeRobotWriter
from wam_ros.data.numbers import columns_of
from wam_ros.data.review import WRONG, Finding, judge_units, review
from wam_ros.data.units import Units, known_in_rad
from wam_ros.data.video import CODECS

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
LINT = "lerobot-lint"
MCAP = "mcap"


@dataclass(frozen=True)
class Import:
    """Bring episodes in as LeRobot v3.0; again, to go on where it was interrupted."""

    data: Folder  # recording (rosbag2), folder of recordings, or LeRobot data set
    out: Path  # folder of the new one
    codec: str = "h264"  # of its videos: lossless, h264 or av1
    # name or YAML of the embodiment, where the data do not tell it: what its cameras and drivers
    # said becomes what a model would have seen, in rad and m
    robot: str = ""
    contract: str = ""  # name in config/contracts: its columns, cameras and rate, of DROID's say
    cut_idle: bool = False  # rests of a second and more go; what is between them, an episode each


@dataclass(frozen=True)
class Export:
    """Hand a data set on in another format; again, to go on where it was interrupted."""

    data: Folder  # LeRobot data set
    out: Path  # folder of the new one
    format: str = "v2.1"  # v3.0 or v2.1 of LeRobot, or mcap: a recording of each episode
    codec: str = "h264"  # of its videos: lossless, h264 or av1


@dataclass(frozen=True)
class Show:
    """Draw frames of episodes and histograms of actions with the limits of the joints."""

    data: Folder  # LeRobot data set
    out: Path = Path("data.png")  # picture to write
    episodes: tuple[int, ...] = ()  # numbers to show; six spread over the data set
    film: int = -1  # number of an episode to write as a video beside the picture, .mp4
    robot: str = ""  # name or YAML of the embodiment, where the data do not tell it


@dataclass(frozen=True)
class Stats:
    """Exact statistics of states, actions, and actions relative to the state a chunk begins at."""

    data: Folder  # LeRobot data set
    horizon: int = 24  # steps of a chunk; 0 for no relative ones
    json: Path | None = None  # write the numbers here
    robot: str = ""  # name or YAML of the embodiment, where the data do not tell it


@dataclass(frozen=True)
class Check:
    """Name what is wrong or doubtful; code 1 when something is wrong."""

    data: Folder  # LeRobot data set
    no_pictures: bool = False  # leave the frames out, which take most of the time
    json: Path | None = None  # write the findings here
    robot: str = ""  # name or YAML of the embodiment, where the data do not tell it


@dataclass(frozen=True)
class Mend:
    """Make recordings of takes whose recorder was interrupted: of all that was closed."""

    folder: Folder  # of takes, into which nobody records any more


@dataclass(frozen=True)
class DataArgs:
    """Recorded episodes: bring them in, look at them, judge them, hand them on."""

    run: Annotated[
        Annotated[Import, tyro.conf.subcommand("import")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Stats, tyro.conf.subcommand("stats")]
        | Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Mend, tyro.conf.subcommand("mend")],
        tyro.conf.arg(name=""),
    ]


def main(args: DataArgs) -> int:
    """Run the subcommand; 1 when `check` found something wrong.

    Raises:
        WamError: an argument is wrong, there is no data set, it is damaged, or a file cannot be
            written.
    """
    run = args.run
    if isinstance(run, Import):
        require_known("codec", run.codec, CODECS)
        source = opened(run.data, run.robot, run.contract)[0]
        return convert(source, run.out, run.codec, "v3.0", run.cut_idle)
    if isinstance(run, Export):
        require_known("format", run.format, (*WRITTEN, MCAP))
        require_known("codec", run.codec, CODECS)
        if run.format == MCAP:  # which are in rad and m
            return export_bags(opened(run.data, "")[0], run.out)
        return convert(open_episodes(run.data), run.out, run.codec, run.format, False)
    if isinstance(run, Show):
        return show(run)
    if isinstance(run, Mend):
        return mend_takes(run)
    return stats(run) if isinstance(run, Stats) else check(run)


def opened(data: Path, robot: str, contract: str = "") -> tuple[Episodes, Units]:
    """A data set with its joints in rad and m where its robot is known, and what they were: that is
    said.
    """
    source, units = known_in_rad(open_episodes(data, contract, robot), robot)
    if not units.limits:
        source.robot = robot or source.robot
    print("\n".join([f"numbers: {units.words}", *units.wrong]))
    return source, units


def convert(source: Episodes, out: Path, codec: str, version: str, cut_idle: bool) -> int:
    """Copy a data set, with progress."""
    make_folder("--out", out)
    if not len(source):
        raise WamError(f"'{source.where}' holds no episode")
    writer = LeRobotWriter(out, describe(source), codec, version)
    there = writer.episodes
    with Progress() as progress:
        bar = progress.add_task("episodes", total=len(source))
        try:
            came = copy(source, writer, cut_idle, lambda _: progress.update(bar, advance=1))
        except WamError as error:
            raise WamError(f"{error}; {writer.episodes} episodes are in {out}") from error
    print(f"{there + came} episodes in {out}" + (f", {there} were there" if there else ""))
    return 0


def export_bags(source: Episodes, out: Path) -> int:
    """Write a recording of each episode, with progress."""
    from wam_ros.data.bag import write_bags

    make_folder("--out", out)
    with Progress() as progress:
        bar = progress.add_task("episodes", total=len(source))
        came = write_bags(source, out, lambda _: progress.update(bar, advance=1))
    print(f"{len(source)} recordings in {out}, {came} of them new")
    return 0


def mend_takes(args: Mend) -> int:
    """Mend them, and say what was kept of each."""
    from wam_ros.ros.takes import holding, mend

    with holding(args.folder):
        said = mend(args.folder)
    print("\n".join(said) or f"nothing in '{args.folder}' was interrupted")
    return 0


def show(args: Show) -> int:
    """Draw the picture, and the film."""
    from wam_ros.data.sheet import draw, film, save

    require_writable("--out", args.out)
    episodes, units = opened(args.data, args.robot)
    count = len(episodes)
    if not count:
        raise WamError(f"'{episodes.where}' holds no episode")
    for number in (*args.episodes, *([args.film] if args.film >= 0 else [])):
        require_within("an episode", number, 0, count - 1)
    spread = sorted({round(k * (count - 1) / 5) for k in range(6)})
    save(draw(episodes, list(args.episodes) or spread, units.limits), args.out)
    print(args.out)
    if args.film >= 0:
        if not episodes.views:
            raise WamError(f"'{episodes.where}' has no camera to film")
        path = args.out.with_suffix(".mp4")
        film(episodes, args.film, path)
        print(path)
    return 0


def stats(args: Stats) -> int:
    """Print the table, write the JSON."""
    require_within("--horizon", args.horizon, 0)
    require_writable("--json", args.json)
    episodes, units = opened(args.data, args.robot)

    def watched(found: Iterable[Episode]) -> Iterator[Episode]:
        yield from track(found, "episodes", total=len(episodes))

    columns = columns_of(episodes, args.horizon, watched)
    numbers = ("low", "q01", "median", "q99", "high", "mean", "std")
    for group in dict.fromkeys(c.group for c in columns):
        table = Table("", box=None)
        for name in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        own = [c for c in columns if c.group == group]
        for c in own:
            table.add_row(c.name, *(f"{getattr(c, name):.3g}" for name in numbers))
        print(f"\n{group}, {own[0].count} values each")
        Console().print(table)
    if args.json is not None:
        facts: dict[str, object] = {"numbers": units.words, "wrong": units.wrong}
        facts |= {"episodes": len(episodes), "rate_hz": episodes.rate_hz, "horizon": args.horizon}
        write_json(args.json, facts | {"columns": [dataclasses.asdict(c) for c in columns]})
    return 0


def check(args: Check) -> int:
    """Print what is found; 1 when something is wrong."""
    require_writable("--json", args.json)
    episodes, units = opened(args.data, args.robot)
    found: list[Finding] = []
    with Progress() as progress:
        bar = progress.add_task("episodes", total=len(episodes))
        looked = review(episodes, not args.no_pictures, lambda _: progress.update(bar, advance=1))
        for finding in chain(judge_units(units), looked):
            found.append(finding)
            colour = "red" if finding.grade == WRONG else "yellow"
            progress.console.print(
                f"[{colour}]{finding.grade}[/] ", str(finding), sep="", highlight=False
            )
    wrong = sum(f.grade == WRONG for f in found)
    print(f"{len(episodes)} episodes: {wrong} wrong, {len(found) - wrong} doubtful")
    if args.json is not None:
        write_json(args.json, [dataclasses.asdict(f) for f in found])
    if shutil.which(LINT):
        subprocess.run([LINT, str(args.data)], check=False)
    return int(wrong > 0)
