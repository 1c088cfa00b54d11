"""What a description names is found where people put it, or it is said what to do."""

from __future__ import annotations

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.packages import find_file, find_package, guess_package


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


def test_a_package_is_known_by_its_manifest_whatever_its_folder_is_called(share):
    (share / "arm").rename(share / "arm-main")
    manifest = share / "arm-main/package.xml"
    for text in ("<package><name>other</name></package>", "<package><name>arm"):
        manifest.write_text(text)
        with pytest.raises(WamError, match="package 'arm' is not found"):
            find_package("arm", share / "arm-main/urdf", {})
    manifest.write_text("<package><name> arm </name></package>")
    assert find_package("arm", share / "arm-main/urdf", {}) == share / "arm-main"


def test_where_no_package_is_found_its_file_may_lie_around_the_description(share):
    (share / "arm").rename(share / "mine")
    for uri in ("package://arm/meshes/link.stl", "file:///opt/there/share/arm/meshes/link.stl"):
        assert find_file(uri, share / "mine/urdf", {}) == share / "mine/meshes/link.stl"
    with pytest.raises(WamError, match="package 'arm' is not found"):
        find_file("package://arm/meshes/other.stl", share / "mine/urdf", {})
    with pytest.raises(WamError, match="package 'arm' is not at gone"):
        find_file("package://arm/meshes/link.stl", share / "mine/urdf", {"arm": "gone"})


def test_a_package_that_is_guessed_is_said_once_and_never_one_without_the_file(share, caplog):
    (share / "arm").rename(share / "mine")
    (share / "mine/meshes/other.stl").write_text("")
    beside = share / "mine/urdf"
    for rest in ("link", "other"):
        find_file(f"package://arm/meshes/{rest}.stl", beside, {})
    (said,) = [r.getMessage() for r in caplog.records]
    assert f"package 'arm' is not found by its name: taken for it is {share / 'mine'}" in said
    assert "`--package arm /its/folder`" in said
    caplog.clear()
    find_file("package://arm/meshes/link.stl", beside, {"arm": str(share / "mine")})
    assert guess_package("arm", [], beside) is None
    assert guess_package("arm", ["meshes/link.stl", "meshes/gone.stl"], beside) is None
    assert not caplog.records


def test_a_share_folder_of_another_machine_is_that_package(share, tmp_path):
    uri = "file:///root/there/install/arm/share/arm/meshes/link.stl"
    assert find_file(uri, share / "elsewhere", {}) == share / "arm/meshes/link.stl"
    there = tmp_path / "install/share/arm/meshes/link.stl"
    there.parent.mkdir(parents=True)
    there.write_text("")
    assert find_file(f"file://{there}", share / "elsewhere", {}) == there, "what is there counts"


def test_a_description_may_lie_two_folders_deep_in_its_package(share):
    deep = share / "elsewhere/urdf/model"
    deep.mkdir(parents=True)
    assert find_file("package://arm/meshes/link.stl", deep, {}) == share / "arm/meshes/link.stl"
