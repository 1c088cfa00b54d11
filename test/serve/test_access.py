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
