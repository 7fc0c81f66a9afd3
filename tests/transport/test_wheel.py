"""The timer wheel: never early, at most a tick late, whatever is set, dropped and set again."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from wsgate.transport.wheel import TICK, Timer, TimerWheel

#: Floating point: how far a sum of ticks may be from the real one.
GRAIN = 1e-6


class Wheels:
    """A wheel on a clock; ``fired`` has (when, what)."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.fired: list[tuple[float, object]] = []

    def set(self, delay: float, what: object = None) -> Timer:
        return self.wheel.after(delay, lambda: self.fired.append((self.clock.seconds(), what)))

    def wait(self, seconds: float, step: float = TICK / 5) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - GRAIN:
            self.clock.advance(min(step, end - self.clock.seconds()))


@settings(max_examples=200, deadline=None)
@given(start=st.floats(0, 1e6), delays=st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_never_early_and_at_most_a_tick_late(start: float, delays: list[float]) -> None:
    wheels = Wheels()
    wheels.clock.advance(start)
    for delay in delays:
        wheels.set(delay, start + delay)
    wheels.wait(3 + 2 * TICK)
    assert len(wheels.fired) == len(delays)
    for when, due in wheels.fired:
        assert isinstance(due, float)
        assert due - GRAIN <= when <= due + TICK * 1.2 + GRAIN
    assert len(wheels.wheel) == 0 and not wheels.clock.getDelayedCalls()


def test_what_falls_due_together_fires_in_the_order_it_was_set() -> None:
    wheels = Wheels()
    for number in range(5):
        wheels.set(1, number)
    wheels.wait(2)
    assert [what for _, what in wheels.fired] == [0, 1, 2, 3, 4]


def test_a_dropped_deadline_does_not_fire() -> None:
    wheels = Wheels()
    timer = wheels.set(1)
    assert timer.active and len(wheels.wheel) == 1
    timer.cancel()
    timer.cancel()
    assert not timer.active and len(wheels.wheel) == 0
    wheels.wait(2)
    assert not wheels.fired


def test_dropping_one_that_fired_does_nothing() -> None:
    wheels = Wheels()
    timer = wheels.set(1)
    wheels.wait(2)
    timer.cancel()
    assert not timer.active and len(wheels.fired) == 1


def test_a_deadline_may_drop_another_of_the_same_moment() -> None:
    wheels = Wheels()
    timers: list[Timer] = []
    timers.append(wheels.wheel.after(1, lambda: [timer.cancel() for timer in timers]))
    timers.append(wheels.set(1))
    wheels.wait(2)
    assert not wheels.fired


def test_a_deadline_may_be_set_anew_when_it_fires() -> None:
    wheels = Wheels()

    def again() -> None:
        wheels.fired.append((wheels.clock.seconds(), None))
        if len(wheels.fired) < 20:
            wheels.wheel.after(0, again)

    wheels.wheel.after(0.3, again)
    wheels.wait(2)
    times = [when for when, _ in wheels.fired]
    assert len(times) == 20
    assert all(later - earlier <= 2 * TICK for earlier, later in zip(times, times[1:], strict=False))


def test_an_earlier_deadline_set_later_is_in_time() -> None:
    wheels = Wheels()
    wheels.set(100, "late")
    wheels.set(1, "soon")
    wheels.wait(1.1)
    assert [what for _, what in wheels.fired] == ["soon"]


def test_one_set_while_others_fire_is_in_time() -> None:
    wheels = Wheels()
    wheels.set(50)
    wheels.wheel.after(1, lambda: wheels.set(0.5, "between"))
    wheels.wait(1.6)
    assert [what for _, what in wheels.fired] == ["between"]


def test_many_deadlines_cost_one_delayed_call() -> None:
    wheels = Wheels()
    timers = [wheels.set(1 + number % 1000 / 100, number) for number in range(10_000)]
    assert len(wheels.wheel) == 10_000 and len(wheels.clock.getDelayedCalls()) == 1
    for timer in timers[::2]:
        timer.cancel()
    wheels.wait(12)
    assert sorted(number for _, number in wheels.fired) == list(range(1, 10_000, 2))  # type: ignore[type-var]
    assert not wheels.clock.getDelayedCalls()


def test_deadlines_that_are_put_off_again_and_again_leave_nothing_behind() -> None:
    wheels = Wheels()
    for _ in range(1000):
        timer = wheels.set(5)
        wheels.wait(TICK, step=TICK)
        timer.cancel()
    assert len(wheels.wheel) == 0 and len(wheels.wheel._slots) <= 5 / TICK + 2
    wheels.wait(6)
    assert not wheels.fired and not wheels.wheel._slots and not wheels.clock.getDelayedCalls()


def test_a_deadline_that_fails_stops_no_other() -> None:
    wheels = Wheels()
    events: list[dict[str, object]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        wheels.wheel.after(1, lambda: 1 // 0)
        wheels.set(1)
        wheels.set(2)
        wheels.wait(3)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert len(wheels.fired) == 2 and len(events) == 1


def test_after_a_long_pause_everything_that_is_due_fires_once() -> None:
    """A process that was stopped, or a machine that slept."""
    wheels = Wheels()
    for delay in (1, 2, 3):
        wheels.set(delay, delay)
    wheels.clock.advance(3600)
    wheels.clock.advance(0)
    assert sorted(what for _, what in wheels.fired) == [1, 2, 3]  # type: ignore[type-var]


def test_a_closed_wheel_fires_nothing() -> None:
    wheels = Wheels()
    timer = wheels.set(1)
    wheels.wheel.close()
    assert not timer.active and not wheels.clock.getDelayedCalls()
    wheels.wait(2)
    assert not wheels.fired


def test_a_wheel_may_be_closed_by_a_deadline() -> None:
    wheels = Wheels()
    wheels.wheel.after(1, wheels.wheel.close)
    wheels.set(1)
    wheels.set(2)
    wheels.wait(3)
    assert not wheels.fired and not wheels.clock.getDelayedCalls()


def test_the_clock_is_the_reactors() -> None:
    wheels = Wheels()
    wheels.clock.advance(42)
    assert wheels.wheel.seconds() == 42


@pytest.mark.parametrize("tick", [0.01, 0.5])
def test_the_grain_can_be_chosen(tick: float) -> None:
    clock = Clock()
    wheel = TimerWheel(clock, tick)  # type: ignore[arg-type]
    fired: list[float] = []
    wheel.after(1, lambda: fired.append(clock.seconds()))
    for _ in range(round(2 / (tick / 5))):
        clock.advance(tick / 5)
    assert 1 - GRAIN <= fired[0] <= 1 + tick * 1.2 + GRAIN


def test_a_timer_that_fired_is_held_by_nobody() -> None:
    """Else each would wait for the collector of cycles: memory would grow with the time that connections are open."""
    clock = Clock()
    wheel = TimerWheel(clock)  # type: ignore[arg-type]
    timer = wheel.after(1.0, lambda: None)
    clock.advance(2.0)
    assert not timer.active
    assert not [one for one in gc.get_referrers(timer) if isinstance(one, dict) and timer in one]
