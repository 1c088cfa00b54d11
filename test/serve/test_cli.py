"""`wam serve` refuses what cannot work before it loads anything, and speaks TLS by files."""

import shutil
import subprocess

import pytest

pytest.importorskip("torch")

from testing.peers import free_port
from testing.policies import PANDA, RememberingPolicy, observation
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.listening import listen, tls_context
from wam_ros.models.remote.address import Address
from wam_ros.models.remote.link import Link
from wam_ros.serve import cli
from wam_ros.serve.access import Access
from wam_ros.serve.cli import Serve, contracts_of, main
from wam_ros.serve.server import PolicyServer
from wam_ros.serve.service import PolicyService
from wam_ros.wire.contract import native, request_of


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": "0.0.0.0"}, "lets other machines ask: name a secret with --token-file"),
        ({"model": "tinny"}, "unknown model 'tinny'. Did you mean 'tiny'"),
        ({"model": "dreamzero-14b"}, "does not say for which robot: add --embodiment"),
        ({"embodiment": "pandda"}, "unknown embodiment 'pandda'. Did you mean 'panda'"),
        ({"port": 0}, "port must be between 1 and 65535"),
        ({"sessions": 0}, "--sessions must be between 1 and 256"),
        ({"idle": float("nan")}, "--idle must be"),
        ({"token_file": "/nowhere"}, "token file '/nowhere' cannot be read"),
        ({"tls_key": "key.pem"}, "TLS takes both files"),
        ({"host": "gpu-box", "port": 1}, "lets other machines ask"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(given, words, monkeypatch):
    monkeypatch.setattr(cli, "load_policy", lambda *a, **k: pytest.fail("it was loaded"))
    with pytest.raises(WamError, match=words):
        main(Serve(**given))


def test_a_server_answers_those_contracts_that_are_for_its_robot():
    # poses of a tool are nothing that a model of ours is asked for
    assert [c.name for c in contracts_of(PANDA)] == ["lerobot_panda"]
    assert [c.name for c in contracts_of(load_embodiment("droid"))] == ["openpi_droid", "roboarena"]


def test_tls_by_files_is_spoken_and_a_client_that_does_not_trust_it_says_so(tmp_path, monkeypatch):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate = tmp_path / "certificate.pem"
    key = tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    words += ["subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    port = free_port()
    service = PolicyService(
        policy=RememberingPolicy(),
        robot=PANDA,
        contracts=[],
        most_sessions=1,
        idle_s=1.0,
        clock=lambda: 0.0,
    )
    tls = tls_context(str(certificate), str(key))
    server = PolicyServer(Access("127.0.0.1"), listen(port), lambda say: service, tls)
    try:
        link = Link(Address(f"wss://localhost:{port}"), "")
        with pytest.raises(WamError, match="cannot be reached: .*certificate"):
            link.connect(0.0, print)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert link.connect(0.0, print)["model"] == "remembering"
        message = request_of(native(PANDA), observation(), "go", "")
        assert link.ask(message, 10.0)["actions"].shape == (8, 8)
        link.close()
    finally:
        server.close()
