"""Recordings of simulated arms that swing all their joints, with pictures."""

from __future__ import annotations

import dataclasses

import numpy as np

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.rehearsal.take import Film, Series, Take
from wam_ros.sim.mounts import mounts_of
from wam_ros.sim.world import World

TICK_S = 0.02


def record(
    name: str, seed: int = 0, seconds: float = 5.0, size: tuple[int, int] = (60, 80), most=0.4
) -> tuple[Embodiment, Take]:
    """A robot whose simulated cameras are told as mounts, and a recording of it.

    Args:
        name: of the robot.
        seed: of frequencies and phases.
        seconds: of motion.
        size: height and width of pictures, px.
        most: rad or m, of a joint's swing.
    """
    plain = load_embodiment(name)
    task = "pick_block" if name == "panda" else "reach"
    world = World(plain, task=task, camera_size=size)
    mounts = mounts_of(world.robot)
    cameras = tuple(dataclasses.replace(c, mount=mounts[c.name]) for c in plain.cameras)
    e = dataclasses.replace(plain, cameras=cameras)
    home = np.array(e.home)
    low, high = world.robot.limits.lower, world.robot.limits.upper
    gripper = np.isin(e.joint_names, e.gripper_joints)
    middle = np.where(gripper, (low + high) / 2, home)
    swing = np.minimum(most, 0.35 * np.minimum(high - middle, middle - low))
    rng = np.random.default_rng(seed)
    hz = rng.uniform(0.15, 0.45, len(home))
    phase = rng.uniform(0, 2 * np.pi, len(home))

    def target(t: float) -> np.ndarray:
        return middle + 0.7 * swing * (np.sin(2 * np.pi * hz * t + phase) - np.sin(phase))

    world.reset(seed)
    world.put(target(0.0))
    t = TICK_S * np.arange(round(seconds / TICK_S))
    asked = np.clip([target(x) for x in t], low, high)
    seen = []
    frames: dict[str, list] = {v: [] for v in e.view_names}
    shot = []
    for k, q in enumerate(asked):
        world.servo(q, 0 * q)
        world.step(round(TICK_S / world.model.opt.timestep))
        seen.append(world.q)
        if k % 5 == 0:
            shot.append(t[k] + TICK_S)
            for view, pictures in frames.items():
                pictures.append(world.render(view).copy())
    world.close()
    films = {v: Film(np.array(shot), np.stack(p), np.stack(p)) for v, p in frames.items()}
    seen_q = np.array(seen)
    return e, Take(
        length_s=seconds,
        measured={n: Series(t + TICK_S, seen_q[:, k]) for k, n in enumerate(e.joint_names)},
        commanded={n: Series(t, asked[:, k]) for k, n in enumerate(e.joint_names)},
        films=films,
    )


def changed(recording: Take, kind: str, **joints) -> Take:
    """The same with `measured`, `commanded` or `films` replaced: by name, what makes of the values
    those that are recorded.
    """
    series = dict(getattr(recording, kind))
    for name, change in joints.items():
        series[name] = dataclasses.replace(series[name], values=change(series[name].values))
    return dataclasses.replace(recording, **{kind: series})


def with_pictures(recording: Take, **changes) -> Take:
    """The same with other pictures by view."""
    films = {
        v: dataclasses.replace(f, frames=changes[v]) if v in changes else f
        for v, f in recording.films.items()
    }
    return dataclasses.replace(recording, films=films)
