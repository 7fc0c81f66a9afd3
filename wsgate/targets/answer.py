"""An answer that the gateway gives by itself, ready for any version of HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from http import HTTPStatus
from io import FileIO

from wsgate.wire.fields import encode_response

Headers = list[tuple[bytes, bytes]]


class FileBlocks:
    """A part of an open file, read in blocks.  Reading blocks the caller for as long as the disk takes.

    The reader must `close` it, also when it did not read to the end.
    """

    __slots__ = ("_file", "_offset", "remaining")

    def __init__(self, file: FileIO, offset: int, length: int) -> None:
        """Takes ``file`` over; ``offset`` and ``length`` are bytes."""
        self._file = file
        self._offset = offset
        self.remaining = length

    def fileno(self) -> int:
        """The descriptor, for sendfile; ValueError after `close`."""
        return self._file.fileno()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, b"" at the end.

        b"" while ``remaining`` is not 0 means that the file was cut meanwhile: the length that was promised to the
        client cannot be kept, and its connection must be closed.  Raises OSError.
        """
        block = os.pread(self._file.fileno(), min(size, self.remaining), self._offset)
        self._offset += len(block)
        self.remaining -= len(block)
        return block

    def close(self) -> None:
        """Gives the descriptor back; may be called again."""
        self._file.close()


_PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)
class Answer:
    """Status, headers and body.

    ``headers`` has what describes the body, Content-Length included; Date, Server and Connection are the sender's.
    ``body`` is None where there is none to send.  To a HEAD request the sender leaves the body out (a file is not even
    opened for one) and keeps the headers.
    """

    status: int
    headers: Headers
    body: bytes | FileBlocks | None
    _written: tuple[Headers, bytes] | None = field(default=None, init=False, repr=False, compare=False)

    def head_with(self, own: Headers) -> bytes:
        """The whole head in HTTP/1.1 with the sender's ``own`` headers; written once for the same object of them."""
        written = self._written
        if written is None or written[0] is not own:
            head = encode_response(self.status, _PHRASES.get(self.status, b""), [*self.headers, *own])
            written = self._written = (own, head)
        return written[1]


def text_answer(status: int, text: str, headers: Headers | None = None) -> Answer:
    """A text/plain answer that no browser takes for anything else; ``headers`` are put behind the usual ones.

    204 and 304 have no body (RFC 9110 section 6.4.1), nor a Content-Length, since for 304 it would speak of another
    answer; 205 has an empty one (section 15.3.6).
    """
    more = headers or []
    if status in (204, 304):
        return Answer(status, [*more], None)
    body = b"" if status == 205 else text.encode("utf-8")
    usual = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    return Answer(status, [*usual, *more], body)
