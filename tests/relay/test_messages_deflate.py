"""Compression towards clients in the ``messages`` relay: what is agreed, bounds on inflating, plain servers."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest

from tests.doubles import frames
from tests.relay.message_rig import Rig, limits
from wsgate.causes import Cause
from wsgate.relay.deflate import sound_offers
from wsgate.wire.ws_handshake import Upgrade

RSV1 = 4
TAIL = b"\x00\x00\xff\xff"


def deflated(data: bytes, window: int = 12) -> bytes:
    """The payload of a compressed message (RFC 7692 section 7.2.1)."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -window)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressing(**options: int) -> Rig:
    """A started rig whose client and gateway have agreed to compress."""
    rig = Rig(limits(**options), compression="client", offers_deflate=True).start()
    assert b"permessage-deflate" in rig.client.head
    return rig


def compressed(payload: bytes, opcode: int = frames.BINARY, fin: bool = True) -> bytes:
    return frames.encode(opcode, payload, fin=fin, rsv=RSV1 if opcode else 0)


def refusal(rig: Rig) -> int | None:
    return rig.client.heard_close[0] if rig.client.heard_close else None


# Agreeing


def test_nothing_is_agreed_without_compression() -> None:
    rig = Rig(offers_deflate=True).start()
    assert b"Extensions" not in rig.client.head


def test_a_client_that_offers_nothing_is_spoken_with_plainly() -> None:
    rig = Rig(compression="client").start()
    assert b"Extensions" not in rig.client.head
    rig.server.text("plain")
    rig.settle()
    assert rig.client.messages == ["plain"]


def test_the_clients_window_is_bounded_where_it_lets_us() -> None:
    rig = compressing()
    assert b"client_max_window_bits=12" in rig.client.head


@pytest.mark.parametrize(
    ("offered", "sound"),
    [
        (b"", b""),
        (b"permessage-deflate", b"permessage-deflate"),
        (
            b"x-webkit-deflate-frame, permessage-deflate;client_max_window_bits",
            b"permessage-deflate;client_max_window_bits",
        ),
        (b"permessage-bzip2, permessage-brotli", b""),
        (b"permessage-deflate; unknown", b""),
        (b"permessage-deflate; server_max_window_bits=8", b""),
        (b"permessage-deflate; server_max_window_bits=010", b""),
        (b"permessage-deflate; server_max_window_bits=16", b""),
        (b"permessage-deflate; server_max_window_bits", b""),
        (b"permessage-deflate; server_no_context_takeover=1", b""),
        (b"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", b""),
        (b'permessage-deflate; server_max_window_bits="10"', b'permessage-deflate; server_max_window_bits="10"'),
        (b"permessage-deflate; unknown, permessage-deflate", b"permessage-deflate"),
    ],
)
def test_offers_that_cannot_be_agreed_to_are_declined(offered: bytes, sound: bytes) -> None:
    """RFC 7692 section 5.1: an offer with wrong parameters is declined; the WebSocket is opened all the same."""
    assert sound_offers(offered) == sound


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-deflate; server_max_window_bits=9",
        b"permessage-deflate; server_no_context_takeover",
        b"permessage-deflate",
    ],
)
def test_what_the_client_asks_of_the_gateway_is_kept(offer: bytes) -> None:
    rig = Rig(compression="client")
    talk = rig.relay._client.talk
    talk.sit_on(rig.client.leg, rig.relay._client, limits(), os.urandom, rig.clock.seconds)
    talk.answer(Upgrade(b"dGhlIHNhbXBsZSBub25jZQ==", (), offer), rig.relay._opening.agreed, [], compress=True)  # type: ignore[attr-defined]
    answer = rig.client.leg.take()
    assert b"Sec-WebSocket-Extensions: " + offer in answer


# Passing


def test_messages_are_compressed_towards_the_client_only() -> None:
    rig = compressing()
    text = "the same words " * 100
    rig.client.text(text)
    rig.server.text(text)
    rig.settle()
    assert rig.server.messages == rig.client.messages == [text]
    traffic = rig.relay.traffic()
    assert traffic.bytes_out < 600 and traffic.bytes_in < 600
    assert rig.server.leg.sent > 1500 and rig.server.leg.received > 1500
    assert not rig.server.frames[0].rsv1


def test_the_context_is_taken_over_from_message_to_message() -> None:
    rig = compressing()
    noise = os.urandom(1000)
    rig.server.binary(noise)
    rig.settle()
    before = rig.client.leg.sent
    rig.server.binary(noise)
    rig.settle()
    assert rig.client.messages == [noise, noise]
    assert rig.client.leg.sent - before < 100


def test_empty_messages_pass_in_any_place() -> None:
    rig = compressing()
    sent = ["", "a", "", "", "b", ""]
    for message in sent:
        rig.server.text(message)
        rig.client.text(message)
    rig.settle()
    assert rig.client.messages == rig.server.messages == sent


