"""A leg in memory (``wsgate.transport.interfaces.Leg``): the test is its peer, and decides what the socket takes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from wsgate.transport.interfaces import NOBODY, Data, LegProtocol, Producer

Soon = Callable[[Callable[[], None]], object]


class MemoryLeg:
    """As the legs on sockets: what the peer sends waits while the leg is paused, and what is written waits while the
    peer takes nothing.

    ``soon`` calls a function a little later; ends are told by it, never from inside a call of the relay's.  ``room`` is
    what the socket takes before bytes are queued.  ``half_closes`` is False for a TLS 1.2 leg.
    """

    def __init__(self, soon: Soon, room: int = 1 << 40, *, half_closes: bool = True) -> None:
        self.protocol: LegProtocol = NOBODY
        self.received = self.sent = self.queued = 0
        self.half_closes = half_closes
        self.aborted = self.closed = self.write_ended = False
        self._soon = soon
        self._room = room
        self._paused = True
        self._closing = False
        self._producer: Producer | None = None
        self._taken = bytearray()  # by the socket
        self._waiting = bytearray()  # in the leg's queue
        self._coming = bytearray()  # not read yet
        self._fin: bool | None = None

    # What a relay uses

    @property
    def paused(self) -> bool:
        return self._paused

    def write(self, data: Data) -> None:
        if self._deaf or self.write_ended:
            return
        self.sent += len(data)
        fits = 0 if self._waiting else max(0, self._room - len(self._taken))
        self._taken += data[:fits]
        if fits < len(data):
            self._waiting += data[fits:]
            self.queued = len(self._waiting)
            if self._producer is not None:
                self._producer.pauseProducing()

    def registerProducer(self, producer: Producer, streaming: bool) -> None:
        assert streaming
        self._producer = producer
        if self.queued:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._coming or self._fin:
            self._soon(self._deliver)

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseWriteConnection(self) -> None:
        self.write_ended = self.half_closes

    def loseConnection(self) -> None:
        self._closing = True
        if not self.queued:
            self._soon(lambda: self._end(ConnectionDone()))

    def abortConnection(self) -> None:
        if not self.closed:
            self.aborted = True
            self._soon(lambda: self._end(ConnectionAborted()))

    def getPeer(self) -> object:
        return ("192.0.2.1", 1)

    def getHost(self) -> object:
        return ("192.0.2.2", 2)

    # What its peer does

    def arrive(self, data: bytes) -> None:
        """The peer sends ``data``."""
        self._coming += data
        self._deliver()

    def end(self) -> None:
        """The peer ends its direction (FIN)."""
        self._fin = True
        self._deliver()

    def reset(self) -> None:
        """The peer resets the connection; a paused leg notices, too."""
        self._end(ConnectionLost())

    def take(self, count: int = 1 << 40) -> bytes:
        """What the peer reads, at most ``count`` bytes; as much becomes free in the socket."""
        taken = bytes(self._taken[:count])
        del self._taken[:count]
        fits = min(len(self._waiting), max(0, self._room - len(self._taken)))
        if fits:
            self._taken += self._waiting[:fits]
            del self._waiting[:fits]
            self.queued = len(self._waiting)
            if not self.queued:
                self._drained()
        return taken

    def take_all(self) -> bytes:
        """Everything up to the present end of the stream."""
        pieces = []
        while piece := self.take():
            pieces.append(piece)
        return b"".join(pieces)

    # How

    def _drained(self) -> None:
        if self._closing:
            self._soon(lambda: self._end(ConnectionDone()))
        elif self._producer is not None:
            self._producer.resumeProducing()

    def _deliver(self) -> None:
        while self._coming and not self._paused and not self._deaf:
            buffer = self._coming[: 64 * 1024]
            del self._coming[: 64 * 1024]
            self.received += len(buffer)
            view = memoryview(buffer)
            self.protocol.dataReceived(view)
            view.release()
            buffer[:] = bytes(len(buffer))  # a view is valid during the call only
        if self._fin and not self._coming and not self._paused and not self._deaf:
            self._fin = False
            self.protocol.readConnectionLost()

    @property
    def _deaf(self) -> bool:
        return self.closed or self._closing or self.aborted

    def _end(self, why: Exception) -> None:
        if not self.closed:
            self.closed = True
            self.queued = 0
            self._waiting.clear()
            self._producer = None
            self.protocol.connectionLost(Failure(why))
