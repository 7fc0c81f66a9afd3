"""The closing handshake through the ``frames`` relay, legs that are lost, and ends that the gateway wants."""

from __future__ import annotations

import pytest

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT
from tests.relay.frame_rig import Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side
from wsgate.wire.ws_encoding import encode_frame

BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
CLOSED = {Side.CLIENT: Cause.CLIENT_CLOSED, Side.SERVER: Cause.SERVER_CLOSED}
LOST = {Side.CLIENT: Cause.CLIENT_LOST, Side.SERVER: Cause.SERVER_LOST}


# The closing handshake


@BOTH
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_codes_and_reasons_pass_and_the_first_is_told(side: Side, code: int) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(code, "grüße")
    rig.settle()
    assert other.close_heard == (code, "grüße")
    other.close(1000)
    rig.settle()
    assert peer.close_heard == (1000, "")
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (CLOSED[side], side)
    assert (rig.ending.code, rig.ending.reason) == (code, "grüße")
    assert not peer.leg.aborted and not other.leg.aborted


@BOTH
def test_an_empty_close_passes_empty(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(None)
    rig.settle()
    assert other.payloads(CLOSE) == [b""]
    other.close(None)
    rig.server.leg.end()
    rig.settle()
    assert rig.ending.code == 1005


@BOTH
def test_after_close_both_ways_we_close_towards_the_client_and_wait_for_the_server(side: Side) -> None:
    """RFC 6455 section 7.1.1: a server's end closes first, and we are one towards clients."""
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close()
    rig.settle()
    assert not rig.client.leg.closed
    other.close()
    rig.settle()
    assert rig.client.leg.closed and not rig.server.leg.closed
    assert not rig.client.leg.aborted
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is CLOSED[side]


@BOTH
def test_a_close_inside_a_message_in_pieces_passes(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.say(TEXT, b"not ", fin=False)
    peer.close(4000)
    rig.settle()
    assert other.close_heard == (4000, "")
    assert [frame.opcode for frame in other.heard] == [TEXT, CLOSE]


@BOTH
def test_nothing_follows_a_close(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(
        peer.encode(TEXT, b"last") + peer.encode(CLOSE, b"\x03\xe8") + peer.encode(TEXT, b"never") + b"\xff" * 9
    )
    peer.text("never")
    assert not rig.relay.inject(other.side, b"\x89\x00")
    rig.settle()
    assert [frame.opcode for frame in other.heard] == [TEXT, CLOSE]
    assert not peer.leg.closed


@BOTH
def test_the_other_direction_goes_on_until_its_own_close(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(1001)
    other.say(TEXT, b"still ", fin=False)
    other.say(CONTINUATION, b"here")
    other.close(1001)
    rig.settle()
    assert peer.data == b"still here" and peer.close_heard == (1001, "")


def test_a_close_from_both_sides_at_once_reaches_both() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(rig.client.encode(CLOSE, b"\x03\xe8"))
    rig.server.leg.arrive(rig.server.encode(CLOSE, b"\x0f\xa0"))
    rig.server.leg.end()
    rig.settle()
    assert rig.client.close_heard == (4000, "") and rig.server.close_heard == (1000, "")
    assert rig.cause is Cause.CLIENT_CLOSED and rig.ending.code == 1000
    assert not rig.client.leg.aborted and not rig.server.leg.aborted


@BOTH
def test_fin_right_behind_a_close_leaves_the_answer_its_way(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(1000)
    peer.leg.end()
    rig.settle()
    assert not peer.leg.closed and other.close_heard == (1000, "")
    other.close(1000)
    rig.settle()
    assert peer.close_heard == (1000, "") and peer.leg.closed and not peer.leg.aborted


@BOTH
def test_a_peer_that_leaves_behind_its_close_has_closed(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(1000, "bye")
    peer.leg.reset()
    rig.settle()
    assert other.close_heard == (1000, "bye")
    other.close(1000, "bye")
    other.leg.end()
    rig.settle()
    assert rig.cause is CLOSED[side] and not other.leg.aborted


@BOTH
def test_an_unanswered_close_is_answered_at_the_deadline(side: Side) -> None:
    rig = Rig(limits(close_timeout=2)).start()
    peer, other = rig.peers(side)
    peer.close(4001, "soon")
    rig.wait(1.9)
    assert peer.close_heard is None and not rig.endings
    rig.wait(0.5)
    assert peer.close_heard == (4001, "soon")
    assert peer.leg.closed and not peer.leg.aborted
    assert rig.cause is CLOSED[side]


@BOTH
def test_a_close_is_answered_when_the_other_leg_is_lost(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.close(4001, "soon")
    rig.settle()
    other.leg.reset()
    rig.settle()
    assert peer.close_heard == (4001, "soon")
    peer.leg.end()
    rig.settle()
    assert rig.cause is CLOSED[side] and not peer.leg.aborted


def test_a_server_that_does_not_close_tcp_is_closed_at_the_deadline() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.client.close()
    rig.server.close()
    rig.wait(1.9)
    assert not rig.endings
    rig.wait(0.2)
    assert rig.cause is Cause.CLIENT_CLOSED and not rig.server.leg.aborted


# Slow peers at the end


@BOTH
def test_a_slow_peer_gets_all_that_is_queued_before_it_is_closed(side: Side) -> None:
    """A deadline must not throw away what a peer is still taking."""
    rig = Rig(limits(close_timeout=1), room=1000).start()
    peer, slow = rig.peers(side)
    slow.reads = False
    peer.leg.arrive(peer.encode(BINARY, bytes(20_000)) + peer.encode(CLOSE, b"\x03\xe8"))
    rig.settle()
    for _ in range(25):
        rig.wait(0.5)
        slow.listen(1000)
    assert slow.close_heard == (1000, "") and len(slow.data) == 20_000
    rig.wait(2)
    assert rig.cause is CLOSED[side] and not slow.leg.aborted


@BOTH
def test_a_peer_that_takes_nothing_at_the_end_is_given_up(side: Side) -> None:
    rig = Rig(limits(close_timeout=1), room=1000).start()
    peer, stuck = rig.peers(side)
    stuck.reads = False
    peer.leg.arrive(peer.encode(BINARY, bytes(20_000)) + peer.encode(CLOSE, b"\x03\xe8"))
    rig.wait(1.2)
    assert stuck.leg.aborted and rig.cause is CLOSED[side]


@BOTH
def test_the_answer_to_a_close_is_read_although_the_peer_was_paused(side: Side) -> None:
    """Towards a leg that has had its Close nothing is written any more, so that the other need not wait for it."""
    rig = Rig(room=1000).start()
    peer, stuck = rig.peers(side)
    stuck.reads = False
    peer.say(BINARY, bytes(5000))
    rig.settle()
    assert peer.leg.paused
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert not peer.leg.paused and not stuck.leg.paused
    peer.close(1001)
    peer.leg.end()
    rig.settle()
    assert peer.leg.closed and not peer.leg.aborted


# Legs that are lost


@BOTH
@pytest.mark.parametrize("how", ["fin", "reset"])
def test_the_other_side_hears_of_a_leg_that_is_lost_between_frames(side: Side, how: str) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.text("complete")
    if how == "fin":
        peer.leg.end()
    else:
        peer.leg.reset()
    rig.settle()
    row = LOST[side].value
    assert other.close_heard == (row.to_server if side is Side.CLIENT else row.to_client, row.text)
    other.close(1000)
    other.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by, rig.ending.code) == (LOST[side], side, None)
    assert not other.leg.aborted


@BOTH
@pytest.mark.parametrize("how", ["fin", "reset"])
def test_the_other_side_is_aborted_where_a_frame_to_it_is_half_sent(side: Side, how: str) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, b"0123456789")
    peer.leg.arrive(frame[:-7])
    if how == "fin":
        peer.leg.end()
    else:
        peer.leg.reset()
    rig.settle()
    assert other.raw == frame[:-7]
    assert other.leg.aborted and rig.cause is LOST[side]


@BOTH
def test_a_header_that_is_not_complete_is_no_frame_yet(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(peer.encode(BINARY, bytes(1000))[:3])
    peer.leg.reset()
    rig.settle()
    assert other.close_heard is not None and not other.leg.aborted


@BOTH
def test_the_other_side_hears_of_a_fin_though_the_leg_still_has_bytes_to_take(side: Side) -> None:
    rig = Rig(room=1000).start()
    peer, other = rig.peers(side)
    peer.reads = False
    other.say(BINARY, bytes(5000))
    rig.settle()
    peer.leg.end()
    rig.settle()
    assert not peer.leg.closed
    assert other.close_heard is not None


def test_both_legs_lost_at_once_end_it_once() -> None:
    rig = Rig().start()
    rig.client.leg.reset()
    rig.server.leg.reset()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LOST


@BOTH
def test_a_leg_without_half_close_is_closed_as_any_other(side: Side) -> None:
    rig = Rig(limits(close_timeout=2), half_closes=False).start()
    peer, other = rig.peers(side)
    peer.leg.reset()
    other.close()
    rig.wait(2.5)
    assert rig.cause is LOST[side] and not other.leg.aborted


# What the gateway wants


@pytest.mark.parametrize("cause", [Cause.STOPPING, Cause.DRAINED, Cause.KICKED, Cause.MAX_AGE])
def test_the_gateway_closes_both_with_the_codes_of_the_table(cause: Cause) -> None:
    rig = Rig().start()
    rig.relay.close(cause)
    rig.settle()
    row = cause.value
    assert rig.client.close_heard == (row.to_client, row.text)
    assert rig.server.close_heard == (row.to_server, row.text)
    rig.client.close(row.to_client)
    rig.server.close(row.to_server)
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by, rig.ending.code) == (cause, row.side, row.to_client)
    assert not rig.client.leg.aborted and not rig.server.leg.aborted


def test_a_reason_of_the_operators_stands_in_the_close() -> None:
    rig = Rig().start()
    rig.relay.close(Cause.DRAINED, "back at noon")
    rig.settle()
    assert rig.client.close_heard == (1012, "back at noon")
    assert rig.server.close_heard == (1001, "back at noon")


@BOTH
def test_a_close_of_ours_waits_for_the_frame_that_passes_and_drops_the_rest(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, b"0123456789")
    peer.leg.arrive(frame[:-4])
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert other.raw == frame[:-4]
    assert peer.close_heard == (1001, "the gateway stops")
    peer.leg.arrive(frame[-4:] + frame + frame[:-1])
    peer.leg.arrive(frame[-1:] + frame)
    rig.settle()
    assert [frame.opcode for frame in other.heard] == [BINARY, BINARY, CLOSE]
    assert other.close_heard == (1001, "the gateway stops") and not other.rest
    for each in (peer, other):
        each.close(1001)
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.STOPPING


@BOTH
def test_a_peers_close_behind_the_frame_that_passes_is_enough(side: Side) -> None:
    """One Close is sent, not the gateway's and the peer's."""
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, b"0123456789")
    peer.leg.arrive(frame[:-4])
    rig.relay.close(Cause.STOPPING)
    peer.leg.arrive(frame[-4:] + peer.encode(CLOSE, b"\x03\xe8"))
    rig.settle()
    assert [frame.opcode for frame in other.heard] == [BINARY, CLOSE]
    other.close(1000)
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.STOPPING


@BOTH
def test_pings_that_wait_do_not_come_behind_a_close(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, b"0123456789")
    peer.leg.arrive(frame[:-4])
    rig.relay.inject(other.side, encode_frame(PING, b"!", mask=b"abcd" if other.side is Side.SERVER else None))
    peer.leg.arrive(frame[-4:] + peer.encode(CLOSE, b"\x03\xe8"))
    rig.settle()
    assert other.heard[-1].opcode == CLOSE


@BOTH
def test_a_frame_that_never_ends_is_cut_off_at_the_deadline(side: Side) -> None:
    rig = Rig(limits(close_timeout=2)).start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, b"0123456789")
    peer.leg.arrive(frame[:-4])
    rig.relay.close(Cause.STOPPING)
    rig.wait(2.5)
    assert other.raw == frame[:-4] and other.leg.aborted
    assert rig.cause is Cause.STOPPING


@BOTH
def test_a_leg_lost_while_our_close_waits_for_its_frame_aborts_the_other(side: Side) -> None:
    rig = Rig().start()
    peer, other = rig.peers(side)
    peer.leg.arrive(peer.encode(BINARY, b"0123456789")[:-4])
    rig.relay.close(Cause.STOPPING)
    peer.leg.reset()
    rig.settle()
    assert other.leg.aborted and rig.cause is Cause.STOPPING


def test_the_first_reason_to_close_is_the_reason() -> None:
    rig = Rig().start()
    rig.relay.close(Cause.DRAINED)
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert rig.client.close_heard == (1012, "drained")
    rig.client.leg.reset()
    rig.server.leg.reset()
    rig.settle()
    assert rig.cause is Cause.DRAINED


def test_an_abort_is_at_once() -> None:
    rig = Rig().start()
    rig.relay.abort(Cause.KICKED)
    rig.settle()
    assert rig.client.leg.aborted and rig.server.leg.aborted
    assert rig.cause is Cause.KICKED and not rig.client.heard


def test_peers_that_ignore_our_close_are_closed_at_the_deadline() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.relay.close(Cause.STOPPING)
    for _ in range(19):
        rig.client.text("still talking")
        rig.server.text("so am I")
        rig.wait(0.1)
    assert not rig.endings
    rig.wait(0.3)
    assert rig.cause is Cause.STOPPING
    assert not rig.client.texts and not rig.server.texts
