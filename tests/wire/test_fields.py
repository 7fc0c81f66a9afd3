"""Fields: what crosses the gateway, and heads that nothing can break out of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.wire.fields import (
    HOP_BY_HOP,
    Fields,
    HeadError,
    encode_block,
    encode_request,
    encode_response,
    end_to_end,
    tokens,
)
from wsgate.wire.heads import parse_request, parse_response

HANDSHAKE = [b"Key", b"Version", b"Protocol", b"Extensions", b"Accept", b"Key1", b"Other"]


def test_tokens() -> None:
    assert tokens([b"a, B ,,\tc\t", b"", b"D"]) == [b"a", b"b", b"c", b"d"]
    assert tokens([]) == []


def test_end_to_end_keeps_spelling_and_order() -> None:
    fields = [(b"hOST", b"a"), (b"Cookie", b"b=c"), (b"X-2", b"2"), (b"cookie", b"d=e"), (b"X-1", b"")]
    assert end_to_end(fields) == fields
    assert end_to_end(fields, request=False) == fields


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_end_here(name: bytes) -> None:
    fields = [(b"A", b"1"), (name.title(), b"x"), (name.upper(), b"x"), (b"B", b"2")]
    for request in (True, False):
        assert end_to_end(fields, request) == [(b"A", b"1"), (b"B", b"2")]


def test_nominated_fields_end_here() -> None:
    fields = [(b"X-Hop", b"1"), (b"Connection", b"close, x-hop"), (b"X-Stay", b"2"), (b"CONNECTION", b"X-Hop2 , ,")]
    fields += [(b"x-hop2", b"3"), (b"X-Hop2", b"4")]
    for request in (True, False):
        assert end_to_end(fields, request) == [(b"X-Stay", b"2")]


@pytest.mark.parametrize(
    "name",
    [
        *(b"Host", b"Authorization", b"Cookie", b"Set-Cookie", b"Origin", b"Forwarded", b"X-Real-IP"),
        *(b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Anything", b"Content-Length", b"Content-Type"),
    ],
)
def test_a_nomination_cannot_remove_what_servers_decide_by(name: bytes) -> None:
    fields = [(name, b"x")]
    for request in (True, False):
        assert end_to_end([*fields, (b"Connection", b"Upgrade, " + name.lower())], request) == fields


@pytest.mark.parametrize("name", HANDSHAKE)
def test_handshake_fields_end_here(name: bytes) -> None:
    """A server must not upgrade on what the gateway took for a plain request."""
    assert end_to_end([(b"Sec-WebSocket-" + name, b"7"), (b"sec-websocket-" + name.lower(), b"7")]) == []


def test_an_answer_keeps_only_the_versions_a_server_speaks() -> None:
    fields = [(b"Sec-WebSocket-" + name, b"13") for name in HANDSHAKE]
    assert end_to_end(fields, request=False) == [(b"Sec-WebSocket-Version", b"13")]


def test_other_sec_fields_stay() -> None:
    fields = [(b"Sec-Fetch-Mode", b"websocket"), (b"Sec-CH-UA", b"x")]
    assert end_to_end(fields) == fields


@pytest.mark.parametrize("name", [b"X_Forwarded-For", b"X_Forwarded_For", b"A.B", b"A~", b"A!", b"_", b"A'B", b"A+B"])
def test_odd_names_do_not_reach_a_server(name: bytes) -> None:
    """Servers behind CGI-like interfaces take them for other names; to a client they may go."""
    fields = [(b"A-1", b"1"), (name, b"x"), (b"B", b"2")]
    assert end_to_end(fields) == [(b"A-1", b"1"), (b"B", b"2")]
    assert end_to_end(fields, request=False) == fields


def test_proxy_does_not_reach_a_server() -> None:
    assert end_to_end([(b"Proxy", b"http://evil")]) == []
    assert end_to_end([(b"Proxy", b"x")], request=False) == [(b"Proxy", b"x")]


_name = st.sampled_from([b"Connection", b"X-A", b"x-b", b"Upgrade", b"TE", b"A_B", b"Cookie", b"Sec-WebSocket-Key"])
_value = st.sampled_from([b"x-a", b"X-B, cookie", b"upgrade", b"", b"close,"])
_fields = st.lists(st.tuples(_name, _value), max_size=8)


@given(_fields, st.booleans())
def test_end_to_end_laws(fields: Fields, request: bool) -> None:
    """What is kept is a part of what was there, in order; doing it twice changes nothing."""
    kept = end_to_end(fields, request)
    rest = iter(fields)
    assert all(field in rest for field in kept)
    assert end_to_end(kept, request) == kept
    assert not {name.lower() for name, _ in kept} & HOP_BY_HOP


def test_encode_request() -> None:
    assert encode_request(b"GET", b"/a?b", [(b"Host", b"a"), (b"X", b"")]) == (
        b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    )


def test_encode_response() -> None:
    assert encode_response(200, b"OK", [(b"A", b"b")]) == b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    assert encode_response(204, b"", []) == b"HTTP/1.1 204 \r\n\r\n"


@pytest.mark.parametrize("evil", [b"\r\n", b"\n", b"\r", b"\0", b"x\r\nSet-Cookie: a", b"\r\n\r\nGET / HTTP/1.1"])
def test_nothing_breaks_out_of_a_head(evil: bytes) -> None:
    attempts = [
        lambda: encode_request(b"GET", b"/", [(b"A", evil)]),
        lambda: encode_request(b"GET", b"/", [(evil, b"a")]),
        lambda: encode_request(b"GET", evil, []),
        lambda: encode_request(evil, b"/", []),
        lambda: encode_response(200, b"OK", [(b"A", evil)]),
        lambda: encode_response(200, evil, []),
        lambda: encode_block(evil + b"\r\n", []),
    ]
    for attempt in attempts:
        with pytest.raises(HeadError) as refusal:
            attempt()
        assert refusal.value.cause is Cause.INTERNAL


@pytest.mark.parametrize(
    ("method", "target"),
    [(b"GET", b"/a b"), (b"GET", b"/ HTTP/1.1"), (b"GE T", b"/"), (b"", b"/"), (b"GET", b"")],
)
def test_a_request_line_has_three_parts(method: bytes, target: bytes) -> None:
    with pytest.raises(HeadError) as refusal:
        encode_request(method, target, [])
    assert refusal.value.cause is Cause.INTERNAL


_plain_name = st.from_regex(rb"\AX-[A-Za-z0-9-]{1,8}\Z")
_plain_value = st.from_regex(rb"\A(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,8}[!-~\x80-\xff])?)?\Z")
_plain = st.lists(st.tuples(_plain_name, _plain_value), max_size=5)


@given(_plain)
def test_what_is_written_reads_back(fields: Fields) -> None:
    """Law: decode(encode(x)) = x."""
    fields = [(b"Host", b"a"), *fields]
    assert parse_request(encode_request(b"PUT", b"/x", fields), 9).fields == fields
    assert parse_response(encode_response(200, b"OK", fields), 9, b"GET").fields == fields
