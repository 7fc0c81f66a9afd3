"""The tunnel: bytes both ways, ends carried over or not, and what is logged of it."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from tests.relay.tunnel_rig import TunnelRig
from tests.transport.leg_ends import FAMILIES, HUBS
from wsgate.causes import Cause, Side
from wsgate.relay.interfaces import Ending, Relay
from wsgate.relay.tunnel import LAST_BYTES, Tunnel
from wsgate.transport.wheel import TICK, TimerWheel

BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
CLOSED = {Side.CLIENT: Cause.CLIENT_CLOSED, Side.SERVER: Cause.SERVER_CLOSED}
LOST = {Side.CLIENT: Cause.CLIENT_LOST, Side.SERVER: Cause.SERVER_LOST}
MiB = 1 << 20

Rigs = Callable[..., TunnelRig]


@pytest.fixture
def rigs() -> Iterator[Rigs]:
    made: list[TunnelRig] = []

    def make(**options: Any) -> TunnelRig:
        made.append(TunnelRig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def test_it_is_a_relay_that_knows_no_frames(rigs: Rigs) -> None:
    rig = rigs().start()
    relay: Relay = rig.tunnel
    assert not relay.at_boundary() and not relay.inject(Side.CLIENT, b"\x89\x00")
    assert not relay.replace_leg(Side.SERVER, rig.server_leg, b"")


@BOTH
@pytest.mark.parametrize("kind", sorted(HUBS))
@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_pass_both_ways(rigs: Rigs, side: Side, kind: str, family: str) -> None:
    rig = rigs(kind=kind, family=family).start()
    peer, other = rig.peers(side)
    peer.send(b"there")
    assert rig.hear(other, 5) == b"there"
    other.send(b"and back")
    assert rig.hear(peer, 8) == b"and back"


def test_the_server_may_speak_first(rigs: Rigs) -> None:
    rig = rigs()
    rig.server.send(b"220 ready")
    rig.start()
    assert rig.hear(rig.client, 9) == b"220 ready"


def test_what_came_behind_the_handshakes_comes_behind_the_answer(rigs: Rigs) -> None:
    rig = rigs(answer=b"101 ").start(b"from client ", b"from server ")
    rig.client.send(b"more")
    rig.server.send(b"more")
    assert rig.hear(rig.client, 20) == b"101 from server more"
    assert rig.hear(rig.server, 16) == b"from client more"


@BOTH
@pytest.mark.parametrize("kind", sorted(HUBS))
def test_bulk_passes_whole_and_through_the_kernel(rigs: Rigs, side: Side, kind: str) -> None:
    rig = rigs(kind=kind).start()
    peer, other = rig.peers(side)
    data = random.Random(2).randbytes(6 * MiB)
    rig.send_all(peer, data, reader=other)
    assert sha256(rig.hear(other, len(data))).digest() == sha256(data).digest()
    assert rig.pool.lent > 0
    peer.send(b"little again")
    assert rig.hear(other, len(data) + 12)[-12:] == b"little again"
    traffic = rig.tunnel.traffic()
    assert (traffic.bytes_in if side is Side.CLIENT else traffic.bytes_out) == len(data) + 12


def test_bulk_passes_without_splice_as_well(rigs: Rigs) -> None:
    rig = rigs(splice=False).start()
    data = random.Random(3).randbytes(2 * MiB)
    rig.send_all(rig.server, data, reader=rig.client)
    assert rig.hear(rig.client, len(data)) == data


@BOTH
def test_a_peer_that_takes_nothing_stops_the_other_and_no_byte_is_lost(rigs: Rigs, side: Side) -> None:
    rig = rigs().start()
    peer, other = rig.peers(side)
    total = 0
    while not rig.legs(side)[0].paused:
        total += peer.fill()
        rig.turn()
    assert rig.legs(side)[1].queued <= 64 * 1024
    other.send(b"the other way is free")
    assert rig.hear(peer, 21)
    assert len(rig.hear(other, total)) == total


# Half-close


@BOTH
@pytest.mark.parametrize("kind", sorted(HUBS))
@pytest.mark.parametrize("family", FAMILIES)
def test_an_end_is_carried_over_and_the_other_direction_goes_on(rigs: Rigs, side: Side, kind: str, family: str) -> None:
    rig = rigs(kind=kind, family=family).start()
    peer, other = rig.peers(side)
    peer.send(b"question")
    peer.half_close()
    assert rig.hear_end(other) == "fin" and bytes(other.heard) == b"question"
    data = random.Random(4).randbytes(MiB)
    rig.send_all(other, data, reader=peer)
    other.half_close()
    assert rig.hear_end(peer) == "fin" and bytes(peer.heard) == data
    assert (rig.cause, rig.ending.closed_by) == (CLOSED[side], side)


@BOTH
def test_an_end_that_was_there_before_the_server_is_carried_over(rigs: Rigs, side: Side) -> None:
    rig = rigs()
    peer, other = rig.peers(side)
    peer.send(b"all that I say")
    peer.half_close()
    rig.start()
    assert rig.hear_end(other) == "fin" and bytes(other.heard) == b"all that I say"
    other.send(b"heard")
    assert rig.hear(peer, 5) == b"heard"


@BOTH
def test_an_end_behind_bulk_comes_behind_its_last_byte(rigs: Rigs, side: Side) -> None:
    rig = rigs().start()
    peer, other = rig.peers(side)
    data = random.Random(5).randbytes(4 * MiB)
    rig.send_all(peer, data, reader=other)
    peer.half_close()
    assert rig.hear_end(other) == "fin" and bytes(other.heard) == data


@BOTH
def test_without_half_close_an_end_ends_both_behind_what_is_queued(rigs: Rigs, side: Side) -> None:
    rig = rigs(half_close=False, splice=False).start()
    peer, other = rig.peers(side)
    total = 0
    while not rig.legs(side)[0].paused:
        total += peer.fill()
        rig.turn()
    peer.half_close()
    assert rig.hear_end(other) == "fin" and len(other.heard) == total
    assert rig.cause is CLOSED[side]
    assert rig.hear_end(peer) == "fin"


# Losses


@BOTH
@pytest.mark.parametrize("kind", sorted(HUBS))
def test_a_reset_on_one_side_is_a_reset_on_the_other(rigs: Rigs, side: Side, kind: str) -> None:
    """A stream that was cut short must not look complete."""
    rig = rigs(kind=kind).start()
    peer, other = rig.peers(side)
    peer.send(b"half a st")
    rig.hear(other, 9)
    peer.reset()
    assert rig.hear_end(other) == "reset"
    assert (rig.cause, rig.ending.closed_by) == (LOST[side], side)


@BOTH
def test_a_reset_behind_bytes_that_wait_is_noticed(rigs: Rigs, side: Side) -> None:
    rig = rigs().start()
    peer, other = rig.peers(side)
    while not rig.legs(side)[0].paused:
        peer.fill()
        rig.turn()
    peer.reset()
    assert rig.cause is LOST[side]
    rig.hear_end(other)


def test_an_answer_that_is_complete_arrives_though_its_server_resets_what_still_comes(rigs: Rigs) -> None:
    """A server that has answered and closed, while the client is still sending: what waits for the client is whole."""
    rig = rigs(splice=False).start()
    total = 0
    for _ in range(6):
        total += rig.server.send(bytes(16 * 1024))
        rig.turn()
    rig.server.close()
    rig.until(lambda: rig.tunnel._server.ended)
    rig.client.send(b"more of the request")
    rig.turn()
    rig.client.send(b"and more")
    rig.turn()
    assert rig.hear_end(rig.client) == "fin" and len(rig.client.heard) == total
    assert rig.cause is Cause.SERVER_CLOSED


def test_a_server_that_is_lost_behind_the_clients_end_is_told(rigs: Rigs) -> None:
    rig = rigs().start()
    rig.client.send(b"question")
    rig.client.half_close()
    rig.hear_end(rig.server)
    rig.server.send(b"half an ans")
    rig.hear(rig.client, 11)
    rig.server.reset()
    assert rig.hear_end(rig.client) == "reset"
    assert (rig.cause, rig.ending.closed_by) == (Cause.SERVER_LOST, Side.SERVER)


# Slow ends


def stuck(rig: TunnelRig, side: Side) -> int:
    """The other one takes nothing until bytes are queued for it; how many were received."""
    while not rig.legs(side)[0].paused:
        rig.peers(side)[0].fill()
        rig.turn()
    return rig.legs(side)[0].received


@BOTH
def test_a_peer_that_takes_what_is_left_slowly_gets_it_all(rigs: Rigs, side: Side) -> None:
    rig = rigs(family="unix", splice=False).start()
    rig.legs(side)[1]._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    received = stuck(rig, side)
    rig.tunnel.close(Cause.KICKED)
    _, other = rig.peers(side)
    looks = 0
    while not other.end:
        rig.wait(LAST_BYTES * 0.9)
        other.receive(8192)
        looks += 1
    assert looks > 4 and len(other.heard) == received and other.end == "fin"
    assert rig.cause is Cause.KICKED


@BOTH
def test_a_peer_that_takes_nothing_of_what_is_left_is_given_up(rigs: Rigs, side: Side) -> None:
    rig = rigs(family="unix", splice=False, buffers=4096).start()
    stuck(rig, side)
    rig.tunnel.close(Cause.KICKED)
    rig.wait(LAST_BYTES - 1)
    assert not rig.endings
    rig.wait(1.2)
    assert rig.cause is Cause.KICKED


# Idleness


def test_a_tunnel_in_which_nothing_moves_is_closed(rigs: Rigs) -> None:
    rig = rigs(idle_timeout=10).start()
    rig.wait(9.5)
    assert not rig.endings
    rig.wait(2)
    assert (rig.cause, rig.ending.closed_by) == (Cause.IDLE, Side.GATEWAY)
    assert rig.hear_end(rig.client) == rig.hear_end(rig.server) == "fin"


@BOTH
def test_bytes_in_either_direction_are_life(rigs: Rigs, side: Side) -> None:
    rig = rigs(idle_timeout=10).start()
    peer, other = rig.peers(side)
    for count in range(1, 6):
        rig.wait(8)
        peer.send(b"x")
        rig.hear(other, count)
    assert not rig.endings


@BOTH
def test_a_peer_that_takes_what_is_queued_is_not_idle(rigs: Rigs, side: Side) -> None:
    rig = rigs(family="unix", splice=False, idle_timeout=10).start()
    rig.legs(side)[1]._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    received = stuck(rig, side)
    for _ in range(5):
        rig.wait(8)
        rig.peers(side)[1].receive(8192)
    assert rig.legs(side)[0].received == received and rig.legs(side)[1].queued
    assert not rig.endings


def test_two_peers_of_which_none_reads_are_idle(rigs: Rigs) -> None:
    """Row 11 of the faults: progress is what counts, and nothing spins."""
    rig = rigs(idle_timeout=10).start()
    for side in (Side.CLIENT, Side.SERVER):
        while not rig.legs(side)[0].paused:
            rig.peers(side)[0].fill()
            rig.turn()
    rig.wait(12)
    assert rig.cause is Cause.IDLE
    assert rig.hear_end(rig.client) == rig.hear_end(rig.server) == "reset"


# What the gateway asks


def test_a_close_is_in_good_order(rigs: Rigs) -> None:
    rig = rigs().start()
    rig.tunnel.close(Cause.KICKED)
    assert rig.hear_end(rig.client) == rig.hear_end(rig.server) == "fin"
    assert (rig.cause, rig.ending.closed_by) == (Cause.KICKED, Side.GATEWAY)


def test_a_drain_lets_the_server_finish(rigs: Rigs) -> None:
    rig = rigs().start()
    rig.tunnel.close(Cause.DRAINED)
    rig.tunnel.close(Cause.STOPPING)
    assert rig.hear_end(rig.server) == "fin"
    rig.client.send(b"too late")
    rig.server.send(b"the rest of the answer")
    rig.turn()
    assert not rig.endings
    rig.server.half_close()
    assert rig.hear_end(rig.client) in {"fin", "reset"}
    assert bytes(rig.client.heard) == b"the rest of the answer"
    assert rig.cause is Cause.DRAINED


def test_a_drain_without_half_close_closes(rigs: Rigs) -> None:
    rig = rigs(half_close=False).start()
    rig.tunnel.close(Cause.DRAINED)
    assert rig.hear_end(rig.client) == rig.hear_end(rig.server) == "fin"
    assert rig.cause is Cause.DRAINED


def test_an_abort_is_at_once(rigs: Rigs) -> None:
    rig = rigs().start()
    rig.tunnel.abort(Cause.STOPPING)
    assert rig.hear_end(rig.client) == rig.hear_end(rig.server) == "reset"
    assert rig.cause is Cause.STOPPING


# Legs of TLS 1.2, which cannot end one way


@BOTH
def test_a_leg_that_cannot_half_close_is_closed_instead(side: Side) -> None:
    clock = Clock()
    wheel = TimerWheel(clock)  # type: ignore[arg-type]
    legs = {
        each: MemoryLeg(lambda call: clock.callLater(0, call), half_closes=each is side)
        for each in (Side.CLIENT, Side.SERVER)
    }
    endings: list[Ending] = []
    tunnel = Tunnel(
        legs[Side.CLIENT],
        legs[Side.SERVER],
        wheel=wheel,
        pipes=None,
        half_close=True,
        idle_timeout=0,
        over=endings.append,
    )
    tunnel.start()
    legs[side].end()
    clock.advance(TICK)
    clock.advance(TICK)
    assert all(leg.closed and not leg.aborted for leg in legs.values())
    assert [ending.cause for ending in endings] == [CLOSED[side]] and len(wheel) == 0


# Whatever happens


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "receive", "turn", "turn", "fin", "reset", "wait"]),
        st.sampled_from([Side.CLIENT, Side.SERVER]),
        st.integers(1, 90_000),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    half_close=st.booleans(),
    splice=st.booleans(),
    acts=ACTS,
    seed=st.integers(0, 1000),
)
def test_it_always_ends_and_what_arrives_is_a_beginning(
    family: str, half_close: bool, splice: bool, acts: list[tuple[str, Side, int]], seed: int
) -> None:
    # Small buffers of TCP would bring the kernel's own timers into play.
    buffers = 8192 if family == "unix" else 0
    rig = TunnelRig(family=family, half_close=half_close, splice=splice, buffers=buffers).start()
    stream = random.Random(seed).randbytes(4 * MiB)
    sent = {Side.CLIENT: 0, Side.SERVER: 0}
    ended: set[Side] = set()
    for act, side, size in acts:
        peer = rig.peers(side)[0]
        if peer.sock.fileno() < 0:
            continue
        if act == "send" and side not in ended:
            try:
                sent[side] += peer.send(stream[sent[side] : sent[side] + size])
            except OSError:
                ended.add(side)
        elif act == "receive":
            peer.receive(size)
        elif act == "turn":
            rig.turn(1)
        elif act == "wait":
            rig.wait(0.1)
        elif act == "fin" and side not in ended and peer.end != "reset":
            ended.add(side)
            peer.half_close()
        elif act == "reset":
            ended.add(side)
            peer.reset()
    peaceful = not any(act == "reset" for act, _, _ in acts)
    open_peers = [peer for peer in (rig.client, rig.server) if peer.sock.fileno() >= 0]
    for peer in open_peers:
        side = Side.CLIENT if peer is rig.client else Side.SERVER
        if side not in ended and peer.end != "reset":
            peer.half_close()

    def all_heard() -> bool:
        for peer in open_peers:
            peer.receive()
        return all(peer.end for peer in open_peers)

    rig.until(all_heard)
    assert rig.ending.cause
    for side in (Side.CLIENT, Side.SERVER):
        peer, other = rig.peers(side)
        assert bytes(other.heard) == stream[: len(other.heard)]
        if peaceful and half_close:
            assert len(other.heard) == sent[side]
    rig.close()
