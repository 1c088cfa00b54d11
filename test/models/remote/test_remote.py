"""A policy that is asked over the wire: what is right arrives as it was, what is wrong in words."""

import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from testing.openpi import openpi_server, ramp
from testing.policies import PANDA, RememberingPolicy, free_socket, observation, served
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Abilities, Request
from wam_ros.core.types import Conditioning
from wam_ros.models import load_policy, read_description
from wam_ros.models.remote import policy as remote_module
from wam_ros.models.remote.address import read_address
from wam_ros.wire.contract import as_told, load_contract, plan_keys, told_plan

TOKEN = "secret-of-at-least-22-characters"


def ask(port, contract=""):
    return load_policy(f"{contract}{'@' * bool(contract)}ws://127.0.0.1:{port}", "", PANDA)


@pytest.fixture
def contract(tmp_path):
    """Path of a contract: all joints in one key, one camera."""
    file = tmp_path / "arm.yaml"
    joints = list(PANDA.joint_names)
    data = {
        "name": "arm",
        "embodiment": "panda",
        "images": {"image": "front"},
        "state": {"state": joints},
        "action_joints": joints,
    }
    file.write_text(yaml.safe_dump(data))
    return str(file)


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_a_server_of_ours_answers_as_the_model_itself_would_bit_for_bit():
    local = RememberingPolicy()
    local.reset("go")
    plan = np.random.default_rng(0).normal(size=(6, 8))
    requests = [
        Request(step=0),
        Request(step=4, predict=False),
        Request(step=8, plan=plan, committed=2),
    ]
    with served(RememberingPolicy()) as (_, port):
        remote = ask(port)
        assert remote.abilities == RememberingPolicy.abilities
        assert (remote.name, remote.checkpoint_hash) == ("remembering", "ab" * 8)
        remote.reset("go")
        for k, request in enumerate(requests):
            expected = local.predict(observation(k), request)
            got = remote.predict(observation(k), request)
            assert (got is None) == (expected is None)
            if got is not None:
                assert (got.positions == expected.positions).all()
                assert (got.frames == expected.frames).all()
                assert got.frame_offsets_ns == expected.frame_offsets_ns
                assert (got.committed, got.guided) == (expected.committed, expected.guided)
                assert got.conditioning is Conditioning.REAL


def test_words_that_the_model_never_learned_are_refused_and_what_was_before_goes_on():
    with served(RememberingPolicy()) as (_, port):
        remote = ask(port)
        with pytest.raises(WamError, match="never learned 'fly'; known words: go, stop"):
            remote.reset("fly")
        remote.reset("go")
        assert remote.predict(observation(), Request(0)).positions.shape == (8, 8)


def test_anybody_s_openpi_server_is_asked_by_a_contract(contract):
    mine = {"committed": 3, "guided": True}  # keys of its own, which mean nothing here
    with openpi_server(lambda m: ramp(m) | mine, {"model": "pi0"}) as (server, port):
        remote = ask(port, contract)
        remote.reset("pick up the cup")
        seen = observation(2)
        out = remote.predict(seen)
        expected = seen.joints.positions + 0.002 * np.arange(1, 9)[:, None]
        assert (out.positions == expected).all()
        assert (out.committed, out.guided) == (0, False)
        assert out.frames.shape == (0, 2, 64, 64, 3)
        assert out.conditioning is Conditioning.UNKNOWN
        assert remote.name == "pi0"
        assert set(server.asked[0]) == {"image", "state", "prompt"}
        assert server.asked[0]["prompt"] == "pick up the cup"


def imagines(message, views=2):
    frames = np.zeros((3, views, 64, 64, 3), np.uint8)
    frames[:, 0] = 1  # of the contract's first view
    ns = [10**8 * (k + 1) for k in range(3)]
    return ramp(message) | {"imagined_frames": frames, "imagined_ns": ns}


