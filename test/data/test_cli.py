"""`wam data`: what is brought in and handed on is the same; what cannot work is one line."""

import json

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from testing.recordings import SMALL, episode, pictures, write
from wam_ros import cli
from wam_ros.core.errors import WamError
from wam_ros.data import convert
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.writer import LeRobotWriter
from wam_ros.data.numbers import columns_of
from wam_ros.data.video import VideoReader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    marked = episode(1, 12, success=False, intervention=np.arange(12) > 5)
    words = ("push",) * 6 + ("pull",) * 6
    told = [episode(0, 20), marked, episode(2, 12, instructions=words, success=True)]
    return write(tmp_path_factory.mktemp("cli") / "set", told)


def run(*words):
    return cli.main(["data", *map(str, words)])


def require_same(found, wanted, first=0):
    for i, (got, had) in enumerate(zip(found, wanted, strict=True), first):
        for name in ("states", "actions", "labelled", "intervention", "seen"):
            np.testing.assert_array_equal(getattr(got, name), getattr(had, name))
        assert (got.success, got.instructions) == (had.success, had.instructions)
        for view in found.view_names:
            np.testing.assert_array_equal(
                list(found.pictures(i, view)), list(wanted.pictures(i, view))
            )


def test_there_and_back_again_nothing_is_lost(folder, tmp_path, capsys):
    assert run("export", folder, "--out", tmp_path / "v21", "--codec", "lossless") == 0
    assert run("import", tmp_path / "v21", "--out", tmp_path / "v30", "--codec", "lossless") == 0
    assert "3 episodes in" in capsys.readouterr().out
    assert json.loads((tmp_path / "v21/meta/info.json").read_text())["codebase_version"] == "v2.1"
    require_same(open_episodes(tmp_path / "v30"), open_episodes(folder))


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_what_was_interrupted_goes_on_where_it_was(version, folder, tmp_path, capsys):
    source = open_episodes(folder)
    out = tmp_path / "out"
    told = []

    def break_off(number):
        told.append(number)
        if number == 1:
            raise KeyboardInterrupt

    writer = LeRobotWriter(out, convert.describe(source), "lossless", version)
    with pytest.raises(KeyboardInterrupt):
        convert.copy(source, writer, False, break_off)
    words = ["export", folder, "--out", out, "--format", version, "--codec", "lossless"]
    assert run(*words) == 0
    require_same(open_episodes(out), source)
    capsys.readouterr()
    assert run(*words) == 0  # once more: there is nothing to do
    assert "3 episodes in" in (said := capsys.readouterr().out) and "3 were there" in said
    require_same(open_episodes(out), source)


def test_rests_become_cuts_and_no_window_reaches_across_one(tmp_path):
    moves = np.linspace(0, 1, 15)
    path = np.concatenate([moves, np.ones(20), 1 - moves, np.zeros(5), moves])
    states = np.stack([path] * 3, 1).astype(np.float32)
    rests = episode(0, len(path), states=states, actions=np.roll(states, -1, 0))
    write(tmp_path / "set", [rests])
    assert run("import", tmp_path / "set", "--out", tmp_path / "cut", "--cut-idle") == 0
    found = open_episodes(tmp_path / "cut")
    # half a second of rest is part of the task and stays
    assert [len(e) for e in found] == [14 + 3, 3 + 15 + 5 + 15]
    np.testing.assert_array_equal(found[0].states, states[:17])
    np.testing.assert_array_equal(found[1].states, states[32:])
    assert [int(e.extra["source_episode"][0]) for e in found] == [0, 0]
    assert found[1].stamps_s[0] == 0.0


def test_the_picture_and_the_film_show_the_episodes(folder, tmp_path, capsys):
    assert run("show", folder, "--out", tmp_path / "a.png", "--film", 2) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    reader = VideoReader(tmp_path / "a.mp4")
    assert reader.size == (16, 36)
    assert len(list(reader.frames(0.0, 12, 0.1))) == 12


def test_statistics_are_exact_and_relative_ones_reach_across_no_change(folder, tmp_path):
    assert run("stats", folder, "--horizon", 4, "--json", tmp_path / "s.json") == 0
    columns = json.loads((tmp_path / "s.json").read_text())["columns"]
    told = {(c["group"], c["name"]): c for c in columns}
    found = open_episodes(folder)
    elbow = np.concatenate([e.states[:, 1] for e in found]).astype(float)
    assert told["states", "elbow"]["q99"] == pytest.approx(np.quantile(elbow, 0.99))
    assert told["states", "elbow"]["std"] == pytest.approx(elbow.std())
    # starts: 17 of 20 rows, 9 of 12, and 3 of either half of the one whose sentence changes
    assert told["relative", "elbow"]["count"] == 4 * (17 + 9 + 3 + 3)
    assert not [c for c in columns_of(found, 0, iter) if c.group == "relative"]


def test_check_says_by_its_code_whether_something_is_wrong(folder, tmp_path, capsys):
    assert run("check", folder, "--no-pictures") == 0
    states = episode(0).states.copy()
    states[3, 0] = np.nan
    broken = write(tmp_path / "set", [episode(0, states=states)])
    assert run("check", broken, "--json", tmp_path / "found.json") == 1
    assert "states, row 3: 'shoulder' is nan" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())[0]["episode"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "/nowhere"], "no data set in '/nowhere'"),
        (["show", "DATA", "--out", "/proc/x.png"], "--out /proc/x.png cannot be written"),
        (["show", "DATA", "--out", "OUT.png", "--film", "3"], "an episode must be between 0 and 2"),
        (["stats", "DATA", "--horizon", "-1"], "--horizon must be at least 0"),
        (["import", "DATA", "--out", "/proc/x"], "--out /proc/x cannot be written"),
        (["import", "DATA", "--out", "OUT", "--codec", "h265"], "Did you mean 'h264'?"),
        (
            ["export", "DATA", "--out", "OUT", "--format", "v2.0"],
            "unknown format",
        ),
        (["import", "DATA", "--out", "DATA"], "another rate: source_episode"),
    ],
)
def test_what_cannot_work_is_one_line_and_code_2(words, said, folder, tmp_path, capsys):
    names = {"DATA": folder, "OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png"}
    assert run(*(names.get(w, w) for w in words)) == 2
    shown = capsys.readouterr().err
    assert said in shown and shown.count("\n") == 1


def test_a_data_set_that_is_no_copy_is_not_gone_on_with(folder, tmp_path):
    source = open_episodes(folder)
    about = convert.describe(source)
    with LeRobotWriter(tmp_path / "x", SMALL) as writer:
        writer.add(episode(0), pictures(0, 9))
        assert about.extra  # of a copy, which SMALL has not
    with pytest.raises(WamError, match="is no copy that could go on"):
        convert.copy(source, LeRobotWriter(tmp_path / "x", SMALL), False, lambda i: None)
