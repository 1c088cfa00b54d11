"""What a description names is found where people put it, or it is said what to do."""

from __future__ import annotations

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.packages import find_file


@pytest.fixture
def share(tmp_path, monkeypatch):
    """share/arm/urdf with a description, and share/arm/meshes/link.stl."""
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.delenv("ROS_PACKAGE_PATH", raising=False)
    for folder in ("arm/urdf", "arm/meshes", "elsewhere"):
        (tmp_path / "share" / folder).mkdir(parents=True)
    (tmp_path / "share/arm/meshes/link.stl").write_text("")
    return tmp_path / "share"


@pytest.mark.parametrize("scheme", ["package", "model"])
def test_the_package_that_holds_the_description_is_found(share, scheme):
    found = find_file(f"{scheme}://arm/meshes/link.stl", share / "arm" / "urdf", {})
    assert found == share / "arm/meshes/link.stl"


def test_a_neighbour_of_the_description_is_found(share):
    assert find_file("package://arm/meshes/link.stl", share / "elsewhere", {}).is_file()


def test_a_package_of_a_sourced_workspace_is_found(share, tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    with pytest.raises(WamError, match="package 'arm' is not found"):
        find_file("package://arm/meshes/link.stl", tmp_path / "far", {})
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert find_file("package://arm/meshes/link.stl", tmp_path / "far", {}).is_file()


def test_what_is_told_counts_first_and_alone(share, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(WamError, match=r"cannot be read: there is no file .*mine/meshes/link\.stl"):
        find_file(
            "package://arm/meshes/link.stl", share / "arm/urdf", {"arm": str(tmp_path / "mine")}
        )
    with pytest.raises(WamError, match="package 'arm' is not at gone"):
        find_file("package://arm/meshes/link.stl", share / "arm/urdf", {"arm": "gone"})


def test_plain_paths_count_from_the_description_or_the_folder_above(share):
    mesh = share / "arm/meshes/link.stl"
    for uri in ("../meshes/link.stl", "meshes/link.stl", str(mesh), f"file://{mesh}"):
        assert find_file(uri, share / "arm/urdf", {}).resolve() == mesh
    with pytest.raises(WamError, match="cannot be read"):
        find_file("link.stl", share / "arm/urdf", {})
