"""Redirects that lead where the operator said, and fixed answers."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.targets.reading import read
from wsgate.config.model import RedirectTarget, RespondTarget
from wsgate.targets.fixed import REDIRECT_STATUSES, Redirect, Respond, slash_answer


def location(url: str, host: str = "example.org", path: bytes = b"/a/b", query: bytes = b"x=1") -> str:
    return read(Redirect(RedirectTarget(301, url)).answer(host, path, query)).headers["Location"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://$host$path$query", "https://example.org/a/b?x=1"),
        ("https://$host:8443$path$query", "https://example.org:8443/a/b?x=1"),
        ("https://www.$host/new$path", "https://www.example.org/new/a/b"),
        ("https://example.net", "https://example.net"),
        ("https://example.net$query", "https://example.net?x=1"),
        ("//cdn.example.net$path", "//cdn.example.net/a/b"),
        ("/new", "/new"),
        ("/new$path", "/new/a/b"),
        ("$path/", "/a/b/"),
        ("/login?from=$path&$query", "/login?from=/a/b&x=1"),
        ("/$path", "/a/b"),
        ("/grüße?a=%20", "/gr%C3%BC%C3%9Fe?a=%20"),
    ],
)
def test_variables_are_replaced(url: str, expected: str) -> None:
    assert location(url) == expected


def test_an_empty_query_leaves_no_mark_behind() -> None:
    assert location("https://$host$path$query", query=b"") == "https://example.org/a/b"
    assert location("/login?$query", query=b"") == "/login"
    assert location("/login?a=1&$query", query=b"") == "/login?a=1"


def test_an_ipv6_host_gets_its_brackets() -> None:
    assert location("https://$host:8443/", host="2001:db8::1") == "https://[2001:db8::1]:8443/"
    assert location("https://$host/", host="::ffff:192.0.2.1") == "https://[::ffff:192.0.2.1]/"


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "a?b", "a\r\nX: y", "a\\b", "é", "a:1", "[::1]"])
def test_a_host_that_is_none_is_a_bad_request_where_it_would_be_used(host: str) -> None:
    assert read(Redirect(RedirectTarget(301, "https://$host/")).answer(host, b"/", b"")).status == 400
    assert read(Redirect(RedirectTarget(301, "https://example.org$path")).answer(host, b"/", b"")).status == 301


@pytest.mark.parametrize("status", sorted(REDIRECT_STATUSES))
def test_the_status_is_the_one_of_the_configuration(status: int) -> None:
    reply = read(Redirect(RedirectTarget(status, "/x")).answer("h", b"/", b""))
    assert (reply.status, reply.body) == (status, b"")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "new",
        "$host/x",
        "$query",
        "https://$path",
        "https:///x",
        "https:/x",
        "mailto:x",
        "https://a b/",
        "/a\r\nX: y",
        "/a b",
        "/$uri",
        "/${path}",
        "/price$",
        "/$paths",
    ],
)
def test_a_url_that_the_client_could_bend_or_nobody_can_read_is_an_error(url: str) -> None:
    with pytest.raises(ValueError):
        Redirect(RedirectTarget(301, url))


def test_a_status_that_is_no_redirect_is_an_error() -> None:
    with pytest.raises(ValueError, match="200: expected one of 301, 302, 303, 307, 308"):
        Redirect(RedirectTarget(200, "/x"))


PIECES = (b"/", b"\\", b"evil.com", b"\r\n", b"$host", b"%0d%0a", b"?", b"#", b"@", b":")
HOSTILE = st.one_of(st.binary(max_size=20), st.lists(st.sampled_from(PIECES)).map(b"".join))


@pytest.mark.parametrize("url", ["$path$query", "/$path$query", "/x$path?q=$query", "https://good.org$path$query"])
@given(path=HOSTILE, query=HOSTILE)
@example(path=b"//evil.com", query=b"")
@example(path=b"/\\evil.com", query=b"")
@example(path=b"@evil.com", query=b"\r\nSet-Cookie: a=b")
def test_no_path_or_query_leads_elsewhere_or_adds_a_header(url: str, path: bytes, query: bytes) -> None:
    answer = Redirect(RedirectTarget(302, url)).answer("good.org", path, query)
    value = dict(answer.headers)[b"Location"]
    assert all(0x21 <= byte <= 0x7E and byte not in b'"<>\\^`{|}#' for byte in value)
    assert urlsplit(urljoin("https://good.org/", value.decode())).netloc == "good.org"
    assert not value.startswith(b"//")


def test_a_value_is_not_searched_for_variables_again() -> None:
    assert location("/x$path", path=b"/$query") == "/x/$query"


class TestSlash:
    @pytest.mark.parametrize(
        ("path", "query", "expected"),
        [
            (b"/chat", b"", "./chat/"),
            (b"/a/b%20c", b"x=1&y", "./b%20c/?x=1&y"),
            (b"/evil:80", b"", "./evil:80/"),
            (b"//evil.com", b"", "./evil.com/"),
            (b"/a\r\nb", b"\r\n", "./a%0D%0Ab/?%0D%0A"),
        ],
    )
    def test_the_location_is_relative_to_the_last_segment(self, path: bytes, query: bytes, expected: str) -> None:
        assert read(slash_answer("GET", path, query)).headers["Location"] == expected

    def test_methods_with_a_body_keep_it(self) -> None:
        assert [slash_answer(method, b"/a", b"").status for method in ("GET", "HEAD", "POST")] == [301, 301, 308]

    @given(HOSTILE, HOSTILE)
    def test_no_path_leads_to_another_host(self, path: bytes, query: bytes) -> None:
        value = dict(slash_answer("GET", path, query).headers)[b"Location"].decode()
        assert urlsplit(urljoin("https://good.org/a/b", value)).netloc == "good.org"


class TestRespond:
    def test_status_and_text_are_those_of_the_configuration(self) -> None:
        reply = read(Respond(RespondTarget(503, "back soon")).answer())
        assert (reply.status, reply.body) == (503, b"back soon")
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"

    def test_a_status_without_body_has_none(self) -> None:
        assert read(Respond(RespondTarget(204, "")).answer()) == (204, {}, None)
