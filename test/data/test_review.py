"""What is wrong in a data set is named by episode, row and column, and what is right is not."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")

from testing.recordings import SMALL, episode, pictures, write
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.info import Feature
from wam_ros.data.review import DOUBTFUL, WRONG, review

ROWS = 40


def calm(seed, rows=ROWS, **changed):
    """An arm that swings gently."""
    t = np.arange(rows + 1) / 10 + seed
    states = np.stack([np.sin(t), np.cos(t), 0.1 * np.sin(2 * t)], 1).astype(np.float32)
    told = {"states": states[:-1], "actions": states[1:]}
    return episode(seed, rows, **told | changed)


def put(name, at, value):
    values = getattr(calm(1), name).copy()
    values[at] = value
    return {name: values}


def found(tmp_path, second, description=SMALL, change=lambda shown: None):
    """What is found in three episodes, of which the second one is as it is given."""
    folder = tmp_path / "set"
    write(folder, [calm(0)], description)
    write(folder, [second], description, change=change)
    write(folder, [calm(2)], description)
    return list(review(open_episodes(folder), pictures=True))


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    assert found(tmp_path, calm(1)) == []


@pytest.mark.parametrize(
    ("changed", "grade", "words"),
    [
        (put("states", (7, 1), np.nan), WRONG, "states, row 7: 'elbow' is nan (1 such values)"),
        (put("actions", (3, 0), np.inf), WRONG, "actions, row 3: 'shoulder' is inf"),
        (put("states", (20, 2), 9.0), DOUBTFUL, "states, row 20: 'gripper' is 9, almost all are"),
        (put("actions", (20, 0), 1.9), DOUBTFUL, "actions, row 20: 'shoulder' jumps by"),
        (
            {"labelled": np.zeros(ROWS, bool)},
            DOUBTFUL,
            "it has no action to learn from: a video",
        ),
        (
            {"seen": np.arange(2 * ROWS).reshape(ROWS, 2) % 8 > 1},
            DOUBTFUL,
            "'front' saw nothing in 25% of it",
        ),
    ],
)
def test_wrong_rows_are_named_by_place(changed, grade, words, tmp_path):
    told = [f for f in found(tmp_path, calm(1, **changed)) if f.grade == grade]
    assert any(f.episode == 1 and words in f.words for f in told), told
    assert {f.episode for f in told} == {1}


def test_an_episode_of_one_row_is_wrong(tmp_path):
    told = found(tmp_path, calm(1, rows=1))
    assert [(f.grade, f.episode) for f in told] == [(WRONG, 1)]
    assert "it has one row" in told[0].words


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        (np.arange(ROWS) * 50_000_000, "its rows are at 20 Hz, the data set says 10"),
        (
            np.arange(ROWS) * 100_000_000 + 400_000_000 * (np.arange(ROWS) > 9),
            "1 gaps in its stamps, the first of 0.50 s behind row 9",
        ),
        (
            np.where(np.arange(ROWS) == 6, 5, np.arange(ROWS)) * 100_000_000,
            "row 6: its stamp is not after that of the row before",
        ),
    ],
)
def test_stamps_that_do_not_fit_the_rate_are_named(stamps, words, tmp_path):
    description = dataclasses.replace(SMALL, stamps=True)
    even = np.arange(ROWS) * 100_000_000
    write(tmp_path / "set", [calm(0, stamps_ns=even)], description)
    write(tmp_path / "set", [calm(1, stamps_ns=stamps)], description)
    told = list(review(open_episodes(tmp_path / "set"), pictures=False))
    assert any(f.episode == 1 and words in f.words for f in told), told


def freeze(shown):
    shown["wrist"][10:25] = shown["wrist"][10]


def darken(shown):
    shown["front"][:3] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (freeze, "'wrist' is stuck: rows 10 to 20 show one picture while the arm moves"),
        (darken, "'front' is black in 3 of 40 frames"),
    ],
)
def test_cameras_that_show_nothing_new_are_named(change, words, tmp_path):
    told = found(tmp_path, calm(1), change=change)
    assert [str(f) for f in told] == [f"episode 1: {words}"]


def test_one_picture_of_an_arm_that_stands_is_right(tmp_path):
    still = np.ones((ROWS, 3), np.float32) * [0.0, 1.0, 0.0]
    told = found(tmp_path, calm(1, states=still, actions=still), change=freeze)
    assert not [f for f in told if "stuck" in f.words]


def test_a_damaged_file_is_one_finding_and_the_rest_is_looked_at(tmp_path):
    folder = write(tmp_path / "set", [calm(0), calm(1)])
    video = next(folder.rglob("observation.images.front/**/*.mp4"))
    video.write_bytes(video.read_bytes()[:300])
    told = list(review(open_episodes(folder), pictures=True))
    assert [f.grade for f in told] == [WRONG] * 2
    assert all("file-000.mp4" in f.words for f in told)


def test_further_columns_are_looked_at_too(tmp_path):
    description = dataclasses.replace(SMALL, extra={"force": Feature("float32", (2,), ())})
    force = np.zeros((ROWS, 2), np.float32)
    force[4, 1] = np.nan
    write(tmp_path / "set", [calm(0, extra={"force": force})], description)
    told = list(review(open_episodes(tmp_path / "set"), pictures=False))
    assert [str(f) for f in told] == ["episode 0: force, row 4: value 1 is nan (1 such values)"]


def test_pictures_are_left_out_when_they_are_not_wanted(tmp_path):
    folder = write(tmp_path / "set", [calm(0)], change=lambda shown: darken(shown))
    assert list(review(open_episodes(folder), pictures=False)) == []
    assert pictures(0, ROWS)["front"].shape[0] == ROWS
