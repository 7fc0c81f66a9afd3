"""The end of a leg that cannot half-close, towards a peer that broke a rule."""

from __future__ import annotations

from typing import Protocol

from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import Timer, TimerWheel

#: Seconds in which nothing must have come.
SILENCE = 0.5


class Dropping(Protocol):
    """A side of a relay that is read and not listened to any more; ``dropped`` counts the bytes."""

    dropped: int

    @property
    def leg(self) -> Leg: ...


class Silence:
    """Closes the leg of ``side`` (TLS 1.2 has no end of one direction) when its peer is silent and has taken all.

    Closed at once, what the peer had under way would turn the Close that names its fault into a reset.
    """

    __slots__ = ("_dropped", "_timer", "_wheel", "side")

    def __init__(self, wheel: TimerWheel, side: Dropping) -> None:
        self.side = side
        self._wheel = wheel
        self._dropped = side.dropped
        self._timer: Timer = wheel.after(SILENCE, self._look)

    def stop(self) -> None:
        """The relay is over."""
        self._timer.cancel()

    def _look(self) -> None:
        leg, dropped = self.side.leg, self.side.dropped
        if dropped == self._dropped and not leg.queued:
            leg.loseConnection()
            return
        self._dropped = dropped
        self._timer = self._wheel.after(SILENCE, self._look)
