"""The ``frames`` relay and frames that carry nothing: floods of them end it, and what peers need of them passes."""

from __future__ import annotations

import pytest

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.relay.frame_rig import Peer, Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side

BOTH = pytest.mark.parametrize("side", list(Side)[:2])
KINDS = pytest.mark.parametrize("kind", ["ping", "pong", "fragment"])


def rig_with(rate: float = 10, burst: float = 50) -> Rig:
    return Rig(limits(control_rate=rate, control_burst=burst, max_fragments=1 << 20)).start()


def flood(peer: Peer, kind: str, count: int) -> bytes:
    """So many frames that carry nothing."""
    if kind == "fragment":
        return peer.encode(TEXT, fin=False) + peer.encode(CONTINUATION, fin=False) * (count - 1)
    return peer.encode(PING if kind == "ping" else PONG) * count


def finish(rig: Rig) -> None:
    for peer in (rig.client, rig.server):
        peer.leg.end()
    rig.settle()


@BOTH
@KINDS
@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_a_flood_is_closed_at_the_end_of_its_budget(side: Side, kind: str, piece: int) -> None:
    """The last frame that may pass passes, the next one does not, in however many reads they come."""
    rig = rig_with()
    peer, other = rig.peers(side)
    stream = flood(peer, kind, 200)
    for at in range(0, len(stream), piece):
        peer.leg.arrive(stream[at : at + piece])
    rig.settle()
    assert len(other.heard) == 51 and other.heard[-1].opcode == CLOSE
    rig.wait(0.9)
    assert peer.close_heard == (1008, "too many control frames and empty fragments")
    finish(rig)
    assert rig.cause is (Cause.CLIENT_LIMIT if side is Side.CLIENT else Cause.SERVER_LIMIT)
    assert rig.ending.closed_by is side and rig.ending.detail == "too many control frames and empty fragments"


@pytest.mark.parametrize("kind", ["ping", "fragment"])
def test_a_million_frames_of_a_flood_leave_nothing_behind(kind: str) -> None:
    rig = Rig(limits(control_rate=200, control_burst=5000, max_fragments=16384)).start()
    stream = flood(rig.client, kind, 10_000)
    for _ in range(100):
        rig.client.leg.arrive(stream)
    side = rig.relay._client
    assert rig.relay.traffic().frames_in == 5000
    assert not side.scanner.events and not side.scanner.held and not rig.client.leg.queued


@BOTH
def test_a_steady_stream_of_pings_and_their_answers_passes(side: Side) -> None:
    """As many as the rate for a long while, each answered a little later."""
    rig = rig_with(rate=100, burst=10)
    peer, other = rig.peers(side)
    for number in range(1000):
        peer.say(PING, str(number).encode())
        other.say(PONG, str(number).encode())
        rig.wait(0.01)
    assert len(other.payloads(PING)) == len(peer.payloads(PONG)) == 1000
    assert not rig.endings


def test_pings_that_were_answered_late_and_all_at_once_are_no_flood() -> None:
    rig = rig_with(rate=100, burst=10)
    for number in range(20):
        rig.client.say(PING, str(number).encode())
        rig.wait(0.01)
    rig.server.leg.arrive(b"".join(rig.server.encode(PONG, str(number).encode()) for number in range(20)))
    rig.settle()
    assert len(rig.client.payloads(PONG)) == 20 and rig.client.close_heard is None


@BOTH
def test_control_frames_among_as_many_messages_are_no_flood(side: Side) -> None:
    rig = rig_with(rate=1, burst=2)
    peer, other = rig.peers(side)
    for _ in range(500):
        peer.leg.arrive(peer.encode(BINARY, b"x") + peer.encode(PING))
    rig.settle()
    assert len(other.heard) == 1000 and not rig.endings


def test_fragments_with_something_in_them_and_the_empty_end_of_a_message_are_no_flood() -> None:
    """Streaming senders end a message with an empty frame."""
    rig = rig_with(rate=1, burst=2)
    for _ in range(100):
        rig.client.say(TEXT, b"x", fin=False)
        rig.client.say(CONTINUATION, b"x", fin=False)
        rig.client.say(CONTINUATION)
        rig.client.say(BINARY)
    rig.settle()
    assert len(rig.server.heard) == 400 and rig.server.close_heard is None


def test_answers_to_pings_of_ours_are_within_the_budget() -> None:
    rig = Rig(limits(control_rate=1, control_burst=1, ping_interval=2, ping_timeout=2)).start()
    for _ in range(400):
        rig.wait(0.25)
        for peer in (rig.client, rig.server):
            for frame in peer.heard:
                if frame.opcode == PING:
                    peer.say(PONG, frame.payload)
            peer.heard.clear()
    assert not rig.endings and rig.relay.traffic().frames_in > 30


def test_a_close_passes_where_the_budget_is_used_up() -> None:
    rig = rig_with(burst=3)
    rig.client.leg.arrive(rig.client.encode(PING) * 3 + rig.client.encode(CLOSE, b"\x0f\xa0"))
    rig.settle()
    assert rig.server.close_heard == (4000, "")


def test_without_a_rate_nothing_is_a_flood() -> None:
    rig = Rig(limits(control_rate=0)).start()
    rig.client.leg.arrive(rig.client.encode(PING) * 20_000)
    rig.settle()
    assert len(rig.server.payloads(PING)) == 20_000
