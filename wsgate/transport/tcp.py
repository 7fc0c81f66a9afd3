"""A leg on a connected stream socket, TCP or unix: direct sends, bounded queue, half-close.

Twisted's ``transport.write`` queues, and sends on the next turn: two system calls and a turn more.  Here a leg whose
queue is empty sends at once; what the kernel does not take is queued, and the producer is paused until it is gone.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from enum import Enum

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from wsgate.transport.hub import ERROR, HANGUP, READ, WRITE, Hub
from wsgate.transport.interfaces import NOBODY, Data, LegProtocol, Producer, Pump

#: Why a leg ended.  Made once: a Failure is costly, and these carry nothing of their own.
DONE = Failure(ConnectionDone())
LOST = Failure(ConnectionLost())
ABORTED = Failure(ConnectionAborted())

_RESET = struct.pack("ii", 1, 0)


class Way(Enum):
    """One direction of a leg."""

    OPEN = "open"
    ENDING = "ending"  # writing only: a FIN follows what is queued
    ENDED = "ended"
    BROKEN = "broken"  # writing only: sending failed, and the leg is about to be lost


class TcpLeg:
    """A connected, non-blocking stream socket.  Create it, set ``protocol``, then ``start``."""

    __slots__ = (
        "_closing",
        "_events",
        "_fd",
        "_feeder",
        "_hub",
        "_paused",
        "_producer",
        "_pump",
        "_queue",
        "_reading",
        "_sock",
        "_writing",
        "protocol",
        "queued",
        "received",
        "sent",
    )

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        self.protocol: LegProtocol = NOBODY
        self._hub = hub
        self._sock = sock
        self._fd = sock.fileno()
        self._events = -1
        self._paused = False
        self._closing = False
        self._reading = Way.OPEN
        self._writing = Way.OPEN
        self._producer: Producer | None = None
        self._pump: Pump | None = None
        self._feeder: Pump | None = None
        self._queue: deque[Data] | None = None
        self.queued = 0
        self.received = 0
        self.sent = 0

    # Life

    def start(self, initial: bytes = b"") -> None:
        """Deliver ``initial`` (bytes that were read ahead of this leg) and listen to the socket."""
        if self._events < 0:
            self._watch()
        if initial:
            self.received += len(initial)
            self.protocol.dataReceived(initial)

    def adopt(self, events: int, *, paused: bool = False) -> None:
        """Take the place of whoever watches this leg's socket for ``events``, a paused leg until ``settle``."""
        self._paused = paused
        self._events = events
        self._hub.hand_over(self._fd, self)

    def settle(self) -> None:
        """Tell the hub what the leg wants itself; the leg hears of its end from now on, whatever that is."""
        self._watch() if self._events < 0 <= self._fd else self._interest()

    def detach(self) -> socket.socket:
        """Give the socket away: the leg hears and says nothing more.  Nothing may be queued."""
        if self.queued:
            raise AssertionError("a leg with queued bytes cannot be detached")
        sock = self._sock
        self._forget()
        return sock

    def fileno(self) -> int:
        """The descriptor; -1 once the leg is gone."""
        return self._fd

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def getPeer(self) -> object:
        return self._sock.getpeername()

    def getHost(self) -> object:
        return self._sock.getsockname()

    # Writing

    def write(self, data: Data) -> None:
        if self._writing is not Way.OPEN or self._closing:
            return
        self.sent += len(data)
        if not self.queued:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._broken_pipe()
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._enqueue(bytes(data))

    def _enqueue(self, rest: bytes) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(rest)
        self.queued += len(rest)
        self._interest()
        if self._producer is not None:
            self._producer.pauseProducing()

    def _flush(self) -> None:
        queue = self._queue
        while queue:
            data = queue[0]
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                return
            except OSError:
                self._broken_pipe()
                return
            self.queued -= sent
            if sent < len(data):
                queue[0] = memoryview(data)[sent:]
                return
            queue.popleft()
        self._queue = None
        self._drained()

    def _drained(self) -> None:
        if self._closing:
            self._close(DONE)
            return
        if self._writing is Way.ENDING:
            self._finish_writing()
        self._interest()
        if self._producer is not None:
            self._producer.resumeProducing()

    def _broken_pipe(self) -> None:
        """Sending failed: the leg ends as lost, but not inside the call that wrote."""
        self._writing = Way.BROKEN
        self._queue = None
        self.queued = 0
        self._hub.soon(self._hear_out)

    def _hear_out(self) -> None:
        """What the peer said before its reset is still in the kernel: the answer to half a request, say."""
        received = -1
        while self._fd >= 0 and self._listens() and received != self.received:
            received = self.received
            self._receive()
        self.lost()

    def _listens(self) -> bool:
        return not (self._paused or self._closing) and self._pump is None and self._reading is Way.OPEN

    def lost(self) -> None:
        """End the leg as one whose peer vanished."""
        self._close(LOST)

    def registerProducer(self, producer: Producer, streaming: bool) -> None:
        """``producer`` is paused while bytes are queued; only push producers (``streaming``) are known here."""
        if not streaming:
            raise ValueError("legs take push producers only")
        self._producer = producer
        if self.queued:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    # Reading

    def pauseProducing(self) -> None:
        # The hub hears of it when something comes: a pause is mostly over before that.
        self._paused = True

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._interest()

    def stopProducing(self) -> None:
        self.loseConnection()

    def drain_with(self, pump: Pump | None) -> None:
        """Let ``pump`` move what this leg receives; ``None``: back to ``protocol.dataReceived``."""
        self._pump = pump

    def feed_from(self, pump: Pump | None) -> None:
        """Tell ``pump``, which holds bytes for this leg, when the socket takes them; None: it holds none now."""
        self._feeder = pump
        self._interest()
        if pump is None and not self.queued:
            if self._closing:
                self._hub.soon(self._end_done)
            elif self._writing is Way.ENDING:
                self._finish_writing()

    def ready(self, events: int) -> None:
        if events & WRITE:
            if self.queued:
                self._flush()
            elif self._feeder is not None:
                self._feeder.writable()
        if self._fd < 0:
            return
        if self._paused or self._reading is not Way.OPEN:
            if events & (ERROR | HANGUP):
                self._hung_up(events)
            elif events & READ:
                self._interest()
        elif events & (READ | ERROR | HANGUP):
            if self._pump is not None:
                self._pump.readable()
            else:
                self._receive()

    def _receive(self) -> None:
        buffer = self._hub.buffer
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self._close(LOST)
            return
        if count:
            self.received += count
            self.protocol.dataReceived(buffer[:count])
        else:
            self.end_of_input()

    def end_of_input(self) -> None:
        """The socket has said that nothing more will come."""
        if self._writing is Way.BROKEN:
            # The reset was told to the call that wrote: this is no orderly end.
            self.lost()
            return
        self._reading = Way.ENDED
        self.protocol.readConnectionLost()
        if self._fd < 0 or self._closing:
            return
        if self._writing is Way.ENDED:
            self._hub.soon(self._end_done)
        else:
            self._interest()

    def _hung_up(self, events: int) -> None:
        """The peer is gone both ways while nothing is read.

        After an error the bytes in the kernel are lost.  After an orderly end they are not: the leg leaves the hub
        until it is read from again, since the hub would report the hang-up without end.
        """
        if events & ERROR or self._reading is Way.ENDED:
            self._close(DONE if self._writing is Way.ENDED and not events & ERROR else LOST)
        else:
            self._unwatch()

    # Ending

    def loseWriteConnection(self) -> None:
        if self._writing is Way.OPEN:
            self._writing = Way.ENDING
            if not self.queued and self._feeder is None:
                self._finish_writing()

    def _finish_writing(self) -> None:
        self._writing = Way.ENDED
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._hub.soon(self.lost)
            return
        if self._reading is Way.ENDED:
            self._hub.soon(self._end_done)

    def _end_done(self) -> None:
        self._close(DONE)

    def loseConnection(self) -> None:
        if self._fd >= 0 and not self._closing:
            self._closing = True
            self._reading = Way.ENDED
            if self.queued or self._feeder is not None:
                self._interest()
            else:
                # It is closed before the hub waits again: its interest no longer matters.
                self._hub.soon(self._end_done)

    def abortConnection(self) -> None:
        if self._fd >= 0:
            if self._sock.family != socket.AF_UNIX:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._release()
            self._hub.soon(self._tell_aborted)

    def broken(self) -> None:
        self.abortConnection()

    def _close(self, reason: Failure) -> None:
        if self._fd >= 0:
            self._release()
            self.protocol.connectionLost(reason)

    def _release(self) -> None:
        sock = self._sock
        if self._events >= 0:
            self._events = -1
            self._hub.closing(self._fd)
        self._forget()
        sock.close()

    def _tell_aborted(self) -> None:
        self.protocol.connectionLost(ABORTED)

    def _forget(self) -> None:
        self._unwatch()
        self._fd = -1
        self._writing = self._reading = Way.ENDED
        self._queue = None
        self._producer = None
        if self._pump is not None or self._feeder is not None:
            self._drop_pumps()
        self.queued = 0

    def _drop_pumps(self) -> None:
        # What is in a pipe already is the other leg's, which goes on to be fed with it.
        if self._feeder is not None:
            self._feeder.drop()
        self._pump = self._feeder = None

    # Interest in readiness

    def _watch(self) -> None:
        self._events = self._wanted() | (READ if self._reading is Way.OPEN else 0)
        self._hub.watch(self._fd, self, self._events)

    def _unwatch(self) -> None:
        if self._events >= 0:
            self._events = -1
            self._hub.forget(self._fd)

    def _wanted(self) -> int:
        wanted = WRITE if self.queued or self._feeder is not None else 0
        if not self._paused and self._reading is Way.OPEN:
            wanted |= READ
        return wanted

    def _interest(self) -> None:
        if self._fd < 0:
            return
        wanted = self._wanted()
        if self._events < 0:
            if wanted:
                self._watch()
        elif wanted != self._events:
            self._events = wanted
            self._hub.change(self._fd, wanted)
