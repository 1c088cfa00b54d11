"""A recording that was interrupted goes on with what is left, and with nothing else."""

import dataclasses

import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.errors import WamError
from wam_ros.data.lerobot.info import INFO
from wam_ros.train.record import RecordSim, _begin_or_go_on, _jobs


@pytest.mark.parametrize("task", ["pick_block", "libero_object"])
@pytest.mark.parametrize("done", [0, 7, 50, 137, 140])
def test_what_is_left_is_each_other_episode_once_with_the_task_that_it_would_have_had(task, done):
    args = RecordSim(out=None, task=task, episodes=140)
    tasks = ["a", "b", "c"]
    turns = {i: name for _, name, numbers in _jobs(args, tasks, 0) for i in numbers}
    left = {i: name for _, name, numbers in _jobs(args, tasks, done) for i in numbers}
    assert sorted(turns) == list(range(140))
    assert left == {i: name for i, name in turns.items() if i >= done}
    assert {*turns.values()} == {*tasks}


def test_a_folder_that_was_recorded_otherwise_is_refused_and_stays(tmp_path):
    args = RecordSim(out=tmp_path, task="libero_object/3", embodiment="libero_panda")
    _begin_or_go_on(args)
    (tmp_path / INFO).parent.mkdir()
    (tmp_path / INFO).write_text("{}")
    _begin_or_go_on(dataclasses.replace(args, episodes=7, workers=1))
    before = (tmp_path / "recording.json").read_text()
    for change in ({"task": "libero_object/4"}, {"seed": 1}, {"burst": 0.5}, {"steps": 9}):
        with pytest.raises(WamError, match="was not recorded with these arguments"):
            _begin_or_go_on(dataclasses.replace(args, **change))
    assert (tmp_path / "recording.json").read_text() == before
    (tmp_path / "recording.json").unlink()
    with pytest.raises(WamError, match="give a new folder"):
        _begin_or_go_on(args)
