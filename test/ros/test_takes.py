"""Takes: what is kept of them whatever happens to the process, the disk or the clock."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("mcap")
pytest.importorskip("rosbags.rosbag2")

from rosbags.typesys import Stores, get_typestore

from wam_ros.core.errors import WamError
from wam_ros.ros.recorder_node.take_recorder import TakeRecorder
from wam_ros.ros.recording import Recording
from wam_ros.ros.takes import PART, Topic, holding, mend

KIND = "std_msgs/msg/UInt8MultiArray"
STORE = get_typestore(Stores.ROS2_JAZZY)
TOPIC = Topic(
    "/left/blob", KIND, STORE.generate_msgdef(KIND, ros_version=2)[0], STORE.hash_rihs01(KIND)
)
PATIENCE_S = 30.0


def blob(k, size):
    """A message that no compression makes smaller."""
    data = np.random.default_rng(k).integers(0, 256, size, dtype=np.uint8)
    layout = STORE.types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return bytes(STORE.serialize_cdr(STORE.types[KIND](layout=layout, data=data), KIND))


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def put(takes, numbers, size=1000):
    for k in numbers:
        takes.put(TOPIC, 10**9 + k, 5, blob(k, size))


def held(folder):
    """(when it was heard, message) of a recording."""
    with Recording(folder) as recording:
        return [(m.recorded_ns - 10**9, bytes(m.data)) for m in recording.messages({"left/blob"})]


def the_same(found, numbers, size=1000):
    assert [k for k, _ in found] == list(numbers)
    assert all(data == blob(k, size) for k, data in found)


@pytest.fixture
def takes(tmp_path):
    recorder = TakeRecorder(tmp_path, 10**7, 0.05)
    yield recorder
    recorder.close()


def test_a_saved_take_is_a_recording_with_its_notes(takes, tmp_path):
    put(takes, range(3))  # nobody records yet
    assert takes.start() == "take_000000"
    put(takes, range(5, 300))
    takes.keep({"success": "true"})
    until(lambda: takes.status.last == "take_000000 saved")
    folder = tmp_path / "take_000000"
    the_same(held(folder), range(5, 300))
    told = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert told["custom_data"] == {"success": "true"}
    assert (told["message_count"], told["duration"]["nanoseconds"]) == (295, 294)
    (topic,) = told["topics_with_message_count"]
    assert topic["topic_metadata"]["type_description_hash"].startswith("RIHS01_")
    assert takes.start() == "take_000001"


def test_a_discarded_take_leaves_nothing_and_its_number_is_not_used_again(takes, tmp_path):
    takes.start()
    put(takes, range(10))
    takes.discard()
    until(lambda: takes.status.last == "take_000000 discarded")
    assert list(tmp_path.iterdir()) == []
    assert takes.start() == "take_000001"


def test_who_continues_in_a_folder_counts_on(tmp_path):
    for name in ("take_000004", "take_000007.part", "take_x", "other"):
        (tmp_path / name).mkdir()
    recorder = TakeRecorder(tmp_path, 10**6, 0.05)
    assert recorder.start() == "take_000008"
    recorder.discard()
    assert recorder.close()


def test_what_comes_while_too_much_waits_is_left_out_counted_and_named(tmp_path):
    recorder = TakeRecorder(tmp_path, 5500, 0.05)
    recorder.close()  # without its thread nothing leaves the queue
    recorder.start()
    put(recorder, range(8))
    status = recorder.status
    assert status.dropped == {"/left/blob": 3}
    assert status.waiting <= 5500


KILLED = """
import itertools, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from test_takes import put, until
from wam_ros.ros.recorder_node.take_recorder import TakeRecorder
takes = TakeRecorder(Path(sys.argv[1]), 10**9, 0.02)
takes.start()
put(takes, range(250))
# what is random is not compressed, and what is said of each message takes some bytes: this is more
# than 200 of them, closed and written
until(lambda: takes.status.written > 250 * 1000)
print("closed", flush=True)
for k in itertools.count(250):
    put(takes, [k])
