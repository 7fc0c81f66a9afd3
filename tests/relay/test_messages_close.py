"""How a WebSocket of the ``messages`` relay ends: Close from end to end, lost legs, and the gateway's own reasons."""

from __future__ import annotations

import pytest
from websockets.protocol import State

from tests.doubles import frames
from tests.relay.message_rig import Peer, Rig, limits
from wsgate.causes import Cause, Side

UNMASKED = b""
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]


def peers(rig: Rig, side: Side) -> tuple[Peer, Peer]:
    """The peer of ``side`` and the other one."""
    return (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
@pytest.mark.parametrize("code", CODES)
def test_code_and_reason_pass_unchanged(side: Side, code: int) -> None:
    rig = Rig().start()
    closing, other = peers(rig, side)
    mask = frames.MASK if side is Side.CLIENT else UNMASKED
    closing.leg.arrive(frames.close(code, "warum nicht – ☃", mask))
    rig.settle()
    assert other.heard_close == (code, "warum nicht – ☃")
    # The library answers with the same, and that is passed on, too.
    assert closing.heard_close == other.heard_close
    assert rig.client.leg.closed
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is (Cause.CLIENT_CLOSED if side is Side.CLIENT else Cause.SERVER_CLOSED)
    assert (rig.ending.closed_by, rig.ending.code, rig.ending.reason) == (side, code, "warum nicht – ☃")


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_an_empty_close_stays_empty(side: Side) -> None:
    rig = Rig().start()
    closing, other = peers(rig, side)
    closing.close()
    rig.settle()
    assert other.heard_close == closing.heard_close == (1005, "")
    rig.server.leg.end()
    rig.settle()
    assert rig.ending.code == 1005


def test_the_answer_to_a_close_is_the_other_peers_own() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.close(1000, "bye")
    rig.settle()
    assert rig.client.heard_close is None
    rig.server.leg.arrive(frames.close(4321, "good riddance", UNMASKED))
    rig.settle()
    assert rig.client.heard_close == (4321, "good riddance")
    rig.server.leg.end()
    rig.settle()
    assert (rig.ending.code, rig.ending.reason) == (1000, "bye")


def test_towards_the_client_the_gateway_closes_tcp_first() -> None:
    """RFC 6455 section 7.1.1."""
    rig = Rig().start()
    rig.client.close(1000)
    rig.settle()
    assert rig.client.leg.closed and not rig.client.leg.aborted


def test_the_servers_fin_is_waited_for() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(frames.close(1000))
    rig.server.leg.arrive(frames.close(1000, mask=UNMASKED))
    assert not rig.server.leg.closed and not rig.endings
    rig.server.leg.end()
    rig.settle()
    assert rig.server.leg.closed and not rig.server.leg.aborted
    assert rig.cause is Cause.CLIENT_CLOSED


def test_a_server_that_does_not_close_tcp_is_closed_at_the_deadline() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.server.reads = False
    rig.client.leg.arrive(frames.close(1000))
    rig.server.leg.arrive(frames.close(1000, mask=UNMASKED))
    rig.wait(1.9)
    assert not rig.server.leg.closed
    rig.wait(0.3)
    assert rig.server.leg.closed
    assert rig.cause is Cause.CLIENT_CLOSED


def test_a_client_whose_server_does_not_answer_its_close_gets_it_back() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.server.reads = False
    rig.client.close(4000, "bye")
    rig.wait(1.9)
    assert rig.client.heard_close is None
    rig.wait(0.3)
    assert rig.client.heard_close == (4000, "bye")
    assert rig.client.leg.closed and not rig.client.leg.aborted
    assert rig.server.leg.aborted
    assert rig.cause is Cause.CLIENT_CLOSED


def test_a_client_that_does_not_answer_the_servers_close_is_cut_off() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.client.reads = False
    rig.server.close(1001, "going")
    rig.wait(2.2)
    assert rig.client.leg.aborted
    assert rig.server.heard_close == (1001, "going")
    rig.wait(1.2)
    assert rig.cause is Cause.SERVER_CLOSED


def test_messages_go_on_towards_a_peer_that_has_only_said_its_close() -> None:
    """It may hear what was on the way (RFC 6455 section 5.5.1); what it says itself is over."""
    rig = Rig().start()
    rig.server.reads = False
    rig.client.leg.arrive(frames.close(1000) + frames.text("never heard"))
    rig.server.leg.arrive(frames.text("on the way", UNMASKED) + frames.close(1000, mask=UNMASKED))
    rig.settle()
    rig.server.reads = True
    rig.settle()
    assert rig.client.messages == ["on the way"]
    assert rig.server.messages == []


def test_nothing_follows_a_close_that_was_sent() -> None:
    rig = Rig().start()
    rig.client.reads = False
    rig.relay.close(Cause.DRAINED)
    rig.server.leg.arrive(frames.text("too late", UNMASKED) + frames.encode(frames.PING, b"x", mask=UNMASKED))
    rig.settle()
    rig.client.reads = True
    rig.settle()
    assert rig.client.messages == []
    assert len(rig.client.frames) == 1
    assert rig.client.heard_close == (1012, "drained")


# Legs that are lost


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_client_that_leaves_without_close_is_told_to_the_server(how: str) -> None:
    rig = Rig().start()
    rig.client.text("last words")
    rig.settle()
    getattr(rig.client.leg, how)()
    rig.settle()
    assert rig.server.messages == ["last words"]
    assert rig.server.heard_close == (1001, Cause.CLIENT_LOST.value.text)
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by, rig.ending.code) == (Cause.CLIENT_LOST, Side.CLIENT, None)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_server_that_leaves_without_close_is_told_to_the_client(how: str) -> None:
    rig = Rig().start()
    rig.server.text("last words")
    rig.settle()
    getattr(rig.server.leg, how)()
    rig.settle()
    assert rig.client.messages == ["last words"]
    assert rig.client.heard_close == (1011, Cause.SERVER_LOST.value.text)
    assert rig.client.leg.closed and not rig.client.leg.aborted
    assert (rig.cause, rig.ending.closed_by) == (Cause.SERVER_LOST, Side.SERVER)


