"""Backpressure of the ``messages`` relay: who is not read from, how much may wait, and who is given up."""

from __future__ import annotations

import tracemalloc

import pytest
from websockets.frames import Opcode

from tests.doubles import frames
from tests.relay.message_rig import Peer, Rig, limits
from wsgate.causes import Cause, Side
from wsgate.relay.closing import MOST_DROPPED
from wsgate.relay.speech import TOGETHER

UNMASKED = b""
ROOM = 10_000


def two(rig: Rig, side: Side) -> tuple[Peer, Peer, bytes]:
    """The peer of ``side``, the other one, and the first one's mask."""
    if side is Side.CLIENT:
        return rig.client, rig.server, frames.MASK
    return rig.server, rig.client, UNMASKED


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_nothing_is_read_for_a_peer_that_does_not_read(side: Side) -> None:
    rig = Rig(limits(buffer=20_000), room=ROOM).start()
    sender, other, mask = two(rig, side)
    other.reads = False
    message = frames.encode(frames.BINARY, bytes(1000), mask=mask)
    for _ in range(200):
        sender.leg.arrive(message)
    rig.settle()
    assert sender.leg.paused
    # What the socket took, the buffer, and the one message that filled it.
    assert other.leg.sent <= ROOM + 20_000 + 1010
    assert sender.leg.received < 64 * 1024 + 1010
    other.reads = True
    rig.settle()
    assert len(other.messages) == 200
    assert not sender.leg.paused


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_what_has_been_read_already_waits_as_well(side: Side) -> None:
    """One read brings many messages; each may be inflated or answered by a hook, so that none is made ahead of time."""
    rig = Rig(limits(buffer=2_000), room=1_000).start()
    sender, other, mask = two(rig, side)
    other.reads = False
    sender.leg.arrive(frames.encode(frames.BINARY, bytes(1000), mask=mask) * 60)
    rig.settle()
    assert other.leg.sent <= 2_000 + TOGETHER + 1_010
    other.reads = True
    rig.settle()
    assert len(other.messages) == 60


def test_the_order_is_kept_when_a_peer_reads_slowly() -> None:
    rig = Rig(limits(buffer=500), room=100).start()
    rig.client.reads = False
    sent = [str(number) for number in range(500)]
    rig.server.leg.arrive(b"".join(frames.text(message, UNMASKED) for message in sent))
    heard = b""
    for _ in range(1000):
        heard += rig.client.leg.take(37)
        rig.clock.advance(0)
    assert heard == b"".join(frames.text(message, UNMASKED) for message in sent)


def test_a_close_behind_what_waits_comes_after_it() -> None:
    rig = Rig(limits(buffer=500), room=200).start()
    rig.client.reads = False
    rig.server.leg.arrive(frames.encode(frames.BINARY, bytes(300), mask=UNMASKED) * 5)
    rig.server.leg.arrive(frames.close(4000, "done", UNMASKED))
    rig.settle()
    assert rig.server.leg.paused
    rig.client.reads = True
    rig.settle()
    assert len(rig.client.messages) == 5
    assert rig.client.heard_close == (4000, "done")


def test_a_server_that_leaves_while_messages_wait_is_told_after_them() -> None:
    rig = Rig(limits(buffer=500), room=200).start()
    rig.client.reads = False
    rig.server.leg.arrive(frames.encode(frames.BINARY, bytes(300), mask=UNMASKED) * 5)
    rig.server.leg.reset()
    rig.settle()
    rig.client.reads = True
    rig.settle()
    assert len(rig.client.messages) == 5
    assert rig.client.heard_close == (1011, Cause.SERVER_LOST.value.text)
    assert rig.cause is Cause.SERVER_LOST


def test_a_client_that_leaves_lets_the_server_be_read_again() -> None:
    """A paused leg whose other side is gone must not stay for ever."""
    rig = Rig(limits(buffer=500), room=200).start()
    rig.client.reads = False
    rig.server.leg.arrive(frames.encode(frames.BINARY, bytes(300), mask=UNMASKED) * 5)
    assert rig.server.leg.paused
    rig.client.leg.reset()
    rig.settle()
    assert rig.server.heard_close == (1001, Cause.CLIENT_LOST.value.text)
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LOST


# Floods


def test_a_client_that_goes_on_sending_after_the_end_is_cut_off() -> None:
    rig = Rig().start()
    rig.client.reads = False
    rig.relay.close(Cause.STOPPING)
    for _ in range(MOST_DROPPED // (1 << 20) + 1):
        rig.client.leg.arrive(frames.encode(frames.BINARY, bytes(1 << 20)))
    rig.settle()
    assert rig.client.leg.aborted


def kept() -> int:
    """Bytes that the gateway's code and autobahn's hold; what the peers keep is theirs."""
    traces = [tracemalloc.Filter(True, f"*/{package}/*") for package in ("wsgate", "autobahn")]
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(traces).traces)


def test_a_flood_of_pings_without_reading_keeps_memory_flat() -> None:
    rig = Rig(limits(buffer=64 * 1024), room=4_096).start()
    rig.client.reads = False
    flood = frames.encode(frames.PING, b"p" * 125, mask=b"\0" * 4) * 400
    tracemalloc.start()
    try:
        before = kept()
        for _ in range(30):
            rig.client.leg.arrive(flood)
            rig.settle()
        assert kept() - before < 500_000
    finally:
        tracemalloc.stop()
    assert rig.client.leg.queued <= 64 * 1024 + 127
    assert rig.server.leg.paused


def test_pongs_of_a_peer_wait_as_its_messages_do() -> None:
    rig = Rig(limits(buffer=1_000), room=1_000).start()
    rig.client.reads = False
    rig.client.leg.arrive(frames.encode(frames.PING, b"p" * 125) * 100)
    rig.settle()
    assert rig.server.leg.paused
    assert rig.client.leg.queued <= 1_127
    rig.client.reads = True
    rig.settle()
    assert rig.client.controls(Opcode.PONG) == [b"p" * 125] * 100


# Slow consumers


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_a_peer_that_takes_nothing_is_given_up(side: Side) -> None:
    rig = Rig(limits(buffer=2_000, slow_consumer_timeout=8), room=1_000).start()
    stuck, other, _ = two(rig, side)
    stuck.reads = False
    for _ in range(20):
        other.binary(bytes(500))
        rig.settle()
    rig.wait(7.9)
    assert not stuck.leg.aborted
    rig.wait(2.6)
    assert stuck.leg.aborted
    cause = Cause.CLIENT_STUCK if side is Side.CLIENT else Cause.SERVER_STUCK
    assert other.heard_close == (1001 if side is Side.CLIENT else 1011, cause.value.text)
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (cause, side)


def test_a_peer_that_takes_a_little_now_and_then_is_not() -> None:
    rig = Rig(limits(buffer=2_000, slow_consumer_timeout=8), room=1_000).start()
    rig.client.reads = False
    rig.server.leg.arrive(frames.encode(frames.BINARY, bytes(500), mask=UNMASKED) * 20)
    for _ in range(10):
        rig.wait(6)
        rig.client.leg.take(100)
    assert not rig.endings and not rig.client.leg.aborted


def test_waiting_bytes_below_the_buffer_are_watched_as_well() -> None:
    rig = Rig(limits(slow_consumer_timeout=8), room=1_000).start()
    rig.client.reads = False
    rig.server.binary(bytes(2_000))
    rig.wait(11)
    assert rig.client.leg.aborted
