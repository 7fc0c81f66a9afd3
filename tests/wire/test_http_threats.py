"""Known attacks on HTTP/1 proxies, one row each: what the codecs make of their bytes.

`Sent` is what a server would get of an accepted request; whether bytes behind a head wait, and whether a connection
closes, is for the rooms that have connections.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.wire.http_feeding import bytewise
from wsgate.causes import Cause
from wsgate.wire.fields import Fields, HeadError, encode_request, end_to_end
from wsgate.wire.forwarding import forwarded_fields
from wsgate.wire.heads import parse_request
from wsgate.wire.http_body import BodyReader
from wsgate.wire.http_head import RequestReader, ResponseReader
from wsgate.wire.paths import parse_target
from wsgate.wire.ws_handshake import check_answer, check_upgrade, upgrade_fields

KEY = b"x3JJHMbDL1EzLkh9GBhXDw=="
ACCEPT = b"Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk="
HOST = b"Host: gateway"
SWITCH = b"Upgrade: websocket\r\nConnection: Upgrade"
HANDSHAKE = SWITCH + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY


class Sent(NamedTuple):
    """What one server gets for one client's bytes, and what of these is kept back."""

    path: str
    head: bytes
    body: bytes
    behind: bytes

    @property
    def fields(self) -> Fields:
        return parse_request(self.head, 100).fields

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]


def received(line: bytes, *fields: bytes, host: bytes = HOST) -> bytes:
    return b"\r\n".join([line, *filter(None, [host]), *fields]) + b"\r\n\r\n"


def sent(stream: bytes) -> Sent | Cause:
    """Read one request as the gateway does; the cause where it is refused.  Cutting the stream changes nothing."""
    whole = _sent([stream])
    assert _sent(bytewise(stream)) == whole
    return whole


def _sent(chunks: list[bytes]) -> Sent | Cause:
    reader = RequestReader(16384, 100)
    try:
        waiting = iter(chunks)
        head = None
        while head is None:
            head = reader.feed(next(waiting))
        target = parse_target(head.target)
        fields = end_to_end(head.fields)
        if head.upgrade:
            fields = upgrade_fields(fields, check_upgrade(head))
        fields = forwarded_fields("192.0.2.1", False, head.authority, 80, fields, False)
        body = BodyReader(head.framing)
        data = b"".join(bytes(piece) for chunk in [reader.take_rest(), *waiting] for piece in body.feed(chunk))
        return Sent(target.path, encode_request(head.method, target.origin_form, fields), data, body.rest)
    except HeadError as error:
        return error.cause


def asking(*fields: bytes, target: bytes = b"/ws", handshake: bytes = HANDSHAKE) -> bytes:
    """A WebSocket handshake, and what is wrong about it."""
    return received(b"GET " + target + b" HTTP/1.1", handshake, *fields)


def post(*fields: bytes) -> bytes:
    return received(b"POST / HTTP/1.1", *fields)


def get(target: bytes, *fields: bytes) -> bytes:
    return received(b"GET " + target + b" HTTP/1.1", *fields)


CHUNKED = post(b"Transfer-Encoding: chunked")
TWO_PROTOCOLS = HANDSHAKE.replace(b": websocket", b": websocket, h2c")
BAD, METHOD = Cause.BAD_REQUEST, Cause.METHOD

