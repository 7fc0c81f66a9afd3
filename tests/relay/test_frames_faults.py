"""Faults of a peer in the ``frames`` relay: what it hears, what the other side hears, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, MASK, PING, TEXT, encode
from tests.relay.frame_rig import Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side
from wsgate.relay.frames import VERDICT_WAIT
from wsgate.relay.silence import SILENCE

BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


def finish(rig: Rig) -> None:
    """Both peers do what well-behaved ones do: answer a Close, and end when the other end does."""
    for _ in range(3):
        for peer in (rig.client, rig.server):
            if peer.close_heard is not None and not peer.leg.closed:
                peer.close(peer.close_heard[0])
        rig.wait(VERDICT_WAIT)
    for peer in (rig.server, rig.client):
        if not peer.leg.closed:
            peer.leg.end()
    rig.settle()


FAULTS: list[tuple[Any, bytes, int, str]] = [
    # limits, the frame of a client, the code, the cause without its side
    ({}, b"\x83\x80" + MASK, 1002, "PROTOCOL"),
    ({}, b"\xc1\x80" + MASK, 1002, "PROTOCOL"),
    ({}, encode(TEXT, b"not masked", mask=b""), 1002, "PROTOCOL"),
    ({}, encode(CONTINUATION, b"of nothing"), 1002, "PROTOCOL"),
    ({}, b"\x82\xff\x80" + bytes(7) + MASK, 1002, "PROTOCOL"),
    ({}, b"\x82\xfe\x00\x01" + MASK + b"a", 1002, "PROTOCOL"),
    ({}, encode(CLOSE, b"\x03"), 1002, "PROTOCOL"),
    ({}, encode(CLOSE, b"\x03\xed"), 1002, "PROTOCOL"),
    ({}, encode(CLOSE, b"\x03\xe8\xff"), 1007, "PAYLOAD"),
    ({"validate_utf8": True}, encode(TEXT, b"\xff"), 1007, "PAYLOAD"),
    ({"max_frame": 10}, encode(BINARY, bytes(11)), 1009, "TOO_BIG"),
    ({"max_message": 10}, encode(BINARY, bytes(6), fin=False) + encode(CONTINUATION, bytes(6)), 1009, "TOO_BIG"),
    ({"max_fragments": 2}, encode(TEXT, fin=False) + encode(CONTINUATION, fin=False) * 2, 1008, "LIMIT"),
]


@pytest.mark.parametrize(("bounds", "stream", "code", "cause"), FAULTS)
def test_a_client_that_breaks_a_rule(bounds: dict[str, Any], stream: bytes, code: int, cause: str) -> None:
    rig = Rig(limits(**bounds)).start()
    rig.client.text("sound")
    rig.client.leg.arrive(stream + encode(TEXT, b"never heard"))
    rig.settle()
    row = Cause[f"CLIENT_{cause}"].value
    assert rig.server.texts[:1] == ["sound"]
    assert rig.server.close_heard == (row.to_server, row.text)
    assert rig.server.texts == ["sound"] or cause == "LIMIT"
    finish(rig)
    assert rig.client.close_heard is not None and rig.client.close_heard[0] == code
    assert rig.cause is Cause[f"CLIENT_{cause}"]
    assert (rig.ending.closed_by, rig.ending.code) == (Side.CLIENT, code)
    assert rig.ending.detail and rig.ending.detail == rig.ending.reason
    assert not rig.client.leg.aborted and not rig.server.leg.aborted


@pytest.mark.parametrize(
    ("bounds", "stream", "code", "cause"),
    [
        ({}, encode(TEXT, b"masked"), 1002, "PROTOCOL"),
        ({"validate_utf8": True}, encode(TEXT, b"\xff", mask=b""), 1007, "PAYLOAD"),
        ({"max_message": 10}, encode(BINARY, bytes(11), mask=b""), 1009, "TOO_BIG"),
        ({"max_fragments": 1}, encode(TEXT, fin=False, mask=b"") + encode(CONTINUATION, mask=b""), 1008, "LIMIT"),
    ],
)
def test_a_server_that_breaks_a_rule(bounds: dict[str, Any], stream: bytes, code: int, cause: str) -> None:
    rig = Rig(limits(**bounds)).start()
    rig.server.text("sound")
    rig.server.leg.arrive(stream)
    rig.settle()
    row = Cause[f"SERVER_{cause}"].value
    assert rig.client.texts[:1] == ["sound"]
    assert rig.client.close_heard == (1011, row.text)
    finish(rig)
    assert rig.server.close_heard is not None and rig.server.close_heard[0] == code
    assert rig.cause is Cause[f"SERVER_{cause}"] and rig.ending.closed_by is Side.SERVER


@BOTH
def test_the_answers_to_what_came_before_a_fault_come_before_its_close(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(peer.encode(TEXT, b"question") + b"\xff\xff")
    rig.settle()
    assert peer.close_heard is None
    other.text("answer")
    other.close(1001)
    rig.settle()
    assert peer.texts == ["answer"]
    # The fault's own code, not the one with which the other side answered.
    assert peer.close_heard is not None and peer.close_heard[0] == 1002


@BOTH
def test_a_fault_is_closed_soon_whatever_the_other_side_does(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    rig.wait(VERDICT_WAIT - 0.1)
    assert peer.close_heard is None
    rig.wait(0.2)
    assert peer.close_heard is not None and peer.close_heard[0] == 1002
    assert peer.leg.write_ended and not peer.leg.closed


@BOTH
def test_a_fault_waits_for_the_frame_that_passes_towards_it(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = other.encode(BINARY, b"0123456789")
    other.leg.arrive(frame[:-4])
    peer.leg.arrive(b"\xff\xff")
    rig.wait(VERDICT_WAIT + 0.1)
    assert peer.raw == frame[:-4]
    other.leg.arrive(frame[-4:] + frame)
    rig.settle()
    assert [frame.opcode for frame in peer.heard] == [BINARY, BINARY, CLOSE]
    assert peer.leg.write_ended


@BOTH
def test_a_fault_is_aborted_where_the_frame_towards_it_never_ends(side: Side) -> None:
    rig = Rig(limits(close_timeout=2)).start()
    peer, other = rig.peers(side)
    other.leg.arrive(other.encode(BINARY, b"0123456789")[:-4])
    peer.leg.arrive(b"\xff\xff")
    rig.wait(2.2)
    assert peer.leg.aborted


@BOTH
def test_the_other_side_is_aborted_where_the_fault_is_inside_a_frame(side: Side) -> None:
    rig = Rig(limits(validate_utf8=True)).start()
    peer, other = rig.peers(side)
    frame = peer.encode(TEXT, b"fine so far, \xff but no further")
    peer.leg.arrive(frame[:10])
    peer.leg.arrive(frame[10:])
    rig.settle()
    assert other.raw == frame[:10] and other.leg.aborted
    assert peer.close_heard is not None and peer.close_heard[0] == 1007


@BOTH
def test_a_fault_that_left_hears_its_close_all_the_same(side: Side) -> None:
    """Some peers end their direction at once and read on."""
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    peer.leg.end()
    rig.settle()
    assert not peer.leg.closed
    other.close(1001)
    rig.settle()
    assert peer.close_heard is not None and peer.close_heard[0] == 1002
    assert peer.leg.closed and not peer.leg.aborted


@BOTH
def test_a_fault_that_is_reset_leaves_nothing_behind(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    peer.leg.reset()
    other.close(1001)
    other.leg.end()
    rig.settle()
    assert rig.ending.code == 1002


@BOTH
def test_a_fault_is_told_when_the_other_leg_is_lost(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    other.leg.reset()
    rig.settle()
    assert peer.close_heard is not None and peer.close_heard[0] == 1002


@BOTH
def test_a_fault_behind_the_others_close_is_told_at_once(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    other.close(1000)
    rig.settle()
    peer.leg.arrive(b"\xff\xff")
    rig.settle()
    # It had the other's Close already: nothing may follow that.
    assert peer.close_heard == (1000, "")
    assert peer.leg.write_ended
    assert other.close_heard is not None


def test_faults_on_both_sides_are_each_told_their_own() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(b"\xff\xff")
    rig.settle()
    assert rig.server.close_heard is not None and rig.server.close_heard[0] == 1001
    rig.server.leg.arrive(b"\xff\xff")
    rig.settle()
    assert rig.client.close_heard is not None and rig.client.close_heard[0] == 1002
    finish(rig)
    assert rig.cause is Cause.CLIENT_PROTOCOL


@BOTH
def test_a_leg_that_cannot_half_close_is_closed_when_its_peer_is_silent(side: Side) -> None:
    """TLS 1.2: a peer that waits for us is not left alone, and its Close is not lost in a reset before."""
    rig = Rig(limits(close_timeout=20), half_closes=False).start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    other.close(1001)
    other.leg.end()
    for _ in range(10):
        rig.wait(0.4)
        peer.leg.arrive(bytes(1000))
    assert peer.close_heard is not None and not peer.leg.closed
    rig.wait(2 * SILENCE + 0.1)
    assert peer.leg.closed and not peer.leg.aborted
    rig.wait(0.1)
    assert rig.cause is (Cause.CLIENT_PROTOCOL if side is Side.CLIENT else Cause.SERVER_PROTOCOL)


def test_a_leg_that_cannot_half_close_is_closed_once_its_close_is_taken() -> None:
    rig = Rig(limits(close_timeout=20), half_closes=False, room=50).start()
    rig.client.reads = False
    rig.server.say(BINARY, bytes(100))
    rig.client.leg.arrive(b"\xff\xff")
    rig.wait(5)
    assert rig.client.leg.queued and not rig.client.leg.closed
    heard = rig.client.leg.received
    rig.client.leg.arrive(bytes(100))
    assert rig.client.leg.received == heard + 100, "it is read until then: a reset would take the Close away"
    rig.client.reads = True
    rig.wait(2 * SILENCE + 0.1)
    assert rig.client.leg.closed and not rig.client.leg.aborted
    assert rig.client.close_heard is not None and rig.client.close_heard[0] == 1002


@BOTH
def test_a_fault_that_is_reset_while_its_silence_is_awaited_leaves_nothing_behind(side: Side) -> None:
    rig = Rig(half_closes=False).start()
    peer, other = rig.peers(side)
    peer.leg.arrive(b"\xff\xff")
    other.leg.reset()
    rig.settle()
    assert peer.close_heard is not None
    peer.leg.reset()
    assert rig.cause is (Cause.CLIENT_PROTOCOL if side is Side.CLIENT else Cause.SERVER_PROTOCOL)


def test_two_legs_that_cannot_half_close_are_closed_together() -> None:
    rig = Rig(limits(close_timeout=20), half_closes=False).start()
    for peer in (rig.client, rig.server):
        peer.leg.arrive(b"\xff\xff")
    rig.wait(2 * SILENCE + 0.1)
    assert rig.client.leg.closed and rig.server.leg.closed
    assert rig.cause is Cause.CLIENT_PROTOCOL


@BOTH
def test_a_fault_is_read_on_and_dropped(side: Side) -> None:
    rig = Rig(limits(close_timeout=2), room=1000).start()
    peer, other = rig.peers(side)
    other.reads = False
    peer.leg.arrive(peer.encode(BINARY, bytes(5000)) + b"\xff\xff")
    for _ in range(20):
        peer.leg.arrive(bytes(50_000))
        rig.wait(0.05)
    assert not peer.leg.paused
    assert other.leg.queued < 10_000


def test_the_gateway_stops_while_a_fault_waits_for_its_close() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(b"\xff\xff")
    rig.settle()
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert rig.client.close_heard is not None and rig.client.close_heard[0] == 1002
    finish(rig)
    assert rig.cause is Cause.CLIENT_PROTOCOL


def test_a_short_closing_time_still_tells_the_fault() -> None:
    rig = Rig(limits(close_timeout=0.5)).start()
    rig.client.leg.arrive(b"\xff\xff")
    rig.wait(1)
    assert rig.client.close_heard is not None and rig.client.close_heard[0] == 1002
    assert rig.cause is Cause.CLIENT_PROTOCOL


def test_a_million_empty_fragments_close_at_the_limit() -> None:
    rig = Rig(limits(max_fragments=16384)).start()
    rig.client.say(TEXT, fin=False)
    many = rig.client.encode(CONTINUATION, fin=False) * 10_000
    for _ in range(100):
        rig.client.leg.arrive(many)
    rig.settle()
    assert rig.relay.traffic().frames_in == 16384
    assert rig.server.close_heard is not None and rig.server.close_heard[0] == 1001


def test_pings_that_came_before_a_fault_have_passed() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(rig.client.encode(PING, b"1") + b"\xff\xff")
    rig.settle()
    assert rig.server.payloads(PING) == [b"1"]
