"""The writer of the access log: lines in batches, and traffic that never waits for a disk or a reader."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Protocol

from wsgate.errors import WsgateError
from wsgate.observe.sinks import Sink, open_path, open_stdout

# Seconds between two batches while there are lines; a reader with ``tail -f`` finds this prompt.
INTERVAL = 0.25
# Bytes after which a batch is not kept waiting.
BATCH = 64 * 1024
# Bytes kept while nothing can be written; what comes beyond is dropped and counted.
QUEUE = 1024 * 1024
# Seconds until a full pipe is tried again: soon for a reader that is merely slow, rarely for one that stands.
_RETRY_FIRST, _RETRY_LAST = 0.01, 1.0
# Seconds between two complaints, for a reader that is always a little too slow.
_QUIET = 60.0


class Delayed(Protocol):
    """What Twisted's ``callLater`` returns, as far as it is used here."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of IReactorTime that is used here."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[[], object], /) -> Delayed: ...


class LogFileError(WsgateError):
    """A log cannot be opened."""


def _in_words(error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return "its reader is too slow"
    if error.errno in {errno.EPIPE, errno.ENXIO}:
        return "nobody reads it"
    return error.strerror or str(error)


class LogFile:
    """Appends lines to ``path``, or to standard output if it is ``-``.

    ``warn`` gets a sentence when nothing can be written, when lines are dropped, and when all is well again.  Raises
    LogFileError if the path cannot be opened, except for a fifo that nobody reads yet.  Each process makes its own.
    """

    def __init__(self, path: str, clock: Clock, warn: Callable[[str], object]) -> None:
        self._path = path
        self._clock = clock
        self._warn = warn
        self._lines: list[bytes] = []  # not yet joined
        self._rest = b""  # joined, and written up to ``_written``
        self._written = 0
        self._size = 0  # bytes to write in both
        self._call: Delayed | None = None
        self._retry = 0.0  # seconds; not 0 while nothing can be written
        self._fault = ""  # what the operator was told and has not been called off
        self._quiet_until = 0.0
        self._dropped_before = 0  # the count when the present trouble began
        self.dropped = 0  # lines, since the start
        self.closed = False
        self._sink: Sink | None = None
        try:
            self._sink = self._open()
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise LogFileError(f"cannot open the log {path}: {_in_words(error)}") from error

    def _open(self) -> Sink:
        return open_stdout() if self._path == "-" else open_path(self._path)

    def write(self, line: str) -> None:
        """Queue one line, given without its line break; it is dropped if the queue is full."""
        data = line.encode("ascii", "backslashreplace")
        size = len(data) + 1
        if self.closed or self._size + size > QUEUE:
            self.dropped += 1
            return
        self._lines.append(data)
        self._size += size
        if self._size >= BATCH and not self._retry:
            self.flush()
        elif self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._due)

    def flush(self) -> None:
        """Write what can be written now; the rest is tried again by itself."""
        self._cancel()
        self._due()

    def reopen(self) -> None:
        """Write what is queued, then open the path anew, as after a rotation; if that fails the old file goes on."""
        if self.closed:
            return
        self.flush()
        if self._path == "-":
            return
        try:
            sink = self._open()
        except OSError as error:
            self._warn(f"access log {self._path}: not reopened, the old file is kept: {_in_words(error)}")
            return
        self._forget_torn_line()
        if self._sink is not None:
            self._sink.close()
        self._sink = sink
        self.flush()

    def close(self) -> None:
        """Write what can be written at once, count the rest as dropped, and let go of the file."""
        if self.closed:
            return
        self.flush()
        self._cancel()
        self.closed = True
        self.dropped += len(self._lines) + self._rest.count(b"\n", self._written)
        self._lines, self._rest, self._written, self._size = [], b"", 0, 0
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _due(self) -> None:
        self._call = None
        before = self._size
        try:
            self._drain()
        except OSError as error:
            if error.errno == errno.EPIPE and self._sink is not None and self._path != "-":
                self._sink.close()  # a fifo may find another reader, through another opening
                self._sink = None
            moved = self._size < before
            self._retry = _RETRY_FIRST if moved or not self._retry else min(2 * self._retry, _RETRY_LAST)
            self._call = self._clock.callLater(self._retry, self._due)
            self._complain(error)
        else:
            self._retry = 0.0
            self._call_off()

    def _drain(self) -> None:
        """Write until the queue is empty; raises what the sink raises."""
        while self._size:
            if self._sink is None:
                self._sink = self._open()
            if not self._rest:
                self._lines.append(b"")
                self._rest = b"\n".join(self._lines)
                self._lines = []
            end = self._end_of_batch(self._sink.longest)
            written = self._sink.put(memoryview(self._rest)[self._written : end])
            self._written += written
            self._size -= written
            if self._written == len(self._rest):
                self._rest, self._written = b"", 0

    def _end_of_batch(self, longest: int) -> int:
        """Where the next write ends: behind the last line that fits in ``longest`` bytes, or behind a longer one."""
        latest = self._written + longest
        if latest >= len(self._rest):
            return len(self._rest)
        end = self._rest.rfind(b"\n", self._written, latest)
        return (end if end >= 0 else self._rest.index(b"\n", latest)) + 1

    def _forget_torn_line(self) -> None:
        """Drop the rest of a line whose beginning is in the old file."""
        if self._written and self._rest[self._written - 1] != ord("\n"):
            end = self._rest.index(b"\n", self._written) + 1
            self._size -= end - self._written
            self._written = end
            self.dropped += 1
        if self._written == len(self._rest):
            self._rest, self._written = b"", 0

    def _complain(self, error: OSError) -> None:
        """Tell once that nothing can be written; a full pipe is told of only when lines are lost to it."""
        lost = self.dropped - self._dropped_before
        now = self._clock.seconds()
        if self._fault or now < self._quiet_until or (isinstance(error, BlockingIOError) and not lost):
            return
        self._fault = _in_words(error)
        self._quiet_until = now + _QUIET
        self._warn(f"access log {self._path}: {self._fault}; {QUEUE // 1024} KiB of lines are kept, more are dropped")

    def _call_off(self) -> None:
        """Tell that lines are written again, if the operator knows of trouble."""
        if self._fault:
            lost = self.dropped - self._dropped_before
            self._warn(f"access log {self._path}: written again, {lost} lines were dropped")
            self._fault = ""
            self._dropped_before = self.dropped
