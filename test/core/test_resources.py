"""Shipped data is found from a checkout, an environment and a ROS prefix, and told apart from
paths.
"""

import pytest

from wam_ros.core import resources
from wam_ros.core.errors import WamError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package without a checkout around it."""
    monkeypatch.setattr(
        resources, "__file__", str(tmp_path / "site" / "wam_ros" / "core" / "resources.py")
    )
    monkeypatch.setattr(resources.sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    return tmp_path


def put_data(prefix):
    folder = prefix / "share" / "wam_ros" / "config" / "embodiments"
    folder.mkdir(parents=True)
    (folder / "arm.yaml").write_text("{}")
    return prefix / "share" / "wam_ros"


def test_the_checkout_comes_first(root, monkeypatch, tmp_path):
    put_data(tmp_path)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert resources.share_dir() == root


def test_an_environment_is_found_without_any_variable(installed):
    share = put_data(installed / "venv")
    assert resources.share_dir() == share
    assert resources.config_names("embodiments") == ["arm"]


def test_a_ros_prefix_comes_before_the_environment(installed, monkeypatch):
    put_data(installed / "venv")
    share = put_data(installed / "install")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{installed / 'empty'}:{installed / 'install'}")
    assert resources.share_dir() == share


def test_nothing_found_says_where_it_was_sought(installed):
    with pytest.raises(
        WamError, match=f"no wam_ros data found in .*{installed / 'venv'}.*reinstall"
    ):
        resources.share_dir()


def test_paths_and_names_are_told_apart(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(WamError, match=r"^embodiments file '.*mine.yaml' does not exist$"):
        resources.config_path("embodiments", str(path))
    path.write_text("{}")
    assert resources.config_path("embodiments", str(path)) == path
    assert resources.config_path("embodiments", "panda").stem == "panda"
    with pytest.raises(WamError, match="^unknown world 'table2'. Did you mean 'table'"):
        resources.config_path("worlds", "table2")


@pytest.mark.parametrize("name", ["../embodiments/panda", "/etc/passwd", "", "."])
def test_a_name_is_no_way_out_of_the_folder(name):
    with pytest.raises(WamError, match="^unknown embodiment"):
        resources.config_path("embodiments", name)


def test_a_robot_description_may_be_a_path(tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text("<robot/>")
    assert resources.urdf_path(str(path)) == path
    assert resources.urdf_path("panda.urdf").is_file()
