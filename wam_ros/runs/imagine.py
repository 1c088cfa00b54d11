"""`wam imagine`: films of what was observed and imagined, and of what would be if."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, product
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.images import mse, psnr_db
from wam_ros.core.policy import Policy
from wam_ros.core.types import NS, Observation
from wam_ros.ros import convert
from wam_ros.ros.recording import Recording
from wam_ros.runs.films import Film, difference_of, require_film
from wam_ros.runs.replay import robot_of
from wam_ros.runs.strips import Seen, seen_and_imagined
from wam_ros.runs.what_if import (
    Variant,
    imagine_along,
    imagine_on,
    make_observation,
    read_actions,
)
from wam_ros.view.pictures import Column, compose_board

MOST_VARIANTS = 4
TILE = 192  # px


@dataclass(frozen=True)
class Imagine:
    """Film what a model imagined beside what came: observed, imagined, difference.

    With --instruction or --actions, film what it would imagine from one instant on: two of either
    are shown side by side.
    """

    source: tyro.conf.Positional[Path]
    """Folder of a recording, or of a data set (LeRobot)."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")] = "imagined.mp4"
    """.mp4, .webp or .gif to write."""
    instruction: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """What to imagine, instead of what was asked for then. May be given again."""
    actions: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """What the arm does meanwhile: `recorded`, `still`, or a .npy file of joint positions, rad or
    m, one row for each step of the model. May be given again."""
    model: str = ""
    """Who imagines: a name in config/models, a .yaml, or ws://HOST:PORT. Default: of a recording
    what was imagined while it ran, else the model that is shipped for the robot."""
    checkpoint: str = ""
    """Weights of that model. Default: the shipped ones."""
    episode: int = 0
    """Of a data set."""
    at: float | None = None
    """Begin so many seconds after the first frame. Default: of what was imagined while it ran where
    that begins, else at the first frame."""
    seconds: float = 10.0
    """How long the film is."""
    ahead: float | None = None
    """How far ahead was imagined what is shown, s. Default: as far as the model looks."""
    embodiment: str = ""
    """The robot. Default: the one that the data are of."""
    namespace: str | None = None
    """Of the loop, where a recording has several."""
    threads: int = 1
    """Processor threads of the network."""

    @property
    def begin_s(self) -> float:
        """Where to begin, counted from the first of all that is taken."""
        return 0.0 if self.at is None else self.at


@dataclass(frozen=True)
class Source:
    """What was observed, from the instant on that was asked for."""

    robot: Embodiment
    observations: list[Observation]
    instruction: str
    actions: np.ndarray | None  # (K, A) commanded from there on; None: not known


def main(args: Imagine) -> None:
    """Write the film.

    Raises:
        WamError: an argument, the source or the model is wrong; nothing is written then.
    """
    require_film("--out", args.out)
    require_within("--at", args.begin_s, 0.0)
    require_within("--seconds", args.seconds, 0.1, 600.0)
    require_within("--threads", args.threads, 1)
    variants = bool(args.instruction or args.actions)
    if not variants and not args.model and not is_data_set(args.source):
        moments = seen_and_imagined(args.source, args.namespace)
        if args.at is None:
            moments = dropwhile(lambda seen: not seen.comparisons, moments)
        moments = within(moments, args.begin_s, args.seconds)
        write(args, compared(moments, args.ahead, args.source.name))
        return
    source = read_source(args)
    policy = load(args, source.robot)
    period_ns = round(NS / source.robot.frame_rate_hz)
    if variants:
        write(args, what_if(args, policy, source))
        return
    moments = imagine_along(policy, source.observations, source.instruction, period_ns)
    write(args, compared(moments, args.ahead, policy.name))


def write(args: Imagine, boards: Iterable[tuple[np.ndarray, float]]) -> None:
    """The film of some boards, each with the rate [Hz] of all."""
    film: Film | None = None
    try:
        for board, rate_hz in boards:
            film = film or Film(args.out, rate_hz)
            film.add(board)
    except BaseException:
        if film is not None:
            film.discard()
        raise
    if film is None:
        raise WamError(f"'{args.source}': nothing was imagined there that an observation came for")
    film.close()
    print(f"wrote {args.out}, {film.frames} frames")


