"""Both hubs: events, changes of interest, calls for the end of a turn, and faults of those who are called."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.logger import globalLogPublisher

from tests.doubles.hand_reactor import HandReactor
from tests.transport.leg_ends import HUBS
from wsgate.transport.hub import BATCH, READ, READ_SIZE, TOLD, WRITE, EpollHub, ReactorHub, hub_for


class Watched:
    """A descriptor that notes its events; ``then`` is called with each."""

    def __init__(self) -> None:
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.events: list[int] = []
        self.breaks = 0
        self.then: Callable[[int], object] = lambda events: None

    @property
    def fd(self) -> int:
        return self.sock.fileno()

    def ready(self, events: int) -> None:
        self.events.append(events)
        self.then(events)

    def broken(self) -> None:
        self.breaks += 1

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


class Hubs:
    def __init__(self, kind: str) -> None:
        self.reactor = HandReactor()
        self.hub = HUBS[kind](self.reactor)  # type: ignore[arg-type]
        self._made: list[Watched] = []
        self.events: list[dict[str, object]] = []

    def watched(self, events: int = READ) -> Watched:
        watched = Watched()
        self._made.append(watched)
        self.hub.watch(watched.fd, watched, events)
        return watched

    def turn(self) -> None:
        self.reactor.turn()

    def close(self) -> None:
        self.hub.close()
        for watched in self._made:
            watched.close()


@pytest.fixture(params=sorted(HUBS))
def hubs(request: pytest.FixtureRequest) -> Iterator[Hubs]:
    hubs = Hubs(request.param)
    globalLogPublisher.addObserver(hubs.events.append)
    yield hubs
    globalLogPublisher.removeObserver(hubs.events.append)
    hubs.close()


def test_the_best_hub_of_this_platform_is_taken() -> None:
    hub = hub_for(HandReactor())  # type: ignore[arg-type]
    assert isinstance(hub, EpollHub if hasattr(select, "epoll") else ReactorHub)
    hub.close()


def test_the_buffer_holds_one_read(hubs: Hubs) -> None:
    assert len(hubs.hub.buffer) == READ_SIZE


def test_readiness_is_told_as_it_was_asked_for(hubs: Hubs) -> None:
    watched = hubs.watched(READ)
    hubs.turn()
    assert not watched.events
    watched.peer.send(b"x")
    hubs.turn()
    assert watched.events == [READ]
    hubs.hub.change(watched.fd, WRITE)
    hubs.turn()
    assert watched.events == [READ, WRITE]
    hubs.hub.change(watched.fd, 0)
    hubs.turn()
    assert watched.events == [READ, WRITE]


def test_both_ways_may_be_asked_for(hubs: Hubs) -> None:
    watched = hubs.watched(READ | WRITE)
    watched.peer.send(b"x")
    hubs.turn()
    told = 0
    for events in watched.events:
        told |= events
    assert told == READ | WRITE


def test_who_was_forgotten_hears_nothing(hubs: Hubs) -> None:
    watched = hubs.watched()
    watched.peer.send(b"x")
    hubs.hub.forget(watched.fd)
    hubs.turn()
    assert not watched.events


def test_who_gets_the_number_of_a_closed_socket_hears_nothing_that_was_told_of_it(hubs: Hubs) -> None:
    """Two have events in one batch; the first to hear of it closes the other, whose number the next socket has."""
    pair = (hubs.watched(), hubs.watched())
    heir = Watched()

    def replace(own: Watched, other: Watched) -> None:
        own.sock.recv(1)
        hubs.hub.closing(other.fd)
        number = other.sock.detach()
        os.dup2(heir.fd, number)
        heir.sock.close()
        heir.sock = socket.socket(fileno=number)
        hubs.hub.watch(number, heir, READ)

    for own, other in (pair, pair[::-1]):
        own.then = lambda events, own=own, other=other: replace(own, other)  # type: ignore[misc]
        own.peer.send(b"x")
    hubs.turn()
    assert sorted(len(watched.events) for watched in pair) == [0, 1]
    assert not heir.events, "told of the socket that had the number before"
    heir.peer.send(b"x")
    hubs.turn()
    assert heir.events[:1] == [READ]
    heir.close()


def test_who_is_forgotten_in_the_same_turn_hears_nothing(hubs: Hubs) -> None:
    first, second = hubs.watched(), hubs.watched()
    first.then = lambda events: (hubs.hub.forget(first.fd), hubs.hub.forget(second.fd))
    second.then = lambda events: (hubs.hub.forget(first.fd), hubs.hub.forget(second.fd))
    first.peer.send(b"x")
    second.peer.send(b"x")
    hubs.turn()
    assert len(first.events) + len(second.events) == 1


def test_who_takes_a_place_over_hears_in_place_of_the_one_before(hubs: Hubs) -> None:
    first, second = hubs.watched(), Watched()
    hubs.hub.hand_over(first.fd, second)
    first.peer.send(b"x")
    hubs.turn()
    second.close()
    assert (first.events, second.events) == ([], [READ])


def test_who_closes_hears_nothing_and_its_number_may_be_watched_anew(hubs: Hubs) -> None:
    closed = hubs.watched()
    number = closed.fd
    hubs.hub.closing(number)
    closed.peer.send(b"x")
    os.close(closed.sock.detach())
    hubs.turn()
    later = hubs.watched()
    later.peer.send(b"y")
    hubs.turn()
    assert later.fd == number
    assert (closed.events, later.events) == ([], [READ])


def test_a_hang_up_is_told(hubs: Hubs) -> None:
    watched = hubs.watched(READ)
    watched.peer.close()
    watched.then = lambda events: hubs.hub.forget(watched.fd)
    hubs.turn()
    assert len(watched.events) == 1


def test_a_hang_up_is_told_to_one_who_waits_to_write(hubs: Hubs) -> None:
    watched = hubs.watched(WRITE)
    watched.peer.close()
    watched.then = lambda events: hubs.hub.forget(watched.fd)
    hubs.turn()
    assert len(watched.events) == 1


def test_a_paused_descriptor_hears_a_hang_up() -> None:
    """The reason for an epoll set of our own: Twisted's reactor forgets who wants nothing."""
    hubs = Hubs("epoll")
    watched = hubs.watched(0)
    watched.peer.close()
    watched.then = lambda events: hubs.hub.forget(watched.fd)
    hubs.turn()
    assert len(watched.events) == 1
    hubs.close()