def test_what_a_foreign_server_imagines_is_of_its_contract_s_views_in_their_order(
    tmp_path, contract
):
    told = yaml.safe_load(Path(contract).read_text())
    told["images"] = {"hand": "wrist", "table": "front"}
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump(told))
    with openpi_server(imagines) as (_, port):
        remote = ask(port, str(both))
        remote.reset("go")
        out = remote.predict(observation())
        assert out.frames.shape == (3, 2, 64, 64, 3)
        means = dict(zip(PANDA.view_names, out.frames.mean(axis=(0, 2, 3, 4)), strict=True))
        assert means == {"front": 0, "wrist": 1}
        assert out.frame_offsets_ns == (10**8, 2 * 10**8, 3 * 10**8)
        remote = ask(port, contract)  # which has one of the two views
        remote.reset("go")
        with pytest.raises(WamError, match="are of the views front; the robot has front, wrist"):
            remote.predict(observation())


def test_a_server_that_says_nothing_of_itself_is_not_asked_without_a_contract():
    with (
        openpi_server(lambda m: ramp(m)) as (_, port),
        pytest.raises(WamError, match=r"its embodiment is None.*CONTRACT@ws://127.0.0.1"),
    ):
        ask(port)


LIES = {
    "nan": (lambda m: {"actions": np.full((8, 8), np.nan)}, "have a nan for 'panda_joint1'"),
    "another robot": (lambda m: {"actions": np.zeros((8, 6))}, r"are \(8, 6\), expected \(T, 8\)"),
    "no actions": (lambda m: {"action": 1}, "has no 'actions'"),
    "an error": (lambda m: "Traceback: out of memory", "out of memory"),
    "noise": (lambda m: b"\xc1\xc1", "its answer cannot be read"),
    "an object": (
        lambda m: pack_object(),
        "arrays of '|O' are not read",
    ),
}


def pack_object():
    import msgpack

    array = {b"__ndarray__": True, b"data": b"x" * 8, b"dtype": "|O", b"shape": [1]}
    return msgpack.packb({"actions": array})


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_server_is_named_and_believed_again_when_it_is_right(lie, contract):
    act, words = LIES[lie]
    with openpi_server(act) as (server, port):
        remote = ask(port, contract)
        remote.reset("go")
        with pytest.raises(WamError, match=f"policy server ws://127.0.0.1:{port}: .*") as error:
            remote.predict(observation())
        assert words.replace("\\", "") in str(error.value)
        server.act = ramp
        remote.reset("go")
        assert remote.predict(observation()).positions.shape == (8, 8)


def test_a_server_that_is_slow_is_given_up_and_its_late_answer_is_taken_for_no_other(
    contract, monkeypatch
):
    monkeypatch.setattr(remote_module, "ANSWER_S", 0.2)
    gate = threading.Event()
    gate.set()

    def act(message):
        gate.wait(20)
        return ramp(message)

    with openpi_server(act) as (_, port):
        remote = ask(port, contract)
        remote.reset("go")
        remote.predict(observation(1))
        gate.clear()
        with pytest.raises(WamError, match=r"has not answered for 0.2 s"):
            remote.predict(observation(2))
        with pytest.raises(WamError, match="is not connected"):
            remote.predict(observation(3))
        gate.set()
        remote.reset("go")
        seen = observation(4)
        rows = remote.predict(seen).positions
        assert (rows == seen.joints.positions + 0.002 * np.arange(1, 9)[:, None]).all()


def test_a_connection_that_is_cut_is_said_and_made_anew_by_the_next_reset(contract):
    with openpi_server(lambda m: ramp(m)) as (server, port):
        remote = ask(port, contract)
        remote.reset("go")
        remote.predict(observation())
        server.drop()
        with pytest.raises(WamError, match="the connection is gone"):
            remote.predict(observation())
        remote.reset("go")
        assert remote.predict(observation()).positions.shape == (8, 8)


