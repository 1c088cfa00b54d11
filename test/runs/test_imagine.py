"""`wam imagine`: what a film shows, and what a model imagines for other words or actions."""

import numpy as np
import pytest
from PIL import Image

from testing.recorded import ARMED, GREY, IMAGINED, PANDA, STRANGE, frames, q_at
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, PolicyOutput
from wam_ros.core.types import NS, Conditioning
from wam_ros.runs.imagine import Imagine, compared, main, read_source, within
from wam_ros.runs.strips import seen_and_imagined
from wam_ros.runs.what_if import (
    RECORDED,
    STILL,
    Variant,
    imagine_along,
    imagine_on,
    make_observation,
    read_actions,
)

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
N = len(PANDA.joint_names)
START = make_observation(PANDA, 5 * NS, frames(GREY), q_at(0))


class Brighter:
    """Imagines every frame one shade brighter, four and eight steps ahead; goes where it is told,
    else on by 0.01 rad a step.
    """

    name = "brighter"
    checkpoint_hash = ""
    abilities = Abilities(action_conditioned=True, frame_stride=4)

    def __init__(self):
        self.seen = []

    def reset(self, instruction):
        self.instruction = instruction

    def predict(self, observation, request=None):
        self.seen.append((observation, request))
        steps = np.arange(1, 9)[:, None]
        positions = observation.joints.positions + 0.01 * steps
        if request is not None and request.committed:
            positions = request.plan.copy()
        ahead = np.stack([observation.frames + 1, observation.frames + 2])
        offsets = (4 * NS // 10, 8 * NS // 10)
        return PolicyOutput(positions, ahead, offsets, Conditioning.REAL, 1)


def test_what_it_imagined_is_fed_back_with_the_joints_that_it_wanted():
    policy = Brighter()
    future = imagine_on(policy, PANDA, START, Variant("go"), 1.0)
    assert [(t - START.stamp_ns) / NS for t, _ in future] == pytest.approx([0.0, 0.4, 0.8, 1.2])
    assert [f.max() for _, f in future] == [GREY, GREY + 1, GREY + 2, GREY + 3]
    asked = [o.joints.positions for o, _ in policy.seen]
    np.testing.assert_allclose(asked, [q_at(0), q_at(4), q_at(8)])
    assert policy.instruction == "go"


def test_actions_are_a_plan_that_moves_on_with_the_steps_and_stays_at_its_end():
    policy = Brighter()
    rows = np.stack([q_at(k) for k in range(1, 7)])
    imagine_on(policy, PANDA, START, Variant("go", rows), 0.8)
    first, second = (r for _, r in policy.seen)
    assert (first.step, first.committed, second.step) == (0, 8, 4)
    np.testing.assert_allclose(first.plan[:6], rows)
    np.testing.assert_allclose(second.plan, [rows[4]] + [rows[5]] * 7)


def test_a_model_that_takes_no_plan_is_refused():
    policy = Brighter()
    policy.abilities = Abilities()
    with pytest.raises(WamError, match="'brighter' cannot be told its actions"):
        imagine_on(policy, PANDA, START, Variant("go", q_at(0)[None]), 0.8)


def test_along_a_recording_each_frame_meets_what_was_imagined_for_it():
    observations = [make_observation(PANDA, k * NS // 10, frames(GREY), q_at(k)) for k in range(10)]
    found = list(imagine_along(Brighter(), observations, "go", NS // 10))
    assert [len(s.comparisons) for s in found] == [0] * 4 + [1] * 4 + [2] * 2
    assert [s.horizon_s for s in found[9].comparisons] == [0.4, 0.8]
    assert [s.imagined.max() for s in found[9].comparisons] == [GREY + 1, GREY + 2]


def tiles(board):
    """Red in the middle of the three tiles of the first view."""
    return [int(board[140, 6 + k * 198 + 96, 0]) for k in range(3)]


def test_a_film_of_a_recording_shows_observed_imagined_and_difference(recorded):
    boards = list(compared(seen_and_imagined(recorded), None, "bag"))
    assert {rate for _, rate in boards} == {10.0}
    first = ARMED + 4  # the first instant that had been imagined
    usual = tiles(boards[0][0])
    assert usual[:2] == [GREY, IMAGINED]
    strange = tiles(boards[STRANGE - first][0])
    assert strange[:2] == [200, IMAGINED]
    assert strange[2] > usual[2], "it is hotter where the two are further apart"


def test_a_part_is_filmed(recorded):
    stamps = [s.observation.stamp_ns for s in within(seen_and_imagined(recorded), 1.0, 0.5)]
    assert len(stamps) == 6
    assert stamps[-1] - stamps[0] == NS // 2


def test_of_a_recording_the_arms_way_is_its_actions(recorded):
    source = read_source(Imagine(recorded, at=1.0, seconds=1.0))
    np.testing.assert_allclose(source.observations[0].joints.positions, q_at(10))
    np.testing.assert_allclose(source.actions, [q_at(k) for k in range(11, 21)])


def test_the_shipped_model_imagines_another_future_for_other_words(recorded, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "what_if.webp"
    words = ("pick up the red block", "pick up the blue block")
    main(Imagine(recorded, str(out), instruction=words, seconds=0.4))
    with Image.open(out) as film:
        assert film.n_frames == 2
        film.seek(1)
        board = np.asarray(film.convert("RGB")).astype(int)
    one, other = (board[62:246, 6 + k * 198 : 190 + k * 198] for k in (1, 2))
    assert np.abs(one - other).max() > 20


def test_a_film_begins_where_something_was_imagined_unless_told_otherwise(recorded, tmp_path):
    out = tmp_path / "film.webp"
    main(Imagine(recorded, str(out), seconds=0.3))
    with Image.open(out) as film:
        assert film.n_frames == 4
    with pytest.raises(WamError, match="nothing was imagined there"):
        main(Imagine(recorded, str(out), at=0.0, seconds=0.3))


def test_a_video_is_written(recorded, tmp_path):
    pytest.importorskip("av")
    from wam_ros.data.video import VideoReader

    out = tmp_path / "film.mp4"
    main(Imagine(recorded, str(out), at=1.0, seconds=0.5))
    video = VideoReader(out)
    assert len(list(video.frames(0.0, 6, 0.1))) == 6
    video.close()


def test_a_data_set_is_imagined_along(tmp_path):
    for module in ("torch", "av", "pyarrow"):
        pytest.importorskip(module)
    from wam_ros.data.episodes import Episode, View
    from wam_ros.data.lerobot.writer import Description, LeRobotWriter

    rows = 7
    views = tuple(View(n, PANDA.image_height, PANDA.image_width) for n in PANDA.view_names)
    names = PANDA.joint_names
    states = np.stack([q_at(k) for k in range(rows)]).astype(np.float32)
    episode = Episode(
        stamps_s=np.arange(rows) / 10,
        instructions=("pick up the red block",) * rows,
        states=states,
        actions=states,
    )
    with LeRobotWriter(tmp_path / "set", Description("panda", 10.0, names, names, views)) as out:
        grey = np.full((rows, PANDA.image_height, PANDA.image_width, 3), GREY, np.uint8)
        out.add(episode, {v.name: grey for v in views})
    main(Imagine(tmp_path / "set", str(tmp_path / "film.gif")))
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames >= 1
    source = read_source(Imagine(tmp_path / "set", at=0.3))
    np.testing.assert_allclose(source.actions, states[3:])
    with pytest.raises(WamError, match="--episode must be between 0 and 0, found 4"):
        read_source(Imagine(tmp_path / "set", episode=4))
    with pytest.raises(WamError, match="nothing was observed from --at 5 on"):
        read_source(Imagine(tmp_path / "set", at=5.0))


def test_still_and_recorded_are_actions(tmp_path):
    still = read_actions(STILL, PANDA, START, None)
    np.testing.assert_allclose(still, [q_at(0)])
    with pytest.raises(WamError, match="no action was recorded from there on"):
        read_actions(RECORDED, PANDA, START, None)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros((4, N - 1)), rf"expected finite joint positions \(steps, {N}\), found \(4, "),
        (np.full((4, N), np.nan), "expected finite"),
        (np.zeros((0, N)), "expected finite"),
        (np.array([["a"] * N]), "could not convert"),
        (None, "No such file"),
    ],
)
def test_a_file_that_holds_no_actions_is_refused(tmp_path, rows, words):
    file = tmp_path / "rows.npy"
    if rows is not None:
        np.save(file, rows)
    with pytest.raises(WamError, match=words):
        read_actions(str(file), PANDA, START, None)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"out": "film.avi"}, r"--out must end in \.mp4 or \.webp or \.gif, found 'film\.avi'"),
        ({"at": -1.0}, "--at must be"),
        ({"seconds": 0.0}, "--seconds must be"),
        ({"at": 60.0}, "nothing was imagined there"),
        ({"at": 60.0, "instruction": ("go",)}, "nothing was observed from --at 60 on"),
        ({"actions": ("twist",)}, r"--actions is 'recorded', 'still' or a \.npy file"),
        ({"instruction": tuple("abcde")}, "5 futures are asked for: 4 fit side by side"),
    ],
)
def test_what_cannot_be_filmed_is_refused_and_nothing_is_written(
    recorded, tmp_path, monkeypatch, changed, words
):
    monkeypatch.chdir(tmp_path)
    if "actions" in changed or "instruction" in changed:
        pytest.importorskip("torch")
    with pytest.raises(WamError, match=words):
        main(Imagine(recorded, **changed))
    assert list(tmp_path.iterdir()) == []
