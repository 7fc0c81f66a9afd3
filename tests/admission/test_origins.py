"""Who may open a WebSocket: whole origins, never parts of names."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgate.admission.origins import Origin, OriginPolicy, parse_origin

GOOD = ("https://good.example", "http://localhost:8080", "https://[2001:DB8::1]:8443", "chrome-extension://abcdef")


def admits(
    origins: tuple[str, ...],
    origin: str | None,
    *,
    several: bool = False,
    scheme: str = "https",
    authority: str = "gate.example",
    cookie: bool = True,
) -> bool:
    value = origin.encode() if origin is not None else None
    return OriginPolicy(origins).admits(value, several, scheme, authority.encode(), cookie)


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.example",
        "https://GOOD.example",
        "HTTPS://good.example:443",
        "http://localhost:8080",
        "https://[2001:db8:0::1]:8443",
        "chrome-extension://abcdef",
    ],
)
def test_a_listed_origin_passes_however_it_is_spelt(origin: str) -> None:
    assert admits(GOOD, origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil",
        "https://good.example.evil.com",
        "https://good.evil.com",
        "https://evilgood.example",
        "https://sub.good.example",
        "https://good.example.",
        "https://good.example:8443",
        "http://good.example",
        "http://good.example:443",
        "https://good.example:80",
        "https://good.example:0",
        "https://good.example:65979",
        "https://good.example:",
        "https://good.example/",
        "https://good.example/x",
        "https://good.example?x",
        "https://good.example#x",
        "https://good.example@evil.com",
        "https://user@good.example",
        "https://evil.com\\.good.example",
        "https://good.example https://evil.com",
        "https://evil.com, https://good.example",
        " https://good.example",
        "https://good.example\n",
        "https://good.exämple",
        "https://[2001:db8::2]:8443",
        "https://[::::]:8443",
        "//good.example",
        "good.example",
        "null",
        "NULL",
        "any",
        "same",
        "",
        "*",
    ],
)
def test_anything_that_is_not_listed_as_a_whole_is_refused(origin: str) -> None:
    assert not admits(GOOD, origin)


@pytest.mark.parametrize("origins", [(), ("any",), ("same",), ("null",), GOOD, ("any", "null", "same")])
def test_two_origin_fields_are_refused_and_no_origin_passes(origins: tuple[str, ...]) -> None:
    assert not admits(origins, "https://gate.example", several=True, cookie=False)
    assert admits(origins, None)


class TestNull:
    @pytest.mark.parametrize("origins", [(), ("any",), ("same",), GOOD])
    @pytest.mark.parametrize("cookie", [False, True])
    def test_null_is_refused_unless_it_is_listed(self, origins: tuple[str, ...], cookie: bool) -> None:
        assert not admits(origins, "null", cookie=cookie)

    def test_null_passes_where_it_is_listed_and_brings_no_other_along(self) -> None:
        assert admits(("null",), "null")
        assert not admits(("null",), "https://gate.example")
        assert admits(("null", "any"), "null")


class TestSame:
    @pytest.mark.parametrize(
        ("origin", "scheme", "authority"),
        [
            ("https://gate.example", "https", "gate.example"),
            ("https://gate.example", "https", "GATE.example:443"),
            ("https://gate.example:443", "https", "gate.example"),
            ("http://gate.example:8080", "http", "gate.example:8080"),
            ("http://[::1]:8080", "http", "[0:0::1]:8080"),
            ("https://gate.example", "wss", "gate.example"),
            ("http://gate.example", "ws", "gate.example"),
        ],
    )
    def test_scheme_host_and_port_are_those_of_the_request(self, origin: str, scheme: str, authority: str) -> None:
        assert admits(("same",), origin, scheme=scheme, authority=authority)

    @pytest.mark.parametrize(
        ("origin", "scheme", "authority"),
        [
            ("http://gate.example", "https", "gate.example"),
            ("https://gate.example:8443", "https", "gate.example"),
            ("https://gate.example", "https", "gate.example:8443"),
            ("https://www.gate.example", "https", "gate.example"),
            ("https://gate.example", "https", "x@gate.example"),
            ("https://gate.example", "https", ""),
            ("", "https", ""),
            ("x", "https", "x y"),
        ],
    )
    def test_another_scheme_host_or_port_is_refused(self, origin: str, scheme: str, authority: str) -> None:
        assert not admits(("same",), origin, scheme=scheme, authority=authority)

    def test_same_and_a_list_add_up(self) -> None:
        origins = (*GOOD, "same")
        assert admits(origins, "https://gate.example")
        assert admits(origins, "https://good.example")
        assert not admits(origins, "https://evil.example")


def test_any_takes_every_single_origin() -> None:
    assert admits(("any",), "https://evil.example")
    assert admits(("any",), "strange")


def test_without_a_list_a_cookie_asks_for_the_same_origin() -> None:
    assert admits((), "https://gate.example")
    assert not admits((), "https://evil.example")
    assert admits((), "https://evil.example", cookie=False)


@pytest.mark.parametrize(
    "entry", ["", "example.org", "https://example.org/", "https://*.example.org", "Any", "https://é.org", "https://a:0"]
)
def test_an_entry_that_is_no_origin_is_an_error_that_names_it(entry: str) -> None:
    with pytest.raises(ValueError, match="expected any, same, null or an origin") as error:
        OriginPolicy((entry,))
    assert str(error.value).startswith(entry)


def test_an_origin_has_scheme_host_and_port() -> None:
    assert parse_origin(b"HTTPS://Example.org") == Origin("https", "example.org", 443)
    assert parse_origin(b"http://example.org") == Origin("http", "example.org", 80)
    assert parse_origin(b"app://localhost") == Origin("app", "localhost", 0)


NEAR = st.lists(
    st.sampled_from(
        ["https://", "http://", "good.example", "evil.com", ".", ":443", ":80", "@", "/", "null", " ", "\0"]
    ),
    max_size=6,
).map("".join)


@given(st.one_of(NEAR.map(str.encode), st.binary(max_size=40)), st.booleans())
@example(b"https://good.example:443", True)
def test_what_passes_a_list_is_one_of_the_list(origin: bytes, cookie: bool) -> None:
    policy = OriginPolicy(("https://good.example", "http://localhost:8080"))
    if policy.admits(origin, False, "https", b"gate.example", cookie):
        parts = urlsplit(origin.decode("ascii"))
        assert (parts.scheme, parts.hostname, parts.port or 443) in {
            ("https", "good.example", 443),
            ("http", "localhost", 8080),
        }
        assert not parts.path and not parts.query and not parts.fragment and parts.username is None
        assert len(origin) <= len("https://good.example:00443")
