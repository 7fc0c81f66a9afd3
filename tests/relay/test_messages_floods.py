"""The ``messages`` relay and frames that carry nothing: it takes and refuses what ``frames`` does."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode
from tests.relay.message_rig import Peer, Rig, limits
from wsgate.causes import Cause, Side

KEY = b"\x01\x02\x03\x04"
BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


def rig_with(rate: float = 10, burst: float = 50) -> Rig:
    return Rig(limits(control_rate=rate, control_burst=burst)).start()


def peers(rig: Rig, side: Side) -> tuple[Peer, Peer, bytes]:
    """Who speaks, who hears it, and the mask of what is said."""
    return (rig.client, rig.server, KEY) if side is Side.CLIENT else (rig.server, rig.client, b"")


def flood(kind: str, count: int, mask: bytes) -> bytes:
    """So many frames that carry nothing."""
    if kind == "fragment":
        return encode(TEXT, fin=False, mask=mask) + encode(CONTINUATION, fin=False, mask=mask) * (count - 1)
    return encode(PING if kind == "ping" else PONG, mask=mask) * count


@BOTH
@pytest.mark.parametrize("kind", ["ping", "pong", "fragment"])
@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_a_flood_is_closed_at_the_end_of_its_budget(side: Side, kind: str, piece: int) -> None:
    """The last frame that may pass passes, the next one does not, in however many reads they come."""
    rig = rig_with()
    peer, other, mask = peers(rig, side)
    stream = flood(kind, 200, mask)
    for at in range(0, len(stream), piece):
        peer.leg.arrive(stream[at : at + piece])
    rig.settle()
    passed = {"ping": 50, "pong": 50, "fragment": 0}[kind]
    assert len(other.frames) == passed + 1 and other.frames[-1].opcode is Opcode.CLOSE
    rig.wait(0.9)
    assert peer.heard_close == (1008, "too many control frames and empty fragments")
    peer.leg.end()
    rig.settle()
    assert rig.cause is (Cause.CLIENT_LIMIT if side is Side.CLIENT else Cause.SERVER_LIMIT)
    assert rig.ending.closed_by is side and rig.ending.detail == "too many control frames and empty fragments"


@BOTH
def test_a_steady_stream_of_pings_and_their_answers_passes(side: Side) -> None:
    """As many as the rate for a long while, each answered at once."""
    rig = rig_with(rate=20, burst=5)
    peer, other, _ = peers(rig, side)
    for number in range(200):
        peer.protocol.send_ping(str(number).encode())
        rig.wait(0.05)
    assert len(other.controls(Opcode.PING)) == len(peer.controls(Opcode.PONG)) == 200
    assert not rig.endings


@BOTH
def test_control_frames_among_as_many_messages_are_no_flood(side: Side) -> None:
    rig = rig_with(rate=1, burst=2)
    peer, other, mask = peers(rig, side)
    peer.leg.arrive((encode(BINARY, b"x", mask=mask) + encode(PONG, mask=mask)) * 500)
    rig.settle()
    assert len(other.frames) == 1000 and not rig.endings


def test_fragments_with_something_in_them_and_the_empty_end_of_a_message_are_no_flood() -> None:
    rig = rig_with(rate=1, burst=2)
    message = encode(TEXT, b"a", fin=False) + encode(CONTINUATION, b"b", fin=False) + encode(CONTINUATION)
    rig.client.leg.arrive((message + encode(BINARY)) * 100)
    rig.settle()
    assert rig.server.messages == ["ab", b""] * 100


def test_a_close_passes_where_the_budget_is_used_up() -> None:
    rig = rig_with(burst=3)
    rig.client.leg.arrive(encode(PONG) * 3 + encode(CLOSE, b"\x0f\xa0"))
    rig.settle()
    assert rig.server.heard_close == (4000, "")


def test_empty_fragments_count_as_messages() -> None:
    rig = Rig(limits(messages_per_second=1, messages_burst=10)).start()
    rig.client.leg.arrive(flood("fragment", 20, KEY))
    rig.wait(1.2)
    assert rig.client.heard_close == (1008, "too much in too little time")


def test_empty_fragments_wait_where_the_rate_says_so() -> None:
    rig = Rig(limits(messages_per_second=10, messages_burst=10, limit_action="wait")).start()
    rig.client.leg.arrive(flood("fragment", 20, KEY) + encode(CONTINUATION, b"end"))
    rig.wait(0.5)
    assert not rig.server.messages and rig.client.leg.paused
    rig.wait(1)
    assert rig.server.messages == ["end"]


def test_without_a_rate_nothing_is_a_flood() -> None:
    rig = Rig(limits(control_rate=0)).start()
    rig.client.leg.arrive(flood("fragment", 20_000, KEY) + flood("pong", 20_000, KEY))
    rig.settle()
    assert not rig.endings and rig.relay.traffic().frames_in == 40_000
