"""The filter on files: what goes in, what comes out, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import ClassVar

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk
from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import Commanded, Decision
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.offline.batch import KEYS, START_NS, answers, judge, read_batch, worst_first
from wam_ros.safety.offline.cli import JUDGING
from wam_ros.safety.params import SafetyParams


def chunks(home: np.ndarray) -> dict[str, np.ndarray]:
    """Standing, moving, running into a limit, a step that is not a number, a first step far
    away.
    """
    k = np.arange(1, 9)[:, None]
    first = np.eye(8)[0]
    q = np.stack([home + rate * k * first for rate in (0.0, 0.02, 0.1, 0.02, 0.02)])
    start = np.tile(home, (5, 1))
    start[2, 0], q[2, :, 0] = 2.3, 2.3 + 0.1 * k[:, 0]
    q[3, 4, 2] = np.nan
    q[4, :, 1] += 2.0
    return {"positions": q, "q0": start, "dq0": np.zeros_like(start)}


@pytest.fixture
def arrays(model, home):
    return {
        **chunks(home),
        "step_period": np.array(0.1),
        "joint_names": np.array(model.joint_names),
    }


@pytest.fixture
def file(tmp_path, arrays):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays)
    return path


def run(*words: object) -> int:
    return cli.main(["safety", *map(str, words)])


def test_the_answers_are_those_of_the_filter(panda, arrays, file, tmp_path, capsys):
    out = tmp_path / "answers"
    assert run("filter", "--embodiment", "panda", file, out) == 0
    found = dict(np.load(out, allow_pickle=False))
    assert list(found["decision"]) == ["pass", "pass", "truncated", "reject", "reject"]
    assert list(found["reasons"])[3:] == ["nonfinite", "discontinuity"]
    assert "position" in str(found["reasons"][2])
    for i, (q, q0) in enumerate(zip(arrays["positions"], arrays["q0"], strict=True)):
        chunk = make_chunk(panda.model.joint_names, q, age=0, now=START_NS)
        verdict = panda.filter(chunk, Commanded(q0, 0 * q0, 0 * q0), START_NS, now_ns=START_NS)
        assert found["sentence"][i] == verdict.sentence
        assert found["steps_accepted"][i] == verdict.steps_accepted
        n = 0 if verdict.trajectory is None else len(verdict.trajectory.t)
        assert found["samples"][i] == n
        if n:
            assert np.array_equal(found["q"][i, :n], verdict.trajectory.q)
            assert np.array_equal(found["ddq"][i, :n], verdict.trajectory.ddq)
            assert np.array_equal(found["t"][:n], verdict.trajectory.t)
        else:
            assert np.isnan(found["q"][i]).all()
    told = capsys.readouterr().out
    assert "position of panda_joint3 at step 4 is nan" in told
    assert "truncated" in told


def test_what_is_emitted_ends_at_rest_within_the_efforts(model, file, tmp_path):
    assert run("filter", file, tmp_path / "out.npz") == 0
    found = dict(np.load(tmp_path / "out.npz", allow_pickle=False))
    emitted = found["samples"] > 0
    assert emitted.sum() == 3
    for i in np.flatnonzero(emitted):
        n = found["samples"][i]
        assert not found["dq"][i, n - 1 :].any()
        assert not found["ddq"][i, n - 1 :].any()
        assert np.array_equal(
            found["q"][i, n - 1 :], np.repeat(found["q"][i, n - 1 : n], len(found["t"]) - n + 1, 0)
        )
    assert (np.abs(found["tau"][emitted]) <= model.limits.effort * 0.9).all()


def test_the_joints_may_come_in_any_order(model, arrays, file, tmp_path):
    order = np.random.default_rng(1).permutation(8)
    shuffled = {k: arrays[k][..., order] for k in ("positions", "q0", "dq0", "joint_names")}
    np.savez(tmp_path / "other.npz", **{**arrays, **shuffled})
    assert (
        run("filter", file, tmp_path / "a.npz")
        == run("filter", tmp_path / "other.npz", tmp_path / "b.npz")
        == 0
    )
    a, b = (dict(np.load(tmp_path / f"{k}.npz", allow_pickle=False)) for k in "ab")
    assert list(b["joint_names"]) == [model.joint_names[k] for k in order]
    for key in ("q", "dq", "ddq", "tau"):
        assert np.array_equal(a[key][..., order], b[key], equal_nan=True)
    assert list(a["sentence"]) == list(b["sentence"])


def test_a_picture_of_the_worst(file, tmp_path):
    image = pytest.importorskip("PIL.Image")
    assert run("filter", file, tmp_path / "out.npz", "--picture", tmp_path / "worst.png") == 0
    colours = {c for _, c in image.open(tmp_path / "worst.png").convert("RGB").getcolors(100_000)}
    assert {(46, 158, 79), (214, 40, 40), (42, 111, 219)} <= colours, "green, red and blue"


def test_the_sentence_of_a_long_named_pair_is_whole_in_the_picture():
    picture = pytest.importorskip("wam_ros.safety.offline.picture")
    pair = "left_robotiq_85_left_finger_tip_link to right_robotiq_85_right_finger_tip_link 0.006 m"
    sentence = (
        f"chunk 12: cut after 10 of 16 steps, slowed 1.26 times: {'joint ' * 15}; then "
        f"stops, nearest {pair}"
    )
    lines = picture.in_lines(sentence).split("\n")
    assert " ".join(lines) == sentence
    assert len(lines) == 2
    assert (
        max(picture._font(14).getlength(line) for line in lines) < picture.WIDTH - 2 * picture.EDGE
    )
    assert picture.in_lines(4 * sentence).endswith("...")


def test_the_name_of_a_joint_is_whole_beside_its_strip_and_a_longer_one_keeps_its_end():
    picture = pytest.importorskip("wam_ros.safety.offline.picture")
    for name in load_embodiment("bimanual").joint_names:
        assert picture.label(name) == name
    long = "right_gripper_right_inner_knuckle_joint"
    assert long.endswith(picture.label(long))
    assert 0.8 * picture.NAMES < picture._font(11).getlength(picture.label(long)) < picture.NAMES


def test_the_worst_come_first(panda, file):
    batch = read_batch(file)
    verdicts = list(judge(panda, batch))
    assert [verdicts[i].decision for i in worst_first(verdicts)] == [
        Decision.REJECT,
        Decision.REJECT,
        Decision.TRUNCATED,
        Decision.PASS,
        Decision.PASS,
    ]


def test_no_chunks_are_no_answers(panda, arrays, tmp_path):
    empty = {k: arrays[k][:0] for k in ("positions", "q0", "dq0")}
    np.savez(tmp_path / "in.npz", **{**arrays, **empty})
    batch = read_batch(tmp_path / "in.npz")
    assert answers(panda, batch, list(judge(panda, batch)))["q"].shape == (0, 0, 8)
    assert (
        run("filter", tmp_path / "in.npz", tmp_path / "out.npz", "--picture", tmp_path / "none.png")
        == 0
    )


def test_limits_of_the_filter_and_the_world_can_be_given(file, tmp_path):
    (tmp_path / "wall.yaml").write_text(
        "obstacles: {wall: {shape: box, size: [1, 1, 1], position: [1.3, 0, 0.5]}}"
    )
    assert (
        run(
            "filter",
            file,
            tmp_path / "out.npz",
            "--world",
            tmp_path / "wall.yaml",
            "--tcp-speed",
            "0.02",
        )
        == 0
    )
    assert "tcp_speed" in str(np.load(tmp_path / "out.npz")["reasons"][1])


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_array_is_named(arrays, tmp_path, key):
    np.savez(tmp_path / "in.npz", **{k: v for k, v in arrays.items() if k != key})
    with pytest.raises(WamError, match=f"array '{key}' is missing"):
        read_batch(tmp_path / "in.npz")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dq_0": np.zeros(3)}, "unknown array 'dq_0'. Did you mean 'dq0'"),
        ({"positions": np.zeros((5, 8))}, "positions must be numbers of shape"),
        ({"positions": np.zeros((5, 8, 7))}, "shapes differ"),
        ({"q0": np.zeros((4, 8))}, "shapes differ"),
        ({"dq0": np.array([["x"] * 8] * 5)}, "dq0 must be numbers"),
        ({"step_period": np.array(0.0)}, "step_period must be one positive number"),
        ({"step_period": np.array(np.nan)}, "step_period must be one positive number"),
        ({"step_period": np.array([0.1, 0.1])}, "step_period must be one positive number"),
        ({"joint_names": np.arange(8)}, "joint_names must be a list of strings"),
        ({"q0": np.array([[None] * 8] * 5, dtype=object)}, "not an .npz file of plain arrays"),
    ],
)
def test_an_array_that_makes_no_sense_is_named(arrays, tmp_path, changes, words):
    np.savez(tmp_path / "in.npz", **{**arrays, **changes})
    with pytest.raises(WamError, match=words.replace("(", r"\(").replace(")", r"\)")):
        read_batch(tmp_path / "in.npz")


@pytest.mark.parametrize(("offset", "value"), [(6, 0xB0), (8, 0x01), (10, 0x63), (-90, 0xFF)])
def test_damage_is_one_line_whatever_it_does_to_who_reads_the_file(arrays, tmp_path, offset, value):
    """A version that no zip file has, a password, a way to compress that nobody knows, data that do
    not unpack.
    """
    np.savez_compressed(tmp_path / "in.npz", **arrays)
    raw = bytearray((tmp_path / "in.npz").read_bytes())
    raw[raw.index(b"PK\x01\x02") + offset] = value  # of the list of what is in the file
    (tmp_path / "in.npz").write_bytes(raw)
    with pytest.raises(WamError, match="not an .npz file of plain arrays"):
        read_batch(tmp_path / "in.npz")


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_one_line(tmp_path, content, capsys):
    (tmp_path / "in.npz").write_bytes(content)
    assert run("filter", tmp_path / "in.npz", tmp_path / "out.npz") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"wam: {tmp_path / 'in.npz'}: ")
    assert error.count("\n") == 1


def test_nothing_in_a_file_is_executed(tmp_path, arrays):
    """An array of objects is a pickle; it must not even be opened."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "in.npz", **{k: v for k, v in arrays.items() if k != "q0"})
    with zipfile.ZipFile(tmp_path / "in.npz", "a") as file:
        file.writestr("q0.npy", buffer.getvalue())
    with pytest.raises(WamError, match="not an .npz file of plain arrays"):
        read_batch(tmp_path / "in.npz")