REFUSED = [
    # Smuggling through Upgrade and CONNECT.
    ("tunnel on intent", asking(handshake=HANDSHAKE.replace(b"13", b"777")) + get(b"/x"), Cause.UPGRADE_REQUIRED),
    ("POST that upgrades", received(b"POST /api/health?u=evil HTTP/1.1", HANDSHAKE), METHOD),
    ("upgrade with a body", asking(b"Content-Length: 9"), BAD),
    ("CONNECT", received(b"CONNECT x:80 HTTP/1.1"), METHOD),
    ("CONNECT with early data", received(b"CONNECT x:80 HTTP/1.1", b"Content-Length: 5") + b"early", METHOD),
    ("close-delimited chunks of 1.0", received(b"GET / HTTP/1.0", b"Transfer-Encoding: chunked"), BAD),
    ("upgrade with a fragment", asking(target=b"/ws#x"), BAD),
    ("upgrade to two protocols", asking(handshake=TWO_PROTOCOLS), BAD),
    ("upgrade with two origins", asking(b"Origin: http://a", b"Origin: http://b"), BAD),
    ("short key", asking(handshake=HANDSHAKE.replace(KEY, b"dGVzdA==")), BAD),
    # Two readings of one head.
    ("length and chunks", post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), BAD),
    ("two lengths", post(b"Content-Length: 0", b"Content-Length: 5"), BAD),
    ("length with plus", post(b"Content-Length: +5"), BAD),
    ("length in hexadecimal", post(b"Content-Length: 0x5"), BAD),
    ("empty name", get(b"/", b": y"), BAD),
    ("request in the method", received(b"GET /admin? HTTP/1.1 /static HTTP/1.1"), BAD),
    ("fragment", get(b"/a#b"), BAD),
    ("bare LF in a value", get(b"/", b"A: b\nC: d"), BAD),
    ("bare CR in a value", get(b"/", b"A: b\rC: d"), BAD),
    ("markup in Host", received(b"GET / HTTP/1.1", host=b"Host: <h1>"), BAD),
    ("folded line", get(b"/", b"A: b", b" c"), BAD),
    ("no Host", received(b"GET / HTTP/1.1", host=b""), BAD),
    ("two Hosts", get(b"/", HOST), BAD),
    # Chunks.
    ("LF in a chunk extension", CHUNKED + b"1;a\nb\r\nx\r\n0\r\n\r\n", BAD),
    ("chunk longer than its size", CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", BAD),
    ("chunk size with a plus", CHUNKED + b"+1\r\nx\r\n0\r\n\r\n", BAD),
    ("length in a trailer", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", BAD),
    # Paths with two readings.
    ("encoded slash behind dots", get(b"/pub/..%2fadmin"), BAD),
    ("parameter behind dots", get(b"/pub/..;x=1/admin"), BAD),
    ("parameter behind dots, inside", get(b"/user/..;foo=bar/admin"), BAD),
    ("encoded dots", get(b"/pub/%2e%2e/admin"), BAD),
    ("encoded backslash", get(b"/pub/..%5Cadmin"), BAD),
    ("backslash", get(b"/pub\\..\\admin"), BAD),
    ("encoded NUL", get(b"/admin%00.png"), BAD),
    ("double decoding", get(b"/%%36%36"), BAD),
]


@pytest.mark.parametrize(("stream", "cause"), [pytest.param(raw, cause, id=name) for name, raw, cause in REFUSED])
def test_refused(stream: bytes, cause: Cause) -> None:
    """No server gets a byte of it."""
    assert sent(stream) is cause


def accepted(stream: bytes) -> Sent:
    result = sent(stream)
    assert isinstance(result, Sent), result
    return result


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"//admin", "/admin"), (b"/%61dmin", "/admin"), (b"/pub/./admin", "/pub/admin"), (b"/pub/../admin", "/admin")],
)
def test_a_path_is_matched_as_a_server_reads_it(target: bytes, path: str) -> None:
    assert accepted(received(b"GET " + target + b" HTTP/1.1")).path == path


def test_bytes_behind_a_handshake_are_no_part_of_it() -> None:
    """They stay with the gateway until the server's 101."""
    hidden = b"GET /admin HTTP/1.1\r\nHost: gateway\r\n\r\n"
    result = accepted(received(b"GET /ws HTTP/1.1", HANDSHAKE) + hidden)
    assert b"/admin" not in result.head
    assert (result.body, result.behind) == (b"", hidden)


