"""Payloads of the ``messages`` relay: taking masks off and putting them on, and checking text as it comes.

autobahn has C code for both, which costs 3 to 6 us a call whatever the length.  Python's own integers and codecs are
faster up to about a kilobyte, and its codecs at any length.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable
from typing import Protocol

from autobahn.websocket import USES_NVX
from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]

from wsgate.wire.ws_encoding import apply_mask

#: From this many bytes on autobahn's C code for masks is faster than integers, where it is there.
LONG = 1024

_native: Callable[[bytes], Masker] | None = create_xor_masker if USES_NVX else None


class Masker(Protocol):
    """What autobahn asks of a mask while a frame's payload comes in pieces."""

    def pointer(self) -> int:
        """How many bytes have been processed."""

    def process(self, data: bytes) -> bytes: ...


class IntegerMasker:
    """A mask by exclusive-or of long integers."""

    __slots__ = ("_done", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._done = 0

    def pointer(self) -> int:
        return self._done

    def process(self, data: bytes) -> bytes:
        turn = self._done & 3
        key = self._key[turn:] + self._key[:turn] if turn else self._key
        self._done += len(data)
        return apply_mask(data, key)


def masker_for(key: bytes, length: int) -> Masker:
    """What takes ``key`` off a payload of ``length`` bytes that comes in pieces."""
    return IntegerMasker(key) if length < LONG or _native is None else _native(key)


def masked(payload: bytes, key: bytes) -> bytes:
    """``payload`` under the mask ``key`` (RFC 6455 section 5.3)."""
    return apply_mask(payload, key) if len(payload) < LONG or _native is None else _native(key).process(payload)


class TextCheck:
    """Whether the pieces of a text message are UTF-8 (RFC 6455 section 8.1).

    A fault is found as soon as the bytes can be no text, half of a surrogate pair with its third byte.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    @property
    def complete(self) -> bool:
        """Whether the text so far ends between two characters."""
        return not self._tail

    def goes_on(self, piece: bytes) -> bool:
        """Take the next piece; False where no text can go on like this."""
        if not self._tail and piece.isascii():
            return True
        piece = self._tail + piece
        try:
            used = utf_8_decode(piece, "strict", False)[1]
        except UnicodeDecodeError:
            return False
        self._tail = piece[used:]
        return True
