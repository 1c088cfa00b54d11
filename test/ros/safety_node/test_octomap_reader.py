"""Octomaps that change faster than they are read, or take for ever."""

import contextlib
import struct

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.ros.safety_node.octomap_reader import LAG_S, OctomapReader

from .conftest import finish_reading

HERE = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
THERE = ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


def one_voxel(side: int) -> bytes:
    """The octomap of one voxel, on that of the 8 sides of every node."""
    tree = struct.pack("<fB", 1.0, 0)
    for _ in range(16):
        tree = struct.pack("<fB", 1.0, 1 << side) + tree
    return tree


A, B, C = (one_voxel(side) for side in (0, 3, 7))


def ask(reader, data, now_s, place=HERE):
    return reader.voxels(data, 0.1, place, round(now_s * NS))


def read(reader, data, now_s):
    with contextlib.suppress(WamError):
        ask(reader, data, now_s)
    finish_reading(reader)
    return ask(reader, data, now_s)


def test_the_first_map_is_a_doubt_until_it_is_read(gate):
    gate.clear()
    reader = OctomapReader()
    with pytest.raises(WamError, match="is being read"):
        ask(reader, A, 0.0)
    gate.set()
    finish_reading(reader)
    assert len(ask(reader, A, 0.1).points) == 1


def test_the_map_before_counts_with_its_own_place_until_it_is_too_old(gate):
    reader = OctomapReader()
    before = read(reader, A, 0.0)
    gate.clear()
    assert ask(reader, B, 0.1, THERE) == before
    assert ask(reader, B, LAG_S, THERE) == before
    with pytest.raises(WamError, match=r"is 1.1 s old, at most 1.0 s"):
        ask(reader, B, LAG_S + 0.1, THERE)
    gate.set()
    finish_reading(reader)
    after = ask(reader, B, 2.0, THERE)
    assert after.place == THERE
    assert (after.points != before.points).any()


def test_a_map_that_only_moves_is_not_read_again(gate):
    reader = OctomapReader()
    read(reader, A, 0.0)
    gate.clear()
    assert ask(reader, A, 9.0, THERE).place == THERE


def test_the_newest_wins_and_a_map_that_always_changes_is_followed(gate):
    reader = OctomapReader()
    read(reader, A, 0.0)
    gate.clear()
    ask(reader, B, 0.1)
    ask(reader, A[:-1], 0.2)  # never read: a newer one has come
    ask(reader, C, 0.3)
    gate.set()
    finish_reading(reader)
    assert ask(reader, C, 5.0).points[0, 0] > 0
    for k in range(1, 9):  # behind by one map, for longer than a map may be behind
        finish_reading(reader)
        ask(reader, (A, B, C)[k % 3], 5.0 + k * LAG_S / 2)


def test_what_cannot_be_read_is_a_doubt_until_a_map_can(gate):
    reader = OctomapReader()
    read(reader, A, 0.0)
    with pytest.raises(WamError, match="middle of a node"):
        read(reader, B[:-1], 0.1)
    gate.clear()
    with pytest.raises(WamError, match="middle of a node"):
        ask(reader, C, 0.2)
    gate.set()
    finish_reading(reader)
    assert len(ask(reader, C, 0.3).points) == 1


def test_a_map_that_was_cleared_does_not_come_back_late(gate):
    reader = OctomapReader()
    gate.clear()
    with pytest.raises(WamError):
        ask(reader, A, 0.0)
    reader.forget()
    gate.set()
    finish_reading(reader)
    gate.clear()
    with pytest.raises(WamError, match="is being read"):
        ask(reader, B, 0.1)
