"""Idleness is seen by comparing counters now and then."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from wsgate.relay.idleness import LOOKS, Idleness
from wsgate.transport.wheel import TICK, TimerWheel

TIMEOUT = 8.0


class Idle:
    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.progress = 0
        self.told: list[float] = []
        self.idleness = Idleness(
            self.wheel, timeout, lambda: self.progress, lambda: self.told.append(self.clock.seconds())
        )

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)


def test_what_does_not_move_is_idle_once() -> None:
    idle = Idle()
    idle.idleness.start()
    idle.wait(TIMEOUT - 0.1)
    assert not idle.told
    idle.wait(60)
    assert len(idle.told) == 1 and len(idle.wheel) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.1, TIMEOUT * 0.85), max_size=12))
def test_what_moves_is_not_idle_until_it_stops(pauses: list[float]) -> None:
    idle = Idle()
    idle.idleness.start()
    for pause in pauses:
        idle.wait(pause)
        idle.progress += 1
    assert not idle.told
    last = idle.clock.seconds()
    idle.wait(TIMEOUT * 1.5)
    # Late by the time between two looks and the grain of the wheel, each of which may come twice.
    assert last + TIMEOUT - TICK <= idle.told[0] <= last + TIMEOUT * (1 + 1 / LOOKS) + (LOOKS + 2) * TICK


def test_going_back_is_moving() -> None:
    idle = Idle()
    idle.progress = 100
    idle.idleness.start()
    idle.wait(6)
    idle.progress = 50
    idle.wait(6)
    assert not idle.told


def test_one_deadline_is_set_at_a_time() -> None:
    idle = Idle()
    idle.idleness.start()
    for _ in range(50):
        idle.progress += 1
        idle.wait(1)
        assert len(idle.wheel) == 1


def test_a_time_out_of_nought_is_never() -> None:
    idle = Idle(0)
    idle.idleness.start()
    assert len(idle.wheel) == 0
    idle.idleness.stop()


def test_it_can_be_stopped() -> None:
    idle = Idle()
    idle.idleness.start()
    idle.wait(5)
    idle.idleness.stop()
    idle.idleness.stop()
    assert len(idle.wheel) == 0
    idle.wait(20)
    assert not idle.told
