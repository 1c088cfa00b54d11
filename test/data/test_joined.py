"""Several data sets in one folder are one, or are refused by name."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")

from testing.recordings import SMALL, episode, write
from wam_ros.core.errors import WamError
from wam_ros.data.folder import open_episodes


@pytest.fixture
def parts(tmp_path):
    write(tmp_path / "both" / "b", [episode(0, 5), episode(1, 3)])
    write(tmp_path / "both" / "a", [episode(2, 4)])
    return tmp_path / "both"


def test_data_sets_in_a_folder_are_read_one_after_the_other_by_their_names(parts):
    found = open_episodes(parts)
    parted = [open_episodes(parts / "a"), open_episodes(parts / "b")]
    wanted = [(s, i) for s in parted for i in range(len(s))]
    assert len(found) == len(wanted) == 3
    for index, (own, i) in enumerate(wanted):
        assert found.length(index) == own.length(i)
        np.testing.assert_array_equal(found[index].states, own[i].states)
        for name in found.view_names:
            np.testing.assert_array_equal(
                list(found.pictures(index, name, 1, 3)), list(own.pictures(i, name, 1, 3))
            )
        np.testing.assert_array_equal(
            list(found.stacked(index, ["front"])), list(own.stacked(i, ["front"]))
        )
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize(
    "change",
    [{"robot": "another"}, {"rate_hz": 5.0}, {"joint_names": ("x", *SMALL.joint_names[1:])}],
)
def test_data_sets_of_which_rows_mean_something_else_are_refused_by_name(parts, change):
    write(parts / "c", [episode(0, 4)], dataclasses.replace(SMALL, **change))
    ((name, value),) = change.items()
    with pytest.raises(WamError, match=f"{name} of .*a' is .*, of .*c' ") as refused:
        open_episodes(parts)
    assert str(value) in str(refused.value)


def test_recordings_beside_data_sets_are_not_left_out_in_silence(parts, monkeypatch):
    monkeypatch.setattr("wam_ros.data.folder.takes_in", lambda folder: [folder / "take"])
    with pytest.raises(WamError, match="both recordings and LeRobot data sets"):
        open_episodes(parts)