def test_a_server_of_ours_that_dropped_an_idle_connection_is_reconnected_by_an_instruction():
    with served(RememberingPolicy()) as (server, port):
        remote = ask(port)
        remote.reset("go")
        for transport in list(server._sockets.values()):
            server._server.call_soon(transport.abort)
        remote.reset("stop")
        assert remote.predict(observation(), Request(0)).positions.shape == (8, 8)


def test_a_server_that_was_started_anew_with_another_model_is_not_followed():
    listening = free_socket()
    port = listening.getsockname()[1]
    with served(RememberingPolicy(), listening=listening):
        remote = ask(port)
        remote.reset("go")
    with pytest.raises(WamError, match="the connection is gone"):
        remote.predict(observation(), Request(0))
    with pytest.raises(WamError, match="cannot be reached"):
        remote.reset("go")
    other = RememberingPolicy()
    other.checkpoint_hash = "cd" * 8
    with (
        served(other, listening=free_socket(port)),
        pytest.raises(WamError, match=r"serves \('remembering', 'cdcd.*load the model anew"),
    ):
        remote.reset("go")


def test_the_token_is_of_the_environment(monkeypatch):
    with served(RememberingPolicy(), token=TOKEN) as (_, port):
        with pytest.raises(WamError, match="refuses with 401: a token is .*WAM_POLICY_TOKEN"):
            ask(port)
        monkeypatch.setenv("WAM_POLICY_TOKEN", TOKEN)
        ask(port).reset("go")
        monkeypatch.setenv("WAM_POLICY_TOKEN", "a\nb")
        with pytest.raises(WamError, match="cannot stand in a header"):
            ask(port)


def test_a_server_that_is_loading_is_waited_for(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(
        remote_module._LOG, "warning", lambda words: (said.append(words), gate.set())
    )
    said = []
    with served(RememberingPolicy(), load=lambda: gate.wait(20)) as (_, port):
        assert ask(port).name == "remembering"
        assert "loading 'it' since" in said[0]


def test_nobody_there_is_said_at_once():
    s = free_socket()
    port = s.getsockname()[1]
    s.close()
    with pytest.raises(WamError, match=f"ws://127.0.0.1:{port}: cannot be reached"):
        ask(port)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lerobot_panda@ws://127.0.0.1:{}", "To start it: python lerobot_server.py --policy"),
        ("openvla_oft@http://127.0.0.1:{}/act", "To start it: python vla-scripts/deploy.py"),
    ],
)
def test_who_finds_nobody_there_is_told_how_the_server_of_a_contract_is_started(model, words):
    s = free_socket()
    port = s.getsockname()[1]
    s.close()
    with pytest.raises(WamError, match=f"127.0.0.1:{port}.*cannot be reached: .*{words}"):
        load_policy(model.format(port), "", PANDA)


