import socket
import subprocess
import sys

import pytest

from wam_ros.core.errors import WamError
from wam_ros.demo import domain as module
from wam_ros.demo.domain import DOMAINS, LOCK, hold_domain


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, tmp_path):
    """Locks of their own, which go with the test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    monkeypatch.setattr(module, "_held", [])
    yield
    for file in module._held:
        file.close()


def test_a_domain_where_somebody_listens_is_not_taken():
    first = hold_domain(40)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", 7400 + 250 * (first + 1) + 10))
        assert hold_domain(first) == first + 2


def test_a_domain_is_one_process_s_before_anybody_listens_there():
    first = hold_domain(40)
    script = f"from wam_ros.demo.domain import hold_domain; print(hold_domain({first - 1}))"
    others = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert int(others.stdout) == first + 1
    assert hold_domain(first - 1) == first + 1  # which ended


def test_the_same_process_gets_another_each_time():
    assert len({hold_domain(40) for _ in range(5)}) == 5


def test_where_none_is_left_that_is_said(monkeypatch, tmp_path):
    assert hold_domain(100) in (101, *range(1, DOMAINS))
    monkeypatch.setattr(module, "_is_silent", lambda domain: False)
    with pytest.raises(WamError, match="no free ROS domain .* --domain-id"):
        hold_domain()


def test_the_lock_of_another_user_is_nobody_s_to_take(tmp_path):
    first = hold_domain(60)
    (tmp_path / LOCK.format(first + 1)).mkdir()  # as good as one that cannot be opened
    assert hold_domain(first) == first + 2
