"""A xacro file stands where a URDF does; what is wrong with it is one line."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path
from wam_ros.core.xacro import expand

XACRO = (
    '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="arm"><xacro:arg name="side" '
    'default="left"/><link name="$(arg side)_${1 + 1}"><visual><geometry><mesh '
    'filename="part.stl"/></geometry></visual></link></robot>'
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    pytest.importorskip("xacro")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_embodiment_may_name_a_xacro_file_and_its_arguments(tmp_path):
    (tmp_path / "arm.urdf.xacro").write_text(XACRO)
    data = yaml.safe_load(config_path("embodiments", "panda").read_text())
    data |= {"urdf": "arm.urdf.xacro", "xacro_arguments": {"side": "right"}}
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(data))
    path = load_embodiment(str(tmp_path / "arm.yaml")).urdf_path
    assert ET.parse(path).getroot().find("link").get("name") == "right_2"


def test_files_beside_the_xacro_file_are_still_found_from_where_the_urdf_lies(tmp_path):
    (tmp_path / "arm.xacro").write_text(XACRO)
    root = ET.parse(expand(tmp_path / "arm.xacro", {}, {})).getroot()
    assert root.find(".//mesh").get("filename") == f"file://{tmp_path}/part.stl"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (XACRO.replace("${1 + 1}", "${height}"), "height"),
        (
            XACRO.replace("$(arg side)", "$(arg nowhere)"),
            "nowhere; tell it: .*--xacro-argument nowhere",
        ),
        (XACRO.replace("</robot>", ""), "no element found"),
        (XACRO.replace("<link", "<xacro:gone/><link"), "gone"),
    ],
)
def test_what_is_wrong_with_a_xacro_file_is_one_line(tmp_path, text, words, capfd):
    (tmp_path / "arm.xacro").write_text(text)
    with pytest.raises(WamError, match=rf"arm\.xacro: xacro: .*{words}") as caught:
        expand(tmp_path / "arm.xacro", {}, {})
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


FINDS = (
    '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="arm"><xacro:include '
    'filename="$(find arm_description)/urdf/part.xacro"/></robot>'
)
PART = (
    '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><link name="a"><visual><geometry><mesh '
    'filename="package://arm_description/meshes/a.stl"/></geometry></visual></link></robot>'
)


@pytest.fixture
def cloned(tmp_path, monkeypatch):
    """A package that no workspace knows, and the folder of its descriptions."""
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.delenv("ROS_PACKAGE_PATH", raising=False)
    package = tmp_path / "arm_description"
    for folder in ("urdf", "meshes"):
        (package / folder).mkdir(parents=True)
    (package / "urdf/arm.urdf.xacro").write_text(FINDS)
    (package / "urdf/part.xacro").write_text(PART)
    (package / "meshes/a.stl").write_text("")
    return package


def test_the_packages_that_a_xacro_file_includes_are_found_without_a_workspace(cloned, monkeypatch):
    expected = f"file://{cloned}/meshes/a.stl"
    out = expand(cloned / "urdf/arm.urdf.xacro", {}, {})
    assert ET.parse(out).getroot().find(".//mesh").get("filename") == expected
    # as a person in that folder names it
    monkeypatch.chdir(cloned / "urdf")
    out = expand(Path("arm.urdf.xacro"), {}, {})
    assert ET.parse(out).getroot().find(".//mesh").get("filename") == expected


def test_a_package_that_a_xacro_file_includes_may_be_told(cloned, tmp_path):
    cloned.rename(tmp_path / "far")
    file = tmp_path / "alone.urdf.xacro"
    file.write_text(FINDS)
    with pytest.raises(WamError, match=r"alone\.urdf\.xacro: xacro: package 'arm_desc") as caught:
        expand(file, {}, {})
    assert "--package arm_description /its/folder" in str(caught.value)
    assert "class" not in str(caught.value)
    expand(file, {}, {"arm_description": str(tmp_path / "far")})


def test_a_package_that_was_cloned_under_another_name_is_guessed_by_its_files_and_said(
    cloned, tmp_path, caplog
):
    cloned.rename(tmp_path / "far")
    out = expand(tmp_path / "far/urdf/arm.urdf.xacro", {}, {})
    mesh = ET.parse(out).getroot().find(".//mesh").get("filename")
    assert mesh == f"file://{tmp_path}/far/meshes/a.stl"
    (said,) = [m for m in caplog.messages if "is not found by its name" in m]
    assert f"taken for it is {tmp_path / 'far'}" in said
    (tmp_path / "far/urdf/part.xacro").unlink()
    with pytest.raises(WamError, match="package 'arm_description' is not found"):
        expand(tmp_path / "far/urdf/arm.urdf.xacro", {}, {})


def test_an_argument_that_the_file_does_not_ask_for_is_told_by_name(tmp_path, caplog):
    (tmp_path / "arm.xacro").write_text(XACRO)
    expand(tmp_path / "arm.xacro", {"side": "right"}, {})
    assert caplog.messages == []
    expand(tmp_path / "arm.xacro", {"sides": "right"}, {})
    (said,) = caplog.messages
    assert said.startswith("unknown argument of ")
    assert said.endswith("arm.xacro 'sides'. Did you mean 'side'? Choices: side")


def test_without_xacro_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xacro", None)
    with pytest.raises(WamError, match="pip install xacro"):
        expand(tmp_path / "arm.xacro", {}, {})
