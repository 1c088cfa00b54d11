"""`wam safety filter`: what it is given, what it says in one line when it cannot."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from testing.tools import CUBE, START, at_rest, make_chunk, write_mesh
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.offline.cli import JUDGING
from wam_ros.safety.params import SafetyParams

from .conftest import run


def test_a_world_that_cannot_be_read_is_told_in_one_line(file, tmp_path, capsys):
    flat = write_mesh(tmp_path / "flat.obj", [(x, y, 0.3 * x) for x, y, _ in CUBE])
    world = tmp_path / "world.yaml"
    world.write_text(
        f"obstacles: {{plate: {{shape: mesh, mesh: {flat}, size: [1, 1, 1], position: [2, 0, 0]}}}}"
    )
    assert run("filter", file, tmp_path / "out.npz", "--world", world) == 2
    error = capsys.readouterr().err
    assert "obstacle 'plate'" in error
    assert error.count("\n") == 1


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


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_one_line(tmp_path, content, capsys):
    (tmp_path / "in.npz").write_bytes(content)
    assert run("filter", tmp_path / "in.npz", tmp_path / "out.npz") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"wam: {tmp_path / 'in.npz'}: ")
    assert error.count("\n") == 1


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
