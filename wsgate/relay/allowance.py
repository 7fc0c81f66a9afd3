"""What a peer may send in a time: messages and bytes, each with its rate and its burst."""

from __future__ import annotations

from wsgate.config.model import RelayLimits
from wsgate.relay.rates import Bucket

#: Bytes of the shortest frame of a client: two, and the mask.
SHORTEST = 6

#: Bytes by which a peer may exceed its burst of bytes: more calls than this would cost more than they save.
PIECE = 256


class Allowance:
    """The rates of one peer; ``now`` is monotonic, in seconds."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self, messages: Bucket | None, size: Bucket | None) -> None:
        self._messages = messages
        self._bytes = size

    @classmethod
    def of(cls, limits: RelayLimits, now: float) -> Allowance | None:
        """None where nothing is limited."""
        if not limits.messages_per_second and not limits.bytes_per_second:
            return None
        return cls(
            Bucket(limits.messages_per_second, limits.messages_burst, now) if limits.messages_per_second else None,
            Bucket(limits.bytes_per_second, limits.bytes_burst, now) if limits.bytes_per_second else None,
        )

    def take(self, messages: int, size: int, now: float) -> float:
        """Count messages of ``size`` bytes together; the seconds by which the peer is ahead, 0 where it is not."""
        wait = self._messages.take(messages, now) if self._messages is not None else 0.0
        return max(wait, self._bytes.take(size, now)) if self._bytes is not None else wait

    def room(self, now: float, left: int) -> int:
        """Bytes of a client's stream to look at before the rates are asked again, whatever frames they hold.

        They are too much by one message or by `PIECE` bytes at most, since the shortest frame has 6 bytes; ``left`` of
        them end the frame that is under way.
        """
        room = 1 << 30
        if self._messages is not None:
            room = max(SHORTEST * max(1, int(self._messages.left(now))), left)
        if self._bytes is not None:
            room = min(room, max(PIECE, int(self._bytes.left(now))))
        return room
