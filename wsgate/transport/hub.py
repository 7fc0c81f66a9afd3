"""Readiness of many sockets behind one descriptor of the host's reactor.

Twisted's reactor makes one ``epoll_ctl`` for each change of interest, goes through its logging context for every event
and forgets a descriptor that wants neither to read nor to write, so that a reset goes unnoticed.  The hub is an epoll
set of our own which the reactor watches as a single reader.  It therefore runs under every POSIX reactor, and a paused
leg stays registered with an empty interest: the kernel reports EPOLLERR and EPOLLHUP for it all the same.

An event is a hint only.  A descriptor that was closed earlier in the same batch may have left its number to a new one,
so ``ready`` must ask the socket and bear being called for nothing.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from wsgate.transport.interfaces import Reactor

READ = select.POLLIN
WRITE = select.POLLOUT
ERROR = select.POLLERR
HANGUP = select.POLLHUP

#: Bytes taken from a socket in one read.  One buffer serves all sockets of a hub.
READ_SIZE = 64 * 1024

#: Events taken in one poll, and polls in one turn of the reactor: other descriptors of the reactor must not starve.
BATCH = 256
ROUNDS = 4

#: Failed connections that are told with a traceback each; of more only every doubling is, as where memory has run out.
TOLD = 16

_log = Logger("wsgate.transport")


class Descriptor(Protocol):
    """Something with a socket."""

    def ready(self, events: int) -> None:
        """The socket is ready for some of READ, WRITE, ERROR and HANGUP."""

    def broken(self) -> None:
        """``ready`` raised: a fault of ours.  Close without another word."""


class Hub(Protocol):
    """Where legs, listeners and diallers register; ``buffer`` is theirs during ``ready``, and nobody's after it."""

    reactor: Reactor
    buffer: memoryview

    def watch(self, fd: int, descriptor: Descriptor, events: int) -> None: ...

    def change(self, fd: int, events: int) -> None: ...

    def forget(self, fd: int) -> None: ...

    def closing(self, fd: int) -> None:
        """Forget a descriptor that the caller closes at once."""

    def hand_over(self, fd: int, descriptor: Descriptor) -> None:
        """``descriptor`` takes the place of whoever watches ``fd``, with the same interest."""

    def soon(self, function: Callable[[], None]) -> None:
        """Call ``function`` when the present callback has returned to the hub, before other events are waited for."""


class _Turn:
    """What both hubs share: the read buffer, the calls for the end of a turn, and the fence around callbacks."""

    __slots__ = ("_dispatching", "_failures", "_soon", "buffer", "reactor")

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._soon: list[Callable[[], None]] = []
        self._dispatching = False
        self._failures = 0

    def soon(self, function: Callable[[], None]) -> None:
        if not self._dispatching and not self._soon:
            self.reactor.callLater(0, self._run_soon)
        self._soon.append(function)

    def _run_soon(self) -> None:
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                try:
                    call()
                except Exception:
                    _log.failure("a delayed step failed")

    def _failed(self, descriptor: Descriptor) -> None:
        """``ready`` raised: that connection ends, and no other.  A hub that raises would be dropped by its reactor."""
        self._failures += 1
        tells = self._failures <= TOLD or not self._failures & (self._failures - 1)
        if tells:
            _log.failure("a connection failed inside the gateway, number {count}", count=self._failures)
        try:
            descriptor.broken()
        except Exception:
            if tells:
                _log.failure("a failed connection could not be closed")


