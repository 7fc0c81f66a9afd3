"""A leg is closed so that what was sent on it arrives."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from wsgate.downstream.lingering import LINGER_BYTES, LINGER_TIME, Lingering
from wsgate.transport.wheel import TICK, TimerWheel


class Rig:
    """A lingering leg; ``gone`` counts how often its end was told."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.clock: Any = Clock()
        self.wheel = TimerWheel(self.clock)
        self.leg = MemoryLeg(lambda call: self.clock.callLater(0, call), room)
        self.gone = 0

    def start(self) -> None:
        Lingering(self.leg, self.wheel, self._count).start()

    def _count(self) -> None:
        self.gone += 1

    def passes(self, seconds: float) -> None:
        self.clock.pump([TICK] * int((seconds + 2 * TICK) / TICK))


def test_our_direction_ends_at_once_and_the_leg_a_little_later() -> None:
    rig = Rig()
    rig.start()
    assert rig.leg.write_ended and not rig.leg.closed
    rig.passes(LINGER_TIME - 3 * TICK)
    assert not rig.leg.closed
    rig.passes(3 * TICK)
    assert rig.leg.closed and not rig.leg.aborted
    assert rig.gone == 1


def test_a_peer_that_has_read_its_answer_ends_it() -> None:
    rig = Rig()
    rig.start()
    rig.leg.arrive(b"x" * 100)
    rig.leg.end()
    rig.clock.advance(0)
    assert rig.leg.closed
    assert (rig.gone, len(rig.wheel)) == (1, 0)


def test_a_peer_that_goes_on_sending_is_not_read_without_bound() -> None:
    rig = Rig()
    rig.leg.received = 1 << 30
    rig.start()
    for _ in range(1000):
        rig.leg.arrive(b"x" * 1000)
    assert LINGER_BYTES < rig.leg.received - (1 << 30) < 2 * LINGER_BYTES
    assert not rig.leg.closed
    rig.passes(LINGER_TIME)
    assert rig.leg.closed


def test_a_peer_that_is_still_taking_the_answer_is_waited_for() -> None:
    rig = Rig(room=10)
    rig.leg.write(b"x" * 100)
    rig.start()
    rig.passes(10 * LINGER_TIME)
    assert not rig.leg.closed
    assert rig.leg.take_all() == b"x" * 100
    rig.passes(LINGER_TIME)
    assert rig.leg.closed


def test_a_reset_ends_it() -> None:
    rig = Rig()
    rig.start()
    rig.leg.reset()
    assert (rig.gone, len(rig.wheel)) == (1, 0)