"""


def killed(folder):
    """A take of which 200 messages and some more are closed when its process is killed."""
    paths = [str(Path(__file__).parent), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(paths=paths), str(folder)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"closed\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_was_closed_outlives_a_kill_and_is_mended_into_a_recording(tmp_path):
    killed(tmp_path)
    (part,) = tmp_path.iterdir()
    assert part.name == "take_000000" + PART
    with holding(tmp_path):
        (said,) = mend(tmp_path)
    (folder,) = tmp_path.iterdir()
    found = held(folder)
    assert len(found) >= 200
    assert f"{len(found)} messages were closed and are kept" in said
    the_same(found, range(len(found)))
    told = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert "interrupted" in told["custom_data"]
    with holding(tmp_path):
        assert mend(tmp_path) == []


def test_wherever_a_file_is_cut_all_chunks_before_are_kept(tmp_path):
    recorder = TakeRecorder(tmp_path, 10**7, 1000.0)
    recorder.start()
    put(recorder, range(60), 100_000)  # six chunks of eleven, not the last
    until(lambda: recorder.status.written > 5_000_000)
    file = tmp_path / "take_000000.part" / "take_000000.mcap"
    whole = file.read_bytes()
    recorder.discard()
    recorder.close()
    kept = []
    for cut in (0, 5, 60, *np.linspace(100, len(whole), 9).astype(int)):
        file.parent.mkdir()
        file.write_bytes(whole[:cut])
        mend(tmp_path)
        folder = tmp_path / "take_000000"
        found = held(folder) if folder.exists() else []
        the_same(found, range(len(found)), 100_000)
        kept.append(len(found))
        for path in (folder, file.parent):
            if path.exists():
                for inside in path.iterdir():
                    inside.unlink()
                path.rmdir()
    assert kept[:3] == [0, 0, 0]
    assert kept == sorted(kept) and kept[-1] >= 50


def test_a_disk_that_is_full_at_every_tenth_write_costs_nothing(full_disk):
    folder, fill = full_disk
    takes = TakeRecorder(folder, 10**7, 0.01)
    takes.start()
    alarms = 0
    for k in range(100):
        if k % 10 == 9:
            fill(True)
        put(takes, [k], 10_000)
        if k % 10 == 9:
            until(lambda: "No space left on device" in takes.status.trouble)
            alarms += 1
            fill(False)
        until(lambda: not takes.status.waiting and not takes.status.trouble)
    takes.keep({})
    assert takes.close()
    assert alarms == 10
    assert not takes.status.dropped
    the_same(held(folder / "take_000000"), range(100), 10_000)


def test_a_take_that_ends_on_a_full_disk_is_finished_when_there_is_room_again(full_disk):
    folder, fill = full_disk
    takes = TakeRecorder(folder, 10**7, 0.01)
    takes.start()
    put(takes, range(20), 10_000)
    until(lambda: takes.status.written > 200_000)
    fill(True)
    put(takes, range(20, 30), 10_000)
    takes.keep({})
    until(lambda: takes.status.trouble)
    fill(False)
    until(lambda: takes.status.last == "take_000000 saved")
    the_same(held(folder / "take_000000"), range(30), 10_000)
    takes.close()


def test_what_a_full_disk_took_before_is_not_lost_with_the_process(full_disk, monkeypatch):
    monkeypatch.setattr("wam_ros.ros.recorder_node.take_recorder._ENDING_S", 0.3)
    folder, fill = full_disk
    takes = TakeRecorder(folder, 10**7, 0.01)
    takes.start()
    put(takes, range(20), 10_000)
    until(lambda: takes.status.written > 200_000)
    fill(True)
    put(takes, range(20, 30), 10_000)
    takes.keep({})
    assert not takes.close()
    assert "was not finished" in takes.status.last
    with pytest.raises(WamError, match=r"take_000000.part' cannot be mended: No space"):
        mend(folder)
    fill(False)
    mend(folder)
    found = held(folder / "take_000000")
    the_same(found, range(len(found)), 10_000)
    assert len(found) >= 20


def test_a_take_can_be_discarded_while_the_disk_is_full(full_disk):
    folder, fill = full_disk
    takes = TakeRecorder(folder, 10**7, 0.01)
    takes.start()
    put(takes, range(5), 10_000)
    fill(True)
    put(takes, range(5, 20), 10_000)
    until(lambda: takes.status.trouble)
    takes.discard()
    until(lambda: takes.status.last == "take_000000 discarded")
    assert takes.close()
    assert [path.name for path in folder.iterdir()] == ["ballast"]


def test_two_recorders_do_not_share_a_folder(tmp_path):
    with contextlib.ExitStack() as stack:
        stack.enter_context(holding(tmp_path))
        with pytest.raises(WamError, match="another process records into"):
            stack.enter_context(holding(tmp_path))
    with holding(tmp_path):
        pass
    with pytest.raises(WamError, match="cannot be opened"), holding(tmp_path / "nowhere"):
        pass