@pytest.mark.parametrize("said", ["hel\x1blo", b"\xc1", [1]])
def test_a_server_that_introduces_itself_with_nonsense_is_refused(said):
    with (
        openpi_server(lambda m: ramp(m), said) as (_, port),
        pytest.raises(
            WamError, match=r"says: hel\?lo|cannot be read|its embodiment is None|nothing"
        ),
    ):
        ask(port)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("ws://", "no address like"),
        ("mine@ws://", "no address like"),
        ("ws://user:secret@h:1", "^an address is ws://HOST:PORT; a token is in WAM_POLICY_TOKEN$"),
        ("ws://h:1?token=x", "a token is in WAM_POLICY_TOKEN"),
        ("ws://h:99999", "no address"),
        ("ws://h:0", "an address is"),
        ("nothing@ws://h:1", "unknown wire 'nothing'. Choices: .*openpi_droid"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(model, words):
    with pytest.raises(WamError, match=words):
        read_description(model)


def test_an_address_says_where_its_health_is_and_who_can_listen():
    assert read_address("ws://gpu:8000").health == "http://gpu:8000/healthz"
    assert read_address("wss://gpu").health == "https://gpu/healthz"
    assert "without TLS" in read_address("ws://gpu:8000").risk
    assert read_address("wss://gpu:8000").risk == read_address("ws://127.0.0.1:1").risk == ""
    assert read_description("openpi_droid@ws://gpu:8000")["embodiment"] == "droid"


@pytest.mark.parametrize(
    "given", [{"steps": 3}, {"memory": "imagined"}, {"checkpoint": "x.safetensors"}]
)
def test_what_only_the_server_can_be_told_is_refused(given):
    told = {"checkpoint": "", **given}
    with pytest.raises(WamError, match="is a server"):
        load_policy("ws://127.0.0.1:1", told.pop("checkpoint"), PANDA, **told)


def continues(message):
    """A server that continues plans: the committed rows as they are, the rest straight on."""
    plan = message["plan"]
    rows = message["state"] + 0.002 * np.arange(1, 9)[:, None]
    n = message["committed"]
    rows[:n] = plan[:n]
    return {"actions": rows.astype(np.float32)}


def continuing(contract, **more):
    """The contract of such a server."""
    file = Path(contract)
    told = yaml.safe_load(file.read_text()) | {"plan": "plan", "committed": "committed"} | more
    file.write_text(yaml.safe_dump(told))


def test_a_foreign_server_that_continues_plans_is_told_the_one_under_way(contract):
    continuing(contract)
    seen = observation(2)
    plan = seen.joints.positions + 0.004 * np.arange(1, 7)[:, None]
    with openpi_server(continues) as (server, port):
        remote = ask(port, contract)
        assert remote.abilities == Abilities(guided=True)
        remote.reset("go")
        out = remote.predict(seen, Request(plan=plan, committed=3))
        assert (server.asked[-1]["plan"] == plan).all()
        assert server.asked[-1]["committed"] == 3
        assert (out.committed, out.guided) == (3, True)
        assert (out.positions[:3] == plan[:3]).all()
        server.act = lambda m: ramp(m)  # it goes on from where it was observed
        out = remote.predict(seen, Request(plan=plan, committed=3))
        assert (out.committed, out.guided) == (0, False)
        remote.predict(seen, Request())
        assert "plan" not in server.asked[-1]


def test_a_plan_is_told_in_the_steps_and_shares_of_the_server(contract):
    continuing(
        contract,
        step_period_s=0.2,
        ends={"panda_finger_joint1": [0.04, 0.0]},
        relative=["panda_joint1"],
    )
    seen = observation(2)
    q = seen.joints.positions
    plan = q + 0.004 * np.arange(1, 7)[:, None]
    made = load_contract(contract, PANDA)
    rows = told_plan(made, plan, seen, PANDA)
    told = plan_keys(made, rows, 3, seen, PANDA)
    expected = q + 0.004 * np.array([2, 4, 6])[:, None]
    assert told["plan"][:, 1:7] == pytest.approx(expected[:, 1:7])
    assert told["plan"][:, 0] == pytest.approx(0.004 * np.array([2, 4, 6]))
    assert told["plan"][:, 7] == pytest.approx(1 - expected[:, 7] / 0.04)
    assert told["committed"] == 2  # the second step of the server ends after the third of the robot
    assert as_told(made, rows, seen, PANDA) == pytest.approx(plan)
    assert len(told_plan(made, plan[:1], seen, PANDA)) == 0


def test_a_server_of_slower_steps_that_repeats_what_it_was_told_goes_on_as_planned(contract):
    continuing(contract, step_period_s=0.2)
    seen = observation(2)
    bent = seen.joints.positions + 0.01 * np.arange(1, 9)[:, None] ** 2  # no straight line
    with openpi_server(lambda m: {"actions": np.vstack((m["plan"], m["plan"][-1:]))}) as (_, port):
        remote = ask(port, contract)
        remote.reset("go")
        out = remote.predict(seen, Request(plan=bent, committed=3))
        assert (out.committed, out.guided) == (3, True)
        assert (out.positions[:3] == bent[:3]).all()
