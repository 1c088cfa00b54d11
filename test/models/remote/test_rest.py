"""A server that is asked by HTTP, as OpenVLA's `deploy.py`, made of the standard library."""

import base64
import contextlib
import http.server
import json
import threading

import numpy as np
import pytest

pytest.importorskip("pinocchio")

from testing.policies import PANDA, observation
from wam_ros.core.errors import WamError
from wam_ros.models import load_policy
from wam_ros.models.remote.rest import read_json
from wam_ros.wire.packing import WireError


def packed(a):
    """As json-numpy."""
    data = base64.b64encode(a.tobytes()).decode()
    return {"__numpy__": data, "dtype": a.dtype.str, "shape": list(a.shape)}


@contextlib.contextmanager
def deployed(act):
    """`act` makes an answer of a payload; the payloads, and the address."""
    asked = []

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(act(asked[-1])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield asked, f"openvla_oft@http://127.0.0.1:{server.server_port}/act"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


STEP = np.array([0.004, 0.0, 0.002, 0.0, 0.01, 0.0, 1.0], np.float32)


@pytest.mark.parametrize(
    "answer",
    [[packed(STEP)] * 8, [STEP.tolist()] * 8, json.dumps(packed(np.stack([STEP] * 8)))],
    ids=["arrays", "lists", "packed twice"],
)
def test_steps_of_the_tool_are_asked_by_http_and_become_a_chunk_of_joints(answer):
    with deployed(lambda payload: answer) as (asked, model):
        policy = load_policy(model, "", PANDA)
        policy.reset("pick up the red block")
        seen = observation()
        rows = policy.predict(seen).positions
        assert rows.shape == (PANDA.action_horizon, len(PANDA.joint_names))
        assert np.abs(np.diff(np.vstack((seen.joints.positions, rows)), axis=0))[:, :7].max() < 0.1
        assert rows[-1, 7] == pytest.approx(0.04)
        assert asked[0]["instruction"] == "pick up the red block"
        assert asked[0]["full_image"]["shape"] == [224, 224, 3]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("error", "/act: error"),
        ([packed(STEP)], "are for 0.20 s, the robot's horizon is 0.80 s"),
        ([[float("nan")] * 7] * 8, "have a nan for 'x'"),
        ([[0.0] * 6] * 8, "are (8, 6), expected (T, 7): x, y, z"),
        ([[9.0, 0, 0, 0, 0, 0, 0]] * 8, "out of reach"),
        ({"__numpy__": "?", "dtype": "<f4", "shape": [1]}, "no base64"),
    ],
)
def test_what_is_no_chunk_is_told_with_the_address(answer, words):
    with deployed(lambda payload: answer) as (_, model):
        policy = load_policy(model, "", PANDA)
        policy.reset("go")
        with pytest.raises(WamError, match="the policy server http://127") as error:
            policy.predict(observation())
        assert words in str(error.value)


def test_nobody_there_and_no_contract_are_said_at_once():
    with pytest.raises(WamError, match="cannot be reached"):
        load_policy("openvla_oft@http://127.0.0.1:1/act", "", PANDA)
    with pytest.raises(WamError, match="does not say which robot it is for: CONTRACT@http"):
        load_policy("http://127.0.0.1:1/act", "", PANDA)


def test_an_answer_that_claims_what_is_not_there_takes_no_memory():
    claims = {"__numpy__": "AAAA", "dtype": "<f8", "shape": [1 << 40, 1 << 40]}
    with pytest.raises(WireError, match="found 3 bytes"):
        read_json(json.dumps(claims).encode())
