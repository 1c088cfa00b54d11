import numpy as np
import pytest

from wam_ros.core.types import (
    NS,
    ChunkingMode,
    Decision,
    ImaginedFuture,
    JointState,
    Observation,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.view.board import (
    MOST_HEIGHT,
    WIDTH,
    draw_board,
    heat_of,
    places_of,
    with_surprises,
)
from wam_ros.view.model import ViewModel

JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))
VIEWS = ("front", "wrist")


def frames(value, views=VIEWS, size=64):
    return np.full((len(views), size, size, 3), value, np.uint8)


def see(model, t_s, value, views=VIEWS, size=64):
    pictures = frames(value, views, size)
    model.on_observation(Observation(round(t_s * NS), views, pictures, (0,) * len(views), JOINTS))


def imagine(model, instants_s, value, surprise=0.01, views=VIEWS, size=64):
    n = len(instants_s)
    model.on_imagined(
        ImaginedFuture(
            chunk_seq=1,
            view_names=views,
            frames=np.stack([frames(value + k, views, size) for k in range(n)]),
            instants_ns=tuple(round(t * NS) for t in instants_s),
            joint_names=("j",),
            joint_path=np.zeros((8, 1)),
            surprise=surprise,
        )
    )


def captions(model, t_s):
    return [place.caption for place in places_of(model, round(t_s * NS))]


def middles(board, row=0):
    """What is in the middle of the five pictures of a row, away from labels."""
    return [tuple(board[100 + 64 + 136 * row, 72 + 144 * c]) for c in range(5)]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [32, 64, 200])
def test_a_board_fits_the_dock_whatever_there_is_to_show(n, size):
    views = tuple(f"view {k}" for k in range(n))
    model = ViewModel(("j",))
    empty = draw_board(model, views, 0)
    assert empty.shape[1] == WIDTH and empty.shape[0] <= MOST_HEIGHT
    see(model, 0.0, 10, views, size)
    imagine(model, [0.4, 0.8], 20, views=views, size=size)
    full = draw_board(model, views, 0)
    assert full.shape == empty.shape, "a picture that changes its size jumps in its dock"
    assert full.dtype == np.uint8


def test_observed_imagined_next_and_difference_stand_side_by_side_for_each_view():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    imagine(model, [0.4, 0.8], 90)
    assert [m[0] for m in middles(draw_board(model, VIEWS, 0))[2:4]] == [90, 91]
    see(model, 0.4, 60)
    imagine(model, [0.8, 1.2], 120)
    board = draw_board(model, VIEWS, round(0.4 * NS))
    for row in (0, 1):
        assert [m[0] for m in middles(board, row)[:4]] == [60, 90, 120, 121]
        assert middles(board, row)[4] == tuple(heat_of(frames(60), frames(90))[0, 0, 0])


def test_what_was_imagined_is_shown_when_its_instant_comes_and_not_before():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    imagine(model, [0.4], 90)
    for t_s, caption in (
        (0.3, "imagined for now"),
        (0.4, "imagined for now"),
        (0.8, "imagined for 0.4 s ago"),
        (1.5, "imagined for now"),
    ):
        see(model, t_s, 50)
        expected = places_of(model, round(t_s * NS))[1]
        assert expected.caption == caption
        assert (expected.frames is None) == (t_s in (0.3, 1.5)), "a second later it is forgotten"


def test_a_pixel_of_the_model_stays_a_sharp_square():
    model = ViewModel(("j",))
    checkers = frames(0)
    checkers[:, ::2, ::2] = checkers[:, 1::2, 1::2] = 255
    model.on_observation(Observation(0, VIEWS, checkers, (0, 0), JOINTS))
    board = draw_board(model, VIEWS, 0)
    tile = board[130:228, 8:136, 0]
    assert set(np.unique(tile)) == {0, 255}
    assert (tile[::2] == tile[1::2]).all() and (tile[:, ::2] == tile[:, 1::2]).all()


