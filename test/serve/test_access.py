"""Who may ask the policy server."""

import pytest

from wam_ros.core.errors import WamError
from wam_ros.serve.access import Access, read_token

TOKEN = "x" * 30


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_other_machines_ask_only_with_a_token(host):
    with pytest.raises(WamError, match=r"lets other machines ask: name a secret with --token-file"):
        Access(host)
    Access(host, TOKEN)
    Access("127.0.0.1")


@pytest.mark.parametrize("scheme", ["Api-Key", "Bearer", "api-key"])
def test_the_token_is_taken_from_the_header_that_openpi_sends(scheme):
    access = Access("127.0.0.1", TOKEN)
    assert access.why_not_admitted([("authorization", f"{scheme} {TOKEN}")]) == ""


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", TOKEN)],
        [("Authorization", f"Basic {TOKEN}")],
        [("Authorization", f"Api-Key {TOKEN}x")],
        [("Authorization", "Api-Key \udcff")],
        [("Authorization", f"Api-Key {TOKEN}"), ("authorization", "Api-Key other")],
    ],
)
def test_another_token_is_refused_in_words(headers):
    assert "a token is wanted" in Access("127.0.0.1", TOKEN).why_not_admitted(headers)


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
def test_a_web_page_is_refused_whatever_it_knows(name):
    headers = [("Authorization", f"Api-Key {TOKEN}"), (name, "http://localhost:8000")]
    assert "no web pages" in Access("127.0.0.1", TOKEN).why_not_admitted(headers)
    assert "no web pages" in Access("127.0.0.1").why_not_admitted(headers)


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8000", "127.0.0.1.nip.io:8000", ""])
def test_a_name_that_was_made_to_point_here_reads_nothing_that_needs_no_token(host):
    alone = Access("127.0.0.1")
    for access in (alone, Access("0.0.0.0", TOKEN)):
        for headers in ([("Host", host)], [("Host", "localhost"), ("Host", host)], []):
            assert "not known by that name" in access.why_not_admitted(headers, tokenless=True)
    assert "not known by that name" in alone.why_not_admitted([("Host", host)])
    for known in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert alone.why_not_admitted([("Host", known)]) == ""


def test_by_whatever_name_a_program_with_the_token_is_answered():
    headers = [("Host", "gpu.lab.test:8000"), ("Authorization", f"Api-Key {TOKEN}")]
    assert Access("0.0.0.0", TOKEN).why_not_admitted(headers) == ""


def test_a_token_file_that_others_can_read_or_guess_is_refused(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(WamError, match="cannot be read"):
        read_token(str(file))
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o640)
    with pytest.raises(WamError, match="is open to other users: chmod 600"):
        read_token(str(file))
    file.chmod(0o600)
    assert read_token(str(file)) == TOKEN
    file.write_text("secret")
    with pytest.raises(WamError, match="22 to 128 letters"):
        read_token(str(file))
    assert read_token("") == ""