class EpollHub(_Turn):
    """The hub on Linux."""

    __slots__ = ("_descriptors", "_epoll", "_left")

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._epoll = select.epoll()
        self._descriptors: dict[int, Descriptor] = {}
        # Numbers that were given up while events were told.  The kernel gives a number to the next socket at once, and
        # what it has told of the old one may still stand behind in the same batch.
        self._left: set[int] = set()
        reactor.addReader(self)

    def watch(self, fd: int, descriptor: Descriptor, events: int) -> None:
        self._descriptors[fd] = descriptor
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        del self._descriptors[fd]
        self._left.add(fd)
        self._epoll.unregister(fd)

    def closing(self, fd: int) -> None:
        # The kernel takes a closed socket out of the set by itself; nobody holds a duplicate of a connection's.
        del self._descriptors[fd]
        self._left.add(fd)

    def hand_over(self, fd: int, descriptor: Descriptor) -> None:
        self._descriptors[fd] = descriptor

    def close(self) -> None:
        """Leave the reactor; whatever is still registered hears nothing more."""
        self.reactor.removeReader(self)
        self._epoll.close()
        self._descriptors.clear()

    # What the reactor asks of a reader (IReadDescriptor).

    def fileno(self) -> int:
        return -1 if self._epoll.closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "wsgate"

    def connectionLost(self, reason: object) -> None:
        """The reactor itself has stopped."""

    def doRead(self) -> None:
        descriptors, left = self._descriptors, self._left
        poll = self._epoll.poll
        self._dispatching = True
        try:
            for _ in range(ROUNDS):
                left.clear()
                events = poll(0, BATCH)
                for fd, happened in events:
                    if left and fd in left:
                        continue
                    descriptor = descriptors.get(fd)
                    if descriptor is not None:
                        try:
                            descriptor.ready(happened)
                        except Exception:
                            self._failed(descriptor)
                if self._soon:
                    self._run_soon()
                if len(events) < 2:
                    break
                if self._epoll.closed:
                    break
        finally:
            self._dispatching = False


class _Watched:
    """One descriptor as the host's reactor sees it."""

    __slots__ = ("descriptor", "events", "fd", "hub")

    def __init__(self, hub: ReactorHub, fd: int, descriptor: Descriptor) -> None:
        self.hub = hub
        self.fd = fd
        self.descriptor = descriptor
        self.events = 0

    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "wsgate"

    def doRead(self) -> None:
        self.hub.deliver(self, READ)

    def doWrite(self) -> None:
        self.hub.deliver(self, WRITE)

    def connectionLost(self, reason: object) -> None:
        """The reactor saw an error or a hang-up and has dropped the descriptor; the socket tells which it was."""
        if self.fd >= 0:
            self.events = 0
            self.hub.deliver(self, ERROR | HANGUP)


class ReactorHub(_Turn):
    """The hub where there is no epoll: every descriptor is registered with the host's reactor itself."""

    __slots__ = ("_watched",)

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._watched: dict[int, _Watched] = {}

    def watch(self, fd: int, descriptor: Descriptor, events: int) -> None:
        self._watched[fd] = _Watched(self, fd, descriptor)
        self.change(fd, events)

    def change(self, fd: int, events: int) -> None:
        watched = self._watched[fd]
        added, dropped = events & ~watched.events, watched.events & ~events
        watched.events = events
        if added & READ:
            self.reactor.addReader(watched)
        if added & WRITE:
            self.reactor.addWriter(watched)
        if dropped & READ:
            self.reactor.removeReader(watched)
        if dropped & WRITE:
            self.reactor.removeWriter(watched)

    def forget(self, fd: int) -> None:
        self.change(fd, 0)
        self._watched.pop(fd).fd = -1

    def closing(self, fd: int) -> None:
        self.forget(fd)

    def hand_over(self, fd: int, descriptor: Descriptor) -> None:
        self._watched[fd].descriptor = descriptor

    def close(self) -> None:
        for fd in list(self._watched):
            self.forget(fd)

    def deliver(self, watched: _Watched, events: int) -> None:
        self._dispatching = True
        try:
            watched.descriptor.ready(events)
        except Exception:
            self._failed(watched.descriptor)
        finally:
            self._dispatching = False
        if self._soon:
            self._run_soon()


def hub_for(reactor: Reactor) -> EpollHub | ReactorHub:
    """The best hub that this platform has."""
    return EpollHub(reactor) if hasattr(select, "epoll") else ReactorHub(reactor)
