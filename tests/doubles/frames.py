"""WebSocket frames for raw tests, written apart from the gateway's own codec (RFC 6455 section 5.2)."""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from tests.doubles.raw import Wire

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x12\x34\x56\x78"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    """One frame as it was on the wire, its payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def close_code(self) -> int:
        """The code of a Close frame; 1005 where it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode()


def accept_for(key: str) -> str:
    """The Sec-WebSocket-Accept that belongs to ``key``."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def _xor(payload: bytes, mask: bytes) -> bytes:
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(payload), "big")


def encode(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = MASK, length: int | None = None
) -> bytes:
    """The bytes of a frame; masked as a client's unless ``mask`` is empty.

    ``length`` announces another length than the payload has, for frames that stay unfinished.
    """
    size = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + mask + (_xor(payload, mask) if mask else payload)


def text(message: str, mask: bytes = MASK) -> bytes:
    """A whole text message in one frame."""
    return encode(TEXT, message.encode(), mask=mask)


def close(code: int | None = 1000, reason: str = "", mask: bytes = MASK) -> bytes:
    """A Close frame; without a body where ``code`` is None."""
    body = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return encode(CLOSE, body, mask=mask)


def read_frame(wire: Wire) -> Frame:
    """The next frame of ``wire``; one that has not come whole within the time stays unread (TimeoutError)."""
    taken = bytearray()

    def take(size: int) -> bytes:
        data = wire.exactly(size)
        taken.extend(data)
        return data

    try:
        first, second = take(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(take(2 if size == 126 else 8), "big")
        mask = take(4) if second & 0x80 else b""
        payload = take(size)
    except TimeoutError:
        wire.unread[:0] = taken
        raise
    return Frame(first & 0x0F, _xor(payload, mask) if mask else payload, bool(first & 0x80), first >> 4 & 7, bool(mask))


def upgrade_request(path: str = "/", host: str = "localhost", *fields: str, key: str = KEY) -> bytes:
    """The head of a WebSocket request; ``fields`` are further lines such as ``Origin: null``."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *fields,
    )
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


def open_websocket(wire: Wire, path: str = "/", host: str = "localhost", *fields: str) -> bytes:
    """Send an upgrade request and read the 101; the head of the answer.  AssertionError for any other answer."""
    wire.send(upgrade_request(path, host, *fields))
    head = wire.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    assert f"sec-websocket-accept: {accept_for(KEY)}\r\n".lower().encode() in head.lower(), head
    return head