def is_data_set(folder: Path) -> bool:
    """Whether a folder is one of LeRobot's, and no recording."""
    return (folder / "meta").is_dir()


def read_source(args: Imagine) -> Source:
    """The observations from the chosen instant on; raises `WamError` as `main` does."""
    source = _from_data_set(args) if is_data_set(args.source) else _from_recording(args)
    if not source.observations:
        raise WamError(f"'{args.source}': nothing was observed from --at {args.begin_s:g} on")
    return source


def _from_data_set(args: Imagine) -> Source:
    from wam_ros.data.folder import open_episodes

    episodes = open_episodes(args.source)
    require_within("--episode", args.episode, 0, len(episodes) - 1)
    robot = load_embodiment(args.embodiment or episodes.robot)
    if tuple(episodes.joint_names) != robot.joint_names:
        raise WamError(
            f"'{args.source}' has joints {', '.join(episodes.joint_names) or 'none'}, "
            f"{robot.name} has {', '.join(robot.joint_names)}"
        )
    if missing := [name for name in robot.view_names if name not in episodes.view_names]:
        raise WamError(f"'{args.source}' lacks the views {', '.join(missing)} of {robot.name}")
    episode = episodes[args.episode]
    first = round(args.begin_s * episodes.rate_hz)
    last = min(len(episode), first + round(args.seconds * episodes.rate_hz) + 1)
    assert episode.states is not None  # it has names of joints
    frames = episodes.stacked(args.episode, robot.view_names, first, max(first, last))
    observations = [
        make_observation(robot, round(k / episodes.rate_hz * NS), seen, episode.states[k])
        for k, seen in enumerate(frames, first)
    ]
    episodes.close()
    known = list(episode.instructions[first : first + 1]) or [""]
    actions = None if episode.actions is None else np.asarray(episode.actions[first:], float)
    return Source(robot, observations, known[0], actions)


def _from_recording(args: Imagine) -> Source:
    with Recording(args.source, args.namespace) as recording:
        robot = load_embodiment(args.embodiment or robot_of(recording))
        observations = []
        first_ns = None
        for recorded in recording.messages(["observation"]):
            seen = convert.observation_from_msg(recorded.message)
            first_ns = seen.stamp_ns if first_ns is None else first_ns
            after_s = (seen.stamp_ns - first_ns) / NS
            if after_s > args.begin_s + args.seconds:
                break
            if after_s >= args.begin_s:
                observations.append(seen)
        known = ""
        start_ns = observations[0].stamp_ns if observations else 0
        for recorded in recording.messages(["action_chunk"], ["observation"]):
            chunk = convert.chunk_from_msg(recorded.message)
            known = chunk.instruction
            if chunk.anchor_ns >= start_ns:
                break
    # the arm went where it was next: what was commanded came late, and not every step of it
    q = [o.joints.positions for o in observations[1:]]
    return Source(robot, observations, known, np.array(q) if q else None)


def load(args: Imagine, robot: Embodiment) -> Policy:
    """The model that was asked for; raises `WamError` where it does not fit."""
    from wam_ros.models import SCRIPT, load_policy, model_for

    model = args.model or model_for(robot)
    if model == SCRIPT:
        raise WamError(f"no model is shipped for '{robot.name}': name one by --model")
    return load_policy(model, args.checkpoint, robot, threads=args.threads)


def within(moments: Iterable[Seen], at_s: float, seconds: float) -> Iterator[Seen]:
    """Those of a time that counts from the first."""
    first_ns = None
    for seen in moments:
        stamp_ns = seen.observation.stamp_ns
        first_ns = stamp_ns if first_ns is None else first_ns
        after_s = (stamp_ns - first_ns) / NS
        if after_s > at_s + seconds:
            return
        if after_s >= at_s:
            yield seen