def test_a_second_request_is_no_part_of_the_first() -> None:
    second = received(b"GET /b HTTP/1.1")
    result = accepted(received(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n" + second)
    assert (result.body, result.behind) == (b"abc", second)


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_other_upgrades_go_on_without_their_wish(body: bytes) -> None:
    """h2c smuggling: the server must not open HTTP/2 past the routes; the request is served as it is."""
    lines = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"]
    length = b"Content-Length: %d" % len(body)
    result = accepted(received(b"POST / HTTP/1.1", *lines, length) + body + b"PRI * HTTP/2.0\r\n\r\n")
    for name in ("Connection", "Upgrade", "HTTP2-Settings"):
        assert result.values(name) == []
    assert result.body == body
    assert result.behind == b"PRI * HTTP/2.0\r\n\r\n"


def test_handshake_fields_without_an_upgrade_are_stripped() -> None:
    """A server that upgrades on Sec-WebSocket-Version alone would leave the gateway thinking of HTTP."""
    lines = [b"Sec-WebSocket-Version: 7", b"Sec-WebSocket-Key1: x", b"Sec-WebSocket-Key: " + KEY, b"Upgrade: websocket"]
    assert b"websocket" not in accepted(received(b"GET / HTTP/1.1", *lines)).head.lower()


def test_connection_cannot_remove_our_own_fields() -> None:
    lines = [
        HANDSHAKE.replace(b": Upgrade", b": Upgrade, X-Forwarded-For, Host, Cookie, X-Drop"),
        b"Cookie: a=b",
        b"X-Drop: 1",
    ]
    result = accepted(received(b"GET /ws HTTP/1.1", *lines))
    assert result.values("X-Forwarded-For") == [b"192.0.2.1"]
    assert result.values("Host") == [b"gateway"]
    assert result.values("Cookie") == [b"a=b"]
    assert result.values("X-Drop") == []
    assert result.values("Connection") == [b"Upgrade"]


def test_origin_goes_on_unchanged() -> None:
    origin = b"https://evil.example"
    assert accepted(received(b"GET /ws HTTP/1.1", HANDSHAKE, b"Origin: " + origin)).values("Origin") == [origin]


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"X_Forwarded_For", b"x-forwarded_for", b"Forwarded", b"X-Real-IP"]
)
def test_forged_addresses_do_not_reach_a_server(name: bytes) -> None:
    result = accepted(received(b"GET / HTTP/1.1", name + b": 1.2.3.4"))
    assert b"1.2.3.4" not in result.head
    assert result.values("X-Forwarded-For") == [b"192.0.2.1"]


@pytest.mark.parametrize(
    ("status", "lines", "cause"),
    [
        (b"101 Switching Protocols", [], Cause.BAD_ANSWER),
        (b"101 Switching Protocols", [SWITCH], Cause.BAD_ANSWER),
        (b"101 Switching Protocols", [SWITCH, ACCEPT.replace(b"HSmrc0s", b"HSmerc0s")], Cause.BAD_ANSWER),
        (b"101 Switching Protocols", [SWITCH.replace(b"websocket", b"h2c"), ACCEPT], Cause.BAD_ANSWER),
        (b"101 Switching Protocols", [SWITCH, ACCEPT, b"Sec-WebSocket-Protocol: x"], Cause.BAD_ANSWER),
        (b"101 Switching Protocols", [SWITCH, ACCEPT], None),
    ],
)
def test_only_a_right_101_switches(status: bytes, lines: list[bytes], cause: Cause | None) -> None:
    """The status alone proves nothing: a client may have chosen which page answers it."""
    offer = check_upgrade(parse_request(received(b"GET /ws HTTP/1.1", HANDSHAKE), 20))
    stream = b"\r\n".join([b"HTTP/1.1 " + status, *lines]) + b"\r\n\r\n"
    for chunks in ([stream], bytewise(stream)):
        reader = ResponseReader(16384, 100, b"GET")
        try:
            *_, head = [reader.feed(chunk) for chunk in chunks]
            assert head is not None
            check_answer(head, offer)
        except HeadError as error:
            assert error.cause is cause
        else:
            assert cause is None


@pytest.mark.parametrize("status", [b"200 OK", b"426 Upgrade Required", b"403 Forbidden"])
def test_an_answer_that_does_not_switch_is_an_answer(status: bytes) -> None:
    """200 with all the fields of a handshake is a plain 200, and they do not reach the client."""
    stream = b"\r\n".join([b"HTTP/1.1 " + status, SWITCH, ACCEPT, b"Content-Length: 2"]) + b"\r\n\r\nhi"
    reader = ResponseReader(16384, 100, b"GET")
    head = reader.feed(stream)
    assert head is not None
    assert not head.upgrade
    assert end_to_end(head.fields, request=False) == [(b"Content-Length", b"2")]
    assert BodyReader(head.framing).feed(reader.take_rest()) == [b"hi"]
