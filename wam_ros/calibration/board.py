"""Boards that a camera is calibrated with: ChArUco, or a grid of AprilTags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import tyro
from rich.console import Console

from wam_ros.core.errors import WamError, require_known, require_within
from wam_ros.core.files import require_writable, write_whole

KINDS = ("charuco", "apriltag")
DICTIONARIES = {"charuco": "DICT_5X5_250", "apriltag": "DICT_APRILTAG_36h11"}
LEAST_CORNERS = 8  # of a board in a picture that counts
MOST_SQUARES = 40
PRINTED_PX = 120  # of a square of a board that is drawn


@dataclass(frozen=True)
class Board:
    """What hangs on the wall or is held by the hand."""

    kind: str = "charuco"  # charuco, or apriltag: a grid of tags
    columns: int = 8  # squares, or tags
    rows: int = 6  # likewise
    square: float = 0.03  # m, edge of a square, or from one tag to the next; measure it
    marker: float = 0.022  # m, edge of a marker or tag
    dictionary: str = ""  # of markers, as OpenCV calls it; empty: DICT_5X5_250 or APRILTAG_36h11

    def require_sound(self) -> None:
        """Raise `WamError` for sizes that make no board."""
        require_known("--board.kind", self.kind, KINDS)
        for name in ("columns", "rows"):
            require_within(f"--board.{name}", getattr(self, name), 3, MOST_SQUARES)
        require_within("--board.square", self.square, 1e-3, 1.0)
        require_within("--board.marker", self.marker, 1e-3, 0.95 * self.square)
        self.markers()

    def markers(self) -> cv2.aruco.Dictionary:
        """Its dictionary; raises `WamError` for one that OpenCV does not know."""
        known = [n for n in dir(cv2.aruco) if n.startswith("DICT_")]
        name = self.dictionary or DICTIONARIES[self.kind]
        require_known("--board.dictionary", name, known)
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))


@dataclass(frozen=True)
class Corners:
    """What was found of a board in one picture."""

    points: np.ndarray  # (N, 3) m, in the frame of the board
    pixels: np.ndarray  # (N, 2) px: pixel centres are whole numbers, as OpenCV counts


class Finder:
    """Finds a board in pictures.

    Raises:
        WamError: it is no board.
    """

    def __init__(self, board: Board) -> None:
        board.require_sound()
        self.board = board
        size = (board.columns, board.rows)
        markers = board.markers()
        if board.kind == "charuco":
            charuco = cv2.aruco.CharucoBoard(size, board.square, board.marker, markers)
            self._charuco = cv2.aruco.CharucoDetector(charuco)
            self._board: Any = charuco
        else:
            gap = board.square - board.marker
            self._board = cv2.aruco.GridBoard(size, board.marker, gap, markers)
            refined = cv2.aruco.DetectorParameters()
            refined.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
            self._tags = cv2.aruco.ArucoDetector(markers, refined)

    def find(self, picture: np.ndarray) -> Corners | None:
        """What is seen of it in a picture (H, W, 3) uint8 RGB; None for too little."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        corners: Any
        try:
            if self.board.kind == "charuco":
                corners, ids = self._charuco.detectBoard(grey)[:2]
            else:
                corners, ids = self._tags.detectMarkers(grey)[:2]
            if ids is None or len(ids) == 0:
                return None
            points, pixels = self._board.matchImagePoints(corners, ids)
        except cv2.error as error:
            raise WamError(f"the board cannot be looked for: {error}") from error
        if points is None or len(points) < LEAST_CORNERS:
            return None
        return Corners(points.reshape(-1, 3).astype(float), pixels.reshape(-1, 2).astype(float))

    def draw(self) -> np.ndarray:
        """(H, W) uint8, to be printed with the edges that the board says."""
        size = (self.board.columns * PRINTED_PX, self.board.rows * PRINTED_PX)
        drawn: np.ndarray = self._board.generateImage(size)
        return drawn


@dataclass(frozen=True)
class CalibrateBoard:
    """Draw a board as PNG, to be printed and glued to something flat. Measure its squares then."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PNG")]  # to write
    # what is drawn
    board: Board = field(default_factory=Board)


def draw_board(args: CalibrateBoard) -> None:
    """Write the picture.

    Raises:
        WamError: it is no board, or the file cannot be written.
    """
    require_writable("PNG", args.out)
    ok, data = cv2.imencode(".png", Finder(args.board).draw())
    if not ok:
        raise WamError("the board cannot be drawn")
    write_whole(args.out, data.tobytes())
    width = 1e3 * args.board.square * args.board.columns
    height = 1e3 * args.board.square * args.board.rows
    words = f"{args.out}: print it {width:g} x {height:g} mm large, then measure a square"
    Console().print(words, markup=False)
