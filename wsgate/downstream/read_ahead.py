"""Reading the first bytes of a socket before any leg is made of it."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod

from wsgate.transport.hub import READ, Hub
from wsgate.transport.tcp import TcpLeg


class ReadAhead(ABC):
    """Reads from ``sock`` and gives each piece to ``_take``, until ``stop``; the socket stays the caller's.

    ``initial`` are bytes that were read before; they are taken in the hub's next turn.
    """

    __slots__ = ("_hub", "_sock", "_stopped")

    def __init__(self, hub: Hub, sock: socket.socket, initial: bytes = b"") -> None:
        self._hub = hub
        self._sock = sock
        self._stopped = False
        hub.watch(sock.fileno(), self, READ)
        if initial:
            hub.soon(lambda: self._start(initial))

    def _start(self, initial: bytes) -> None:
        if not self._stopped:
            self._take(initial)

    def stop(self) -> None:
        """Leave the hub without a word."""
        if not self._stopped:
            self._stopped = True
            self._hub.forget(self._sock.fileno())

    def give_to(self, leg: TcpLeg) -> None:
        """``leg``, made of the socket, hears what comes from now on."""
        if not self._stopped:
            self._stopped = True
            leg.adopt(READ)

    def ready(self, events: int) -> None:
        try:
            count = self._sock.recv_into(self._hub.buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count:
            self._take(bytes(self._hub.buffer[:count]))
        else:
            self._left()

    def broken(self) -> None:
        self._fail("a fault of the gateway")

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """More bytes have come."""

    @abstractmethod
    def _left(self) -> None:
        """The peer has closed."""

    @abstractmethod
    def _fail(self, why: str) -> None:
        """Nothing will be found."""
