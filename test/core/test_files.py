"""What cannot be written is said before the work is done."""

import os

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.files import make_folder, require_writable


def test_a_file_that_can_be_written_leaves_nothing_and_keeps_what_is_in_it(tmp_path):
    require_writable("--json", tmp_path / "new.json")
    require_writable("--json", "")
    require_writable("--json", None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.json").write_text("kept")
    require_writable("--json", tmp_path / "old.json")
    assert (tmp_path / "old.json").read_text() == "kept"


@pytest.mark.parametrize("file", ["/proc/a.json", "/nowhere/a.json", "/proc"])
def test_a_file_that_cannot_be_written_is_named_with_its_option(file):
    with pytest.raises(WamError, match=f"^--json {file}.*") as caught:
        require_writable("--json", file)
    assert "\n" not in str(caught.value)


def test_a_folder_is_made_with_its_parents(tmp_path):
    assert make_folder("--out", tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(WamError, match="^--out /proc/x cannot be written"):
        make_folder("--out", "/proc/x")
    (tmp_path / "file").write_text("")
    with pytest.raises(WamError, match="cannot be written"):
        make_folder("--out", tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WamError, match="cannot be written"):
        require_writable("--json", tmp_path / "a.json")
    with pytest.raises(WamError, match="cannot be written"):
        make_folder("--out", tmp_path)
