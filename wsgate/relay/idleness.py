"""Noticing that nothing moves, without reading a clock for each message."""

from __future__ import annotations

from collections.abc import Callable

from wsgate.transport.wheel import Timer, TimerWheel

#: Looks at the counters within one time-out: an idle connection is found at most this share of it late.
LOOKS = 8


class Idleness:
    """Calls ``idle`` when ``progress()`` has not changed for ``timeout`` seconds; a time-out of 0 never does."""

    __slots__ = ("_idle", "_last", "_progress", "_since", "_timeout", "_timer", "_wheel")

    def __init__(
        self, wheel: TimerWheel, timeout: float, progress: Callable[[], int], idle: Callable[[], None]
    ) -> None:
        self._wheel = wheel
        self._timeout = timeout
        self._progress = progress
        self._idle = idle
        self._last = -1
        self._since = 0.0
        self._timer: Timer | None = None

    def start(self) -> None:
        if self._timeout > 0:
            self._last = self._progress()
            self._since = self._wheel.seconds()
            self._arm(self._timeout / LOOKS)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, delay: float) -> None:
        self._timer = self._wheel.after(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        progress = self._progress()
        now = self._wheel.seconds()
        if progress != self._last:
            self._last = progress
            self._since = now
        left = self._since + self._timeout - now
        if left <= 0:
            self._idle()
        else:
            self._arm(min(left, self._timeout / LOOKS))
