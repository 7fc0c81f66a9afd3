"""Where the lines of a log end up: a regular file, or something with a reader that may stall.

A sink never waits.  ``put`` writes what can be written at once and says how many bytes that were.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from typing import Protocol

STDOUT = 1

# Of a file's mode: what the owner's group may read, others may not.
FILE_MODE = 0o640


class Sink(Protocol):
    """One open place to write to."""

    longest: int
    """The most bytes to give to ``put`` at once; lines that are longer go alone."""

    def put(self, data: memoryview) -> int:
        """Write some of ``data`` and return how much; BlockingIOError: not now; other OSErrors as they come."""

    def close(self) -> None:
        """Let go of the descriptor, if it is this sink's own."""


# Bytes given to a file at once, so that a slow disk holds up the traffic only for a short while.
_FILE_BATCH = 256 * 1024
# Up to so many bytes (Linux's PIPE_BUF) a write to a pipe is taken whole or not at all, so that the lines of several
# workers on one pipe do not mix.
_PIPE_BATCH = select.PIPE_BUF


class DescriptorSink:
    """A descriptor of our own: a regular file, or anything else opened without blocking."""

    def __init__(self, fd: int, longest: int) -> None:
        self._fd = fd
        self.longest = longest

    def put(self, data: memoryview) -> int:
        return os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


class SocketSink:
    """Standard output as a socket (journald's), which may be shared: each call by itself does not block."""

    longest = _PIPE_BATCH

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))

    def put(self, data: memoryview) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        self._socket.close()


class SharedSink:
    """A descriptor that others share and that cannot be opened anew: O_NONBLOCK would be theirs too, so ask first.

    Linux says that a pipe is writable when a page is free, which is ``PIPE_BUF``.
    """

    longest = _PIPE_BATCH

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def put(self, data: memoryview) -> int:
        if not self._poll.poll(0):
            raise BlockingIOError
        return os.write(self._fd, data)

    def close(self) -> None:
        pass


def open_path(path: str) -> Sink:
    """Open a file, fifo or device to append to, made with ``FILE_MODE``; raises OSError.

    A fifo that nobody reads is an error (ENXIO).
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags, FILE_MODE)
    return DescriptorSink(fd, _FILE_BATCH if stat.S_ISREG(os.fstat(fd).st_mode) else _PIPE_BATCH)


def open_stdout(fd: int = STDOUT) -> Sink:
    """Standard output as a sink that does not change it for those who share it; raises OSError if it is closed."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return SocketSink(fd)
    if stat.S_ISREG(mode):
        # A duplicate shares the place of writing, which a file that was not opened to append needs.
        return DescriptorSink(os.dup(fd), _FILE_BATCH)
    try:
        return open_path(f"/proc/self/fd/{fd}")
    except OSError:  # no /proc, or a pipe of another user
        return SharedSink(fd)
