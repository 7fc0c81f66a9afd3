"""Heads that are kept by their bytes: the same reading as the first time, nothing secret, and bounded."""

from __future__ import annotations

import pytest

from wsgate.wire.fields import HeadError
from wsgate.wire.heads import RequestHead, parse_request, parse_response
from wsgate.wire.http_head import RequestReader, ResponseReader
from wsgate.wire.seen_heads import LONGEST, MOST, PUBLIC_ASKED, SeenHeads


def asked(*fields: str, target: str = "/") -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: kept.example", *fields, "", "")).encode()


def read(raw: bytes, max_head: int = 16384, max_fields: int = 100) -> object:
    return RequestReader(max_head, max_fields).feed(raw)


def test_the_same_bytes_give_the_same_head() -> None:
    raw = asked("Accept: */*", "User-Agent: probe")
    first, second = read(raw), read(raw)
    assert first is second
    assert first == parse_request(raw, 100)


def test_a_head_is_found_also_by_a_view_and_on_another_connection() -> None:
    raw = asked("Accept: text/html")
    first = read(raw)
    assert read(memoryview(bytearray(raw))) is first  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field",
    [
        "Cookie: a=b",
        "Authorization: Basic eDp5",
        "Proxy-Authorization: Basic eDp5",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Referer: http://kept.example/?token=x",
        "X-Api-Key: secret",
        "X-Forwarded-For: 192.0.2.1",
    ],
)
def test_a_head_that_may_hold_a_secret_is_not_kept(field: str) -> None:
    raw = asked(field)
    assert read(raw) is not read(raw)


def test_a_head_with_a_query_is_not_kept() -> None:
    raw = asked(target="/x?token=secret")
    assert read(raw) is not read(raw)


def test_an_answer_with_a_cookie_is_not_kept() -> None:
    def answer(field: bytes) -> object:
        return ResponseReader(65536, 256, b"GET").feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + field + b"\r\n")

    assert answer(b"ETag: x\r\n") is answer(b"ETag: x\r\n")
    assert answer(b"Set-Cookie: a=b\r\n") is not answer(b"Set-Cookie: a=b\r\n")


def test_an_answer_to_head_is_read_by_its_own_rules() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nVary: head\r\n\r\n"
    framings = []
    for method in (b"GET", b"HEAD", b"GET"):
        head = ResponseReader(65536, 256, method).feed(raw)
        assert head is not None
        framings.append(head.framing.length)
    assert framings == [7, 0, 7]


def test_bounds_hold_for_a_known_head_too() -> None:
    raw = asked(*("Accept: a" for _ in range(10)))
    read(raw)
    with pytest.raises(HeadError, match="too many fields"):
        read(raw, max_fields=5)
    with pytest.raises(HeadError, match="too big"):
        read(raw, max_head=50)


def test_what_follows_a_head_is_not_lost_and_a_known_head_in_pieces_is_read() -> None:
    raw = asked("Accept: pieces")
    first = read(raw)
    reader = RequestReader(16384, 100)
    assert reader.feed(raw + b"GET") == first
    assert reader.take_rest() == b"GET"
    heads = [head for byte in raw if (head := reader.feed(bytes([byte]))) is not None]
    assert heads == [first]


KEYS = ("dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==")


def upgrade(key: str, *fields: str) -> bytes:
    more = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    return asked(*more, *fields)


def test_handshakes_that_differ_in_their_key_are_read_as_each_for_itself() -> None:
    for key in (*KEYS, *KEYS):
        raw = upgrade(key, "Origin: http://kept.example")
        head = read(raw)
        assert head == parse_request(raw, 100)
        assert isinstance(head, RequestHead)
        assert head.get_all(b"sec-websocket-key") == [key.encode()]
        assert head.onward == parse_request(raw, 100).onward
        assert head.told == parse_request(raw, 100).told


def test_what_is_no_key_is_read_anew() -> None:
    """A value that could change how the head is read is never taken for one."""
    read(upgrade(KEYS[0]))
    for key in ("short==", KEYS[0] + "A", KEYS[0] + " ", "AAAAAAAAAAAAAAAAAAAAA\x01=="):
        try:
            expected: object = parse_request(upgrade(key), 100)
        except HeadError as error:
            with pytest.raises(HeadError, match=str(error)):
                read(upgrade(key))
        else:
            assert read(upgrade(key)) == expected


def test_two_keys_are_two_keys_each_time() -> None:
    for _ in range(2):
        head = read(upgrade(KEYS[0], f"sec-websocket-key: {KEYS[1]}"))
        assert isinstance(head, RequestHead)
        assert head.get_all(b"sec-websocket-key") == [key.encode() for key in KEYS]


def test_a_subprotocol_may_be_a_secret() -> None:
    told = []
    for _ in range(2):
        head = read(upgrade(KEYS[0], "Sec-WebSocket-Protocol: bearer, secret"))
        assert isinstance(head, RequestHead)
        told.append(head.told)
    assert told[0] == told[1] and told[0] is not told[1]


def test_answers_to_handshakes_are_read_as_each_for_itself() -> None:
    for accept in (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", b"AAAAAAAAAAAAAAAAAAAAAAAAAAA=") * 2:
        raw = (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept
        )
        head = ResponseReader(65536, 256, b"GET").feed(raw + b"\x81\x00")
        expected = parse_response(raw, 256, b"GET")
        assert head == expected
        assert head is not None
        assert head.get(b"sec-websocket-accept") == accept
        assert head.onward == expected.onward


def test_there_are_never_more_than_may_be() -> None:
    seen: SeenHeads[object] = SeenHeads(PUBLIC_ASKED)  # type: ignore[type-var]
    kept = 0
    for number in range(MOST + 1):
        raw = asked(target=f"/{number}")
        assert seen.keep(raw, parse_request(raw, 100), [b"host"])
    for number in range(MOST + 1):
        kept += seen.find(asked(target=f"/{number}"), 100) is not None
    assert kept == 1


def test_a_big_head_is_not_kept() -> None:
    raw = asked("Accept: " + "a" * LONGEST)
    assert read(raw) is not read(raw)
