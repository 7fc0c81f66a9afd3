"""The place of a server that is lost for a while: what the client says is kept, and nothing comes back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wsgate.relay.frame_side import FrameSide
from wsgate.relay.interfaces import Held, Redial
from wsgate.transport.interfaces import NOBODY, Data, LegProtocol, Producer
from wsgate.transport.wheel import TimerWheel
from wsgate.wire.ws_first import FirstMessages

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

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self._size

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


class Kept:
    """What is kept of a client for its next server, which ``redial`` finds; the same for every relay that holds.

    ``last_ping`` is the payload of the client's latest ping.
    """

    __slots__ = ("_first", "_leg", "_redial", "_replay", "last_ping")

    def __init__(self, redial: Redial) -> None:
        self.last_ping = b""
        self._redial = redial
        self._first = FirstMessages(redial.replay, redial.buffer) if redial.replay else None
        self._replay = b""
        self._leg: ParkedLeg | None = None

    @property
    def is_held(self) -> bool:
        """Whether there is no server now."""
        return self._leg is not None

    @property
    def size(self) -> int:
        """Bytes that wait for the next server."""
        return self._leg.size if self._leg is not None else 0

    @property
    def is_whole(self) -> bool:
        """Whether all that another server has to hear again could be kept."""
        return self._first is None or not self._first.overflowed

    @property
    def wants_more(self) -> bool:
        """Whether what a server is told now may have to be said again."""
        return self._first is not None and self._first.wants_more

    def note(self, data: Data) -> None:
        """What a server is told of the client, as frames."""
        if self._first is not None and self._first.wants_more:
            self._first.feed(data)

    def park(self, full: Callable[[], None]) -> ParkedLeg:
        """The leg in place of the lost server's; ``full`` is called when it keeps as much as it should."""
        self._replay = self._first.messages if self._first is not None else b""
        self._leg = ParkedLeg(self._redial.buffer, full)
        return self._leg

    def search(self, relay: Held) -> None:
        """Look for the next server."""
        self._redial.begin(relay)

    def take(self) -> bytes:
        """What the next server, which is there, has to hear first."""
        leg, self._leg = self._leg, None
        replay, self._replay = self._replay, b""
        return replay + (leg.take() if leg is not None else b"")

    def stop(self, wheel: TimerWheel) -> None:
        """The relay ends.  Its parked leg, where there is one, does so a little later, as every leg."""
        leg, self._leg = self._leg, None
        if leg is not None:
            self._redial.stop()
            wheel.after(0, leg.abortConnection)


class ParkedSide(FrameSide):
    """The side of a parked leg: it is never pinged, and never dead."""

    __slots__ = ()

    def life(self) -> int:
        self._unheard += 1
        return self._unheard

    def may_ping(self) -> bool:
        return False
