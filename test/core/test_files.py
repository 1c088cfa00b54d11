"""What cannot be written is said before the work is done; what is written is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.files import make_folder, require_writable, whole_file, write_json, write_whole


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


FULL = r"data\.bin cannot be written: (No space left on device|File too large)$"


def test_a_file_that_does_not_fit_is_named_and_leaves_what_stood_there(small_disk):
    path = small_disk / "data.bin"
    write_whole(path, b"before")
    for _ in range(2):  # the part of the first is gone: it would take the room of the second
        with pytest.raises(WamError, match=FULL):
            write_whole(path, bytes(1_000_000))
    assert path.read_bytes() == b"before"
    assert list(small_disk.iterdir()) == [path]
    write_whole(path, "again")
    assert path.read_text() == "again"


def test_a_block_that_fails_writes_nothing(tmp_path):
    path = tmp_path / "data.bin"

    def interrupted():
        with whole_file(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_nobody_sees_half_a_file_and_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "data.bin"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert not path.exists() and {first.suffix, second.suffix} == {".part"}
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_written_may_be_read_by_those_who_might_before(tmp_path):
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "ours.json", {"a": 1})
    assert (tmp_path / "ours.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "ours.json").read_text() == '{\n "a": 1\n}\n'


def test_through_a_link_the_file_itself_is_written(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "latest.json").symlink_to("runs/7.json")
    write_whole(tmp_path / "latest.json", "seven")
    assert (tmp_path / "latest.json").is_symlink()
    assert (tmp_path / "runs" / "7.json").read_text() == "seven"


def test_what_is_no_file_is_written_to_as_it_is():
    require_writable("--json", "/dev/null")
    write_whole("/dev/null", "gone")
    assert not Path("/dev/null").is_file()
    out = subprocess.run(
        [sys.executable, "-c", f"{WRITE}('/dev/stdout', 'a'); print('b')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout == "ab\n"


def test_standard_output_that_leads_to_a_file_is_not_replaced(tmp_path):
    with (tmp_path / "out").open("w") as out:
        script = f"print('b', flush=True); {WRITE}('/dev/stdout', 'a')"
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
        assert os.fstat(out.fileno()).st_ino == (tmp_path / "out").stat().st_ino


WRITE = "from wam_ros.core.files import write_whole; write_whole"
