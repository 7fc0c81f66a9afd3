"""One deadline that changes with what is waited for."""

from __future__ import annotations

from collections.abc import Callable

from wsgate.transport.wheel import Timer, TimerWheel


class Deadline:
    """At most one timer at a time."""

    __slots__ = ("_timer", "_wheel")

    def __init__(self, wheel: TimerWheel) -> None:
        self._wheel = wheel
        self._timer: Timer | None = None

    @property
    def active(self) -> bool:
        """Whether a time is set and has not come."""
        return self._timer is not None and self._timer.active

    def set(self, delay: float, call: Callable[[], None]) -> None:
        """Call ``call`` in ``delay`` seconds; what was set before is dropped."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self._timer = self._wheel.after(delay, call)

    def drop(self) -> None:
        """Wait for nothing."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
