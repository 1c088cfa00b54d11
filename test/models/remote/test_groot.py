"""A server that speaks as GR00T's: REP socket, MessagePack, arrays in numpy's file format."""

import contextlib
import io
import json
import threading

import msgpack
import numpy as np
import pytest

pytest.importorskip("zmq")
pytest.importorskip("pinocchio")

import zmq

from testing.policies import PANDA, observation
from wam_ros.core.errors import WamError
from wam_ros.models import load_policy
from wam_ros.models.remote import groot as groot_module
from wam_ros.wire.groot import read_answer
from wam_ros.wire.packing import MOST_BYTES, WireError


def npy(array):
    """As the server packs an array."""
    file = io.BytesIO()
    np.save(file, array)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def modalities(**changed):
    """What `get_modality_config` answers in N1.7."""
    names = {
        "video": ["front", "wrist"],
        "state": ["arm", "gripper"],
        "language": ["annotation.human.task_description"],
        "action": ["arm", "gripper"],
    } | changed
    steps = {"action": list(range(8))}
    return {
        key: {
            "__ModalityConfig_class__": True,
            "as_json": {"delta_indices": steps.get(key, [0]), "modality_keys": found},
        }
        for key, found in names.items()
    }


def unpacked(value):
    """Arrays out of a question."""
    if isinstance(value, dict) and "as_npy" in value:
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
    if isinstance(value, dict):
        return {key: unpacked(item) for key, item in value.items()}
    return value


class Server:
    """Answers by the name of the endpoint; bytes are sent as they are."""

    def __init__(self):
        self.asked = []
        self.says = {
            "ping": lambda _: {"status": "ok"},
            "reset": lambda _: {},
            "get_modality_config": lambda _: modalities(),
            "get_action": ramp,
        }

    def serve(self, socket, ended):
        while not ended.is_set():
            if not socket.poll(20):
                continue
            asked = unpacked(msgpack.unpackb(socket.recv()))
            self.asked.append(asked)
            answer = self.says[asked["endpoint"]](asked)
            if answer is not None:
                socket.send(answer if isinstance(answer, bytes) else msgpack.packb(answer))


def ramp(asked):
    """A chunk from the joints on, a little further at every step."""
    state = asked["data"]["observation"]["state"]
    ahead = 0.002 * np.arange(1, 9, dtype=np.float32)[None, :, None]
    return [{key: npy(value + ahead) for key, value in state.items()}, {}]


@contextlib.contextmanager
def groot():
    """A server, and the name of the model that it is."""
    server = Server()
    ended = threading.Event()
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        thread = threading.Thread(target=server.serve, args=(socket, ended))
        thread.start()
        try:
            yield server, f"groot_panda@tcp://127.0.0.1:{port}"
        finally:
            ended.set()
            thread.join()


def test_the_arms_joints_and_the_gripper_become_one_chunk_of_the_robot(monkeypatch):
    monkeypatch.setenv("WAM_POLICY_TOKEN", "secret")
    with groot() as (server, name):
        policy = load_policy(name, "", PANDA)
        policy.reset("pick up the cup")
        seen = observation(2)
        rows = policy.predict(seen).positions
        expected = seen.joints.positions + 0.002 * np.arange(1, 9)[:, None]
        assert rows == pytest.approx(expected, abs=1e-6)
    assert [a["endpoint"] for a in server.asked] == [
        "ping", "get_modality_config", "reset", "get_action",
    ]  # fmt: skip
    assert {a["api_token"] for a in server.asked} == {"secret"}
    told = server.asked[-1]["data"]["observation"]
    assert told["video"]["front"].shape == (1, 1, 256, 256, 3)
    assert told["video"]["front"].dtype == np.uint8
    assert (told["state"]["arm"].shape, told["state"]["arm"].dtype) == ((1, 1, 7), np.float32)
    assert told["language"] == {"annotation.human.task_description": [["pick up the cup"]]}


OTHERS = {
    "wants 'video.side'": {"video": ["front", "wrist", "side"]},
    "has no 'state.gripper' of the contract; it has state.arm": {"state": ["arm"]},
    "has no 'action.gripper'": {"action": ["arm"]},
    "does not say which keys 'action' has": {"action": 3},
}


@pytest.mark.parametrize("words", OTHERS)
def test_a_server_with_other_modalities_is_refused_on_connect_by_the_key(words):
    with groot() as (server, name):
        server.says["get_modality_config"] = lambda _: modalities(**OTHERS[words])
        with pytest.raises(WamError, match=f"tcp://127.0.0.1:.*{words}"):
            load_policy(name, "", PANDA)


