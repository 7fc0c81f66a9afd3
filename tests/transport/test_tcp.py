"""A leg on a real socket, TCP and unix, on both hubs: bytes, flow, and every way to end."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher

from tests.doubles import processes
from tests.transport.leg_ends import FAMILIES, HUBS, Ground, Peer
from tests.transport.tls_ends import Listening
from wsgate.transport.tcp import TcpLeg

BIG = bytes(range(256)) * 32 * 1024  # 8 MiB: more than any socket takes


@pytest.fixture(params=sorted(HUBS))
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    ground = Ground(request.param)
    yield ground
    ground.close()


@pytest.fixture
def epoll() -> Iterator[Ground]:
    ground = Ground("epoll")
    yield ground
    ground.close()


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Flow:
    """A producer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def hear_all(ground: Ground, peer: Peer, size: int) -> bytes:
    ground.until(lambda: peer.receive() is not None and len(peer.heard) >= size, "all bytes")
    return bytes(peer.heard)


# Reading


def test_what_the_peer_sends_is_received(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    peer.send(b"hello")
    ground.until(lambda: listening.data)
    assert bytes(listening.data) == b"hello" and leg.received == 5


def test_a_view_is_only_for_the_call(epoll: Ground) -> None:
    _, peer, listening = epoll.listening()
    _, other_peer, _ = epoll.listening()
    views: list[memoryview] = []
    listening.on_data = views.append
    peer.send(b"secret")
    epoll.until(lambda: views)
    other_peer.send(b"others")
    epoll.turn()
    assert bytes(views[0]) == b"others"


def test_a_paused_leg_reads_nothing_until_it_is_resumed(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.pauseProducing()
    leg.pauseProducing()
    peer.send(b"later")
    ground.turn()
    assert leg.paused and not listening.data
    leg.resumeProducing()
    leg.resumeProducing()
    ground.until(lambda: listening.data)
    assert bytes(listening.data) == b"later"


def test_a_pause_from_inside_a_call_holds(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    listening.on_data = lambda data: leg.pauseProducing()
    peer.send(b"first")
    ground.until(lambda: listening.data)
    peer.send(b"second")
    ground.turn()
    assert bytes(listening.data) == b"first"


def test_initial_bytes_come_first(ground: Ground, family: str) -> None:
    leg, peer = ground.leg(family)
    leg.protocol = listening = Listening()
    peer.send(b" in the socket")
    leg.start(b"read ahead,")
    ground.until(lambda: len(listening.data) == 25)
    assert bytes(listening.data) == b"read ahead, in the socket" and leg.received == 25


# Writing


def test_a_write_is_sent_at_once(ground: Ground, family: str) -> None:
    leg, peer, _ = ground.listening(family)
    leg.write(b"now")
    assert peer.receive() == b"now" and (leg.sent, leg.queued) == (3, 0)


def test_a_view_may_be_written(ground: Ground, family: str) -> None:
    leg, peer, _ = ground.listening(family)
    data = bytearray(BIG)
    leg.write(memoryview(data))
    data[:] = bytes(len(data))
    assert hear_all(ground, peer, len(BIG)) == BIG


def test_what_the_kernel_does_not_take_is_queued_in_order(ground: Ground, family: str) -> None:
    leg, peer, _ = ground.listening(family)
    flow = Flow()
    leg.registerProducer(flow, True)
    leg.write(BIG)
    assert 0 < leg.queued < len(BIG) and flow.told == ["pause"]
    leg.write(b"behind")
    assert hear_all(ground, peer, len(BIG) + 6) == BIG + b"behind"
    assert leg.queued == 0 and leg.sent == len(BIG) + 6
    assert flow.told[-1] == "resume" and flow.told.count("resume") == 1


def test_a_producer_is_paused_at_once_where_bytes_wait(ground: Ground) -> None:
    leg, _, _ = ground.listening()
    leg.write(BIG)
    flow = Flow()
    leg.registerProducer(flow, True)
    assert flow.told == ["pause"]


def test_a_producer_that_left_is_told_nothing(ground: Ground) -> None:
    leg, peer, _ = ground.listening()
    flow = Flow()
    leg.registerProducer(flow, True)
    leg.unregisterProducer()
    leg.write(BIG)
    hear_all(ground, peer, len(BIG))
    assert flow.told == []


def test_only_push_producers_are_known(ground: Ground) -> None:
    leg, _, _ = ground.listening()
    with pytest.raises(ValueError, match="push"):
        leg.registerProducer(Flow(), False)


def test_reading_goes_on_while_bytes_wait(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    peer.send(b"meanwhile")
    ground.until(lambda: listening.data)
    assert leg.queued and bytes(listening.data) == b"meanwhile"


# Ends in good order


def test_the_peers_end_is_told_and_writing_goes_on(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    peer.send(b"last")
    peer.half_close()
    ground.until(lambda: listening.read_ended)
    assert bytes(listening.data) == b"last" and not listening.lost
    leg.write(b"still here")
    assert hear_all(ground, peer, 10) == b"still here"
    ground.turn()
    assert listening.read_ended == 1


def test_an_end_of_ours_comes_behind_what_is_queued_and_reading_goes_on(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    leg.loseWriteConnection()
    leg.loseWriteConnection()
    leg.write(b"too late")
    ground.until(lambda: peer.receive() is not None and peer.end)
    assert bytes(peer.heard) == BIG and peer.end == "fin"
    peer.send(b"an answer")
    ground.until(lambda: listening.data)
    assert not listening.lost


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_leg_that_ended_both_ways_is_done(ground: Ground, family: str, ours_first: bool) -> None:
    leg, peer, listening = ground.listening(family)
    if ours_first:
        leg.loseWriteConnection()
        ground.turn()
    peer.half_close()
    ground.until(lambda: listening.read_ended)
    leg.loseWriteConnection()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionDone" and leg.closed and len(listening.lost) == 1


def test_an_end_answered_from_inside_the_call_is_done(ground: Ground, family: str) -> None:
    leg, peer = ground.leg(family)

    class Echoing(Listening):
        def readConnectionLost(self) -> None:
            super().readConnectionLost()
            leg.loseWriteConnection()

    leg.protocol = listening = Echoing()
    leg.start()
    peer.half_close()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionDone"


def test_closing_sends_what_is_queued_first(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    leg.loseConnection()
    leg.loseConnection()
    leg.write(b"too late")
    ground.until(lambda: peer.receive() is not None and peer.end)
    assert bytes(peer.heard) == BIG and peer.end == "fin"
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionDone"


def test_nothing_is_received_once_closing_has_begun(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    leg.loseConnection()
    peer.send(b"too late")
    peer.half_close()
    ground.turn(5)
    assert not listening.data and not listening.read_ended and not listening.lost


def test_closing_tells_nothing_inside_the_call(ground: Ground, family: str) -> None:
    leg, _, listening = ground.listening(family)
    leg.loseConnection()
    assert not listening.lost
    ground.turn()
    assert listening.why == "ConnectionDone"


def test_a_half_close_may_be_followed_by_closing(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    leg.loseWriteConnection()
    leg.loseConnection()
    ground.until(lambda: peer.receive() is not None and peer.end)
    ground.until(lambda: listening.lost)
    assert bytes(peer.heard) == BIG and listening.why == "ConnectionDone"


# Losses


def test_a_reset_is_a_loss(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    peer.reset()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost" and leg.closed


def test_a_paused_leg_notices_a_reset(epoll: Ground) -> None:
    leg, peer, listening = epoll.listening()
    leg.pauseProducing()
    peer.reset()
    epoll.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost"


def test_a_paused_leg_with_bytes_to_send_notices_a_reset(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    leg.pauseProducing()
    leg.write(BIG)
    peer.reset()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost" and leg.queued == 0


def test_a_paused_leg_keeps_what_came_before_an_end_in_good_order(epoll: Ground, family: str) -> None:
    leg, peer, listening = epoll.listening(family)
    leg.pauseProducing()
    leg.loseWriteConnection()
    peer.send(b"last words")
    peer.receive()
    peer.close()
    epoll.turn()
    assert not listening.lost
    leg.resumeProducing()
    epoll.until(lambda: listening.lost)
    assert bytes(listening.data) == b"last words" and listening.why == "ConnectionDone"


def test_a_paused_leg_that_is_sent_to_costs_one_event(epoll: Ground, family: str) -> None:
    leg, peer, listening = epoll.listening(family)
    leg.pauseProducing()
    peer.send(b"later")
    epoll.turn()
    waiting = select.poll()
    waiting.register(epoll.hub.fileno(), select.POLLIN)
    assert not waiting.poll(0) and not listening.data
    leg.resumeProducing()
    epoll.until(lambda: listening.data == b"later")


def test_a_paused_leg_whose_peer_has_gone_costs_nothing(epoll: Ground) -> None:
    """The kernel reports a hang-up without end; the leg leaves the hub until somebody reads from it again."""
    leg, peer, _ = epoll.listening("unix")
    leg.pauseProducing()
    peer.close()
    epoll.turn()
    waiting = select.poll()
    waiting.register(epoll.hub.fileno(), select.POLLIN)
    assert not waiting.poll(0)


def test_writing_to_a_peer_that_has_gone_is_a_loss_but_not_inside_the_call(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    flow = Flow()
    leg.registerProducer(flow, True)
    peer.close()
    for _ in range(20):
        leg.write(b"anybody?")
        assert not listening.lost
        if leg.queued == 0 and leg.sent > 16:
            ground.turn(1)
        if listening.lost:
            break
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost" and leg.queued == 0
    leg.write(b"nobody")


@pytest.mark.parametrize("ended", [False, True])
def test_bytes_that_cannot_be_sent_make_the_end_a_loss(ground: Ground, family: str, ended: bool) -> None:
    """Whatever the leg was about to end as: the peer did not get it all."""
    leg, peer, listening = ground.listening(family)
    if ended:
        peer.half_close()
        ground.until(lambda: listening.read_ended)
    leg.write(BIG)
    leg.loseWriteConnection()
    peer.close()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost"


def test_closing_towards_a_peer_that_left_is_a_loss(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    leg.write(BIG)
    leg.loseConnection()
    peer.close()
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionLost"


def test_an_abort_resets_and_is_told_later_and_once(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    leg.write(b"may be lost")
    leg.abortConnection()
    leg.abortConnection()
    leg.loseConnection()
    leg.loseWriteConnection()
    assert leg.closed and leg.fileno() == -1 and not listening.lost
    ground.turn()
    assert listening.why == "ConnectionAborted" and len(listening.lost) == 1
    ground.until(lambda: peer.receive() is not None and peer.end)
    assert peer.end == "reset"


def test_an_abort_of_a_unix_socket_is_its_end(ground: Ground) -> None:
    leg, peer, listening = ground.listening("unix")
    leg.abortConnection()
    ground.turn()
    peer.receive()
    assert peer.end == "fin" and listening.why == "ConnectionAborted"


def test_an_abort_from_inside_a_call_ends_the_call_in_peace(ground: Ground, family: str) -> None:
    leg, peer, listening = ground.listening(family)
    listening.on_data = lambda data: leg.abortConnection()
    peer.send(b"x")
    ground.until(lambda: listening.lost)
    assert listening.why == "ConnectionAborted"


def test_a_leg_that_is_gone_bears_everything(ground: Ground) -> None:
    leg, _, listening = ground.listening()
    leg.abortConnection()
    ground.turn()
    leg.write(b"x")
    leg.pauseProducing()
    leg.resumeProducing()
    leg.loseWriteConnection()
    leg.loseConnection()
    leg.abortConnection()
    leg.unregisterProducer()
    leg.ready(0xFFFF)
    ground.turn()
    assert len(listening.lost) == 1


# Faults of ours, and the hub


def test_a_protocol_that_raises_loses_its_leg_and_no_other(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    _, other_peer, other = ground.listening()
    events: list[dict[str, object]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        listening.on_data = lambda data: 1 // 0
        peer.send(b"x")
        ground.until(lambda: listening.lost)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert listening.why == "ConnectionAborted"
    assert [event["log_level"] for event in events] == [LogLevel.critical]
    other_peer.send(b"still served")
    ground.until(lambda: other.data)


def test_a_leg_that_another_one_aborts_in_the_same_turn_hears_nothing(epoll: Ground) -> None:
    first, first_peer, first_heard = epoll.listening()
    second, second_peer, second_heard = epoll.listening()
    first_heard.on_data = lambda data: second.abortConnection()
    second_heard.on_data = lambda data: first.abortConnection()
    first_peer.send(b"x")
    second_peer.send(b"x")
    epoll.until(lambda: first_heard.lost or second_heard.lost)
    assert len(first_heard.data) + len(second_heard.data) == 1


def test_an_event_for_an_earlier_owner_of_the_number_does_no_harm(epoll: Ground) -> None:
    """A descriptor closed in a batch of events may be another's in the same batch."""
    first, first_peer, first_heard = epoll.listening()
    second, second_peer, second_heard = epoll.listening()
    made: list[tuple[TcpLeg, Peer, Listening]] = []

    def replace(victim: TcpLeg) -> None:
        number = victim.fileno()
        victim.abortConnection()
        leg, peer, listening = epoll.listening("unix")
        if leg.fileno() == number:
            made.append((leg, peer, listening))

    first_heard.on_data = lambda data: replace(second)
    second_heard.on_data = lambda data: replace(first)
    first_peer.send(b"x")
    second_peer.send(b"x")
    epoll.turn()
    for leg, peer, listening in made:
        assert not listening.data and not listening.lost and not leg.closed
        peer.send(b"mine")
        epoll.until(lambda listening=listening: listening.data)  # type: ignore[misc]


def test_a_leg_gives_its_socket_away(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    sock = leg.detach()
    assert leg.closed
    sock.send(b"from its new owner")
    assert peer.receive() == b"from its new owner"
    ground.turn()
    assert not listening.lost
    sock.close()


def test_a_leg_with_queued_bytes_is_not_given_away(ground: Ground) -> None:
    leg, _, _ = ground.listening()
    leg.write(BIG)
    with pytest.raises(AssertionError, match="queued"):
        leg.detach()


def test_addresses_are_those_of_the_socket(ground: Ground) -> None:
    leg, peer, _ = ground.listening()
    assert leg.getPeer() == peer.sock.getsockname() and leg.getHost() == peer.sock.getpeername()


def test_no_descriptor_is_left_behind(ground: Ground, family: str) -> None:
    before = len(processes.descriptors(os.getpid()))
    for _ in range(20):
        leg, peer, listening = ground.listening(family)
        leg.write(BIG)
        leg.abortConnection()
        peer.close()
    ground.turn()
    assert len(processes.descriptors(os.getpid())) == before


# Any order


ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "send"]), st.binary(min_size=1, max_size=30_000)),
        st.tuples(st.sampled_from(["pause", "resume", "turn", "receive", "stop writing", "stop sending"]), st.none()),
    ),
    max_size=40,
)


@pytest.mark.parametrize("kind", sorted(HUBS))
@settings(max_examples=100, deadline=None)
@given(family=st.sampled_from(FAMILIES), acts=ACTS)
def test_any_interleaving_delivers_the_same_bytes(kind: str, family: str, acts: list[tuple[str, bytes]]) -> None:
    ground = Ground(kind)
    leg, peer, listening = ground.listening(family, buffers=4096)
    written, backlog, stopped = bytearray(), bytearray(), set()
    sent = bytearray()
    for act, data in acts:
        if act == "write" and "stop writing" not in stopped:
            leg.write(data)
            written += data
        elif act == "send" and "stop sending" not in stopped:
            backlog += data
            sent += data
        elif act == "pause":
            leg.pauseProducing()
        elif act == "resume":
            leg.resumeProducing()
        elif act == "turn":
            del backlog[: peer.send(backlog)]
            ground.turn(1)
        elif act == "receive":
            peer.receive(7000)
        elif act.startswith("stop"):
            stopped.add(act)
            if act == "stop writing":
                leg.loseWriteConnection()
    leg.resumeProducing()

    def all_there() -> bool:
        del backlog[: peer.send(backlog)]
        peer.receive()
        return not backlog and len(listening.data) == len(sent) and len(peer.heard) == len(written)

    ground.until(all_there)
    peer.half_close()
    leg.loseWriteConnection()
    ground.until(lambda: peer.receive() is not None and listening.lost)
    assert bytes(listening.data) == bytes(sent) and bytes(peer.heard) == bytes(written)
    assert listening.why == "ConnectionDone"
    ground.close()


def test_it_is_a_stream_socket_like_any_other(ground: Ground) -> None:
    leg, peer, listening = ground.listening()
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"slowly":
        peer.send(bytes([byte]))
        ground.turn(1)
    ground.until(lambda: len(listening.data) == 6)
    assert leg.received == 6