def test_a_server_lost_inside_a_frame_leaves_the_client_a_whole_close() -> None:
    """Frames are sent whole, so that a Close is never inside of one."""
    rig = Rig().start()
    rig.server.leg.arrive(frames.encode(frames.TEXT, b"abc", mask=UNMASKED, length=10))
    rig.server.leg.reset()
    rig.settle()
    assert rig.client.messages == []
    assert rig.client.heard_close == (1011, Cause.SERVER_LOST.value.text)


def test_a_server_lost_instead_of_its_answer_leaves_the_clients_close_clean() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.close(1000, "bye")
    rig.settle()
    rig.server.leg.reset()
    rig.settle()
    assert rig.client.heard_close == (1000, "bye")
    assert rig.cause is Cause.CLIENT_CLOSED


def test_a_client_may_end_its_direction_behind_its_close() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.leg.arrive(frames.close(1000, "bye"))
    rig.client.leg.end()
    rig.settle()
    assert not rig.client.leg.closed
    rig.server.leg.arrive(frames.close(1000, "yes", UNMASKED))
    rig.settle()
    assert rig.client.heard_close == (1000, "yes")


def test_both_legs_lost_at_once_end_it_once() -> None:
    rig = Rig().start()
    rig.server.leg.reset()
    rig.client.leg.reset()
    rig.wait(10)
    assert rig.cause is Cause.SERVER_LOST
    assert len(rig.wheel) == 0


# The gateway's reasons


@pytest.mark.parametrize("cause", [Cause.STOPPING, Cause.DRAINED, Cause.MAX_AGE, Cause.KICKED, Cause.INTERNAL])
def test_the_gateway_closes_both_with_the_tables_codes(cause: Cause) -> None:
    rig = Rig().start()
    rig.relay.close(cause)
    rig.settle()
    assert rig.client.heard_close == (cause.value.to_client, cause.value.text)
    assert rig.server.heard_close == (cause.value.to_server, cause.value.text)
    assert rig.client.leg.closed and not rig.client.leg.aborted
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (cause, Side.GATEWAY)
    assert rig.ending.code == cause.value.to_client
    assert len(rig.wheel) == 0


def test_the_gateway_may_give_a_reason_of_its_own() -> None:
    rig = Rig().start()
    rig.relay.close(Cause.KICKED, "see you tomorrow")
    rig.settle()
    assert rig.client.heard_close == (1008, "see you tomorrow")


def test_peers_that_do_not_answer_the_gateways_close_are_cut_off_at_the_deadline() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.client.reads = rig.server.reads = False
    rig.relay.close(Cause.STOPPING)
    rig.wait(1.9)
    assert not rig.endings
    rig.wait(0.3)
    assert rig.client.leg.aborted and rig.server.leg.aborted
    assert rig.cause is Cause.STOPPING


def test_a_cause_without_codes_closes_without_a_close_frame() -> None:
    rig = Rig().start()
    rig.relay.close(Cause.DONE)
    rig.settle()
    assert rig.client.protocol.state is State.CLOSED and rig.client.heard_close is None
    assert rig.cause is Cause.DONE


def test_a_second_reason_changes_nothing() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.close(1000, "bye")
    rig.settle()
    rig.relay.close(Cause.STOPPING)
    rig.server.reads = True
    rig.settle()
    assert rig.server.heard_close == (1000, "bye")
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_CLOSED


def test_abort_ends_it_now() -> None:
    rig = Rig().start()
    rig.relay.abort(Cause.KICKED)
    rig.settle()
    assert rig.client.leg.aborted and rig.server.leg.aborted
    assert rig.cause is Cause.KICKED
    assert rig.client.frames == rig.server.frames == []
    assert len(rig.wheel) == 0