def compared(
    moments: Iterable[Seen], ahead_s: float | None, name: str
) -> Iterator[tuple[np.ndarray, float]]:
    """Boards of observed, imagined and difference, from the first on that was imagined."""
    began_ns = None
    last_ns = 0
    rate_hz = 0.0
    for seen in moments:
        observation = seen.observation
        comparison = min(
            seen.comparisons,
            key=lambda s: -s.horizon_s if ahead_s is None else abs(s.horizon_s - ahead_s),
            default=None,
        )
        if comparison is None and began_ns is None:
            last_ns = observation.stamp_ns
            continue
        if began_ns is None:
            began_ns = observation.stamp_ns
            gap_s = (observation.stamp_ns - last_ns) / NS if last_ns else 0.1
            rate_hz = round(1.0 / min(1.0, max(0.02, gap_s)))
        imagined = None if comparison is None else comparison.imagined
        before = "" if comparison is None else f" {comparison.horizon_s:.1f} s before"
        columns = [
            Column("observed", observation.frames),
            Column(f"imagined{before}", imagined),
            difference_of(observation.frames, imagined),
        ]
        error = "" if comparison is None else f"PSNR {psnr_db(comparison.mse):.1f} dB"
        time = f"{(observation.stamp_ns - began_ns) / NS:.1f} s"
        footer = f"{time}   |   {name}   |   {error or 'nothing was imagined for this instant'}"
        title = seen.instruction or " "
        yield compose_board(columns, observation.view_names, TILE, title, footer), rate_hz


def what_if(args: Imagine, policy: Policy, source: Source) -> Iterator[tuple[np.ndarray, float]]:
    """Boards of what was observed, and of what is imagined for each variant."""
    variants = make_variants(args, source)
    start = source.observations[0]
    futures = [
        imagine_on(policy, source.robot, start, variant, args.seconds) for variant in variants
    ]
    near_ns = round(NS / source.robot.frame_rate_hz) // 2
    for moments in zip(*futures, strict=False):
        stamp_ns = moments[0][0]
        seen = min(source.observations, key=lambda o: abs(o.stamp_ns - stamp_ns))
        observed = seen.frames if abs(seen.stamp_ns - stamp_ns) <= near_ns else None
        imagined = [frames for _, frames in moments]
        columns = [Column("observed", observed)]
        columns += [Column(v.label, f) for v, f in zip(variants, imagined, strict=True)]
        first, second = (imagined[0], imagined[1]) if len(imagined) > 1 else (observed, imagined[0])
        columns.append(difference_of(first, second))
        time = f"{(stamp_ns - start.stamp_ns) / NS:.1f} s"
        wrong = mse(second, first) if first is not None else float("nan")
        between = "the two" if len(imagined) > 1 else "it and what came"
        footer = f"{time} after what was seen last   |   between {between}: {wrong:.4f}"
        gap_ns = futures[0][1][0] - futures[0][0][0]
        title = f"what if, {policy.name}"
        yield compose_board(columns, start.view_names, TILE, title, footer), NS / gap_ns


def make_variants(args: Imagine, source: Source) -> list[Variant]:
    """Every instruction with every sequence of actions.

    Raises:
        WamError: an action is wrong, nobody said what to do, or there are too many.
    """
    instructions = args.instruction or (source.instruction,)
    if not all(instructions):
        raise WamError(f"'{args.source}' does not say what was asked for: add --instruction")
    pairs = list(product(instructions, args.actions or ("",)))
    if len(pairs) > MOST_VARIANTS:
        raise WamError(f"{len(pairs)} futures are asked for: {MOST_VARIANTS} fit side by side")
    start = source.observations[0]
    variants = []
    for words, name in pairs:
        rows = read_actions(name, source.robot, start, source.actions) if name else None
        told = Path(name).stem if name else ""
        parts = [*([words] if len(instructions) > 1 or not told else []), *([told] if told else [])]
        variants.append(Variant(words, rows, ", ".join(parts)))
    return variants