def test_a_server_that_wants_frames_of_before_is_refused():
    with groot() as (server, name):
        said = modalities()
        said["video"]["as_json"]["delta_indices"] = [-1, 0]
        server.says["get_modality_config"] = lambda _: said
        with pytest.raises(WamError, match=r"wants video at the steps \[-1, 0\]"):
            load_policy(name, "", PANDA)


def test_modalities_may_be_told_as_text_or_not_at_all():
    text = modalities()
    for about in text.values():
        about["as_json"] = json.dumps(about["as_json"])
    with groot() as (server, name):
        for said in (text, {}):
            server.says["get_modality_config"] = lambda _, said=said: said
            assert load_policy(name, "", PANDA).predict


def chunk(arm, gripper):
    return lambda _: [{"arm": npy(arm), "gripper": npy(gripper)}, {}]


ONES = np.ones((1, 8, 7), np.float32)
LIES = {
    "nan": (chunk(ONES * np.nan, ONES[..., :1]), "have a nan for 'panda_joint1'"),
    "swapped parts": (chunk(ONES[..., :1], ONES), r"are \(8, 1\), expected \(T, 7\)"),
    "other lengths": (chunk(ONES, ONES[:, :4, :1]), r"parts of \[4, 8\] steps"),
    "two robots": (chunk(np.ones((2, 8, 7)), ONES[..., :1]), r"'arm' is no array \(1, T, n\)"),
    "no gripper": (lambda _: [{"arm": npy(ONES)}, {}], "has no 'action.gripper'"),
    "no list": (lambda _: {"arm": npy(ONES)}, "no list that begins with a map"),
    "error": (lambda _: {"error": "cuda is\nfull"}, "cuda is full"),
    "no MessagePack": (lambda _: b"ERROR", "cannot be read"),
    "parts": (lambda _: b"\xc1", "cannot be read"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_told_by_name_and_what_is_right_afterwards_is_taken(lie):
    act, words = LIES[lie]
    with groot() as (server, name):
        policy = load_policy(name, "", PANDA)
        policy.reset("go")
        server.says["get_action"] = act
        with pytest.raises(WamError, match=words):
            policy.predict(observation())
        server.says["get_action"] = ramp
        policy.reset("go")
        assert policy.predict(observation()).positions.shape == (8, 8)


def test_nobody_there_a_silent_one_and_a_wrong_token_are_told(monkeypatch):
    monkeypatch.setattr(groot_module, "GREETING_S", 0.2)
    monkeypatch.setattr(groot_module, "CONNECT_S", 0.2)
    with pytest.raises(WamError, match=r"tcp://127.0.0.1:9: cannot be reached"):
        load_policy("groot_panda@tcp://127.0.0.1:9", "", PANDA)
    with groot() as (server, name):
        server.says["ping"] = lambda _: {"error": "Unauthorized: Invalid API token"}
        with pytest.raises(WamError, match=r"Invalid API token \(WAM_POLICY_TOKEN\)"):
            load_policy(name, "", PANDA)
    with groot() as (server, name):
        server.says["ping"] = lambda _: None
        with pytest.raises(WamError, match=r"has not answered for 0.2 s"):
            load_policy(name, "", PANDA)


@pytest.mark.parametrize("name", ["tcp://host:1", "groot_panda@tcp://host", "a@tcp://host:1/x"])
def test_an_address_without_a_contract_or_a_port_is_refused(name):
    with pytest.raises(WamError, match=r"does not say which robot|is tcp://HOST:PORT"):
        load_policy(name, "", PANDA)


def npy_head(text, body=b""):
    head = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + body


HOSTILE = {
    "objects": npy_head("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"x" * 8),
    "a huge shape": npy_head("{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 40,), }"),
    "more than there is": npy_head(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999,), }", b"x" * 8
    ),
    "columns with names": npy_head(
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", b"x" * 4
    ),
    "code": npy_head("__import__('os').abort()"),
    "deep": npy_head("[" * 100),
    "a long head": b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 65535,
    "another version": b"\x93NUMPY\x02\x00" + b"\0" * 100,
    "nothing": b"",
    "text": "words",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_array_of_a_stranger_is_an_array_of_numbers_or_refused(what):
    packed = msgpack.packb({"__ndarray_class__": True, "as_npy": HOSTILE[what]})
    with pytest.raises(WireError):
        read_answer(packed)


def test_an_answer_is_not_larger_than_the_limit():
    with pytest.raises(WireError, match="at most"):
        read_answer(b"\0" * (MOST_BYTES + 1))


def test_an_array_by_columns_is_read_as_it_is():
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert (read_answer(msgpack.packb(npy(array))) == array).all()