def test_joints_of_another_robot_are_named(arrays, tmp_path, capsys):
    np.savez(tmp_path / "in.npz", **{**arrays, "joint_names": np.array([*"abcdefgh"])})
    assert run("filter", tmp_path / "in.npz", tmp_path / "out.npz") == 2
    assert "joint 'panda_joint1' is missing" in capsys.readouterr().err


def test_an_answer_or_a_picture_that_cannot_be_written_is_told_before_the_work(
    file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        "wam_ros.safety.offline.cli.read_batch", lambda path: pytest.fail("the work has begun")
    )
    nowhere = tmp_path / "no" / "out.npz"
    assert run("filter", file, nowhere) == 2
    assert (
        capsys.readouterr().err
        == f"wam: OUT.npz {nowhere}: folder '{nowhere.parent}' does not exist\n"
    )
    assert run("filter", file, tmp_path / "out.npz", "--picture", tmp_path) == 2
    assert capsys.readouterr().err == f"wam: --picture {tmp_path} is a folder; name a file in it\n"


def test_a_picture_of_another_kind_is_told_before_the_work(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "wam_ros.safety.offline.cli.read_batch", lambda path: pytest.fail("the work has begun")
    )
    assert run("filter", file, tmp_path / "out.npz", "--picture", tmp_path / "worst.xyz") == 2
    assert (
        capsys.readouterr().err
        == f"wam: --picture writes .png files, found '{tmp_path / 'worst.xyz'}'\n"
    )


