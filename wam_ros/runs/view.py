"""`wam view`: a recorded run on the page."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from html import escape
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import Progress

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.listening import listen, require_free_port
from wam_ros.ros.recording import Recording
from wam_ros.ros.view_node.solids import solids_of_world
from wam_ros.runs.replay import RecordedMoments, Replay, robot_of
from wam_ros.view.access import Access, make_token
from wam_ros.view.assets import Asset, make_asset, page_assets
from wam_ros.view.scene import make_scene
from wam_ros.view.server import PageServer

HOST = "127.0.0.1"


@dataclass(frozen=True)
class View:
    """Show a recorded run on the page: the same pictures, arm and timeline as while it ran. Nothing
    can be commanded from it. Ctrl-C ends it.
    """

    run: tyro.conf.Positional[Path]
    """Folder of a recording (`ros2 launch wam_ros bringup.launch.py record:=FOLDER`)."""
    start: float = 0.0
    """Begin so many seconds of the loop's clock after the recording did."""
    seconds: float = 300.0
    """Show so many. A minute takes some 60 MB in the temporary folder, more for large pictures."""
    namespace: str | None = None
    """Of the loop, where the recording has several."""
    embodiment: str = ""
    """Robot that is drawn. Default: the one that the chunks name."""
    world: str = ""
    """What stands around it, from config/worlds. Default: the embodiment's."""
    port: int = 8080
    """Of the page, on this machine only."""


def main(args: View) -> None:
    """Serve until Ctrl-C.

    Raises:
        WamError: an argument is wrong, the port is taken, or the recording cannot be read.
    """
    server, access = serve(args)
    try:
        console = Console()
        console.print(f"open {access.address}", soft_wrap=True, highlight=False)
        console.print("a recording: nothing can be commanded; Ctrl-C here ends it")
        threading.Event().wait()
    finally:
        server.close()


def serve(args: View) -> tuple[PageServer, Access]:
    """Read what is to be shown, then serve it; raises `WamError` as `main` does."""
    require_within("--start", args.start, 0.0)
    require_within("--seconds", args.seconds, 0.1, 86_400)
    require_free_port(args.port)
    with Recording(args.run, args.namespace) as recording:
        robot = load_embodiment(args.embodiment or robot_of(recording))
        scene = make_scene(robot, solids_of_world(args.world or robot.world))
        moments, more = read_moments(Replay(recording, robot), args.start, args.seconds)
    if more:
        print(f"wam view: {args.seconds:g} s are shown of more: see --start and --seconds")
    access = Access(HOST, args.port, make_token())
    assets = {**scene, "/": recorded_page(args.run.name)}
    return PageServer(access, listen(args.port), assets, moments, on_action=None), access


def read_moments(replay: Replay, start_s: float, seconds: float) -> tuple[RecordedMoments, bool]:
    """The moments of that time, and whether there are later ones.

    Raises:
        WamError: there are none.
    """
    kept = RecordedMoments()
    end_s = start_s + seconds
    with Progress(transient=True) as progress:
        bar = progress.add_task("reading", total=None)
        for t_s, figures, message in replay.moments(start_s):
            progress.update(bar, description=f"reading {t_s:.0f} s")
            if t_s > end_s:
                return kept, True
            kept.add(t_s, figures, message)
    if not kept.moments(0.0):
        raise WamError(f"--start {start_s:g}: the recording ends after {replay.read_s:.1f} s")
    return kept, False


def recorded_page(name: str) -> Asset:
    """The page, told that it shows a recording, and which."""
    page = page_assets()["/"]
    body = page.body.decode().replace("<body>", f'<body data-recording="{escape(name)}">', 1)
    return make_asset(page.kind, body.encode())
