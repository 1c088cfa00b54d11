"""A description where an embodiment's name stands: guessed once, kept, never written over."""

from __future__ import annotations

import os
import shutil

import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import share_dir
from wam_ros.embodiments.stand_in import StandIn, stand_in
from wam_ros.robot.model import load_safety_model

from .body import write_body


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_it_is_guessed_once_and_what_a_person_makes_of_it_stays(here, capsys):
    urdf = write_body(here)
    (here / "body.srdf").write_text("<robot name='body'/>")  # the maker's
    (here / "body.yaml").write_text("other: thing")
    first = stand_in(str(urdf))
    assert first == StandIn(str(here / "body.wam.yaml"), guessed=True)
    # a long path is broken into lines anywhere
    assert "body.wam.yamland" in "".join(capsys.readouterr().out.split())
    assert (here / "body.srdf").read_text() == "<robot name='body'/>"
    e = load_embodiment(first.embodiment)
    assert load_safety_model(e).embodiment.name == "body"
    edited = (here / "body.wam.yaml").read_text().replace("image_width: 64", "image_width: 96")
    (here / "body.wam.yaml").write_text(edited)
    second = stand_in(os.path.relpath(urdf))
    assert second == StandIn(first.embodiment)
    assert capsys.readouterr().out == ""
    assert load_embodiment(second.embodiment).image_width == 96


def test_a_name_and_a_yaml_file_are_what_they_are(here):
    assert stand_in("so101") == StandIn("so101")
    assert stand_in("mine.yaml") == StandIn("mine.yaml")


def test_a_robot_called_as_a_shipped_one_is_not_taken_for_it(here):
    urdf = shutil.copy(share_dir() / "urdf" / "panda.urdf", here / "panda.urdf")
    assert load_embodiment(stand_in(str(urdf)).embodiment).name == "my_panda"


def test_where_the_folder_cannot_be_written_it_is_kept_in_this_one(here, monkeypatch):
    urdf = write_body(here)
    monkeypatch.setattr(os, "access", lambda folder, _mode: folder != here)
    assert stand_in(str(urdf)).embodiment == str(here / "elsewhere" / "body.wam.yaml")
    assert not stand_in(str(urdf)).guessed


def test_what_cannot_be_read_is_named_and_leaves_nothing_behind(here):
    with pytest.raises(WamError, match="'nowhere.urdf' does not exist"):
        stand_in("nowhere.urdf")
    (here / "bad.urdf").write_text("<robot")
    with pytest.raises(WamError, match=r"bad\.urdf"):
        stand_in(str(here / "bad.urdf"))
    assert not list(here.glob("bad.wam*"))
    with pytest.raises(WamError, match="is a description: `wam embodiment new`"):
        load_embodiment(str(here / "bad.urdf"))
