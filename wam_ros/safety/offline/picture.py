"""Picture of the answers to the worst chunks: accepted green, cut red, the stop blue."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import numpy as np
import pinocchio as pin
from PIL import Image, ImageDraw, ImageFont

from wam_ros.robot.model import SafetyModel
from wam_ros.safety.offline.batch import Batch
from wam_ros.safety.verdict import Verdict

MOST = 6  # chunks in one picture
# px
WIDTH = 1180
HEAD = 32
STRIP = 24
NAMES = 150
VIEW = 300
EDGE = 14
# px and characters of the sentence of a chunk
TITLE = 38
COLUMNS = 165
ACCEPTED = "#2e9e4f"
CUT = "#d62828"
STOP = "#2a6fdb"
ARM = "#8a8f98"
BODY = "#e6dccb"
INK = "#22252a"
PLANES = (("from above", 0, 1), ("from the side", 0, 2))  # name, horizontal and vertical axis
LEGEND = (
    ("dots: asked for, lines: what leaves", INK),
    ("accepted", ACCEPTED),
    ("cut", CUT),
    ("stop", STOP),
    ("arm at the start", ARM),
)
Point = tuple[float, float]


def draw(
    model: SafetyModel, batch: Batch, verdicts: list[Verdict], order: list[int]
) -> Image.Image:
    """One row for each of the first chunks of `order`: its joints over time, and the tool seen from
    two sides.
    """
    height = max(len(model.joint_names) * STRIP, VIEW) + 3 * EDGE + TITLE
    shown = order[:MOST]
    image = Image.new("RGB", (WIDTH, HEAD + len(shown) * height), "white")
    pen = ImageDraw.Draw(image)
    left = float(EDGE)
    for words, colour in LEGEND:
        pen.text((left, EDGE / 2), words, colour, _font(13))
        left += pen.textlength(words, _font(13)) + 2 * EDGE
    for row, i in enumerate(shown):
        top = HEAD + row * height
        pen.text(
            (EDGE, top + EDGE / 2), in_lines(f"chunk {i}: {verdicts[i].sentence}"), INK, _font(14)
        )
        columns = model.order(batch.joint_names)
        q = batch.positions[i][:, columns]
        q0 = batch.q0[i][columns]
        joints = (
            EDGE,
            top + EDGE + TITLE,
            WIDTH - 2 * VIEW - 3 * EDGE,
            top + EDGE + TITLE + len(q0) * STRIP,
        )
        _joints(
            pen=pen, box=joints, model=model, q=q, period=batch.step_period, verdict=verdicts[i]
        )
        for k, plane in enumerate(PLANES):
            left = WIDTH - (2 - k) * (VIEW + EDGE)
            view = (left, top + EDGE + TITLE, left + VIEW, top + EDGE + TITLE + VIEW)
            _tool(pen=pen, box=view, plane=plane, model=model, q=q, q0=q0, verdict=verdicts[i])
    return image


def _joints(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, ...],
    model: SafetyModel,
    q: np.ndarray,
    period: float,
    verdict: Verdict,
) -> None:
    """A strip for each joint; its edges are the limits. Dots are the steps asked for, the line is
    what leaves.
    """
    left = box[0] + NAMES
    top = box[1]
    right = box[2]
    t = verdict.trajectory
    asked = np.arange(1, len(q) + 1) * period
    end = max(float(asked[-1]) if len(asked) else period, t.duration_s if t else 0.0)
    low = np.maximum(model.limits.lower, -np.pi)
    high = np.minimum(model.limits.upper, np.pi)
    for k, name in enumerate(model.joint_names):
        y0 = top + k * STRIP
        pen.rectangle((left, y0, right, y0 + STRIP - 3), outline="#d5d8dd")
        offends = verdict.first is not None and verdict.first.joint == name
        pen.text((box[0], y0 + 3), label(name), CUT if offends else INK, _font(11))

        def at(s: float, value: float, k: int = k, y0: int = y0) -> Point:
            share = np.clip((value - low[k]) / (high[k] - low[k]), 0, 1)
            return left + s / end * (right - left), y0 + (STRIP - 3) * (1 - share)

        for step, (s, value) in enumerate(zip(asked, q[:, k], strict=True)):
            if np.isfinite(value):
                _dot(pen, at(s, value), ACCEPTED if step < verdict.steps_accepted else CUT)
        if t is not None:
            n = int(np.searchsorted(t.t, verdict.accepted_s))
            _line(pen, [at(s, v) for s, v in zip(t.t[n:], t.q[n:, k], strict=True)], STOP)
            _line(
                pen,
                [at(s, v) for s, v in zip(t.t[: n + 1], t.q[: n + 1, k], strict=True)],
                ACCEPTED,
            )
    y = top + len(model.joint_names) * STRIP
    pen.text((left, y), "0 s", INK, _font(11))
    pen.text((right - 40, y), f"{end:.2f} s", INK, _font(11))


def _tool(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, ...],
    plane: tuple[str, int, int],
    model: SafetyModel,
    q: np.ndarray,
    q0: np.ndarray,
    verdict: Verdict,
) -> None:
    """The arm where it begins, what stands around it, and the way of its tools."""
    name, horizontal, vertical = plane
    axes = [horizontal, vertical]
    bones = _bones(model, np.clip(np.nan_to_num(q0), -1e3, 1e3))
    reach = max(0.3, 1.15 * float(np.abs(np.concatenate([b[:, axes] for b in bones])).max()))
    scale = (box[2] - box[0]) / (2 * reach)
    low = -reach if vertical == 1 else -0.35 * reach

    def at(point: np.ndarray) -> Point:
        x, y = point[axes]
        x = np.clip(x, -reach, reach)
        y = np.clip(y, low, low + 2 * reach)
        return box[0] + (x + reach) * scale, box[3] - (y - low) * scale

    for body in model.bodies[len(model.bodies) - len(model.obstacles) :]:
        corners = [at(c) for c in _corners(body)]
        _hull(pen, corners)
    for bone in bones:
        _line(pen, [at(p) for p in bone], ARM, 3)
    safe = q[np.isfinite(q).all(axis=1) & (np.abs(np.nan_to_num(q)) < 1e3).all(axis=1)]
    steps = np.flatnonzero(
        np.isfinite(q).all(axis=1) & (np.abs(np.nan_to_num(q)) < 1e3).all(axis=1)
    )
    t = verdict.trajectory
    for tool in range(len(model.tools)):
        if len(safe):
            for step, place in zip(steps, model.tool_motion(safe, 0 * safe, tool)[0], strict=True):
                _dot(pen, at(place), ACCEPTED if step < verdict.steps_accepted else CUT)
        if t is not None:
            path = [at(p) for p in model.tool_motion(t.q, t.dq, tool)[0]]
            n = int(np.searchsorted(t.t, verdict.accepted_s))
            _line(pen, path[n:], STOP)
            _line(pen, path[: n + 1], ACCEPTED)
    pen.rectangle(box, outline="#b9bec6")  # type: ignore[arg-type]
    pen.text((box[0] + 4, box[1] + 2), f"{name}, {2 * reach:.1f} m wide", INK, _font(11))


def _bones(model: SafetyModel, q: np.ndarray) -> list[np.ndarray]:
    """(2, 3) m from every joint to the one that carries it, and to the tools."""
    pin.framesForwardKinematics(model.pin, model.data, model.full_q(q[None])[0])
    place = [model.data.oMi[j].translation.copy() for j in range(model.pin.njoints)]
    bones = [np.array([place[model.pin.parents[j]], place[j]]) for j in range(1, model.pin.njoints)]
    for tool in model.tools:
        bones.append(
            np.array([place[model.pin.frames[tool].parentJoint], model.data.oMf[tool].translation])
        )
    return bones


def _corners(body: pin.GeometryObject) -> list[np.ndarray]:
    box = body.geometry.aabb_local
    corners = np.array(np.meshgrid(*zip(box.min_, box.max_, strict=True))).reshape(3, -1).T
    return [body.placement.act(c) for c in corners]


def _hull(pen: ImageDraw.ImageDraw, points: list[Point]) -> None:
    """Fill the convex outline of a few points."""
    left = sorted(set(points))

    def half(ordered: list[Point]) -> list[Point]:
        chain: list[Point] = []
        for p in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    outline = half(left) + half(left[::-1])
    if len(outline) > 2:
        pen.polygon(outline, fill=BODY)


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _dot(pen: ImageDraw.ImageDraw, at: Point, colour: str) -> None:
    pen.ellipse((at[0] - 2.5, at[1] - 2.5, at[0] + 2.5, at[1] + 2.5), fill=colour)


def _line(pen: ImageDraw.ImageDraw, points: list[Point], colour: str, width: int = 2) -> None:
    if len(points) > 1:
        pen.line(points, fill=colour, width=width)


def label(name: str) -> str:
    """As much of a joint's name, from its end, as has room beside its strip."""
    return next(
        name[k:] for k in range(len(name) + 1) if _font(11).getlength(name[k:]) <= NAMES - 6
    )


def in_lines(sentence: str) -> str:
    """The sentence of a chunk on two lines at most."""
    return "\n".join(textwrap.wrap(sentence, COLUMNS, max_lines=2, placeholder=" ..."))


_font: Callable[[int], ImageFont.ImageFont | ImageFont.FreeTypeFont] = ImageFont.load_default