def test_many_descriptors_are_served_in_one_turn() -> None:
    hubs = Hubs("epoll")
    many = [hubs.watched() for _ in range(BATCH + 50)]
    for watched in many:
        watched.then = lambda events, watched=watched: watched.sock.recv(10)  # type: ignore[misc]
        watched.peer.send(b"x")
    hubs.turn()
    assert all(watched.events == [READ] for watched in many)
    hubs.close()


def test_one_that_is_always_ready_does_not_hold_the_reactor() -> None:
    hubs = Hubs("epoll")
    first, second = hubs.watched(WRITE), hubs.watched(WRITE)
    hubs.turn()
    assert 1 <= len(first.events) <= 10 and 1 <= len(second.events) <= 10
    hubs.close()


# Calls for the end of a turn


def test_a_call_soon_comes_when_the_callback_has_returned(hubs: Hubs) -> None:
    order: list[str] = []
    watched = hubs.watched()

    def then(events: int) -> None:
        hubs.hub.soon(lambda: order.append("soon"))
        order.append("callback")
        watched.sock.recv(10)

    watched.then = then
    watched.peer.send(b"x")
    hubs.turn()
    assert order == ["callback", "soon"]


def test_a_call_soon_from_outside_comes_in_the_next_turn(hubs: Hubs) -> None:
    order: list[int] = []
    hubs.hub.soon(lambda: order.append(1))
    hubs.hub.soon(lambda: order.append(2))
    assert not order
    hubs.turn()
    assert order == [1, 2]
    hubs.hub.soon(lambda: order.append(3))
    hubs.turn()
    assert order == [1, 2, 3]


