"""Bodies of HTTP/1 messages: exactly where they end, and chunks read and written (RFC 9112 sections 6 and 7).

Data comes out as slices of what was fed, without a copy.  Chunk lines and trailers are held to the letter of the
grammar and bounded: a decoder that forgives is how one message becomes two.
"""

from __future__ import annotations

import re
from enum import Enum

from wsgate.causes import Cause
from wsgate.wire.fields import HOP_BY_HOP, TOKEN, Fields, HeadError, encode_block
from wsgate.wire.framing import NO_BODY, Data, Ending, Framing

MAX_CHUNK_LINE = 1024
"""Bytes of a chunk's size with its extensions and CRLF; extensions are read and dropped."""

MAX_TRAILERS = 8192
"""Bytes of all trailers with their line ends."""

LAST_CHUNK = b"0\r\n\r\n"
CHUNK_END = b"\r\n"

# No optional whitespace (RFC 9112 section 7.1.1 lets only old senders have it), no LF of its own.
_QUOTED = rb'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + _QUOTED + rb"))?)*\r\n")
_NEXT_CHUNK = re.compile(rb"\r\n([1-9A-Fa-f][0-9A-Fa-f]{0,15})\r\n")
_TRAILER = re.compile(rb"(" + TOKEN + rb"):([^\x00-\x08\n-\x1f\x7f]*)\r\n")

# Fields that say where a message ends or goes: in a trailer they are an attack.
_FATAL_TRAILERS = frozenset((b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade"))
# Fields that a recipient may not take from a trailer (RFC 9110 section 6.5.1).
_IGNORED_TRAILERS = HOP_BY_HOP | {
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"location",
    b"max-forwards",
    b"origin",
    b"range",
    b"set-cookie",
    b"vary",
    b"www-authenticate",
    b"x-real-ip",
}
_IGNORED_PREFIXES = (b"x-forwarded-", b"x-client-cert", b"sec-websocket-")


class BodyError(HeadError):
    """A body breaks the framing that its head promised."""


class _State(Enum):
    """What the chunk decoder waits for."""

    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"


class BodyReader:
    """Cuts one body out of a stream.

    ``cause`` is that of the `BodyError` raised for bad chunks: BAD_REQUEST for a request, BAD_ANSWER for an answer.
    ``done`` is set once the body is whole, and from the start where there is none; then ``rest`` is what came behind
    it, and ``trailers`` the trailers that may be passed on.
    """

    __slots__ = ("_cause", "_ending", "_left", "_line", "_state", "_trailer_bytes", "done", "rest", "trailers")

    def __init__(self, framing: Framing, cause: Cause = Cause.BAD_REQUEST) -> None:
        self._ending = framing.ending
        self._cause = cause
        self._left = framing.length
        self._state = _State.SIZE
        self._line = b""
        self._trailer_bytes = 0
        self.done = framing.ending is Ending.NONE
        self.rest = b""
        self.trailers: Fields = []

    def feed(self, data: Data) -> list[Data]:
        """The data of the body in ``data``, as slices of it; what follows the body goes to ``rest``."""
        if self.done:
            self.rest += data
            return []
        if self._ending is Ending.CLOSE:
            return [data] if len(data) else []
        if self._ending is Ending.LENGTH:
            return self._counted(data)
        return self._chunks(memoryview(data))

    def body_eof(self) -> bool:
        """Note the end of the stream: True if the body is whole now, False if it was cut off."""
        if self._ending is Ending.CLOSE:
            self.done = True
        return self.done

    def _counted(self, data: Data) -> list[Data]:
        size = len(data)
        if size < self._left:
            self._left -= size
            return [data] if size else []
        self.done = True
        if size == self._left:
            return [data]
        view = memoryview(data)
        self.rest = bytes(view[self._left :])
        return [view[: self._left]]

    def _chunks(self, view: memoryview) -> list[Data]:
        found: list[Data] = []
        at, end = 0, len(view)
        while at < end:
            if self._state is _State.DATA:
                piece = view[at : at + self._left]
                found.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    at = self._after_data(view, at)
                continue
            line, at = self._take_line(view, at)
            if line:
                self._read_line(line)
            if self.done:
                self.rest = bytes(view[at:])
                break
        return found

    def _after_data(self, view: memoryview, at: int) -> int:
        """Go on to the next chunk in one step where its line is here and plain: many chunks may be tiny."""
        match = _NEXT_CHUNK.match(view, at)
        if match is None:
            self._state = _State.DATA_END
            return at
        self._left = int(match[1], 16)
        return match.end()

    def _take_line(self, view: memoryview, at: int) -> tuple[bytes, int]:
        """A whole line with its line end, and where the next begins; an empty one while it has not arrived."""
        limit = self._line_limit() - len(self._line)
        piece = bytes(view[at : at + limit])
        end = piece.find(b"\n") + 1
        if not end:
            if len(piece) == limit:
                raise BodyError(self._cause, "a line of a chunked body is too long")
            self._line += piece
            return b"", at + len(piece)
        line = self._line + piece[:end]
        self._line = b""
        return line, at + end

    def _line_limit(self) -> int:
        """How long the line that is expected now may be, in bytes."""
        if self._state is _State.SIZE:
            return MAX_CHUNK_LINE
        return 2 if self._state is _State.DATA_END else MAX_TRAILERS - self._trailer_bytes

    def _read_line(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise BodyError(self._cause, "a chunk's size is not valid")
            self._left = int(match[1], 16)
            self._state = _State.DATA if self._left else _State.TRAILERS
        elif self._state is _State.DATA_END:
            if line != b"\r\n":
                raise BodyError(self._cause, "a chunk is longer than its size")
            self._state = _State.SIZE
        elif line == b"\r\n":
            self.done = True
        else:
            self._read_trailer(line)

    def _read_trailer(self, line: bytes) -> None:
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise BodyError(self._cause, "a trailer is not a field")
        name = match[1].lower()
        if name in _FATAL_TRAILERS:
            raise BodyError(self._cause, "a trailer that would change the message")
        self._trailer_bytes += len(line)
        # A request's names are held to what its head's are (``end_to_end``): some servers read both into one place.
        plain = self._cause is not Cause.BAD_REQUEST or name.replace(b"-", b"").isalnum()
        if plain and name not in _IGNORED_TRAILERS and not name.startswith(_IGNORED_PREFIXES):
            self.trailers.append((match[1], match[2].strip(b" \t")))


# Shared by all messages without a body: it is done from the start, and nothing is ever fed to it.
_WITHOUT = BodyReader(NO_BODY)


def body_reader(framing: Framing) -> BodyReader:
    """The reader of a request's body; where there is none, ``done`` is set and it must not be fed."""
    return _WITHOUT if framing is NO_BODY else BodyReader(framing)


def chunk_head(size: int) -> bytes:
    """The line in front of a chunk of ``size`` bytes; `CHUNK_END` goes behind it.  ``size`` must be above 0."""
    if size <= 0:
        raise ValueError("an empty chunk would end the body")
    return b"%x\r\n" % size


def last_chunk(trailers: Fields) -> bytes:
    """The end of a chunked body; raises HeadError (INTERNAL) where a trailer would break out of its line."""
    return encode_block(b"0\r\n", trailers) if trailers else LAST_CHUNK
