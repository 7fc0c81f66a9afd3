"""Closing a client's leg so that the answer arrives.

Closing a socket with bytes unread resets the connection, and a reset destroys what the client has not read yet.  So our
direction is ended first, a little is read and dropped meanwhile, and then the leg is closed.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from wsgate.transport.deadline import Deadline
from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import TimerWheel

#: What is read and dropped (bytes), and for how long (seconds).
LINGER_BYTES = 64 * 1024
LINGER_TIME = 2.0


class Lingering:
    """The last protocol of a client's leg.  ``gone()`` is called once, when the leg is gone."""

    __slots__ = ("_deadline", "_gone", "_leg", "_seen")

    def __init__(self, leg: Leg, wheel: TimerWheel, gone: Callable[[], None]) -> None:
        self._leg = leg
        self._gone = gone
        self._seen = leg.received
        self._deadline = Deadline(wheel)

    def start(self) -> None:
        leg = self._leg
        leg.protocol = self
        leg.loseWriteConnection()
        leg.resumeProducing()
        self._deadline.set(LINGER_TIME, self._enough)

    def _enough(self) -> None:
        if self._leg.queued:
            # The client is still taking the answer; how long it may take nothing is watched elsewhere.
            self._deadline.set(LINGER_TIME, self._enough)
        else:
            self._leg.loseConnection()

    def dataReceived(self, data: Data) -> None:
        if self._leg.received - self._seen > LINGER_BYTES:
            # What else the client sends waits in the kernel: closing now would destroy the answer.
            self._leg.pauseProducing()

    def readConnectionLost(self) -> None:
        self._leg.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        self._deadline.drop()
        self._gone()
