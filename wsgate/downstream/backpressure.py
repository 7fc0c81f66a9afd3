"""A client that does not keep up pauses whoever makes its answer; one that takes nothing is given up."""

from __future__ import annotations

from collections.abc import Callable

from wsgate.transport.deadline import Deadline
from wsgate.transport.interfaces import Leg, Producer
from wsgate.transport.wheel import TimerWheel

#: A client that takes nothing for so long (seconds) while bytes wait for it is given up; nginx's send_timeout.
SEND_TIMEOUT = 60.0


class Backpressure:
    """The producer of a client's leg; ``stuck()`` is called when the client has taken nothing for SEND_TIMEOUT.

    The source behind it changes from answer to answer; the deadline also holds where there is none, such as for the
    last bytes before the leg closes.
    """

    __slots__ = ("_leg", "_stall", "_stuck", "_wheel", "source")

    def __init__(self, leg: Leg, wheel: TimerWheel, stuck: Callable[[], None]) -> None:
        self._leg = leg
        self._stuck = stuck
        #: What makes the bytes that are sent now.
        self.source: Producer | None = None
        self._wheel = wheel
        self._stall: Deadline | None = None  # made when a client does not keep up for the first time

    def start(self) -> None:
        """Hear from the leg."""
        self._leg.registerProducer(self, True)

    def stop(self) -> None:
        """The leg is gone or belongs to somebody else."""
        self.source = None
        if self._stall is not None:
            self._stall.drop()
        self._leg.unregisterProducer()

    def feed_from(self, source: Producer | None) -> None:
        """``source`` makes what is sent from now on; it is paused at once where bytes wait already."""
        self.source = source
        if source is not None and self._leg.queued:
            source.pauseProducing()

    # What the leg tells

    def pauseProducing(self) -> None:
        if self._stall is None:
            self._stall = Deadline(self._wheel)
        if not self._stall.active:
            self._watch(self._stall)
        if self.source is not None:
            self.source.pauseProducing()

    def resumeProducing(self) -> None:
        if self._stall is not None:
            self._stall.drop()
        if self.source is not None:
            self.source.resumeProducing()

    def stopProducing(self) -> None:
        return

    def _watch(self, stall: Deadline) -> None:
        taken = self._leg.sent - self._leg.queued
        stall.set(SEND_TIMEOUT, lambda: self._look(stall, taken))

    def _look(self, stall: Deadline, taken: int) -> None:
        if self._leg.sent - self._leg.queued != taken:
            self._watch(stall)
        else:
            self._stuck()
