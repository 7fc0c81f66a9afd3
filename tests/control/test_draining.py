"""Closes at moments of their own, and force at the deadline only."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.task import Clock

from wsgate.causes import Cause
from wsgate.control.draining import PACE, Draining
from wsgate.registry import Live, Registry
from wsgate.transport.wheel import TimerWheel


class _Relay:
    """Notes when it is closed; leaves the registry when it is told to, or on abort."""

    def __init__(self, clock: Clock, registry: Registry, leaves: bool) -> None:
        self.clock, self.registry, self.leaves = clock, registry, leaves
        self.closed: list[tuple[float, Cause, str]] = []
        self.aborted = False
        self.live: Live

    def close(self, cause: Cause, reason: str = "") -> None:
        self.closed.append((self.clock.seconds(), cause, reason))
        if self.leaves:
            self.registry.leave(self.live)

    def abort(self, cause: Cause) -> None:
        if not self.aborted:
            self.aborted = True
            self.registry.leave(self.live)


class _House:
    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.registry = Registry()

    def enter(self, route: str = "chat", leaves: bool = True) -> _Relay:
        relay: Any = _Relay(self.clock, self.registry, leaves)
        relay.live = self.registry.enter(
            listener="web", route=route, upstream="pool", server="s", client="c", since=0.0, relay=relay
        )
        found: _Relay = relay
        return found

    def drain(self, spread: float = 10.0, timeout: float = 30.0, **more: Any) -> Draining:
        draining = Draining(
            self.registry,
            self.wheel,
            Random(7),
            lambda live: live.route == "chat",
            cause=Cause.DRAINED,
            reason="later",
            spread=spread,
            timeout=timeout,
            **more,
        )
        draining.start()
        return draining

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)


def test_each_tenth_of_the_window_closes_a_tenth() -> None:
    house = _House()
    relays = [house.enter() for _ in range(2000)]
    draining = house.drain(spread=10.0)
    house.pass_time(10.2)
    times = [relay.closed[0][0] for relay in relays]
    counts = [sum(place <= time < place + 1 for time in times) for place in range(10)]
    assert all(180 <= count <= 220 for count in counts), counts
    assert times != sorted(times), "the order of arrival must not tell who is closed first"
    assert draining.finished.result == 2000
    assert {relay.closed[0][1:] for relay in relays} == {(Cause.DRAINED, "later")}


def test_few_are_not_made_to_wait() -> None:
    house = _House()
    for _ in range(50):
        house.enter()
    draining = house.drain(spread=60.0)
    house.pass_time(50 / PACE + 0.2)
    assert draining.finished.result == 50


def test_one_of_several_processes_has_its_share_of_the_pace() -> None:
    house = _House()
    relays = [house.enter() for _ in range(50)]
    draining = house.drain(spread=60.0, pace=PACE / 4)
    house.pass_time(1.0)
    assert 20 <= sum(bool(relay.closed) for relay in relays) <= 30
    house.pass_time(1.3)
    assert draining.finished.result == 50


def test_others_are_left_alone() -> None:
    house = _House()
    other, mine = house.enter("other"), house.enter()
    house.drain()
    house.pass_time(1)
    assert mine.closed and not other.closed


def test_who_does_not_leave_is_aborted_at_the_deadline_and_not_before() -> None:
    house = _House()
    relay = house.enter(leaves=False)
    draining = house.drain(timeout=2.0)
    house.pass_time(1.9)
    assert relay.closed and not relay.aborted and not draining.finished.called
    house.pass_time(0.3)
    assert relay.aborted and draining.finished.result == 1


def test_who_comes_meanwhile_is_closed_too() -> None:
    house = _House()
    over = False
    draining = house.drain(done=lambda: over)
    late = house.enter()
    house.pass_time(0.2)
    assert late.closed and not draining.finished.called
    over = True
    house.pass_time(0.2)
    assert draining.finished.result == 1


def test_who_comes_after_all_are_let_in_again_stays_and_the_others_go() -> None:
    house = _House()
    before = house.enter(leaves=False)
    draining = house.drain(timeout=2.0)
    draining.let_in()
    after = house.enter()
    house.pass_time(2.2)
    assert before.closed and before.aborted and draining.finished.result == 1
    assert not after.closed and not after.aborted


def test_with_nobody_there_it_is_over_at_once() -> None:
    assert _House().drain().finished.result == 0


def test_in_a_hurry_the_deadline_is_now() -> None:
    house = _House()
    relay = house.enter(leaves=False)
    draining = house.drain()
    draining.hurry()
    assert relay.aborted
    house.pass_time(0.1)
    assert draining.finished.called
