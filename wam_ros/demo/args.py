"""Arguments of `wam demo` and the checks that need no running process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder, require_writable
from wam_ros.core.listening import require_free_port
from wam_ros.models import read_description
from wam_ros.sim.names import has_colours, longest_s, require_installed, require_task
from wam_ros.sim.robots import AUTO, task_for

COLOURS = ("red", "green", "blue")  # of the blocks or markers of the simulated tasks
MAX_INSTRUCTION = 200  # characters, as the inference node
INTERACTIVE = -1
LONGEST_S = 8.0  # of an episode, where LIBERO's judges say nothing


@dataclass(frozen=True)
class DemoArgs:
    """Run the whole loop with a simulated arm: camera, model, safety, bridge and simulator, each in
    its process.

    Without --headless a page on localhost shows arm, camera frames and imagined frames and takes
    instructions. Exit code 0: the run completed. 1: a process died. 2: an argument, file or port is
    wrong. 130: Ctrl-C.
    """

    headless: bool = False
    """No browser page; runs the episodes and exits."""
    episodes: int | None = None
    """Episodes to run. Default: endless with the page, 5 with --headless."""
    task: str = AUTO
    """What there is to do: pick_block, reach, or one of LIBERO's such as libero_object/3 (`make
    libero`); auto: the one for the robot's hand. The script `reach` does none of LIBERO's."""
    seed: int = 1000
    """Seed of the first episode; the next ones count up. From 900000 on LIBERO's official initial
    states."""
    nudge: bool = False
    """Let the named block jump once while the arm moves."""
    swap: bool = False
    """Name another colour than the one that the seed would name."""
    instruction: str | None = None
    """Instruction for every episode, not the seed's own, such as 'pick up the green block'."""
    memory: Literal["real", "imagined"] = "real"
    """What fills the model's memory: observed frames, or its own imagined ones."""
    json: Annotated[str, tyro.conf.arg(metavar="FILE")] = ""
    """Write per-episode results, summary, latency and imagination as JSON."""
    record: Annotated[str, tyro.conf.arg(metavar="FILE.mp4")] = ""
    """Write a video: what the cameras see beside what was imagined for the same instant."""
    strip: Annotated[str, tyro.conf.arg(metavar="FILE.png")] = ""
    """Write a picture strip of the first episode: observed frames above the imagined ones."""
    time_limit: float | None = None
    """Longest episode, s of simulated time. Default: 8, or what LIBERO's judges allow."""
    rate: float = 1.0
    """Highest speed of the simulation as a multiple of real time."""
    real_time: bool = False
    """Keep real time: what is late is late. Without it the simulated world waits for the loop, so
    that what comes out depends on the model and the seed and not on this machine."""
    embodiment: str = "panda"
    """Robot: a name in config/embodiments, a YAML file, or a URDF or xacro file, of which what is
    guessed is kept beside it."""
    model: str = ""
    """Model, from config/models, or a server: ws://HOST:PORT. Default: the one that is shipped for
    the robot, else `reach`, a script."""
    checkpoint: str = ""
    """Weights file (.safetensors). Default: the shipped one of the model."""
    steps: int = 0
    """Denoising steps; 0 takes the model's own number."""
    port: int = 8080
    """Port of the browser page."""
    domain_id: int | None = None
    """ROS_DOMAIN_ID of the run. Default: a free one, so that no other robot is reached."""
    logs: Annotated[str, tyro.conf.arg(metavar="DIR")] = ""
    """Folder for the processes' logs. Default: a new one in the temporary folder."""

    @property
    def limit_s(self) -> float:
        """Longest episode, s of simulated time."""
        given = self.time_limit
        return longest_s(self.task, LONGEST_S) if given is None else given

    @property
    def n_episodes(self) -> int:
        """Episodes to run, or `INTERACTIVE` for as many as the person watches."""
        if self.episodes is not None:
            return self.episodes
        return 5 if self.headless else INTERACTIVE


def check_args(args: DemoArgs) -> None:
    """Refuse what cannot work before anything is started.

    Raises:
        WamError: one line naming the argument, what was found and what is possible.
    """
    if args.episodes is not None:
        require_within("--episodes", args.episodes, 1)
    require_within("--rate", args.rate, 0.05, 20)
    if args.real_time and args.rate != 1.0:
        raise WamError(f"--real-time has rate 1, found --rate {args.rate:g}: leave out one of them")
    if args.time_limit is not None:
        require_within("--time-limit", args.time_limit, 0.1, 600)
    require_within("--seed", args.seed, 0, 2**31 - 1)
    require_within("--domain-id", args.domain_id or 0, 0, 101)
    require_within("--steps", args.steps, 0, 1000)
    check_instruction(args)
    check_task(args)
    if args.model:
        read_description(args.model)
    if args.checkpoint and not Path(args.checkpoint).exists():
        raise WamError(f"checkpoint '{args.checkpoint}' does not exist")
    for option in ("json", "record", "strip"):
        require_writable(f"--{option}", getattr(args, option))
    for option, suffix in (("record", ".mp4"), ("strip", ".png")):
        value = getattr(args, option)
        if value and not value.endswith(suffix):
            raise WamError(f"--{option} writes {suffix} files, found '{value}'")
    if not args.headless:
        require_free_port(args.port)


def check_task(args: DemoArgs) -> None:
    """Refuse a task that there is not, that is for another robot, or that is not installed."""
    robot = load_embodiment(args.embodiment)
    task = task_for(robot, args.task)
    require_task(task, robot)
    require_installed(task)
    if not has_colours(task) and (args.nudge or args.swap):
        raise WamError(f"task '{task}' has no blocks: leave out --nudge and --swap")


def check_instruction(args: DemoArgs) -> None:
    """Refuse an instruction that no model can follow; the model's own vocabulary is checked by the
    model.
    """
    text = args.instruction
    if text is None:
        return
    if args.swap:
        raise WamError("--swap chooses the colour itself: leave out --instruction")
    if not text.strip():
        raise WamError("--instruction is blank; name a block, such as 'pick up the green block'")
    if len(text) > MAX_INSTRUCTION:
        raise WamError(
            f"--instruction has {len(text)} characters; at most {MAX_INSTRUCTION} are read"
        )
    if not text.isprintable():
        raise WamError("--instruction has unprintable characters")


def make_log_folder(logs: str) -> Path:
    """Create the folder for logs; '' is a new one in the temporary folder.

    Raises:
        WamError: it cannot be created or written.
    """
    if not logs:
        return Path(tempfile.mkdtemp(prefix="wam-demo-"))
    return make_folder("--logs", logs)
