"""The watch over a relay: what it decides from counters, and when."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from tests.relay.message_rig import limits
from wsgate.causes import Cause
from wsgate.relay.watch import Watch
from wsgate.transport.wheel import TICK, TimerWheel


class Side:
    """One side, moved by hand."""

    def __init__(self, clock: Clock) -> None:
        self.leg = MemoryLeg(lambda call: clock.callLater(0, call))
        self.lives = 0
        self.pings = 0
        self.willing = True

    def life(self) -> int:
        return self.lives

    def may_ping(self) -> bool:
        return self.willing

    def send_ping(self) -> None:
        self.pings += 1


class Watching:
    def __init__(self, **bounds: Any) -> None:
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.client, self.server = Side(self.clock), Side(self.clock)
        self.data = 0
        self.verdicts: list[Cause] = []
        self.watch = Watch(self.wheel, limits(**bounds), lambda: self.data, self.verdicts.append)
        self.watch.start(self.client, self.server, lambda size: b"\x80" + bytes(size - 1))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)


def test_one_timer_serves_everything() -> None:
    watching = Watching(ping_interval=5, idle_timeout=60, max_age=600, slow_consumer_timeout=60)
    assert len(watching.wheel) == 1
    watching.wait(3)
    assert len(watching.wheel) == 1
    watching.watch.stop()
    assert len(watching.wheel) == 0


def test_a_verdict_is_given_once() -> None:
    watching = Watching(idle_timeout=4, max_age=5)
    watching.wait(60)
    assert watching.verdicts == [Cause.IDLE]
    assert len(watching.wheel) == 0


def test_a_silent_side_is_pinged_and_then_dead() -> None:
    watching = Watching(ping_interval=8, ping_timeout=4)
    for _ in range(30):
        watching.server.lives += 1
        watching.wait(0.5)
    assert watching.client.pings == 1 and watching.server.pings == 0
    assert watching.verdicts == [Cause.CLIENT_DEAD]


def test_a_side_that_must_not_be_pinged_is_neither_pinged_nor_dead() -> None:
    watching = Watching(ping_interval=8, ping_timeout=4)
    watching.client.willing = watching.server.willing = False
    watching.wait(60)
    assert watching.client.pings == watching.server.pings == 0
    assert watching.verdicts == []


def test_the_age_has_a_share_of_chance() -> None:
    watching = Watching(max_age=100, max_age_jitter=0.5)
    watching.wait(124.9)
    assert watching.verdicts == []
    watching.wait(0.3)
    assert watching.verdicts == [Cause.MAX_AGE]


def test_a_side_is_stuck_when_bytes_wait_and_none_is_taken() -> None:
    watching = Watching(slow_consumer_timeout=8)
    leg = watching.server.leg = MemoryLeg(lambda call: None, room=10)
    leg.write(bytes(100))
    watching.wait(9)
    leg.take(10)
    watching.wait(8)
    assert watching.verdicts == []
    watching.wait(3)
    assert watching.verdicts == [Cause.SERVER_STUCK]


def test_another_server_is_watched_in_its_place() -> None:
    watching = Watching(ping_interval=8, ping_timeout=4)
    watching.wait(7)
    new = Side(watching.clock)
    watching.watch.replace_server(new)
    for _ in range(14):
        watching.client.lives += 1
        watching.wait(0.5)
    assert (new.pings, watching.server.pings) == (0, 0)
    for _ in range(4):
        watching.client.lives += 1
        watching.wait(0.5)
    assert (new.pings, watching.server.pings) == (1, 0)
