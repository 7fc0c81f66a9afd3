"""Frames that carry nothing: pings, pongs and empty fragments, and how many of them a peer may send.

Each costs as much as a frame with payload, and no limit on bytes or messages ever stops them.  So a peer has a budget
of them, which time fills, and so does all that the peer sends besides: whoever sends no more control frames than data
never gets near its end.
"""

from __future__ import annotations

from collections.abc import Callable

from wsgate.config.model import RelayLimits
from wsgate.wire.close_codes import FrameError


class Flood:
    """The budget of one peer: ``control_burst`` frames, of which ``control_rate`` come back each second.

    ``seconds`` is a monotonic clock.
    """

    __slots__ = ("_carried", "_left", "_limits", "_seconds", "_since")

    def __init__(self, limits: RelayLimits, seconds: Callable[[], float]) -> None:
        self._limits = limits
        self._seconds = seconds
        self._left = limits.control_burst
        self._since = 0.0  # it is full, so that the time before does not matter
        self._carried = 0

    @classmethod
    def of(cls, limits: RelayLimits, seconds: Callable[[], float]) -> Flood | None:
        """None where nothing is limited."""
        return cls(limits, seconds) if limits.control_rate else None

    def spend(self, carried: int) -> None:
        """Count one more; ``carried`` is how many frames or messages with something in them came so far.

        Raises FrameError 1008 where the budget is used up.
        """
        limits = self._limits
        now = self._seconds()
        left = self._left
        if left < limits.control_burst:
            gained = (now - self._since) * limits.control_rate + carried - self._carried
            left = min(left + gained, limits.control_burst)
        self._since = now
        self._carried = carried
        self._left = left - 1
        if left < 1:
            raise FrameError(1008, "too many control frames and empty fragments")

    def asked(self) -> None:
        """A ping was passed on to this peer: its pong is no flood.

        Such pongs may come all at once, after a time in which the peer was cut off; two bursts are the most.
        """
        self._left = min(self._left + 1, 2 * self._limits.control_burst)