@pytest.mark.parametrize(
    ("out", "picture", "words"),
    [
        ("in.png", "worst.png", "OUT.npz in.png is IN.npz"),
        ("sub/../in.png", "worst.png", "OUT.npz sub/../in.png is IN.npz"),
        ("out.npz", "in.png", "--picture in.png is IN.npz"),
        ("out.png", "out.png", "--picture out.png is OUT.npz"),
    ],
)
def test_nothing_is_written_over_the_chunks_or_the_answers(
    file, tmp_path, capsys, monkeypatch, out, picture, words
):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    before = file.read_bytes()
    file.rename("in.png")
    assert run("filter", "in.png", out, "--picture", picture) == 2
    assert capsys.readouterr().err == f"wam: {words}; name another file\n"
    assert (tmp_path / "in.png").read_bytes() == before


def test_chunks_that_are_not_there_are_named(tmp_path, capsys):
    assert run("filter", tmp_path / "in.npz", tmp_path / "out.npz") == 2
    assert capsys.readouterr().err == f"wam: {tmp_path / 'in.npz'} does not exist\n"


def test_the_pairs_that_are_not_watched_can_be_reviewed(tmp_path, model, capsys):
    assert run("pairs", "--embodiment", "panda") == 0
    printed = capsys.readouterr().out
    assert (
        '<disable_collisions link1="panda_link1" link2="panda_link2" reason="Adjacent"/>' in printed
    )
    assert run("pairs", "--embodiment", "panda", "--out", tmp_path / "panda.srdf") == 0
    assert (tmp_path / "panda.srdf").read_text() == printed


class Seen(SafetyParams):
    """Parameters that remember which of them were read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        type(self).read.add(name)
        return super().__getattribute__(name)


def test_help_says_of_every_margin_that_a_chunk_is_judged_by_what_it_means_and_in_which_unit(
    model, capsys
):
    seen = Seen(workspace=(-2.0, -2.0, -2.0, 2.0, 2.0, 2.0), tcp_speed=0.5, singularity=1e-3)
    seen.read.clear()  # making them has read all
    names, home = model.joint_names, np.array(model.embodiment.home)
    for bend in (0.02, 0.3):
        chunk = make_chunk(
            names, home + bend * np.arange(1, 9)[:, None] ** 2 * np.eye(len(home))[0]
        )
        SafetyFilter(model, seen).filter(chunk, at_rest(home), START)
    fields = {f.name: f for f in dataclasses.fields(SafetyParams)}
    assert seen.read & set(fields) == JUDGING
    with pytest.raises(SystemExit):
        run("filter", "--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, field in fields.items():
        option = f"--{name.replace('_', '-')} "
        if name not in JUDGING:
            assert option not in text
            continue
        unit = field.metadata["unit"]
        meaning = field.metadata["doc"] + (f" [{unit}]" if unit != "1" else "")
        assert meaning in text.split(option, 1)[1].split(" --", 1)[0], option
