"""What the rooms above ask of a transport: the seam between a leg and what is said on it.

The names are Twisted's (``ITCPTransport``, ``IPushProducer``, ``IHalfCloseableProtocol``), so that a Twisted protocol
such as autobahn's can sit on a leg, and a relay can sit on a Twisted transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

#: What may be written and what is received: bytes, or a view into the hub's buffer.
Data = bytes | memoryview


class Producer(Protocol):
    """Twisted's ``IPushProducer``, as far as legs use it."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class LegProtocol(Protocol):
    """What a leg tells.  After ``connectionLost`` nothing more is told."""

    def dataReceived(self, data: Data) -> None:
        """Bytes have come.  A memoryview is valid during this call only: keep a copy of what is needed later."""

    def readConnectionLost(self) -> None:
        """The peer will send no more (FIN, or close_notify); writing still works."""

    def connectionLost(self, reason: Failure) -> None:
        """The leg is gone, both ways."""


class _Nobody:
    """The protocol of a leg that nobody listens to: one that is not used yet, or is on its way out."""

    def dataReceived(self, data: Data) -> None:
        return

    def readConnectionLost(self) -> None:
        return

    def connectionLost(self, reason: Failure) -> None:
        return


NOBODY = _Nobody()


class Pump(Protocol):
    """Moves what one leg receives to another without showing it to a protocol (``wsgate.transport.pipes``)."""

    def readable(self) -> None:
        """The source has bytes, an end or an error."""

    def writable(self) -> None:
        """The target, which had been full, takes bytes again."""

    def drop(self) -> None:
        """The target is gone."""


class Leg(Protocol):
    """One side of a relayed connection.

    ``received`` and ``sent`` count payload bytes (not TLS records) since the start; whoever watches for idleness
    compares them, so that no clock is read for a message.
    """

    protocol: LegProtocol
    received: int
    sent: int
    queued: int

    @property
    def paused(self) -> bool:
        """Whether reading is paused."""

    def write(self, data: Data) -> None:
        """Send at once what the socket takes and queue a copy of the rest; the producer is paused while bytes wait."""

    def registerProducer(self, producer: Producer, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def pauseProducing(self) -> None:
        """Read no more; a reset by the peer is still noticed."""

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...

    def loseWriteConnection(self) -> None:
        """Half-close after what is queued: FIN, or close_notify on TLS 1.3; otherwise nothing happens."""

    def loseConnection(self) -> None:
        """Close after what is queued.  Nothing limits how long the peer may take: arm a timer beside it."""

    def abortConnection(self) -> None:
        """Close at once, with a reset; what is queued is dropped."""


class Reactor(Protocol):
    """The little that wsgate asks of a Twisted reactor; every POSIX reactor has it."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., object], *args: object) -> Delayed: ...

    def addReader(self, reader: object) -> None: ...

    def removeReader(self, reader: object) -> None: ...

    def addWriter(self, writer: object) -> None: ...

    def removeWriter(self, writer: object) -> None: ...


class Delayed(Protocol):
    """Twisted's ``IDelayedCall``, as far as it is used here."""

    def cancel(self) -> None: ...

    def active(self) -> bool: ...