def test_a_compressed_message_may_come_in_fragments_of_any_size() -> None:
    rig = compressing()
    text = ("snow ☃ " * 300).encode()
    payload = deflated(text)
    pieces = [payload[at : at + 3] for at in range(0, len(payload), 3)]
    for number, piece in enumerate(pieces):
        opcode = frames.CONTINUATION if number else frames.TEXT
        rig.client.leg.arrive(compressed(piece, opcode, fin=number == len(pieces) - 1))
    rig.settle()
    assert rig.server.messages == [text.decode()]


def test_a_client_may_send_plain_messages_between() -> None:
    rig = compressing()
    rig.client.leg.arrive(frames.text("plain") + compressed(deflated(b"deflated")) + frames.text("plain"))
    rig.settle()
    assert rig.server.messages == ["plain", b"deflated", "plain"]


def test_a_stream_that_ends_and_begins_anew_passes() -> None:
    """RFC 7692 section 7.2.3.4: a block may say that it is the last."""
    rig = compressing()
    last = bytes.fromhex("f348cdc9c90700")
    rig.client.leg.arrive(compressed(last) + compressed(last) + compressed(deflated(b"more")))
    rig.settle()
    assert rig.server.messages == [b"Hello", b"Hello", b"more"]


# Bounds


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("over", [0, 1])
def test_a_message_may_inflate_to_the_limit_and_no_further(over: int, noise: bool) -> None:
    rig = compressing(max_message=100_000)
    message = os.urandom(100_000 + over) if noise else bytes(100_000 + over)
    payload = deflated(message)
    half = len(payload) // 2
    rig.client.leg.arrive(compressed(payload[:half], fin=False))
    rig.client.leg.arrive(compressed(payload[half:], frames.CONTINUATION))
    rig.settle()
    assert rig.server.messages == ([] if over else [message])
    assert refusal(rig) == (1009 if over else None)


def test_a_bomb_closes_with_1009_before_it_is_inflated() -> None:
    rig = compressing(max_message=1 << 20)
    bomb = deflated(bytes(100 << 20))
    stream = compressed(bomb)
    tracemalloc.start()
    try:
        rig.client.leg.arrive(stream)
        rig.settle()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refusal(rig) == 1009
    assert peak < 4 << 20
    assert rig.server.messages == []
    rig.client.leg.end()
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_TOO_BIG


def test_many_bombs_in_one_read_are_inflated_as_fast_as_they_are_taken() -> None:
    rig = Rig(limits(max_message=1 << 20), compression="client", offers_deflate=True, room=1).start()
    rig.server.reads = False
    bomb = compressed(deflated(bytes(1 << 20)))
    stream = bomb * 50
    assert len(stream) < 64 * 1024
    tracemalloc.start()
    try:
        rig.client.leg.arrive(stream)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert rig.client.leg.paused
    assert rig.relay.traffic().messages_in == 1


def test_wire_bytes_that_inflate_to_nothing_are_bounded_as_well() -> None:
    rig = compressing(max_message=10_000)
    nothing = b"\x00\x00\x00\xff\xff" * 200
    rig.client.leg.arrive(compressed(nothing, fin=False))
    for _ in range(20):
        rig.client.leg.arrive(compressed(nothing, frames.CONTINUATION, fin=False))
    rig.settle()
    assert refusal(rig) == 1009


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", bytes.fromhex("f348cdc9c907") + b"\x00" + b"behind the end"])
def test_what_cannot_be_inflated_closes_with_1007(payload: bytes) -> None:
    rig = compressing()
    rig.client.leg.arrive(compressed(payload))
    rig.settle()
    assert refusal(rig) == 1007
    assert rig.server.messages == []


def test_text_is_checked_as_it_is_inflated() -> None:
    rig = compressing()
    rig.client.leg.arrive(compressed(deflated(b"ab\xff"), frames.TEXT))
    rig.settle()
    assert refusal(rig) == 1007


@pytest.mark.parametrize(
    "stream",
    [
        frames.encode(frames.PING, b"", rsv=RSV1),
        frames.encode(frames.TEXT, b"", fin=False) + frames.encode(frames.CONTINUATION, b"", rsv=RSV1),
        frames.encode(frames.TEXT, b"", rsv=2),
    ],
)
def test_the_bit_stands_on_first_frames_of_messages_only(stream: bytes) -> None:
    """RFC 7692 section 6."""
    rig = compressing()
    rig.client.leg.arrive(stream)
    rig.settle()
    assert refusal(rig) == 1002


def test_servers_do_not_compress() -> None:
    rig = compressing()
    rig.server.leg.arrive(frames.encode(frames.BINARY, deflated(b"x"), rsv=RSV1, mask=b""))
    rig.settle()
    assert rig.server.heard_close is not None and rig.server.heard_close[0] == 1002
