"""The first messages that a client has sent, kept so that they can be said again to another server."""

from __future__ import annotations

from wsgate.wire.ws_encoding import CLOSE, FIN, Chunk


class FirstMessages:
    """Takes the stream of a client, which has been checked, from its first byte on and keeps its first ``count``
    messages; control frames are left out.

    ``most`` bounds the bytes that are kept; a client that needs more has ``overflowed``, and nothing is kept of it.
    """

    __slots__ = ("_buffer", "_count", "_kept", "_most", "overflowed")

    def __init__(self, count: int, most: int) -> None:
        self._count = count
        self._most = most
        self._buffer = b""
        self._kept: list[bytes] = []
        self.overflowed = False

    @property
    def wants_more(self) -> bool:
        """Whether there are still messages to come."""
        return self._count > 0 and not self.overflowed

    @property
    def messages(self) -> bytes:
        """Their frames, as they were sent."""
        return b"".join(self._kept)

    def feed(self, data: Chunk) -> None:
        """More of the stream; what is behind the last message that counts is dropped."""
        self._buffer += data
        while self.wants_more and (size := _frame_size(self._buffer)) <= len(self._buffer):
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if frame[0] & 0x0F < CLOSE:
                self._kept.append(frame)
                self._count -= frame[0] >= FIN
        if self._count == 0:
            self._buffer = b""
        if sum(map(len, self._kept)) + len(self._buffer) > self._most:
            self.overflowed = True
            self._buffer = b""
            self._kept.clear()


def _frame_size(data: bytes) -> int:
    """The bytes of the frame at the beginning of ``data``; of its header where that is not complete."""
    if len(data) < 2:
        return 2
    length, start = data[1] & 0x7F, 2
    if length > 125:
        start += 2 if length == 126 else 8
        if len(data) < start:
            return start
        length = int.from_bytes(data[2:start], "big")
    return start + (4 if data[1] & 0x80 else 0) + length
