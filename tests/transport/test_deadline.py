"""One deadline at a time."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from wsgate.transport.deadline import Deadline
from wsgate.transport.wheel import TICK, TimerWheel


class Rig:
    """A deadline and what it called."""

    def __init__(self) -> None:
        self.clock: Any = Clock()
        self.wheel = TimerWheel(self.clock)
        self.deadline = Deadline(self.wheel)
        self.called: list[str] = []

    def set(self, delay: float, name: str) -> None:
        self.deadline.set(delay, lambda: self.called.append(name))

    def passes(self, seconds: float) -> None:
        self.clock.pump([TICK] * int((seconds + 2 * TICK) / TICK))


def test_it_calls_once() -> None:
    rig = Rig()
    assert not rig.deadline.active
    rig.set(5, "a")
    assert rig.deadline.active
    rig.passes(20)
    assert rig.called == ["a"]
    assert not rig.deadline.active


def test_setting_it_again_puts_it_off() -> None:
    rig = Rig()
    rig.set(5, "a")
    rig.passes(4)
    rig.set(5, "b")
    rig.passes(4)
    assert rig.called == []
    rig.passes(1)
    assert rig.called == ["b"]


def test_dropping_it_leaves_nothing() -> None:
    rig = Rig()
    rig.set(5, "a")
    rig.deadline.drop()
    rig.deadline.drop()
    assert not rig.deadline.active
    assert not len(rig.wheel)
    rig.passes(10)
    assert rig.called == []


def test_it_may_be_set_anew_when_it_comes() -> None:
    rig = Rig()

    def again() -> None:
        rig.called.append("again")
        if len(rig.called) < 3:
            rig.deadline.set(1, again)

    rig.deadline.set(1, again)
    rig.passes(5)
    assert rig.called == ["again"] * 3


def test_what_is_put_off_moves_no_timer() -> None:
    """A kept connection sets and drops it for every request."""
    rig = Rig()
    rig.set(5, "a")
    for _ in range(3):
        rig.passes(1)
        rig.deadline.rest()
        assert not rig.deadline.active
        assert len(rig.wheel) == 1
        rig.set(5, "b")
        assert len(rig.wheel) == 1
    rig.passes(4)
    assert rig.called == []
    rig.passes(1)
    assert rig.called == ["b"]


def test_a_shorter_time_comes_in_time() -> None:
    rig = Rig()
    rig.set(60, "a")
    rig.deadline.rest()
    rig.set(5, "b")
    rig.passes(6)
    assert rig.called == ["b"]


def test_a_deadline_at_rest_calls_nobody() -> None:
    rig = Rig()
    rig.set(5, "a")
    rig.deadline.rest()
    rig.passes(20)
    assert rig.called == []
    assert not len(rig.wheel)
