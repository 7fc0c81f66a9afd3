"""Each kind of key is taken from where it stands, and is None where it is missing."""

from __future__ import annotations

import pytest

from wsgate.balance.keys import Facts, balance_key, cookies
from wsgate.balance.method import parse_balance

FACTS = Facts(
    client="192.0.2.7",
    host="chat.example.org",
    path="/chat/grün",
    query=b"?room=a%20b&room=2&empty=&=x",
    fields=[
        (b"X-User", b"alice"),
        (b"Cookie", b'theme=dark; session="s1"'),
        (b"x-user", b"bob"),
        (b"cookie", b"session=s2; sessions=no"),
    ],
)


@pytest.mark.parametrize(
    ("balance", "key"),
    [
        ("hash client", b"192.0.2.7"),
        ("hash host", b"chat.example.org"),
        ("hash path", "/chat/grün".encode()),
        ("hash header x-USER", b"alice, bob"),
        ("hash header X-Other", None),
        ("hash cookie session", b"s1"),
        ("hash cookie Session", None),
        ("hash argument room", b"a%20b"),
        ("hash argument empty", b""),
        ("hash argument other", None),
        ("round_robin", None),
        ("least_conn", None),
    ],
)
def test_the_key_is_what_the_option_names(balance: str, key: bytes | None) -> None:
    assert balance_key(parse_balance(balance), FACTS) == key


def test_layer_4_has_a_client_and_no_request() -> None:
    facts = Facts("2001:db8::1")
    assert balance_key(parse_balance("hash client"), facts) == b"2001:db8::1"
    for request in ("path", "host"):
        assert balance_key(parse_balance(f"hash {request}"), facts) == b""
    for request in ("header A", "cookie a", "argument a"):
        assert balance_key(parse_balance(f"hash {request}"), facts) is None


def test_all_cookies_of_a_name_are_found_in_order() -> None:
    assert list(cookies(FACTS.fields, b"session")) == [b"s1", b"s2"]
