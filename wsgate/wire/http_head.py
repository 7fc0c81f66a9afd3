"""Reading heads of HTTP/1 messages from a stream, bounded in bytes and fields."""

from __future__ import annotations

import re

from wsgate.causes import Cause
from wsgate.wire.fields import TOKEN, Fields, HeadError
from wsgate.wire.framing import Data, Framing
from wsgate.wire.heads import Head, RequestHead, ResponseHead, parse_request, parse_response
from wsgate.wire.seen_heads import PUBLIC_ANSWERED, PUBLIC_ASKED, SeenHandshakes, SeenHeads

__all__ = [
    "Fields",
    "Framing",
    "Head",
    "HeadError",
    "RequestHead",
    "RequestReader",
    "ResponseHead",
    "ResponseReader",
    "parse_request",
    "parse_response",
]

_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
# What a head that is not whole yet must look like, so that TLS or SSH on this port is refused without waiting.
_REQUEST_START = re.compile(TOKEN + rb"|\r?\Z")
_RESPONSE_START = re.compile(rb"HTTP/1\.|(?:H(?:T(?:T(?:P(?:/1?)?)?)?)?)?\Z")
# Empty lines in front of a request, which old clients send behind a body (RFC 9112 section 2.2 asks for one).
_MAX_EMPTY_LINES = 4

_asked: SeenHeads[RequestHead] = SeenHeads(PUBLIC_ASKED)
_answered: SeenHeads[ResponseHead] = SeenHeads(PUBLIC_ANSWERED)
_upgrades: SeenHandshakes[RequestHead] = SeenHandshakes(PUBLIC_ASKED, b"Sec-WebSocket-Key", rb"[A-Za-z0-9+/]{22}==")
_switches: SeenHandshakes[ResponseHead] = SeenHandshakes(
    PUBLIC_ANSWERED, b"Sec-WebSocket-Accept", rb"[A-Za-z0-9+/]{27}="
)


class _HeadReader:
    """Finds the end of one head after another in what it is fed; holds at most ``max_head`` and one feed."""

    __slots__ = ("_held", "_max_fields", "_max_head", "_scanned")

    _bad = Cause.BAD_REQUEST
    _too_big = Cause.HEAD_SIZE
    _start = _REQUEST_START

    def __init__(self, max_head: int, max_fields: int) -> None:
        self._max_head = max_head
        self._max_fields = max_fields
        self._held: bytes | bytearray = b""
        self._scanned = 0

    @property
    def held(self) -> bool:
        """Whether anything waits here: a head that has begun, or what came behind the last one."""
        return bool(self._held)

    @property
    def begun(self) -> bool:
        """Whether a byte of the next head has arrived (empty lines do not count)."""
        held = self._held
        return len(held) > 2 * _MAX_EMPTY_LINES or (bool(held) and bool(held.strip(b"\r\n")))

    def take_rest(self) -> bytes:
        """Hand over what came behind the last head."""
        rest = bytes(self._held)
        self._held = b""
        self._scanned = 0
        return rest

    def _next(self, data: Data) -> bytes | None:
        """The next whole head, or None while it has not arrived."""
        held = self._held
        if held:
            held += data
        else:
            held = bytes(data)
        if held[:1] == b"\r":
            held = self._without_empty_lines(held)
        end = held.find(_END, max(0, self._scanned - 3), self._max_head)
        if end < 0:
            self._check_partial(held)
            # A bytearray grows in place: byte by byte must not cost a copy of the head each time.
            self._held = bytearray(held) if isinstance(held, bytes) else held
            self._scanned = len(held)
            return None
        end += 4
        self._held = bytes(held[end:])
        self._scanned = 0
        return bytes(held[:end])

    def _without_empty_lines(self, held: bytes | bytearray) -> bytes | bytearray:
        """``held`` without the empty lines that may stand in front of a head."""
        return held

    def _check_partial(self, held: bytes | bytearray) -> None:
        """Refuse at once what can never become a head."""
        if self._start.match(held) is None:
            raise HeadError(self._bad, "this is not HTTP/1")
        if _BARE_LF.search(held, self._scanned, self._max_head):
            raise HeadError(self._bad, "a line end that is not CRLF")
        if len(held) >= self._max_head:
            raise HeadError(self._too_big, "the head is too big")


class RequestReader(_HeadReader):
    """Reads requests: fed bytes, it gives a head when one is whole.

    ``max_head`` is bytes, the request line and the empty line included; ``max_fields`` counts fields.  Bytes behind a
    head stay here: `take_rest` hands them over, ``feed(b"")`` reads them as the next head.
    """

    __slots__ = ("_empty_lines",)

    def __init__(self, max_head: int, max_fields: int) -> None:
        super().__init__(max_head, max_fields)
        self._empty_lines = 0

    def feed(self, data: Data) -> RequestHead | None:
        """The next request, or None while it is not whole; raises HeadError with the cause to answer with."""
        whole = not self._held and len(data) <= self._max_head
        if whole:
            # A read that is one whole head, and one that is known: the rule on a kept connection.
            data = bytes(data)
            known = _asked.find(data, self._max_fields) or _upgrades.find(data, self._max_fields)
            if known is not None:
                self._empty_lines = 0
                return known
        raw = self._next(data)
        if raw is None:
            return None
        self._empty_lines = 0
        head = parse_request(raw, self._max_fields)
        if whole and not self._held and b"?" not in head.target:
            if head.upgrade:
                _upgrades.keep(raw, head, head.index.first)
            else:
                head.is_kept = _asked.keep(raw, head, head.index.first)
        return head

    def _without_empty_lines(self, held: bytes | bytearray) -> bytes | bytearray:
        while held[:2] == b"\r\n":
            held = held[2:]
            self._scanned = 0
            self._empty_lines += 1
            if self._empty_lines > _MAX_EMPTY_LINES:
                raise HeadError(self._bad, "too many empty lines before a request")
        return held


class ResponseReader(_HeadReader):
    """Reads the answers to one request with ``method``; every fault is a BAD_ANSWER.

    Heads of 1xx are given like any other, and reading goes on with ``feed(b"")``; see `RequestReader` for the rest.
    """

    __slots__ = ("_method",)

    _bad = Cause.BAD_ANSWER
    _too_big = Cause.BAD_ANSWER
    _start = _RESPONSE_START

    def __init__(self, max_head: int, max_fields: int, method: bytes) -> None:
        super().__init__(max_head, max_fields)
        self._method = method

    def feed(self, data: Data) -> ResponseHead | None:
        """The next answer, or None while it is not whole; raises HeadError (BAD_ANSWER)."""
        raw = self._next(data)
        if raw is None:
            return None
        if self._method == b"HEAD":
            # The same bytes mean another framing to any other method.
            return parse_response(raw, self._max_fields, self._method)
        head = _answered.find(raw, self._max_fields) or _switches.find(raw, self._max_fields)
        if head is None:
            head = parse_response(raw, self._max_fields, self._method)
            if head.upgrade:
                _switches.keep(raw, head, head.index.first)
            else:
                _answered.keep(raw, head, head.index.first)
        return head
