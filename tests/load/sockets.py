"""Many WebSockets in one process: what is sent on each comes back once, in order, or is counted as lost."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CLOSE, PING, PONG, TEXT = 8, 9, 10, 1

#: Seconds between the two halves of a frame that is sent in halves.
HALF_TIME = 0.02

#: Where the server sends every frame in halves.
HALVES = "/echo/halves"


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """A frame of up to 125 bytes; a mask of zeros is a mask."""
    return bytes([0x80 | opcode, len(payload) | (0x80 if masked else 0)]) + (bytes(4) if masked else b"") + payload


class InsideFrame(ConnectionError):
    """The stream ended in the middle of a frame."""


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The opcode and the payload of the next frame; IncompleteReadError where the stream ends between two frames, and
    InsideFrame where it ends in one."""
    first, second = await _exactly(reader, 2, begun=False)
    if second & 0x7F > 125:
        raise ValueError("a longer frame than anybody sends here")
    mask = await _exactly(reader, 4) if second & 0x80 else bytes(4)
    payload = await _exactly(reader, second & 0x7F)
    return first & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


async def _exactly(reader: asyncio.StreamReader, size: int, *, begun: bool = True) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        if begun or error.partial:
            raise InsideFrame from None
        raise


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
    cut_inside: int = 0  # of these, in the middle of a frame
    closed: dict[int, int] = field(default_factory=dict)  # by the code of the Close that came
    closed_at: list[float] = field(default_factory=list)
    handshakes: list[float] = field(default_factory=list)  # seconds from connect to the 101
    pings: int = 0
    refused: int = 0  # connections that could not be made
    opened: int = 0


class Socket:
    """One WebSocket; messages are numbers, and the next one that comes must be the next one that was sent.

    ``halves``: each frame is sent in two halves, a moment apart, and nothing else between them.
    """

    def __init__(
        self, totals: Totals, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, halves: bool = False
    ) -> None:
        self.totals = totals
        self.open = True
        self._reader = reader
        self._writer = writer
        self._sent = self._received = 0
        self._halves = halves
        self._rest = b""
        self._second: asyncio.TimerHandle | None = None
        self._reading = asyncio.ensure_future(self._read())

    @property
    def waiting(self) -> int:
        """Messages that have not come back."""
        return self._sent - self._received

    def send(self) -> None:
        """Send the next number; not while half a frame is on its way."""
        if self._rest:
            return
        data = frame(TEXT, b"%d" % self._sent, masked=True)
        self._sent += 1
        self.totals.sent += 1
        if self._halves:
            self._rest, data = data[4:], data[:4]
            self._second = asyncio.get_running_loop().call_later(HALF_TIME, self._send_rest)
        self._writer.write(data)

    def _send_rest(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._writer.write(rest)

    def _say(self, opcode: int, payload: bytes) -> None:
        """Send a control frame, behind what is half sent."""
        self._send_rest()
        self._writer.write(frame(opcode, payload, masked=True))

    async def _read(self) -> None:
        try:
            while self.open:
                opcode, payload = await read_frame(self._reader)
                self._heard(opcode, payload)
            await self._reader.read()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.totals.cut += self.open
            self.totals.cut_inside += isinstance(error, InsideFrame)
        finally:
            self._leave()

    def _heard(self, opcode: int, payload: bytes) -> None:
        totals = self.totals
        if opcode == TEXT:
            totals.out_of_order += payload != b"%d" % self._received
            self._received += 1
            totals.received += 1
        elif opcode == PING:
            totals.pings += 1
            self._say(PONG, payload)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            totals.closed[code] = totals.closed.get(code, 0) + 1
            totals.closed_at.append(asyncio.get_running_loop().time())
            self.open = False
            self._say(CLOSE, payload[:2])

    def _leave(self) -> None:
        self.open = False
        self._rest = b""
        if self._second is not None:
            self._second.cancel()
        self._writer.close()

    async def close(self) -> None:
        """Leave without a word."""
        self._reading.cancel()
        self._leave()
        await asyncio.gather(self._reading, return_exceptions=True)


async def open_socket(totals: Totals, port: int, path: str, tls: ssl.SSLContext | None = None) -> Socket | None:
    """A WebSocket, or None where it was refused."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        await upgrade(reader, writer, path)
    except (OSError, asyncio.IncompleteReadError):
        totals.refused += 1
        return None
    totals.opened += 1
    totals.handshakes.append(loop.time() - begun)
    return Socket(totals, reader, writer, halves=path == HALVES)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that sends every message back."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode()
        )
        halves = HALVES.encode() in head
        while True:
            opcode, payload = await read_frame(reader)
            data = frame(PONG if opcode == PING else opcode, payload, masked=False)
            if halves and opcode == TEXT:
                writer.write(data[:2])
                await asyncio.sleep(HALF_TIME)
                data = data[2:]
            writer.write(data)
            if opcode == CLOSE:
                break
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        with suppress(OSError):
            writer.close()
