"""What is said on a leg of the ``messages`` relay: frames, each sent whole, several together where they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsgate.relay.payloads import masked
from wsgate.transport.interfaces import Leg
from wsgate.wire.close_codes import close_payload
from wsgate.wire.ws_encoding import BINARY, FIN, RSV1, TEXT

#: Bytes of frames that are sent together at most, where several messages came together.
TOGETHER = 16 * 1024


class Speech:
    """The half of a ``Talk`` that sends; ``frames_sent`` and ``messages_sent`` count."""

    #: 0x80 where frames get a mask.
    mask_bit = 0

    leg: Leg
    frames_sent = messages_sent = 0

    # autobahn's
    sendCloseFrame: Callable[[int | None, bytes], None]
    _perMessageCompress: Any

    _random: Callable[[int], bytes]
    _together: list[bytes] | None = None
    _together_size = 0

    def send(self, payload: bytes, binary: bool) -> None:
        """Send a message in one frame, compressed where that was agreed and there is something to compress."""
        self.messages_sent += 1
        opcode = BINARY if binary else TEXT
        deflate = self._perMessageCompress
        if deflate is None or not payload:
            self.sendFrame(opcode, payload)
            return
        deflate.start_compress_message()
        self.sendFrame(opcode, deflate.compress_message_data(payload) + deflate.end_compress_message(), rsv=RSV1 >> 4)

    def sendFrame(self, opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, **_: object) -> None:
        """Send one frame; autobahn sends its Close frames by this, too."""
        size = len(payload)
        first = opcode | rsv << 4 | (FIN if fin else 0)
        bit = self.mask_bit
        if size < 126:
            head = bytes((first, bit | size))
        elif size < 0x10000:
            head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
        if bit:
            key = self._random(4)
            head += key
            payload = masked(payload, key)
        self.frames_sent += 1
        self._write(head + payload)

    def _write(self, frame: bytes) -> None:
        if self._together is None:
            self.leg.write(frame)
            return
        self._together.append(frame)
        self._together_size += len(frame)
        if self._together_size > TOGETHER:
            self.flush()
            self.collect()

    def collect(self) -> None:
        """Keep frames until ``flush``, to send them by one call."""
        self._together = []
        self._together_size = 0

    def flush(self) -> None:
        frames, self._together = self._together, None
        if frames:
            self.leg.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def send_close(self, code: int, reason: str) -> None:
        """Send a Close with any code that may be sent, or an empty one for NO_CODE."""
        payload = close_payload(code, reason)
        self.sendCloseFrame(int.from_bytes(payload[:2], "big") if payload else None, payload[2:])
        self.flush()
