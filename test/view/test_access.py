import socket

import pytest

from wam_ros.core.errors import WamError
from wam_ros.view.access import TOKEN_VARIABLE, Access, make_token, page_address

TOKEN = "t" * 43
LOCAL = Access("127.0.0.1", 8080, TOKEN)
COOKIES = {"wam_8080": LOCAL.cookie}
HOST = ("Host", "localhost:8080")


def refused(*headers, access=LOCAL, method="GET", path="/", cookies=COOKIES):
    return access.why_not_admitted(method, path, headers, cookies)


def test_the_own_page_is_answered():
    assert refused(HOST) == ""
    assert refused(HOST, ("Origin", "http://localhost:8080"), method="POST") == ""
    assert refused(("Host", "127.0.0.1:8080"), ("Sec-Fetch-Site", "same-origin")) == ""
    assert refused(("Host", "[::1]:8080"), ("Sec-Fetch-Site", "none")) == ""
    # by a tunnel that has another port
    assert refused(("Host", "localhost:9000"), ("Origin", "http://localhost:9000")) == ""


@pytest.mark.parametrize("cookies", [{}, {"wam_8080": ""}, {"wam_8080": TOKEN}, {"wam_8081": "x"}])
def test_without_the_cookie_nothing_is_answered_also_on_localhost(cookies):
    assert "open the link" in refused(HOST, cookies=cookies)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.test", "evil.test:8080", "localhost.evil.test", "127.0.0.1.nip.io:8080", ""),
        *("192.168.1.9:8080", "localhost@evil.test", "localhost:8080/x", "[::2]:8080", "0.0.0.0"),
        socket.gethostname() + ".evil.test",
    ],
)
def test_a_name_that_anybody_may_let_point_here_is_refused(host):
    assert refused(("Host", host)) != ""
    assert refused(("Host", host), path="/open", cookies={}) != ""


def test_without_a_host_or_with_two_nothing_is_answered():
    assert refused() != ""
    assert refused(HOST, ("Host", "evil.test")) == "header host came twice"
    assert refused(HOST, HOST) != ""
    twice = ("Origin", "http://localhost:8080"), ("Origin", "http://evil.test")
    assert refused(HOST, *twice) == "header origin came twice"


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.test", "null", "http://localhost:8081", "https://localhost:8080"),
        *(
            "http://127.0.0.1:8080",
            "http://localhost:8080.evil.test",
            "file://",
            "http://localhost",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused_although_the_browser_sent_the_cookie(origin, method):
    assert refused(HOST, ("Origin", origin), method=method) != ""


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_what_another_page_asks_for_is_refused(site):
    assert refused(HOST, ("Sec-Fetch-Site", site)) != ""


def test_a_socket_needs_an_origin():
    upgrade = ("Upgrade", "websocket")
    assert "no Origin" in refused(HOST, upgrade)
    assert refused(HOST, upgrade, ("Origin", "http://localhost:8080")) == ""


def test_the_link_may_stand_in_any_page_because_its_token_decides():
    assert refused(HOST, ("Sec-Fetch-Site", "cross-site"), path="/open", cookies={}) == ""
    assert refused(HOST, path="/open", method="POST", cookies={}) != ""
    assert LOCAL.takes_token(TOKEN)
    assert not any(LOCAL.takes_token(t) for t in ("", TOKEN[:-1], TOKEN + "t", "é", "\udce9"))


def test_beyond_this_machine_its_own_names_and_addresses_count():
    wide = Access("0.0.0.0", 8080, TOKEN)
    cookies = {"wam_8080": wide.cookie}
    own = socket.gethostname()
    for host in ("192.168.1.9:8080", own, f"{own}.local:8080", "localhost", "[fe80::1]:8080"):
        assert refused(("Host", host), access=wide, cookies=cookies) == "", host
    for host in ("evil.test:8080", f"{own}.evil.test"):
        assert refused(("Host", host), access=wide, cookies=cookies) != "", host


def test_with_tls_the_origin_is_https():
    secure = Access("127.0.0.1", 8080, TOKEN, secure=True)
    cookies = {"wam_8080": secure.cookie}
    for origin, passes in (("https://localhost:8080", True), ("http://localhost:8080", False)):
        found = refused(HOST, ("Origin", origin), access=secure, cookies=cookies)
        assert (found == "") == passes


def test_every_start_has_its_own_secrets():
    assert len({make_token() for _ in range(9)}) == 9
    assert len({Access("127.0.0.1", 8080, TOKEN).cookie for _ in range(9)}) == 9
    assert TOKEN not in Access("127.0.0.1", 8080, TOKEN).cookie
    assert LOCAL.cookie not in repr(LOCAL)


def test_a_token_of_the_environment_is_taken_unless_it_can_be_guessed(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert make_token() == TOKEN
    for weak in ("secret", "x" * 21, "with space" * 4, "a&b" * 10):
        monkeypatch.setenv(TOKEN_VARIABLE, weak)
        with pytest.raises(WamError, match=TOKEN_VARIABLE):
            make_token()


def test_the_address_is_one_that_can_be_opened():
    assert page_address("127.0.0.1", 8080, TOKEN) == f"http://localhost:8080/open?token={TOKEN}"
    assert page_address("10.0.0.7", 80, TOKEN, True) == f"https://10.0.0.7:80/open?token={TOKEN}"
    assert page_address("fe80::1", 80, TOKEN).startswith("http://[fe80::1]:80/")
    assert page_address("0.0.0.0", 80, TOKEN).startswith(f"http://{socket.gethostname()}:80/")
