"""The scanner of the ``frames`` relay: WebSocket frames (RFC 6455 section 5) that pass through as they came.

One `FrameScanner` watches one direction of one connection.  The relay gives it each chunk as it was received and
forwards what `FrameScanner.scan` returns, nearly always the very same object.  Data payload is neither kept nor
changed; what the scanner holds back is one header or one control frame that is not complete.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Sequence
from typing import Final, NamedTuple

from wsgate.wire.close_codes import FrameError, parse_close
from wsgate.wire.ws_encoding import CLOSE, FIN, RSV1, TEXT, Chunk, apply_mask
from wsgate.wire.ws_rules import Budget, FrameRules

MAX_HELD: Final = 130
"""Bytes a scanner may hold back: a masked control frame with 125 bytes of payload, but for its last byte."""


class Control(NamedTuple):
    """A whole control frame: its unmasked payload, and where its bytes stand in the output of the same `scan`."""

    opcode: int
    payload: bytes
    start: int
    end: int


class FrameScanner:
    """Walks the frame headers of one direction, chunk by chunk.

    Plain attributes to read between two scans; the counts are of what is complete, from the first byte on:

    - ``frames``: all frames; ``controls``: the control frames among them.
    - ``messages``: data messages; ``texts``: the text messages among them.
    - ``empties``: data frames that neither carried payload nor ended a message.
    - ``payload_bytes``: data payload that has passed, on the wire, unfinished frames included.
    - ``events``: the control frames in the output of the last `scan`, in order.
    - ``closed``: a Close has passed; all that comes after it is dropped (RFC 6455 section 1.4).
    """

    __slots__ = (
        "_budget",
        "_cut",
        "_fault",
        "_fragments",
        "_held",
        "_key",
        "_last",
        "_left",
        "_message",
        "_plain",
        "_rules",
        "_tail",
        "_text",
        "closed",
        "controls",
        "empties",
        "events",
        "frames",
        "messages",
        "payload_bytes",
        "texts",
    )

    def __init__(self, rules: FrameRules) -> None:
        self._rules = rules
        self._plain = True  # between two messages, nothing held back, nothing wrong
        self._left = 0  # bytes of data payload still to come in the frame whose header has been forwarded
        self._last = False  # that frame ends its message
        self._fragments = 0  # frames of the unfinished message
        self._message = 0  # their payload in bytes
        self._text = False  # it is a text message
        self._tail: bytes | None = None  # a character's first bytes, where the text of the message is checked
        self._key = b""  # the mask of its next four bytes
        self._held = b""
        self._cut = -1
        self._fault: FrameError | None = None
        self._budget: Budget | None = None  # most peers never need one
        self.events: list[Control] | tuple[()] = ()
        self.closed = False
        self.frames = 0
        self.controls = 0
        self.empties = 0
        self.messages = 0
        self.texts = 0
        self.payload_bytes = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the output so far ends between two frames, so that a frame may be put in behind it."""
        return not self._left

    @property
    def left(self) -> int:
        """Bytes of payload that are still to come of the frame that is under way; 0 between two frames."""
        return self._left

    @property
    def at_message_boundary(self) -> bool:
        """Whether the output so far ends between two messages."""
        return not self._left and not self._fragments

    @property
    def held(self) -> int:
        """Bytes held back, at most `MAX_HELD`; they lead the output of a later scan."""
        return len(self._held)

    def asked(self) -> None:
        """A ping has been sent to whose frames these are: its pong is no flood."""
        if (budget := self._own_budget()) is not None:
            budget.asked()

    def boundary(self, out: Chunk) -> int:
        """Return the offset in ``out``, the answer of the last `scan`, of the last place between two frames.

        It is ``len(out)`` where `at_boundary` holds, and -1 where all of ``out`` lies inside one frame's payload.
        """
        return self._cut if self._left else len(out)

    def scan(self, chunk: Chunk) -> Chunk:
        """Return what may be forwarded now: ``chunk`` itself, a view of it, or held bytes and ``chunk`` joined.

        The control frames in it are in `events`.  Nothing of ``chunk`` is kept but what `held` counts.  Raises
        FrameError with the bytes before the fault in ``sound`` and their control frames in `events`; every later scan
        raises the same fault again.  Sound bytes end between two frames, unless `at_boundary` says otherwise, which
        only text that is not UTF-8 can bring about.
        """
        if self.events:
            self.events = ()
        size = len(chunk)
        if self._plain:
            at = self._skip(chunk, 0, size)
            return chunk if at == size else self._walk(chunk, at)
        if self._left > size and self._tail is None:
            self._left -= size
            self.payload_bytes += size
            self._cut = -1
            return chunk
        return self._walk(chunk, 0)

    def _skip(self, chunk: Chunk, at: int, size: int) -> int:
        """Pass over whole messages of one frame each; return where something else begins."""
        rules, whole = self._rules, self._rules.whole
        mask_bit = rules.mask_bit
        header = rules.header
        cap = rules.whole_cap
        while at + 4 <= size:
            first = chunk[at]
            length = chunk[at + 1] ^ mask_bit
            if length < 126:
                end = at + header + length
            elif length == 126:
                length = chunk[at + 2] << 8 | chunk[at + 3]
                if length < 126:
                    break
                end = at + header + 2 + length
            else:
                break
            if end > size or length > cap or first not in whole:
                break
            self.frames += 1
            self.messages += 1
            self.texts += first & 1
            self.payload_bytes += length
            at = end
        return at

    def _walk(self, chunk: Chunk, at: int) -> Chunk:
        """Scan what is more than a row of whole messages."""
        if self._fault is not None:
            raise FrameError(self._fault.code, self._fault.text)
        if self.closed:
            return b""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        self._cut = -1
        size = len(chunk)
        try:
            if self._left:
                at = self._pass(chunk, size)
            while at < size and not self.closed:
                if not self._fragments:
                    at = self._skip(chunk, at, size)
                    if at == size:
                        break
                end = self._frame(chunk, at, size)
                if end < 0:
                    self._held = bytes(chunk[at:])
                    break
                at = end
        except FrameError as error:
            self._plain = False
            self._fault = FrameError(error.code, error.text)  # not the raised one: its traceback leads back to here
            error.sound = bytes(chunk[:at])
            raise
        self._plain = not (self._left or self._fragments or self._held or self.closed)
        return chunk if at == size else memoryview(chunk)[:at]

    def _frame(self, chunk: Chunk, at: int, size: int) -> int:
        """Scan the frame at ``at``; return where it ends, at most ``size``, or -1 where that is not known yet.

        Each rule is checked as soon as its bytes are there, in the order of the bytes, so that a fault is the same
        however the stream was cut.
        """
        rules = self._rules
        first = chunk[at]
        rules.check_first(first, self._fragments)
        if at + 1 == size:
            return -1
        control = first & 0x0F >= CLOSE
        length = chunk[at + 1] ^ rules.mask_bit
        rules.check_second(length, control)
        body = at + rules.header
        if length >= 126:
            wide = 2 if length == 126 else 8
            if at + 2 + wide > size:
                return -1
            length = int.from_bytes(chunk[at + 2 : at + 2 + wide], "big")
            rules.check_long(length, wide)
            body += wide
        if control:
            return self._control(chunk, at, body, body + length)
        rules.check_size(length, self._message, self._fragments)
        if body > size:
            return -1
        return self._data(chunk, at, body, length)

    def _control(self, chunk: Chunk, at: int, body: int, end: int) -> int:
        """Take note of the control frame at ``at`` with its payload from ``body`` to ``end``; answers as `_frame`."""
        if end > len(chunk):
            return -1
        opcode = chunk[at] & 0x0F
        payload = bytes(chunk[body:end])
        if self._rules.masked:
            payload = apply_mask(payload, bytes(chunk[body - 4 : body]))
        if opcode == CLOSE:
            parse_close(payload)
            self.closed = True
        else:
            self._spend()
        if not self.events:
            self.events = []
        self.events.append(Control(opcode, payload, at, end))
        self.frames += 1
        self.controls += 1
        return end

    def _data(self, chunk: Chunk, at: int, body: int, length: int) -> int:
        """Begin the data frame at ``at``; return its end, or that of ``chunk`` where the payload goes on."""
        first = chunk[at]
        last = first >= FIN
        if not (length or last):
            self._spend()
            self.empties += 1
        here = min(length, len(chunk) - body)
        if not self._fragments:
            self._text = first & 0x0F == TEXT
            if self._text and self._rules.validate_utf8 and not first & RSV1:
                self._tail = b""
        if self._tail is not None:
            self._key = bytes(chunk[body - 4 : body]) if self._rules.masked else b""
            self._check_text(chunk[body : body + here], last and here == length)
        self._fragments += 1
        self._message += length
        self._last = last
        self._left = length
        self._cut = at
        return self._advance(body, here)

    def _spend(self) -> None:
        if (budget := self._own_budget()) is not None:
            budget.spend(self.frames - self.controls - self.empties)

    def _own_budget(self) -> Budget | None:
        if self._budget is None and self._rules.new_budget is not None:
            self._budget = self._rules.new_budget()
        return self._budget

    def _pass(self, chunk: Chunk, size: int) -> int:
        """Pass over payload of the frame that is under way, from the start of ``chunk``; return where that ends."""
        here = min(self._left, size)
        if self._tail is not None:
            self._check_text(chunk[:here], self._last and here == self._left)
        return self._advance(0, here)

    def _advance(self, at: int, here: int) -> int:
        """Count ``here`` bytes of payload at ``at``, and the frame and message that they complete; return their end."""
        self.payload_bytes += here
        self._left -= here
        if not self._left:
            self.frames += 1
            if self._last:
                self.messages += 1
                self.texts += self._text
                self._fragments = 0
                self._message = 0
                self._tail = None
        return at + here

    def _check_text(self, payload: Chunk, final: bool) -> None:
        """Raise FrameError 1007 where the message, with this piece of it, cannot be UTF-8 (RFC 6455 section 8.1)."""
        if self._key:
            turn = len(payload) & 3
            payload = apply_mask(payload, self._key)
            self._key = self._key[turn:] + self._key[:turn]
        if self._tail:
            payload = self._tail + payload
        try:
            used = utf_8_decode(payload, "strict", final)[1]
        except UnicodeDecodeError:
            raise FrameError(1007, "text is not UTF-8") from None
        self._tail = bytes(payload[used:])


def without(out: Chunk, controls: Sequence[Control]) -> bytes:
    """Return ``out``, the answer of a scan, with these of its control frames taken out.

    A frame to be put in at `FrameScanner.boundary` goes in first: no control frame stands behind that place.
    """
    pieces: list[Chunk] = []
    at = 0
    for control in controls:
        pieces.append(out[at : control.start])
        at = control.end
    pieces.append(out[at:])
    return b"".join(pieces)
