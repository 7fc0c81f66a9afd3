"""Rates: a bucket of tokens that fills at a steady rate."""

from __future__ import annotations


class Bucket:
    """Up to ``burst`` tokens; ``rate`` of them come back each second.  ``now`` is monotonic, in seconds."""

    __slots__ = ("_burst", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst <= 0:
            raise ValueError("a rate and its burst are above 0")
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last = now

    def take(self, amount: float, now: float) -> float:
        """Take ``amount`` tokens; the seconds to wait until they are paid for, 0 when they were there.

        What is taken beyond what is there is owed: over any time, no more than ``burst`` and ``rate`` times that time
        is given to those who wait as they are told.
        """
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate) - amount
        self._last = now
        return -self._tokens / self._rate if self._tokens < 0 else 0.0

    def left(self, now: float) -> float:
        """Tokens that can be taken without owing."""
        return min(self._burst, self._tokens + (now - self._last) * self._rate)
