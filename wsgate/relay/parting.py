"""The rest of a leg that no relay needs any more: it has said its last, the peer may say its own."""

from __future__ import annotations

from twisted.python.failure import Failure

from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import Timer, TimerWheel


class Parting:
    """Waits until the peer has closed ``leg``, at most ``timeout`` seconds; what it still says is dropped."""

    __slots__ = ("_leg", "_timeout", "_timer", "_wheel")

    def __init__(self, leg: Leg, wheel: TimerWheel, timeout: float) -> None:
        self._leg = leg
        self._wheel = wheel
        self._timeout = timeout
        self._timer: Timer | None = None

    def begin(self, *, ended: bool = False) -> None:
        """``ended``: the peer has closed its direction already, and will not say so again."""
        self._leg.protocol = self
        self._timer = self._wheel.after(self._timeout, self._leg.abortConnection)
        if ended:
            self._leg.loseConnection()
        else:
            self._leg.resumeProducing()

    def dataReceived(self, data: Data) -> None:
        return

    def readConnectionLost(self) -> None:
        self._leg.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