def test_a_difference_is_black_where_they_agree_and_brighter_the_more_they_differ():
    seen = frames(100)
    imagined = seen.copy()
    imagined[:, 0, 0] = 110
    imagined[:, 0, 1] = 200
    heat = heat_of(seen, imagined).sum(axis=-1, dtype=int)
    assert (heat[:, 1:] == 0).all()
    assert (heat[:, 0, 0] > 0).all() and (heat[:, 0, 0] < heat[:, 0, 1]).all()
    assert (heat_of(imagined, seen) == heat_of(seen, imagined)).all()


def test_a_picture_of_long_ago_says_how_old_it_is():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    assert captions(model, 0.2)[0] == "camera, now"
    assert captions(model, 3.2)[0] == "camera, 3.2 s ago"
    # the clock was set back
    assert captions(model, -5.0)[0] == "camera, -5.0 s ago"


def test_the_next_seconds_are_named_by_how_far_away_they_are():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    imagine(model, [k / 10 for k in range(1, 9)], 90)
    assert captions(model, 0.0)[2:4] == ["imagined in 0.4 s", "imagined in 0.8 s"]
    imagine(model, [0.0, 0.5], 90)
    assert captions(model, 0.0)[2:4] == ["imagined in 0.5 s", "next"], "now is not next"


def test_frames_of_other_views_than_the_robots_are_not_shown_as_those():
    model = ViewModel(("j",))
    see(model, 0.0, 200)
    board = draw_board(model, ("front", "wrist", "third"), 0)
    assert not (board == 200).all(axis=-1).any()


def test_figures_that_are_no_numbers_and_endless_words_are_drawn():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    for surprise in (float("nan"), float("inf"), 0.0, 1e300):
        imagine(model, [0.4], 90, surprise=surprise)
    words = "pick up\n\tthe red block " * 100
    model.on_status(WamStatus(0, bytes(16), "m" * 999, words, ChunkingMode.UNKNOWN))
    model.on_report(
        SafetyReport(
            0,
            0,
            SafetyState.ARMED,
            Decision.TRUNCATED,
            nearest_pair=("a" * 999, "b"),
            nearest_distance=float("nan"),
        )
    )
    with np.errstate(all="raise"):
        assert draw_board(model, VIEWS, 0).shape == draw_board(ViewModel(), VIEWS, 0).shape


def test_a_cell_that_shows_more_than_calm_runs_did_has_an_edge_in_the_difference():
    pictures = np.zeros((2, 64, 64, 3), np.uint8)
    heat = np.zeros((2, 8, 8))
    heat[1, 2, 3] = 1.5
    heat[0, 0, 0] = 0.9
    marked = with_surprises(pictures, heat)
    where = np.argwhere(marked.any(-1))
    assert set(where[:, 0]) == {1}
    assert where[:, 1].min() == 16 and where[:, 1].max() == 23
    assert where[:, 2].min() == 24 and where[:, 2].max() == 31
    assert not marked[1, 17:23, 25:31].any() and not pictures.any(), "the heat stays to be seen"
    assert with_surprises(pictures, np.zeros((0, 0, 0))) is pictures
    assert with_surprises(pictures, np.ones((3, 8, 8))) is pictures, "of other views"


def test_the_curve_of_surprise_ends_at_the_right_with_the_newest():
    model = ViewModel(("j",))
    see(model, 0.0, 50)
    imagine(model, [0.4], 90, surprise=0.5)
    for age_s, filled in ((0.0, True), (30.0, False), (100.0, False)):
        strip = draw_board(model, VIEWS, round(age_s * NS))[-40:-8]
        orange = (strip == (255, 166, 0)).all(axis=-1).any(axis=0)
        assert orange[WIDTH - 9] == filled
        assert orange.any() == (age_s <= 60), "a minute is shown"
    see(model, -1.0, 50)  # the clock was set back
    assert not model.surprises
