"""Whole frames of a WebSocket server, for those who talk to one themselves (RFC 6455 section 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsgate.wire.close_codes import FrameError
from wsgate.wire.ws_encoding import FIN, OPCODES, Chunk


class Frame(NamedTuple):
    """One frame."""

    opcode: int
    fin: bool
    payload: bytes


class FrameReader:
    """Takes unmasked frames apart; one with more than ``most`` bytes of payload is an error, as is what is no frame."""

    __slots__ = ("_buffer", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = b""

    def feed(self, data: Chunk) -> Iterator[Frame]:
        """The frames that are complete with ``data``.  Raises FrameError; nothing more can be read then."""
        self._buffer += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode, length, start = buffer[0] & 0x0F, buffer[1], 2
        if buffer[0] & 0x70 or opcode not in OPCODES or length & 0x80:
            raise FrameError(1002, "not a frame of a server")
        if length > 125:
            start += 2 if length == 126 else 8
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        if length > self._most:
            raise FrameError(1009, f"a frame of {length} bytes")
        end = start + length
        if len(buffer) < end:
            return None
        self._buffer = buffer[end:]
        return Frame(opcode, bool(buffer[0] & FIN), buffer[start:end])
