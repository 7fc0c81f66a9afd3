"""Many WebSockets in one process: what is sent on each comes back once, in order, or is counted as lost."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CLOSE, TEXT = 8, 1


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """A frame of up to 125 bytes; a mask of zeros is a mask."""
    return bytes([0x80 | opcode, len(payload) | (0x80 if masked else 0)]) + (bytes(4) if masked else b"") + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The opcode and the payload of the next frame; IncompleteReadError where the stream ends, also inside a frame."""
    first, second = await reader.readexactly(2)
    if second & 0x7F > 125:
        raise ValueError("a longer frame than anybody sends here")
    mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await reader.readexactly(second & 0x7F)
    return first & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    """Open a WebSocket; ConnectionError for any other answer than the right one."""
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT.encode() not in head:
        raise ConnectionError(f"no WebSocket: {head[:80]!r}")


@dataclass
class Totals:
    """What happened to all messages and connections."""

    sent: int = 0
    received: int = 0
    out_of_order: int = 0  # lost before, duplicated or reordered
    cut: int = 0  # ended without a whole Close
    closed: dict[int, int] = field(default_factory=dict)  # by the code of the Close that came
    closed_at: list[float] = field(default_factory=list)
    refused: int = 0  # connections that could not be made
    opened: int = 0


class Socket:
    """One WebSocket; messages are numbers, and the next one that comes must be the next one that was sent."""

    def __init__(self, totals: Totals, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.totals = totals
        self.open = True
        self._reader = reader
        self._writer = writer
        self._sent = self._received = 0
        self._reading = asyncio.ensure_future(self._read())

    @property
    def waiting(self) -> int:
        """Messages that have not come back."""
        return self._sent - self._received

    def send(self) -> None:
        """Send the next number."""
        self._writer.write(frame(TEXT, b"%d" % self._sent, masked=True))
        self._sent += 1
        self.totals.sent += 1

    async def _read(self) -> None:
        totals = self.totals
        try:
            while True:
                opcode, payload = await read_frame(self._reader)
                if opcode == TEXT:
                    totals.out_of_order += payload != b"%d" % self._received
                    self._received += 1
                    totals.received += 1
                elif opcode == CLOSE:
                    code = int.from_bytes(payload[:2], "big")
                    totals.closed[code] = totals.closed.get(code, 0) + 1
                    totals.closed_at.append(asyncio.get_running_loop().time())
                    self.open = False
                    self._writer.write(frame(CLOSE, payload[:2], masked=True))
                    await self._reader.read()
                    return
        except (OSError, asyncio.IncompleteReadError):
            totals.cut += self.open
        finally:
            self.open = False
            self._writer.close()

    async def close(self) -> None:
        """Leave without a word."""
        self._reading.cancel()
        self._writer.close()
        await asyncio.gather(self._reading, return_exceptions=True)


async def open_socket(totals: Totals, port: int, path: str, tls: ssl.SSLContext | None = None) -> Socket | None:
    """A WebSocket, or None where it was refused."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        await upgrade(reader, writer, path)
    except (OSError, asyncio.IncompleteReadError):
        totals.refused += 1
        return None
    totals.opened += 1
    return Socket(totals, reader, writer)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that sends every message back."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()
        )
        while True:
            opcode, payload = await read_frame(reader)
            writer.write(frame(10 if opcode == 9 else opcode, payload, masked=False))
            if opcode == CLOSE:
                break
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
