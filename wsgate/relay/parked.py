"""The place of a server that is lost for a while: what the client says is kept, and nothing comes back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wsgate.relay.frame_side import FrameSide
from wsgate.transport.interfaces import NOBODY, Data, LegProtocol, Producer

_GONE = Failure(ConnectionDone())


class ParkedLeg:
    """A leg without a socket (``wsgate.transport.interfaces.Leg``) that keeps what is written to it.

    Above ``most`` bytes ``full`` is called to pause the client: what it says then waits in the kernel and with itself.
    """

    __slots__ = ("_full", "_gone", "_kept", "_most", "_size", "paused", "protocol", "queued", "received", "sent")

    def __init__(self, most: int, full: Callable[[], None]) -> None:
        self.protocol: LegProtocol = NOBODY
        self.received = self.sent = self.queued = 0
        self.paused = False
        self._most = most
        self._full = full
        self._kept: list[bytes] = []
        self._size = 0
        self._gone = False

    def take(self) -> bytes:
        """All that was written."""
        kept, self._kept = b"".join(self._kept), []
        return kept

    def write(self, data: Data) -> None:
        self._kept.append(bytes(data))
        self._size += len(data)
        if self._size > self._most:
            self._full()

    def registerProducer(self, producer: Producer, streaming: bool) -> None:
        return

    def unregisterProducer(self) -> None:
        return

    def pauseProducing(self) -> None:
        return

    def resumeProducing(self) -> None:
        return

    def stopProducing(self) -> None:
        return

    def loseWriteConnection(self) -> None:
        return

    def loseConnection(self) -> None:
        self.abortConnection()

    def abortConnection(self) -> None:
        """The wait has come to its end: whoever listens hears that the leg is gone."""
        if not self._gone:
            self._gone = True
            self._kept = []
            self.protocol.connectionLost(_GONE)


class ParkedSide(FrameSide):
    """The side of a parked leg: it is never pinged, and never dead."""

    __slots__ = ()

    def life(self) -> int:
        self._unheard += 1
        return self._unheard

    def may_ping(self) -> bool:
        return False
