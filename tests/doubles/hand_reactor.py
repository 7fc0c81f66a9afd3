"""A reactor that the test turns by hand: real sockets, readiness by ``poll``, and time that stands still."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from twisted.internet.task import Clock

from tests.doubles.waiting import until

_IN = select.POLLIN | select.POLLPRI
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Selectable(Protocol):
    """Twisted's ``IReadDescriptor`` and ``IWriteDescriptor`` in one."""

    def fileno(self) -> int: ...

    def doRead(self) -> object: ...

    def doWrite(self) -> object: ...

    def connectionLost(self, reason: object) -> None: ...


class HandReactor(Clock):
    """The part of a POSIX reactor that hubs and wheels use.

    As Twisted's poll reactor it forgets a descriptor that wants nothing, drops one that hangs up while there is nothing
    to read, and tells it so by ``connectionLost``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Selectable] = []
        self.writers: list[Selectable] = []

    def addReader(self, reader: Selectable) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: Selectable) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: Selectable) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Selectable) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def turn(self) -> bool:
        """Deliver every event that is there and make the calls that are due; always True."""
        poll = select.poll()
        watched: dict[int, Selectable] = {}
        for selectable in [*self.readers, *self.writers]:
            watched[selectable.fileno()] = selectable
        for fd, selectable in watched.items():
            wanted = _IN if selectable in self.readers else 0
            poll.register(fd, wanted | (select.POLLOUT if selectable in self.writers else 0))
        for fd, events in poll.poll(0):
            self._deliver(watched[fd], events)
        self.advance(0)
        return True

    def _deliver(self, selectable: Selectable, events: int) -> None:
        if events & _GONE and not events & _IN:
            self.removeReader(selectable)
            self.removeWriter(selectable)
            selectable.connectionLost(None)
            return
        if events & _IN and selectable in self.readers:
            selectable.doRead()
        if events & select.POLLOUT and selectable in self.writers:
            selectable.doWrite()

    def until(self, fact: Callable[[], object], what: str = "") -> None:
        """Turn until ``fact``; the kernel is given time only where many turns did not bring it about."""
        until(lambda: any(self.turn() and fact() for _ in range(20)), what)
