"""The choice of a certificate, by values alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.tls.server_names import UNRECOGNIZED_NAME, ServerIdentity, ServerNames, UnknownNames

ECDSA, ED25519, RSA_PSS, RSA_PKCS1 = 0x0403, 0x0807, 0x0804, 0x0401
BROWSER = (ECDSA, RSA_PSS, RSA_PKCS1, 0x0503, 0x0805)
_KINDS = {
    "ecdsa": (0, frozenset({ECDSA})),
    "ed25519": (1, frozenset({ED25519})),
    "rsa": (2, frozenset({RSA_PSS, RSA_PKCS1})),
}


def identity(section: str, *names: str, kind: str = "ecdsa") -> ServerIdentity:
    rank, signatures = _KINDS[kind]
    nothing = cast(Any, SimpleNamespace())
    return ServerIdentity(section, names, signatures, rank, nothing, nothing)


SITE = identity("site", "example.org", "www.example.org")
WILD = identity("wild", "*.example.org", "*.example.net")
API = identity("api", "api.example.org")


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("example.org", "site"),
        ("www.example.org", "site"),
        ("api.example.org", "api"),
        ("API.Example.ORG", "api"),
        ("api.example.org.", "api"),
        ("chat.example.org", "wild"),
        ("chat.example.net", "wild"),
        # One label only, and none is no label.
        ("a.chat.example.net", "site"),
        ("example.net", "site"),
        (".example.net", "wild"),
        ("*.example.net", "wild"),
        # Unknown: the first of the listener.
        ("other.example", "site"),
        ("localhost", "site"),
        ("", "site"),
        ("org", "site"),
        ("192.0.2.1", "site"),
        ("x" * 255, "site"),
        (None, "site"),
    ],
)
def test_exact_before_wildcard_before_the_default(name: str | None, section: str) -> None:
    chosen = ServerNames([SITE, WILD, API]).choose(name, BROWSER)
    assert chosen is not None
    assert chosen.section == section


@pytest.mark.parametrize("name", ["other.example", "", "a.chat.example.net", "192.0.2.1", "example.org\0.evil.example"])
def test_unknown_names_can_be_refused(name: str) -> None:
    names = ServerNames([SITE, WILD, API], UnknownNames.REFUSE)
    assert names.choose(name, BROWSER) is None
    assert names.choose("chat.example.org", BROWSER) is WILD


def test_no_name_is_not_an_unknown_one() -> None:
    assert ServerNames([SITE, WILD], UnknownNames.REFUSE).choose(None, BROWSER) is SITE


def test_of_two_sections_with_one_name_the_first_of_the_listener_serves() -> None:
    twin = identity("twin", "example.org", "twin.example")
    names = ServerNames([SITE, twin])
    assert names.choose("example.org", BROWSER) is SITE
    assert names.choose("twin.example", BROWSER) is twin


def test_a_listener_without_sections_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs a section"):
        ServerNames([])


def test_the_sections_are_listed_in_order() -> None:
    assert ServerNames([API, SITE]).identities == (API, SITE)


# Several kinds of keys for one name


RSA = identity("rsa", "example.org", "www.example.org", kind="rsa")
ED = identity("ed", "example.org", "www.example.org", kind="ed25519")


@pytest.mark.parametrize("order", [[SITE, RSA, ED], [RSA, ED, SITE], [ED, RSA, SITE]])
@pytest.mark.parametrize("name", ["example.org", None, "unknown.example"])
@pytest.mark.parametrize(
    ("algorithms", "section"),
    [
        (BROWSER, "site"),
        ((RSA_PSS, ECDSA), "site"),
        ((RSA_PSS, RSA_PKCS1), "rsa"),
        ((ED25519, RSA_PSS), "ed"),
        ((0x0201, 0x0203), "rsa"),
        ((), "rsa"),
    ],
)
def test_the_cheapest_key_that_the_client_takes(
    order: list[ServerIdentity], name: str | None, algorithms: tuple[int, ...], section: str
) -> None:
    chosen = ServerNames(order).choose(name, algorithms)
    assert chosen is not None
    assert chosen.section == section


@pytest.mark.parametrize(
    ("suites", "section"),
    [
        ("c02b c02f", "site"),
        ("c02f c030", "rsa"),
        ("cca8", "rsa"),
        ("cca9 c02f", "site"),
        ("009c", "rsa"),
        ("", "site"),
    ],
)
def test_a_client_of_tls_1_2_gets_the_key_that_its_suites_are_for(suites: str, section: str) -> None:
    """It may be able to verify ECDSA and offer suites with RSA alone (RFC 5289)."""
    chosen = ServerNames([SITE, RSA]).choose("example.org", BROWSER, bytes.fromhex(suites))
    assert chosen is not None
    assert chosen.section == section


def test_a_single_section_serves_whatever_the_client_offers() -> None:
    assert ServerNames([SITE]).choose("example.org", ()) is SITE


def test_the_default_is_never_another_site_because_of_its_key() -> None:
    other = identity("other", "other.example", kind="rsa")
    assert ServerNames([SITE, other]).choose(None, (RSA_PSS,)) is SITE


# Requests on a connection that was chosen for another name


@pytest.mark.parametrize(
    ("given_to", "host", "served"),
    [
        (SITE, "example.org", True),
        (SITE, "WWW.example.org.", True),
        (SITE, "api.example.org", False),
        (WILD, "chat.example.org", True),
        (WILD, "api.example.org", False),
        # No server name is sent for addresses, and unknown names got the default.
        (SITE, "127.0.0.1", True),
        (SITE, "[::1]", True),
        (SITE, "other.example", True),
        (API, "127.0.0.1", False),
        (API, "other.example", False),
    ],
)
def test_a_host_belongs_to_the_section_it_would_have_chosen(given_to: ServerIdentity, host: str, served: bool) -> None:
    assert ServerNames([SITE, WILD, API]).serves(given_to, host) is served


def test_refused_names_belong_nowhere_and_addresses_to_the_default() -> None:
    names = ServerNames([SITE, API], UnknownNames.REFUSE)
    assert not names.serves(SITE, "other.example")
    assert names.serves(SITE, "192.0.2.1")


@pytest.mark.parametrize("given_to", [SITE, RSA])
def test_the_kind_of_key_makes_no_difference_to_requests(given_to: ServerIdentity) -> None:
    assert ServerNames([SITE, RSA]).serves(given_to, "www.example.org")


@given(st.text(max_size=300), st.lists(st.integers(0, 0xFFFF)))
def test_any_name_gets_an_identity_that_serves_it(name: str, algorithms: list[int]) -> None:
    names = ServerNames([SITE, RSA, WILD, API])
    chosen = names.choose(name, algorithms)
    assert chosen is not None
    assert names.serves(chosen, name)


def test_the_alert_is_a_whole_record() -> None:
    """RFC 8446 section 5.1: alert record, two bytes; section 6: fatal (2), unrecognized_name (112)."""
    assert bytes([21, 3, 3, 0, 2, 2, 112]) == UNRECOGNIZED_NAME
