"""What the WebSocket frames of one direction must keep to: RFC 6455 section 5 and the limits of the route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from wsgate.wire.close_codes import FrameError
from wsgate.wire.ws_encoding import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MAX_CONTROL,
    MAX_LENGTH,
    OPCODES,
    PING,
    PONG,
    RSV1,
    TEXT,
)

_RSV: Final = 0x70


class Budget(Protocol):
    """How many frames one peer may send that carry nothing: pings, pongs, and empty frames of an unfinished message."""

    def spend(self, carried: int) -> None:
        """One more has come; ``carried`` frames carried something so far.  Raises FrameError where it is too many."""

    def asked(self) -> None:
        """A ping went to the peer: it may answer."""


@dataclass(frozen=True, slots=True)
class FrameRules:
    """The rules of one direction, shared by all scanners of a route with the same extensions in force.

    ``masked`` is true for frames from a client, ``rsv1`` where permessage-deflate is in force (RFC 7692 section 6).
    ``max_frame`` and ``max_message`` bound data payload in bytes as they are on the wire, ``max_fragments`` the frames
    of one message, empty ones too; 0 is no limit.  ``validate_utf8`` has text messages checked that are not
    compressed.  ``new_budget`` makes what a peer may send of frames that carry nothing, None where that is no matter.

    The other fields are worked out from these once, so that the scanner asks neither which direction it watches nor
    whether a limit is set: ``header`` is the length of the shortest header, ``whole`` holds the first bytes of
    messages of one frame with nothing inside to check, ``whole_cap`` bounds them, ``firsts`` all legal first bytes.
    """

    masked: bool
    rsv1: bool = False
    max_frame: int = 0
    max_message: int = 0
    max_fragments: int = 0
    validate_utf8: bool = False
    new_budget: Callable[[], Budget] | None = field(default=None, repr=False, compare=False)

    mask_bit: int = field(init=False, repr=False, compare=False)
    header: int = field(init=False, repr=False, compare=False)
    frame_cap: int = field(init=False, repr=False, compare=False)
    message_cap: int = field(init=False, repr=False, compare=False)
    fragment_cap: int = field(init=False, repr=False, compare=False)
    whole_cap: int = field(init=False, repr=False, compare=False)
    whole: frozenset[int] = field(init=False, repr=False, compare=False)
    firsts: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        started = {TEXT, BINARY} | ({TEXT | RSV1, BINARY | RSV1} if self.rsv1 else set())
        data = started | {CONTINUATION}
        unread = started - {TEXT} if self.validate_utf8 else started
        frame_cap = self.max_frame or MAX_LENGTH
        message_cap = self.max_message or MAX_LENGTH
        derived = {
            "mask_bit": 0x80 if self.masked else 0,
            "header": 6 if self.masked else 2,
            "frame_cap": frame_cap,
            "message_cap": message_cap,
            "fragment_cap": self.max_fragments or MAX_LENGTH,
            "whole_cap": min(frame_cap, message_cap),
            "whole": frozenset(FIN | first for first in unread),
            "firsts": frozenset(data | {FIN | first for first in data | {CLOSE, PING, PONG}}),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def check_first(self, first: int, fragments: int) -> None:
        """Check the first byte of a frame where ``fragments`` frames of an unfinished message came before.

        Raises FrameError 1002: a reserved opcode or bit, a control frame in pieces, a message inside a message, a
        continuation of nothing (RFC 6455 sections 5.2 and 5.4).
        """
        opcode = first & 0x0F
        if first not in self.firsts:
            if opcode not in OPCODES:
                raise FrameError(1002, f"reserved opcode {opcode}")
            if first & _RSV:
                raise FrameError(1002, "reserved bit without an extension for it")
            raise FrameError(1002, "control frame in pieces")
        if opcode < CLOSE and (opcode == CONTINUATION) != (fragments > 0):
            raise FrameError(1002, "new message inside a message" if opcode else "continuation of no message")

    def check_second(self, length: int, control: bool) -> None:
        """Check the second byte, given exclusive-or'ed with ``mask_bit``.

        Raises FrameError 1002: masked or not against the direction (section 5.1), a control frame that is too long.
        """
        if length > 0x7F:
            raise FrameError(
                1002, "frame from a client without a mask" if self.masked else "masked frame from a server"
            )
        if control and length > MAX_CONTROL:
            raise FrameError(1002, "control frame of more than 125 bytes")

    def check_long(self, length: int, wide: int) -> None:
        """Check a length that stands in ``wide`` bytes, 2 or 8, of its own.

        Raises FrameError 1002 where the shortest form was not used or the highest bit is set (section 5.2).
        """
        if length < (126 if wide == 2 else 0x10000):
            raise FrameError(1002, "frame length that is not in its shortest form")
        if length > MAX_LENGTH:
            raise FrameError(1002, "frame length of more than 63 bits")

    def check_size(self, length: int, message: int, fragments: int) -> None:
        """Check a data frame of ``length`` bytes behind ``fragments`` frames of ``message`` bytes of its message.

        Raises FrameError: 1009 above ``max_frame`` or ``max_message``, 1008 above ``max_fragments``.
        """
        if length > self.frame_cap:
            raise FrameError(1009, f"frame of {length} bytes, {self.frame_cap} allowed")
        if message + length > self.message_cap:
            raise FrameError(1009, f"message of at least {message + length} bytes, {self.message_cap} allowed")
        if fragments >= self.fragment_cap:
            raise FrameError(1008, f"message of more than {self.fragment_cap} frames")
