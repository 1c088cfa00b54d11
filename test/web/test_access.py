"""Tokens, and the names by which a server is known."""

import socket

import pytest

from wam_ros.core.errors import WamError
from wam_ros.web.access import by_name, is_known_as, is_same, require_token

OWN = socket.gethostname()


@pytest.mark.parametrize("listening", ["127.0.0.1", "localhost", "::1"])
def test_who_listens_on_this_machine_alone_is_known_by_its_local_names_only(listening):
    for name in ("localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080"):
        assert is_known_as(name, listening), name
    for name in (OWN, "192.168.1.9", "0.0.0.0", "[::2]:8080", "localhost.evil.test", ""):
        assert not is_known_as(name, listening), name


def test_who_listens_to_others_is_known_by_its_own_names_and_addresses_too():
    for name in (OWN, f"{OWN}.local:80", "192.168.1.9:80", "[fe80::1]", "localhost"):
        assert is_known_as(name, "0.0.0.0"), name
    for name in ("evil.test", f"{OWN}.evil.test", "127.0.0.1.nip.io", "localhost@evil.test", "a/b"):
        assert not is_known_as(name, "0.0.0.0"), name


@pytest.mark.parametrize("weak", ["", "x" * 21, "x" * 129, "with space" * 4, "a&b" * 10])
def test_a_token_that_can_be_guessed_is_refused_with_where_it_is_from(weak):
    with pytest.raises(WamError, match="^VARIABLE: a token is 22 to 128 letters"):
        require_token(weak, "VARIABLE")
    assert require_token("x" * 22, "VARIABLE") == "x" * 22


def test_a_secret_is_the_same_or_not_whatever_its_bytes():
    assert is_same("secret", "secret")
    assert not any(is_same(given, "secret") for given in ("", "Secret", "é", "\udcff"))


def test_a_header_that_comes_twice_keeps_both():
    assert by_name([("Host", "a"), ("host", "b")]) == {"host": ["a", "b"]}
