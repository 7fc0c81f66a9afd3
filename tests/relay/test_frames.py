"""The ``frames`` relay passes frames on as they came, and puts in and takes out what is its own."""

from __future__ import annotations

import pytest

from tests.doubles.frames import BINARY, CONTINUATION, PING, PONG, TEXT, encode
from tests.relay.frame_rig import ANSWER, Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side
from wsgate.relay.frame_side import MOST_DROPPED
from wsgate.relay.interfaces import Relay
from wsgate.wire.ws_encoding import encode_frame

BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


def test_it_is_a_relay() -> None:
    relay: Relay = Rig().relay
    assert relay.traffic().frames_in == 0


@BOTH
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_bytes_pass_unchanged_however_they_come(side: Side, size: int) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    stream = b"".join(
        (
            peer.encode(TEXT, b"hello"),
            peer.encode(BINARY, bytes(70_000)),
            peer.encode(TEXT, b"one ", fin=False),
            peer.encode(PING, b"?"),
            peer.encode(CONTINUATION, b"two"),
            peer.encode(BINARY),
        )
    )
    for start in range(0, len(stream), size):
        peer.leg.arrive(stream[start : start + size])
        if start % 4096 == 0:
            rig.settle()
    rig.settle()
    assert other.raw == stream
    assert not rig.endings


def test_bytes_behind_both_handshakes_pass_behind_the_answer() -> None:
    rig = Rig()
    client, server = rig.client, rig.server
    rig.relay.start(client.encode(TEXT, b"early"), server.encode(TEXT, b"prompt"))
    assert client.leg.take() == ANSWER + server.encode(TEXT, b"prompt")
    assert server.leg.take() == client.encode(TEXT, b"early")


def test_half_a_frame_behind_a_handshake_goes_on_where_it_was() -> None:
    rig = Rig()
    frame = rig.client.encode(TEXT, b"in two parts")
    rig.start(frame[:9])
    rig.client.leg.arrive(frame[9:])
    rig.settle()
    assert rig.server.texts == ["in two parts"]


def test_a_fault_behind_the_handshake_is_a_fault() -> None:
    rig = Rig().start(from_client=encode(TEXT, b"no mask", mask=b""))
    rig.wait(8)
    assert rig.client.close_heard == (1002, "frame from a client without a mask")
    assert rig.cause is Cause.CLIENT_PROTOCOL


@BOTH
def test_a_leg_that_is_full_at_the_start_keeps_the_other_paused(side: Side) -> None:
    """What came behind the handshake may already be more than a peer takes."""
    rig = Rig(room=200)
    peer, other = rig.peers(side)
    rig.client.reads = rig.server.reads = False
    early = peer.encode(BINARY, bytes(1000))
    rig.relay.start(*((early, b"") if side is Side.CLIENT else (b"", early)))
    assert peer.leg.paused and not other.leg.paused


@BOTH
def test_what_a_peer_does_not_take_pauses_the_other(side: Side) -> None:
    rig = Rig(room=1000).start()
    peer, other = rig.peers(side)
    other.reads = False
    for _ in range(100):
        peer.say(BINARY, bytes(900))
    rig.settle()
    assert peer.leg.paused and not other.leg.paused
    assert other.leg.queued < 1000
    other.text("the other way is free")
    rig.settle()
    assert peer.texts == ["the other way is free"]
    other.reads = True
    for _ in range(200):
        rig.settle()
    assert len(other.heard) == 100 and not peer.leg.paused


@BOTH
def test_up_to_the_high_water_mark_a_slow_peer_pauses_nobody(side: Side) -> None:
    """Above it the other side is read again only when all that waited has been taken."""
    rig = Rig(room=1000, buffer=10_000).start()
    peer, other = rig.peers(side)
    other.reads = False
    for _ in range(12):
        peer.say(BINARY, bytes(900))
    rig.settle()
    assert 9_000 < other.leg.queued <= 10_000 and not peer.leg.paused
    peer.say(BINARY, bytes(900))
    rig.settle()
    assert other.leg.queued > 10_000 and peer.leg.paused
    other.reads = True
    rig.settle()
    assert peer.leg.paused == bool(other.leg.queued)
    for _ in range(30):
        rig.settle()
    assert len(other.heard) == 13 and not peer.leg.paused


