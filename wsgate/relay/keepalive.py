"""When to ping a peer, and when to give it up: a decision made from counters, now and then.

Nothing is noted for a frame that passes.  Whoever owns a ``KeepAlive`` looks at it several times an interval and tells
how many frames the peer has completed; that any came is life, whatever they were.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache

#: Looks within one interval: a silent peer is pinged at most this share of the interval late.
LOOKS = 4


#: Bytes of our pings; the first half is the same in all pings of one peer, which tells them from those of others.
PING_SIZE = 8


def next_ping(last: bytes, random: Callable[[int], bytes]) -> bytes:
    """The payload of the next ping; ``last`` is that of the one before, empty for the first."""
    half = PING_SIZE // 2
    return (last[:half] or random(half)) + random(half)


def is_pong_to_us(payload: bytes, last: bytes) -> bool:
    """Whether a pong answers a ping of ours, the ``last`` or one before it, which a peer may answer late."""
    return bool(last) and len(payload) == PING_SIZE and payload[: PING_SIZE // 2] == last[: PING_SIZE // 2]


class Act(Enum):
    """What is to be done about a peer."""

    WAIT = "wait"
    PING = "ping"
    DEAD = "dead"


class KeepAlive:
    """One peer.  It is pinged after ``interval`` seconds of silence, and dead ``timeout`` seconds after that.

    An ``interval`` of 0 never pings.  A ping that cannot be sent yet (``blocked``) waits, and does not count.
    """

    __slots__ = ("_frames", "_interval", "_pinged", "_since", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._since = now
        self._frames = 0
        self._pinged = False

    def look(self, now: float, frames: int, blocked: bool = False) -> Act:
        """``frames`` counts what the peer has completed since the start; ``now`` is monotonic, in seconds."""
        if not self._interval:
            return Act.WAIT
        if frames != self._frames:
            self._frames = frames
            self._since = now
            self._pinged = False
        silence = now - self._since
        if self._pinged:
            return Act.DEAD if self._timeout and silence >= self._timeout else Act.WAIT
        if silence < self._interval or blocked:
            return Act.WAIT
        self._pinged = True
        self._since = now
        return Act.PING


@lru_cache(maxsize=256)  # the same for all WebSockets of a route
def look_every(*times: float) -> float:
    """How often to look, in seconds, where these are the intervals and time-outs; 0 where all are off."""
    shortest = min((time for time in times if time > 0), default=0.0)
    return shortest / LOOKS
