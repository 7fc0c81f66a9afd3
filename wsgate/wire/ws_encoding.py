"""The bytes of a WebSocket frame (RFC 6455 section 5.2): opcodes, masking, and building whole frames."""

from __future__ import annotations

from typing import Final

Chunk = bytes | memoryview
"""What is received: a view (of bytes, contiguous) may be valid only during the call that it is given to."""

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
FIN: Final = 0x80
RSV1: Final = 0x40

MAX_LENGTH: Final = (1 << 63) - 1
"""The greatest payload length (RFC 6455 section 5.2); it also stands for no limit."""

MAX_CONTROL: Final = 125
"""The greatest payload of a control frame (RFC 6455 section 5.5)."""


def apply_mask(payload: Chunk, key: bytes) -> bytes:
    """Mask or unmask ``payload`` with the four bytes of ``key`` (RFC 6455 section 5.3)."""
    size = len(payload)
    stream = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")


def encode_frame(
    opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes | None = None, rsv1: bool = False
) -> bytes:
    """Return one frame; ``mask`` is its key of four bytes, given where it goes from a client to a server.

    Raises ValueError for a control frame that is in pieces, compressed or of more than 125 bytes, for a reserved
    opcode and for a mask that is not four bytes.
    """
    size = len(payload)
    if opcode not in OPCODES:
        raise ValueError(f"reserved opcode {opcode}")
    if opcode >= CLOSE and (size > MAX_CONTROL or not fin or rsv1):
        raise ValueError("a control frame is whole, plain and of at most 125 bytes")
    if mask is not None and len(mask) != 4:
        raise ValueError("a mask has four bytes")
    first = opcode | (FIN if fin else 0) | (RSV1 if rsv1 else 0)
    bit = 0 if mask is None else 0x80
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 0x10000:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + apply_mask(payload, mask)