@BOTH
def test_a_frame_is_put_in_at_once_between_two_frames(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    other.text("before")
    rig.settle()
    assert rig.relay.inject(side, encode_frame(PING, b"!", mask=b"abcd" if side is Side.SERVER else None))
    rig.settle()
    assert [frame.opcode for frame in peer.heard] == [TEXT, PING]


@BOTH
def test_a_frame_waits_for_the_end_of_the_one_that_passes(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = other.encode(BINARY, b"0123456789")
    ping = encode_frame(PING, b"!", mask=b"abcd" if side is Side.SERVER else None)
    other.leg.arrive(frame[:-3])
    assert rig.relay.inject(side, ping)
    assert rig.relay.inject(side, ping)
    rig.settle()
    assert peer.raw == frame[:-3]
    other.leg.arrive(frame[-3:] + frame[:4])
    rig.settle()
    # What has come of the next frame passes when its header is complete; the pings stand in front of it.
    assert peer.raw.startswith(frame + ping + ping)
    other.leg.arrive(frame[4:])
    rig.settle()
    assert peer.raw == frame + ping + ping + frame


@BOTH
def test_what_is_put_in_stands_at_the_last_boundary_of_a_read(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = other.encode(BINARY, b"0123456789")
    ping = encode_frame(PING, b"!", mask=b"abcd" if side is Side.SERVER else None)
    other.leg.arrive(frame[:-3])
    rig.relay.inject(side, ping)
    other.leg.arrive(frame[-3:] + frame + frame[:-1])
    rig.settle()
    assert peer.raw == frame + frame + ping + frame[:-1]


def test_a_boundary_of_messages_is_one_of_both_directions() -> None:
    rig = Rig().start()
    assert rig.relay.at_boundary()
    rig.client.say(TEXT, b"begun", fin=False)
    assert not rig.relay.at_boundary()
    rig.client.say(CONTINUATION, b"over")
    assert rig.relay.at_boundary()
    rig.server.leg.arrive(b"\x81")
    assert not rig.relay.at_boundary()


def test_no_leg_is_replaced() -> None:
    rig = Rig().start()
    assert not rig.relay.replace_leg(Side.SERVER, rig.server.leg, b"")


@BOTH
def test_pings_and_pongs_of_the_peers_pass(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.say(PING, b"from afar")
    rig.settle()
    other.say(PONG, b"from afar")
    other.say(PONG, b"unasked")
    rig.settle()
    assert other.payloads(PING) == [b"from afar"]
    assert peer.payloads(PONG) == [b"from afar", b"unasked"]


def test_what_passed_is_counted() -> None:
    rig = Rig().start()
    rig.client.text("one")
    rig.client.say(TEXT, b"two", fin=False)
    rig.client.say(CONTINUATION, b"!")
    rig.client.say(PING)
    rig.server.text("three")
    rig.settle()
    traffic = rig.relay.traffic()
    assert (traffic.frames_in, traffic.messages_in) == (4, 2)
    assert (traffic.frames_out, traffic.messages_out) == (1, 1)
    assert traffic.bytes_in == rig.client.leg.received == len(rig.server.raw)
    assert traffic.bytes_out == len(ANSWER) + len(rig.client.raw)


def test_compressed_frames_pass_where_compression_was_agreed() -> None:
    rig = Rig(limits(validate_utf8=True), extensions=b"permessage-deflate").start()
    frame = rig.client.encode(TEXT, b"\xff\xff not text", rsv=4)
    rig.client.leg.arrive(frame)
    rig.settle()
    assert rig.server.raw == frame and not rig.endings


def test_what_a_read_full_of_pings_brought_is_not_kept() -> None:
    """Each leaves a value behind, and a connection may be silent for hours afterwards."""
    rig = Rig().start()
    rig.client.leg.arrive(rig.client.encode(PING) * 10_000)
    rig.settle()
    assert len(rig.server.payloads(PING)) == 10_000
    assert not rig.relay._client.scanner.events


@BOTH
def test_who_sends_without_end_when_nobody_is_there_any_more_is_cut(side: Side) -> None:
    """Its Close is awaited, in the middle of a frame that may be long."""
    rig = Rig(limits(close_timeout=60)).start()
    peer, other = rig.peers(side)
    peer.leg.arrive(peer.encode(BINARY, bytes(2 * MOST_DROPPED))[:100])
    other.leg.reset()
    block = bytes(1 << 20)
    for _ in range(MOST_DROPPED // len(block)):
        peer.leg.arrive(block)
    assert not peer.leg.aborted
    peer.leg.arrive(block)
    assert peer.leg.aborted


@BOTH
def test_who_sends_without_end_after_a_fault_is_cut(side: Side) -> None:
    """What comes behind a fault is read and dropped, so that the Close arrives, but not for as long as it pleases."""
    rig = Rig().start()
    peer, _ = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    rig.settle()
    block = bytes(1 << 20)
    for _ in range(MOST_DROPPED // len(block)):
        peer.leg.arrive(block)
    assert not peer.leg.aborted
    peer.leg.arrive(block)
    assert peer.leg.aborted
