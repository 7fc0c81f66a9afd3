"""Hosts as they are compared with routes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.wire.authority import host_of
from wsgate.wire.fields import HeadError


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"example.org", "example.org"),
        (b"EXAMPLE.Org:8080", "example.org"),
        (b"example.org.", "example.org"),
        (b"example.org.:443", "example.org"),
        (b"example.org:", "example.org"),
        (b"localhost", "localhost"),
        (b"my_app-1", "my_app-1"),
        (b"127.0.0.1:0", "127.0.0.1"),
        (b"a:65535", "a"),
        (b"a" * 253, "a" * 253),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"[::1]", "::1"),
        (b"[2001:DB8:0:0::1]:443", "2001:db8::1"),
    ],
)
def test_hosts(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        *(b"", b".", b"..", b"a..b", b".a", b"a..", b":80", b"a:b", b"a:80:80", b"a:65536", b"a:123456", b"a:-1"),
        *(b"a b", b"a/b", b"a?b", b"a#b", b"a@b", b"a,b", b"a;b", b"a%62", b"<h1>", b'"a"', b"a\\b", b"a\0", b"a\n"),
        *(b"a" * 254, b"\xc3\xa4.example", b"*.example", b"::1", b"[::1", b"::1]", b"[]", b"[:::1]", b"[1.2.3.4]"),
        *(b"[fe80::1%25eth0]", b"[::1]x", b"[::1]:x", b"[" + b":" * 45 + b"]"),
    ],
    ids=repr,
)
def test_what_is_no_host(authority: bytes) -> None:
    with pytest.raises(HeadError) as refusal:
        host_of(authority)
    assert refusal.value.cause is Cause.BAD_REQUEST


@given(st.text("aB.:[]0-_%", max_size=12) | st.text(max_size=6))
def test_nothing_but_a_plain_name_comes_out(text: str) -> None:
    """Law: a host holds no sign that means something in a URI, a field, a log or a pattern; and it is its own host."""
    try:
        host = host_of(text.encode())
    except HeadError:
        return
    assert host == host.lower()
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")
    assert host_of(f"[{host}]".encode() if ":" in host else host.encode()) == host
