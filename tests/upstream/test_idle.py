"""Connections to servers between two requests: kept within bounds, and never with anything left on them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.upstream.idle import IdleConnections

A, B = "192.0.2.1:80", "192.0.2.2:80"


class Rig:
    """A pool and its clock."""

    def __init__(self, most: int = 4, timeout: float = 60.0) -> None:
        self.clock: Any = Clock()
        self.wheel = TimerWheel(self.clock)
        self.pool = IdleConnections(self.wheel, most, timeout)

    def leg(self) -> MemoryLeg:
        return MemoryLeg(lambda call: self.clock.callLater(0, call))

    def kept(self, server: str = A) -> MemoryLeg:
        leg = self.leg()
        self.pool.keep(server, leg)
        return leg

    def passes(self, seconds: float) -> None:
        self.clock.pump([TICK] * int((seconds + 2 * TICK) / TICK))


def test_the_newest_is_used_first() -> None:
    """So that a pool shrinks when there is less to do."""
    rig = Rig()
    legs = [rig.kept() for _ in range(3)]
    assert [rig.pool.take(A) for _ in range(4)] == [*reversed(legs), None]
    assert len(rig.pool) == 0
    rig.passes(61)
    assert not len(rig.wheel)


def test_a_connection_is_given_out_paused_and_whole() -> None:
    rig = Rig()
    leg = rig.kept()
    assert not leg.paused, "an end or a byte must be noticed"
    assert rig.pool.take(A) is leg
    assert leg.paused and not leg.closed and not leg.aborted


def test_a_connection_belongs_to_its_server() -> None:
    rig = Rig()
    leg = rig.kept(A)
    assert rig.pool.take(B) is None
    assert rig.pool.take(A) is leg


def test_what_is_more_than_the_bound_is_closed() -> None:
    rig = Rig(most=2)
    first, second, third = rig.kept(A), rig.kept(B), rig.kept(A)
    rig.clock.advance(0)
    assert [leg.closed for leg in (first, second, third)] == [False, False, True]
    assert len(rig.pool) == 2
    rig.pool.take(A)
    assert not rig.kept(A).closed


def test_none_is_kept_where_none_may_be() -> None:
    rig = Rig(most=0)
    leg = rig.kept()
    rig.clock.advance(0)
    assert leg.closed
    assert rig.pool.take(A) is None


def test_a_connection_waits_for_a_bounded_time() -> None:
    rig = Rig(timeout=60)
    leg = rig.kept()
    rig.passes(59.5)
    assert not leg.closed
    rig.passes(1)
    assert leg.closed
    assert (len(rig.pool), len(rig.wheel)) == (0, 0)


def test_a_connection_whose_time_is_over_is_not_given_out_while_it_closes() -> None:
    rig = Rig(timeout=60)
    closing: list[object] = []
    leg = MemoryLeg(closing.append)
    rig.pool.keep(A, leg)
    rig.passes(61)
    assert closing and not leg.closed
    assert rig.pool.take(A) is None


@pytest.mark.parametrize("way", ["arrive", "end", "reset"])
def test_a_connection_that_says_something_or_ends_is_dropped(way: str) -> None:
    rig = Rig()
    leg = rig.kept()
    if way == "arrive":
        leg.arrive(b"HTTP/1.1 200 OK\r\n\r\n")
    else:
        getattr(leg, way)()
    assert rig.pool.take(A) is None
    rig.clock.advance(0)
    assert leg.closed
    assert leg.aborted is (way == "arrive")
    assert (len(rig.pool), len(rig.wheel)) == (0, 0)


def test_a_server_that_goes_takes_its_connections_with_it() -> None:
    rig = Rig()
    gone, other = rig.kept(A), rig.kept(B)
    rig.pool.forget(A)
    rig.pool.forget("192.0.2.9:80")
    rig.clock.advance(0)
    assert gone.closed and not other.closed
    assert len(rig.pool) == 1


def test_new_bounds_hold_for_those_that_come() -> None:
    rig = Rig(most=1, timeout=60)
    first = rig.kept()
    rig.pool.reconfigure(2, 10)
    second = rig.kept()
    rig.passes(10)
    assert second.closed and not first.closed


def test_the_end_closes_all() -> None:
    rig = Rig()
    legs = [rig.kept(A), rig.kept(A), rig.kept(B)]
    rig.pool.close()
    rig.clock.advance(0)
    assert all(leg.closed for leg in legs)
    assert (len(rig.pool), len(rig.wheel)) == (0, 0)