def test_a_call_soon_may_ask_for_another(hubs: Hubs) -> None:
    order: list[int] = []
    hubs.hub.soon(lambda: hubs.hub.soon(lambda: order.append(1)))
    hubs.turn()
    hubs.turn()
    assert order == [1]


def test_a_call_soon_from_outside_and_one_from_inside_both_come(hubs: Hubs) -> None:
    order: list[str] = []
    watched = hubs.watched()
    watched.then = lambda events: (watched.sock.recv(10), hubs.hub.soon(lambda: order.append("inside")))
    watched.peer.send(b"x")
    hubs.hub.soon(lambda: order.append("outside"))
    hubs.turn()
    hubs.hub.soon(lambda: order.append("after"))
    hubs.turn()
    assert sorted(order) == ["after", "inside", "outside"]


def test_a_call_soon_that_fails_stops_no_other(hubs: Hubs) -> None:
    order: list[int] = []
    hubs.hub.soon(lambda: 1 // 0)
    hubs.hub.soon(lambda: order.append(1))
    hubs.turn()
    assert order == [1] and len(hubs.events) == 1


# Faults


def test_one_that_raises_is_broken_and_the_others_are_served(hubs: Hubs) -> None:
    bad, good = hubs.watched(), hubs.watched()
    bad.then = lambda events: 1 // 0
    for watched in (bad, good):
        watched.peer.send(b"x")
    hubs.turn()
    assert bad.breaks >= 1 and good.events
    assert hubs.events


def test_of_many_that_raise_not_all_are_told(hubs: Hubs) -> None:
    bad = hubs.watched()
    bad.then = lambda events: 1 // 0
    bad.peer.send(b"x")
    while bad.breaks < 200:
        hubs.turn()
    # One each up to the bound, then one for each doubling.
    assert TOLD <= len(hubs.events) <= TOLD + 4
    assert bad.breaks >= 200


def test_one_that_raises_again_while_it_is_closed_takes_nobody_with_it(hubs: Hubs) -> None:
    """A hub that raises would be dropped by its reactor, with every connection of the gateway."""
    bad, good = hubs.watched(), hubs.watched()
    bad.then = lambda events: 1 // 0
    bad.broken = lambda: 1 // 0  # type: ignore[assignment]
    bad.peer.send(b"x")
    hubs.turn()
    hubs.hub.forget(bad.fd)
    good.peer.send(b"x")
    hubs.turn()
    assert good.events == [READ]


def test_calls_soon_come_although_somebody_raised(hubs: Hubs) -> None:
    order: list[int] = []
    bad = hubs.watched()

    def then(events: int) -> None:
        bad.sock.recv(10)
        hubs.hub.soon(lambda: order.append(1))
        raise ZeroDivisionError

    bad.then = then
    bad.peer.send(b"x")
    hubs.turn()
    assert order == [1]


# The end


def test_a_closed_hub_has_left_its_reactor(hubs: Hubs) -> None:
    watched = hubs.watched(READ | WRITE)
    hubs.hub.close()
    watched.peer.send(b"x")
    hubs.turn()
    assert not watched.events and not hubs.reactor.readers and not hubs.reactor.writers
    if isinstance(hubs.hub, EpollHub):
        assert hubs.hub.fileno() == -1


def test_a_hub_may_be_closed_from_inside(hubs: Hubs) -> None:
    first, second = hubs.watched(), hubs.watched()
    for watched in (first, second):
        watched.then = lambda events: hubs.hub.soon(hubs.hub.close)
        watched.peer.send(b"x")
    hubs.turn()
    assert not hubs.events and not hubs.reactor.readers


def test_a_hub_keeps_no_descriptor_of_its_own_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    hub = EpollHub(HandReactor())  # type: ignore[arg-type]
    hub.close()
    assert set(os.listdir("/proc/self/fd")) <= before
