"""The wire of vla-eval: its messages are read, what is hostile is refused in words."""

import io
import tracemalloc

import msgpack
import numpy as np
import pytest
from PIL import Image

from testing.policies import PANDA, observation
from wam_ros.wire.packing import WireError
from wam_ros.wire.pictures import MOST_OPEN
from wam_ros.wire.vla_eval import describe, native_keys, pack_said, read_said

PICTURE = observation().frames[0]


def coded(picture=PICTURE, kind="png", **changed):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind.upper())
    shape = list(picture.shape)
    found = {"__image__": True, "format": kind, "data": data.getvalue(), "shape": shape}
    return found | changed


def message(payload, kind="observation", seq=3):
    return msgpack.packb({"type": kind, "payload": payload, "seq": seq, "timestamp": 1.5})


def array(a):
    return {"__ndarray__": True, "data": a.tobytes(), "dtype": a.dtype.str, "shape": list(a.shape)}


def test_pictures_and_arrays_are_read_as_they_were():
    q = np.linspace(0, 1, 8)
    raw = {"__image__": True, "format": "raw", **array(PICTURE)}
    del raw["__ndarray__"]
    said = read_said(message({"a": coded(), "b": raw, "c": array(q), "jpeg": coded(kind="jpeg")}))
    assert (said.kind, said.number) == ("observation", 3)
    assert (said.payload["a"] == PICTURE).all()
    assert (said.payload["b"] == PICTURE).all()
    assert said.payload["c"].tobytes() == q.tobytes()
    assert said.payload["jpeg"].shape == PICTURE.shape


def test_what_is_said_is_packed_as_vla_eval_reads_it():
    said = msgpack.unpackb(pack_said("action", {"actions": np.ones(2, np.float32)}, 7))
    assert (said["type"], said["seq"]) == ("action", 7)
    assert isinstance(said["timestamp"], float)
    found = said["payload"]["actions"]
    assert np.frombuffer(found["data"], found["dtype"]).reshape(found["shape"]).tolist() == [1, 1]


def test_an_observation_gets_the_keys_of_our_own_contract():
    images = dict.fromkeys(PANDA.view_names, PICTURE)
    said = {"images": images, "task_description": "go", "states": np.zeros(8)}
    keys = native_keys(said, PANDA)
    assert keys["prompt"] == "go"
    assert keys["observation/joint_position"] is said["states"]
    assert {key for key in keys if keys[key] is PICTURE} == {
        f"observation/{view}" for view in PANDA.view_names
    }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": None}, "'images' has no 'front.*; it has none"),
        ({"images": {"front": 0}}, "'images' has no 'wrist'; it has front"),
        ({"state": None}, "'state' is missing: panda_joint1"),
        ({"task_description": 5}, "'task_description' is text"),
    ],
)
def test_an_observation_without_a_part_is_refused_by_its_name(changed, words):
    images = dict.fromkeys(PANDA.view_names, PICTURE)
    said = {"images": images, "task_description": "go", "state": np.zeros(8)}
    with pytest.raises(WireError, match=words):
        native_keys(said | changed, PANDA)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (msgpack.packb([1]), "a message is a map"),
        (message({}, kind="action"), "'type' is one of hello, observation"),
        (message({}, kind=array(np.zeros(2))), "'type' is one of hello, observation"),
        (message([]), "'payload' is a map"),
        (message({}, seq=-1), "'seq' a whole number"),
        (message({"a": {**array(PICTURE), "dtype": "|O"}}), "arrays of '|O' are not read"),
        (message({"a": {"__ndarray__": True}}), "exactly the keys"),
        (message({"a": coded(format="gif")}), "a picture has a format"),
        (message({"a": coded(data=b"x")}), "a picture that cannot be read"),
        (message({"a": coded(data=coded()["data"][:-900])}), "a picture that cannot be read"),
        (message({"a": coded(PICTURE[:, :, 0], shape=[1])}), "of mode L, expected RGB"),
        (message({"a": b"bytes"}), "has no place in a message"),
    ],
)
def test_what_is_hostile_is_refused_in_words(data, words):
    with pytest.raises(WireError, match=words.replace("|", r"\|")):
        read_said(data)


def test_a_few_bytes_that_open_to_gigabytes_take_no_memory():
    bomb = coded(np.zeros((1000, 1000, 3), np.uint8))
    data = message({str(k): bomb for k in range(100)})
    assert len(data) < MOST_OPEN / 8
    tracemalloc.start()
    with pytest.raises(WireError, match=f"more than {MOST_OPEN} bytes when they are open"):
        read_said(data)
    assert tracemalloc.get_traced_memory()[1] < 3 * MOST_OPEN
    tracemalloc.stop()


def test_it_says_what_it_takes_and_gives_by_the_names_of_the_robot():
    about = describe(PANDA, "tiny")
    assert about["protocol_version"] == 1
    assert about["action_spec"]["joint_position"]["dims"] == len(PANDA.joint_names)
    assert set(about["observation_spec"]) == {*PANDA.view_names, "state", "language"}
