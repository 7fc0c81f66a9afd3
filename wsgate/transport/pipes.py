"""Plain bytes from one socket to another inside the kernel, by ``splice`` through a pipe.

A pipe is borrowed only while bytes are in it and goes back to the pool only when it is empty: bytes of one client must
never reach another.  A source that delivers little at a time is read and sent as usual, which costs as many system
calls and needs no pipe.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import Final

from wsgate.transport.tcp import TcpLeg

#: Bytes of a pipe; more in one system call, and less often, but each busy connection holds as much kernel memory.
PIPE_SIZE: Final = 512 * 1024

#: Idle pipes kept: two descriptors each.
POOL_SIZE: Final = 64

#: A turn that moved less than this ends splicing: the source sends messages, not bulk.
LITTLE: Final = 16 * 1024

_FLAGS: Final = getattr(os, "SPLICE_F_NONBLOCK", 0) | getattr(os, "SPLICE_F_MOVE", 0)

#: False where the platform has no ``splice``; then bytes always go through user space.
AVAILABLE: Final = hasattr(os, "splice")


class PipePool:
    """Empty pipes, ready to be borrowed."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: list[tuple[int, int]] = []

    def borrow(self) -> tuple[int, int]:
        """An empty pipe (read end, write end).  Raises OSError when descriptors are used up."""
        if self._idle:
            return self._idle.pop()
        ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The kernel may refuse the size to an unprivileged user who has many pipes; a smaller pipe works as well.
        with contextlib.suppress(OSError):
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        return ends

    def give_back(self, ends: tuple[int, int], *, empty: bool) -> None:
        if empty and len(self._idle) < POOL_SIZE:
            self._idle.append(ends)
        else:
            os.close(ends[0])
            os.close(ends[1])

    def close(self) -> None:
        for ends in self._idle:
            self.give_back(ends, empty=False)
        self._idle.clear()


class Splice:
    """One direction of a relay: what ``source`` receives goes to ``target``."""

    __slots__ = ("_ends", "_inside", "_pool", "_source", "_target")

    def __init__(self, pool: PipePool, source: TcpLeg, target: TcpLeg) -> None:
        self._pool = pool
        self._source = source
        self._target = target
        self._ends: tuple[int, int] | None = None
        self._inside = 0

    def start(self) -> None:
        """Take over from ``source.protocol``; the target's queue must be empty."""
        self._source.drain_with(self)

    def readable(self) -> None:
        try:
            ends = self._ends = self._pool.borrow()
        except OSError:
            # No descriptor left for a pipe: user space will do.
            self._source.drain_with(None)
            return
        try:
            moved = os.splice(self._source.fileno(), ends[1], PIPE_SIZE, flags=_FLAGS)
        except BlockingIOError:
            self._return_pipe()
            return
        except OSError as error:
            self._return_pipe()
            self._source.drain_with(None)
            if error.errno != errno.EINVAL:
                self._source.lost()
            # Otherwise this kind of socket cannot be spliced from: user space will do.
            return
        self._source.received += moved
        self._inside = moved
        if not moved:
            self._return_pipe()
            self._source.drain_with(None)
            self._source.end_of_input()
            return
        self._push(moved < LITTLE)

    def writable(self) -> None:
        self._push(False)

    def _push(self, stop: bool) -> None:
        ends = self._ends
        if ends is None:
            raise AssertionError("a splice pushes without a pipe")
        try:
            moved = os.splice(ends[0], self._target.fileno(), self._inside, flags=_FLAGS)
        except BlockingIOError:
            moved = 0
        except OSError:
            self._return_pipe()
            self._source.drain_with(None)
            self._target.lost()
            return
        self._target.sent += moved
        self._inside -= moved
        if self._inside:
            self._source.pauseProducing()
            self._target.feed_from(self)
            return
        self._return_pipe()
        if stop:
            self._source.drain_with(None)
        self._target.feed_from(None)
        self._source.resumeProducing()

    def drop(self) -> None:
        self._return_pipe()

    def _return_pipe(self) -> None:
        ends, self._ends = self._ends, None
        if ends is not None:
            self._pool.give_back(ends, empty=not self._inside)
            self._inside = 0
