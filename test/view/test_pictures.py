import numpy as np
import pytest

from wam_ros.view.pictures import Column, compose_board, fit_text, pick_evenly


def frames(*values):
    return np.stack([np.full((8, 8, 3), v, np.uint8) for v in values])


@pytest.mark.parametrize("tile", [63, 64, 101])
@pytest.mark.parametrize("title", ["", "a title"])
@pytest.mark.parametrize("columns", [1, 2])
def test_boards_have_even_sides(tile, title, columns):
    board = compose_board(
        [Column("a", frames(1, 2))] * columns, ("front", "wrist"), tile, title, "foot"
    )
    assert board.dtype == np.uint8
    assert (board.shape[0] % 2, board.shape[1] % 2, board.shape[2]) == (0, 0, 3)


def test_tiles_lie_where_column_and_view_say():
    board = compose_board(
        [Column("a", frames(10, 60)), Column("b", frames(110, 160))], ("front", "wrist"), 64
    )
    found = [[board[22 + v * 70 + 40, 6 + c * 70 + 60, 0] for c in range(2)] for v in range(2)]
    assert found == [[10, 110], [60, 160]]


def test_labels_grow_with_the_tiles():
    heights = []
    for tile in (64, 256):
        board = compose_board([Column("mmmm", frames(0, 0))], ("", ""), tile)
        rows = np.flatnonzero((board[:, 6:] > 60).any(axis=(1, 2)))
        heights.append(rows.max() - rows.min())
    assert heights[1] > 1.5 * heights[0]


def test_a_column_with_other_views_is_drawn_empty():
    board = compose_board([Column("a", frames(200, 200, 200))], ("front", "wrist"), 64)
    assert not (board == 200).all(axis=2).any()


def test_text_is_cut_to_its_width_and_one_line():
    long = fit_text("the arm stops because\nthe camera is stale " * 9, 200, 14)
    assert long.endswith("...")
    assert "\n" not in long
    assert fit_text("short", 200, 14) == "short"
    assert fit_text("anything", 2, 14) == ""


def test_indices_are_spread_from_first_to_last():
    assert pick_evenly(9, 3) == [0, 4, 8]
    assert pick_evenly(2, 8) == [0, 1]
    assert pick_evenly(0, 8) == []
    assert pick_evenly(5, 1) == [0]
