"""LeRobot data sets: what is written is read, what is missing is marked, what is wrong is named."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from testing import recordings
from testing.recordings import SMALL, VIEWS, episode, pictures, write
from wam_ros.core.errors import WamError
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.info import INFO, file_of
from wam_ros.data.lerobot.writer import LeRobotWriter

VERSIONS = ["v3.0", "v2.1"]


@pytest.fixture(scope="module", params=VERSIONS)
def recorded(request, tmp_path_factory):
    """Three episodes of different lengths in one data set; damage a copy."""
    folder = tmp_path_factory.mktemp("recorded") / "set"
    episodes = [episode(i, rows) for i, rows in enumerate((9, 1, 14))]
    return write(folder, episodes, version=request.param), episodes


@pytest.fixture
def copy(recorded, tmp_path):
    return shutil.copytree(recorded[0], tmp_path / "copy")


def edit_info(folder, change):
    path = folder / INFO
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_rows_and_frames_come_back_as_they_were(recorded):
    folder, episodes = recorded
    found = open_episodes(folder)
    assert (found.robot, found.rate_hz, found.joint_names) == ("arm", 10.0, SMALL.joint_names)
    assert found.views == VIEWS
    assert [found.length(i) for i in range(len(found))] == [9, 1, 14]
    for i, (got, wanted) in enumerate(zip(found, episodes, strict=True)):
        np.testing.assert_array_equal(got.states, wanted.states)
        np.testing.assert_array_equal(got.actions, wanted.actions)
        np.testing.assert_allclose(got.stamps_s, wanted.stamps_s, atol=1e-6)
        assert got.instructions == wanted.instructions
        assert got.labelled.all() and not got.intervention.any() and got.seen.all()
        assert got.success is None
        for name, frames in pictures(i, len(wanted)).items():
            np.testing.assert_array_equal(list(found.pictures(i, name)), frames)


def test_a_stretch_of_frames_is_read_without_the_others(recorded):
    found = open_episodes(recorded[0])
    front = pictures(2, 14)["front"]
    for rows in (slice(11, 14), slice(0, 2), slice(5, 6), slice(3, None), slice(4, 4)):
        got = list(found.pictures(2, "front", rows.start, rows.stop))
        assert np.array_equal(np.array(got).reshape(-1, 16, 24, 3), front[rows])


def test_every_mark_is_kept(tmp_path):
    rows = 8
    marked = episode(
        0,
        rows,
        labelled=np.arange(rows) != 3,
        intervention=np.arange(rows) >= 5,
        success=False,
        instructions=("push",) * 4 + ("把红色的方块拿起来",) * 4,
        seen=np.array([[True, k != 2] for k in range(rows)]),
        stamps_ns=np.arange(rows) * 100_000_123 + 1_700_000_000_000_000_000,
        extra={"force": np.arange(rows) / 3, "note": np.array(["a"] * rows, dtype=object)},
    )
    extra = {"force": recordings.feature("float64"), "note": recordings.feature("string")}
    description = dataclasses.replace(SMALL, extra=extra, stamps=True)
    found = open_episodes(write(tmp_path / "set", [marked], description))
    got = found[0]
    for name in ("labelled", "intervention", "seen", "stamps_ns"):
        np.testing.assert_array_equal(getattr(got, name), getattr(marked, name))
    assert got.success is False
    assert got.instructions == marked.instructions
    assert got.extra["force"].tolist() == (np.arange(rows) / 3).tolist()
    assert list(got.extra["note"]) == ["a"] * rows
    assert not list(found.pictures(0, "wrist"))[2].any()  # black where nothing was seen
    assert got.stretches(0.1) == [slice(0, 4), slice(4, 8)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_video_without_actions_stands_among_episodes_that_have_some(version, tmp_path):
    video = episode(1, 6, actions=None)
    found = open_episodes(write(tmp_path / "set", [episode(0), video], version=version))
    assert found[0].labelled.all() and not found[1].labelled.any()
    only = dataclasses.replace(SMALL, joint_names=(), action_names=())
    bare = episode(1, 6, actions=None, states=None)
    found = open_episodes(write(tmp_path / "only", [bare], only, version=version))
    assert found[0].states is None and found[0].actions is None
    assert not found[0].labelled.any() and len(list(found.pictures(0, "front"))) == 6


def test_a_missing_camera_is_black_and_marked(tmp_path):
    folder = write(tmp_path / "set", [episode(0)], change=lambda shown: shown.pop("wrist"))
    found = open_episodes(folder)
    assert found[0].seen.tolist() == [[True, False]] * 9
    assert not np.any(list(found.pictures(0, "wrist")))


def test_windows_reach_across_no_cut():
    stamps = np.array([0.0, 0.1, 0.2, 0.7, 0.8])
    cut = episode(0, 5, stamps_s=stamps)
    assert cut.stretches(0.1) == [slice(0, 3), slice(3, 5)]
    assert episode(0, 5).stretches(0.1) == [slice(0, 5)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_data_set_goes_on_where_it_ended_and_forgets_what_was_not_committed(version, tmp_path):
    folder = write(tmp_path / "set", [episode(0), episode(1, 5)], version=version)
    killed = LeRobotWriter(folder, SMALL, "lossless", version)
    killed.add(episode(5), pictures(5, 9))
    if version == "v3.0":  # v2.1 commits every episode
        info = (folder / INFO).read_bytes()
        killed.commit()
        (folder / INFO).write_bytes(info)  # as if it had been killed before the last file
        assert len(open_episodes(folder)) == 2
    write_more = LeRobotWriter(folder, SMALL, "lossless", version)
    begins = write_more.episodes
    write_more.add(episode(2, 4, instructions=("pull",) * 4), pictures(2, 4))
    write_more.commit()
    found = open_episodes(folder)
    assert len(found) == begins + 1
    assert found[begins].instructions[0] == "pull"
    np.testing.assert_array_equal(found[begins].states, episode(2, 4).states)
    np.testing.assert_array_equal(list(found.pictures(begins, "front")), pictures(2, 4)["front"])
    np.testing.assert_array_equal(list(found.pictures(0, "wrist")), pictures(0, 9)["wrist"])


def test_statistics_are_those_of_all_rows_however_they_were_written(tmp_path):
    episodes = [episode(i, 5 + i) for i in range(4)]
    once = write(tmp_path / "once", episodes)
    for i in range(4):
        twice = write(tmp_path / "twice", episodes[i : i + 1])
    states = np.concatenate([e.states for e in episodes])
    for folder in (once, twice):
        stats = json.loads((folder / "meta/stats.json").read_text())["observation.state"]
        np.testing.assert_allclose(stats["mean"], states.mean(0), atol=1e-5)
        np.testing.assert_allclose(stats["std"], states.std(0), atol=1e-5)
        np.testing.assert_allclose(stats["min"], states.min(0), atol=1e-6)
        assert stats["count"] == [len(states)]


def test_episodes_before_a_full_disk_stay_readable(small_disk):
    write(small_disk / "set", [episode(0)])
    rng = np.random.default_rng(0)
    noise = {
        v.name: rng.integers(0, 256, (900, v.height, v.width, 3), dtype=np.uint8) for v in VIEWS
    }

    def fill():
        with LeRobotWriter(small_disk / "set", SMALL, "lossless") as writer:
            writer.add(episode(1, 900), noise)

    with pytest.raises(WamError, match="cannot be written"):
        fill()
    found = open_episodes(small_disk / "set")
    assert len(found) == 1
    np.testing.assert_array_equal(list(found.pictures(0, "front")), pictures(0, 9)["front"])
    found.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"states": np.zeros((9, 2))}, r"observation.state is \(9, 2\), expected \(9, 3\)"),
        ({"actions": np.zeros((8, 3))}, r"action is \(8, 3\)"),
        ({"states": None}, "has no observation.state"),
        ({"labelled": np.ones(3, bool)}, "labelled has 3 rows of 9"),
        ({"instructions": ("push",) * 8}, "9 rows and 8 instructions"),
    ],
)
def test_what_does_not_fit_the_description_is_not_written(wrong, words, tmp_path):
    writer = LeRobotWriter(tmp_path / "set", SMALL, "lossless")
    with pytest.raises(WamError, match=words):
        writer.add(episode(0, **wrong), pictures(0, 9))
    assert not [p for p in (tmp_path / "set").rglob("*") if p.is_file()]


@pytest.mark.parametrize("rows", [8, 10])
def test_too_few_and_too_many_frames_are_refused(rows, tmp_path):
    writer = LeRobotWriter(tmp_path / "set", SMALL, "lossless")
    with pytest.raises(WamError, match="of 'front'|more frames of"):
        writer.add(episode(0), pictures(0, rows))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (dataclasses.replace(SMALL, robot="other"), "data set v3.0 of 'arm', these are .* 'other'"),
        (dataclasses.replace(SMALL, rate_hz=15.0), "another rate"),
        (dataclasses.replace(SMALL, joint_names=("a", "b", "c")), "observation.state"),
        (dataclasses.replace(SMALL, views=VIEWS[:1]), "observation.images.wrist"),
    ],
)
def test_nothing_else_is_appended_to_a_data_set(description, words, tmp_path):
    write(tmp_path / "set", [episode(0)])
    with pytest.raises(WamError, match=words):
        LeRobotWriter(tmp_path / "set", description)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(fps=0), "fps is 0"),
        (lambda d: d.update(fps="10"), "fps is '10'"),
        (lambda d: d.update(fps=float("nan")), "fps is nan"),
        (lambda d: d.update(total_episodes=-1), "total_episodes is -1"),
        (lambda d: d.update(total_episodes=10**12), "meta/ says nothing of 3"),
        (lambda d: d.update(codebase_version="v1.6"), "unknown version .* 'v1.6'"),
        (lambda d: d.update(features=[]), "lists no features"),
        (lambda d: d["features"].update(action={"dtype": "float32"}), "feature 'action' is dam"),
        (lambda d: d["features"]["action"].update(shape=[0]), "feature 'action' is damaged"),
        (lambda d: d["features"]["action"].update(shape=[4]), "27 values in 9 rows"),
        (lambda d: d.update(data_path="../{episode_index}"), "names no file|asks for"),
        (lambda d: d.update(data_path="/etc/passwd"), "names no file of the data set"),
        (lambda d: d.update(data_path="{x.__class__}"), "names no file of the data set"),
        (lambda d: d.update(video_path="{secret}"), "asks for secret"),
        (
            lambda d: d["features"]["observation.images.front"].update(shape=[8, 8, 3]),
            r"a frame of 'front' of episode 0 is \(16, 24\) px, meta/info.json says \(8, 8\)",
        ),
    ],
)
def test_an_info_that_cannot_be_is_refused(change, words, copy):
    edit_info(copy, change)

    def read():
        found = open_episodes(copy)
        return found[0], list(found.pictures(0, "front"))

    with pytest.raises(WamError, match=words):
        read()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_a_damaged_info_is_named(text, copy):
    (copy / INFO).write_text(text)
    with pytest.raises(WamError, match="info.json' is damaged"):
        open_episodes(copy)


def test_damaged_and_missing_files_are_named(copy):
    def read():
        found = open_episodes(copy)
        return [found[i] for i in range(3)], list(found.pictures(0, "front"))

    read()
    for suffix in ("parquet", "mp4"):
        file = min(p for p in copy.rglob(f"*.{suffix}") if "meta" not in p.parts)
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
        with pytest.raises(WamError, match=f"{file.name}'"):
            read()
        file.unlink()
        with pytest.raises(WamError, match=f"{file.name}'"):
            read()
        file.write_bytes(data)
    for file in sorted(copy.glob("meta/**/*.*")):
        if file.name in ("stats.json", "episodes_stats.jsonl"):
            continue
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
        with pytest.raises(WamError):
            read()
        file.write_bytes(data)


def test_a_folder_without_a_data_set_says_how_one_is_made(tmp_path):
    with pytest.raises(WamError, match=r"no data set in .*wam record-sim"):
        open_episodes(tmp_path)


def test_rows_that_meta_does_not_know_are_an_error_and_not_read_as_another_episode(copy):
    file = min((copy / "data").rglob("*.parquet"))
    table = pq.read_table(file)
    pq.write_table(table.slice(0, len(table) - 1), file)
    with pytest.raises(WamError, match=r"holds \d+ rows of episode \d, meta/ says"):
        list(open_episodes(copy))


def test_a_path_of_a_stranger_stays_inside(tmp_path):
    for template in ("../x", "/x", "a/../../x", "{key}", ""):
        with pytest.raises(WamError, match="names no file"):
            file_of(tmp_path, template, {"key": ".."}, tmp_path / "info.json")
    assert file_of(tmp_path, "d/{n:03d}.mp4", {"n": 7}, tmp_path).name == "007.mp4"
