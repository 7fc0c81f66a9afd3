"""Keep-alive of the ``messages`` relay: pings of the gateway's own, dead peers, idleness and age."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode

from tests.doubles import frames
from tests.relay.message_rig import Peer, Rig, limits
from wsgate.causes import Cause, Side

UNMASKED = b""


def peer_of(rig: Rig, side: Side) -> Peer:
    return rig.client if side is Side.CLIENT else rig.server


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_a_silent_peer_is_pinged_and_its_pong_is_kept(side: Side) -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=5)).start()
    silent, other = peer_of(rig, side), peer_of(rig, Side.SERVER if side is Side.CLIENT else Side.CLIENT)
    for _ in range(20):
        rig.wait(1)
        other.leg.arrive(frames.text("alive", frames.MASK if other is rig.client else UNMASKED))
    rig.settle()
    assert silent.controls(Opcode.PING)
    assert other.controls(Opcode.PING) == other.controls(Opcode.PONG) == []
    assert silent.messages == ["alive"] * 20
    assert not rig.endings
    traffic = rig.relay.traffic()
    rtt = traffic.rtt_client if side is Side.CLIENT else traffic.rtt_server
    assert rtt == 0.0


def test_the_round_trip_is_measured() -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=5)).start()
    rig.client.reads = False
    rig.wait(13.5)
    rig.client.reads = True
    rig.settle()
    rtt = rig.relay.traffic().rtt_client
    assert rtt is not None and 0.9 < rtt < 3.6


def test_a_peer_that_says_something_is_not_pinged() -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=5)).start()
    for _ in range(40):
        rig.wait(1)
        rig.client.text("x")
        rig.server.text("y")
    assert rig.client.controls(Opcode.PING) == rig.server.controls(Opcode.PING) == []


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_a_dead_peer_is_noticed_within_interval_and_timeout(side: Side) -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=4)).start()
    dead, other = peer_of(rig, side), peer_of(rig, Side.SERVER if side is Side.CLIENT else Side.CLIENT)
    dead.reads = False
    rig.wait(13.5)
    assert not dead.leg.aborted
    rig.wait(4)
    assert dead.leg.aborted
    cause = Cause.CLIENT_DEAD if side is Side.CLIENT else Cause.SERVER_DEAD
    assert other.heard_close == (1001 if side is Side.CLIENT else 1011, cause.value.text)
    rig.server.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (cause, side)


def test_any_frame_is_life_even_without_a_pong() -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=4)).start()
    rig.client.reads = False
    for _ in range(20):
        rig.wait(3)
        rig.client.leg.arrive(frames.encode(frames.PONG, b"not the answer"))
    assert not rig.endings and not rig.client.leg.aborted


@pytest.mark.parametrize("bounds", [{"ping_interval": 10, "ping_timeout": 4}, {"idle_timeout": 10}])
def test_a_peer_that_needs_long_for_a_frame_is_alive(bounds: dict[str, float]) -> None:
    """It can answer no ping before the end of it."""
    rig = Rig(limits(**bounds)).start()
    rig.client.reads = False
    frame = frames.encode(frames.BINARY, bytes(100))
    for at in range(len(frame)):
        rig.client.leg.arrive(frame[at : at + 1])
        rig.wait(1)
    assert rig.server.messages == [bytes(100)]
    assert not rig.endings and not rig.client.leg.aborted


def test_a_relayed_ping_asks_for_life_in_our_place() -> None:
    """A peer may answer only the latest ping: the other side must get its pong."""
    rig = Rig(limits(ping_interval=10, ping_timeout=6)).start()
    rig.client.reads = False
    rig.wait(8)
    rig.server.protocol.send_ping(b"from the server")
    rig.wait(5)
    assert frames.encode(frames.PING, b"from the server", mask=UNMASKED) in rig.client.leg.take()
    rig.wait(6)
    assert rig.client.leg.aborted
    assert Cause.CLIENT_DEAD.value.text in str(rig.server.heard_close)


def test_the_other_sides_ping_is_answered_while_ours_waits() -> None:
    rig = Rig(limits(ping_interval=10, ping_timeout=8)).start()
    rig.client.reads = False
    rig.wait(13)
    rig.server.protocol.send_ping(b"theirs")
    rig.settle()
    # The client answers the latest only.
    rig.client.leg.arrive(frames.encode(frames.PONG, b"theirs"))
    rig.wait(8)
    assert rig.server.controls(Opcode.PONG) == [b"theirs"]
    assert not rig.client.leg.aborted


def test_a_peer_that_is_not_read_is_not_dead() -> None:
    """While the client takes nothing the server is paused: its pongs wait in the kernel."""
    rig = Rig(limits(ping_interval=10, ping_timeout=5, buffer=1_000), room=1_000).start()
    rig.client.reads = False
    rig.server.leg.arrive(frames.encode(frames.BINARY, bytes(1000), mask=UNMASKED) * 4)
    assert rig.server.leg.paused
    rig.wait(60)
    assert not rig.endings and not rig.server.leg.aborted


def test_nothing_is_pinged_after_a_close() -> None:
    rig = Rig(limits(ping_interval=1, ping_timeout=1, close_timeout=5)).start()
    rig.server.reads = False
    rig.client.close(1000)
    rig.wait(4)
    assert rig.client.controls(Opcode.PING) == []
    assert not rig.server.leg.aborted


# Idleness and age


def test_a_websocket_without_messages_is_closed() -> None:
    rig = Rig(limits(idle_timeout=10, ping_interval=2)).start()
    for _ in range(3):
        rig.wait(8)
        rig.server.text("tick")
    rig.wait(9)
    assert rig.client.heard_close is None
    rig.wait(4)
    assert rig.client.heard_close == (1001, Cause.IDLE.value.text)
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.IDLE


def test_pings_are_no_activity() -> None:
    rig = Rig(limits(idle_timeout=10)).start()
    for _ in range(9):
        rig.wait(1)
        rig.client.protocol.send_ping(b"")
    rig.wait(4)
    assert rig.client.heard_close == (1001, Cause.IDLE.value.text)


@pytest.mark.parametrize(("share", "age"), [(b"\x00" * 4, 60.0), (b"\xff" * 4, 90.0)])
def test_a_websocket_is_closed_at_its_age_and_a_share_of_it_later_by_chance(share: bytes, age: float) -> None:
    rig = Rig(limits(max_age=60, max_age_jitter=0.5), random=lambda size: share[:size]).start()
    rig.wait(age - 0.1)
    assert rig.client.heard_close is None
    rig.wait(0.3)
    assert rig.client.heard_close == (1012, Cause.MAX_AGE.value.text)
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.MAX_AGE


def test_nothing_is_watched_that_is_off() -> None:
    rig = Rig().start()
    assert len(rig.wheel) == 0
