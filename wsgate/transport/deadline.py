"""One deadline that changes with what is waited for."""

from __future__ import annotations

from collections.abc import Callable

from wsgate.transport.wheel import Timer, TimerWheel


class Deadline:
    """At most one time at a time.

    A time that is put off, or that is set anew after ``rest``, is only written down: the timer that is there looks at
    it when it fires.  So a connection that answers one request after the other moves no timer.
    """

    __slots__ = ("_at", "_call", "_timer", "_timer_at", "_wheel")

    def __init__(self, wheel: TimerWheel) -> None:
        self._wheel = wheel
        self._timer: Timer | None = None
        self._timer_at = 0.0  # when it fires, in seconds
        self._call: Callable[[], None] | None = None  # None: nothing is waited for
        self._at = 0.0

    @property
    def active(self) -> bool:
        """Whether a time is set and has not come."""
        return self._call is not None

    def set(self, delay: float, call: Callable[[], None]) -> None:
        """Call ``call`` in ``delay`` seconds; what was set before is dropped."""
        self._call = call
        self._at = at = self._wheel.seconds() + delay
        timer = self._timer
        if timer is not None:
            if self._timer_at <= at:
                return
            timer.cancel()
        self._timer_at = at
        self._timer = self._wheel.after(delay, self._fired)

    def rest(self) -> None:
        """Wait for nothing until the next ``set``, which comes soon; the timer stays, and whoever ends calls `drop`."""
        self._call = None

    def drop(self) -> None:
        """Wait for nothing."""
        self._call = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _fired(self) -> None:
        self._timer = None
        call = self._call
        if call is None:
            return
        left = self._at - self._wheel.seconds()
        if left > 0:
            self._timer_at = self._at
            self._timer = self._wheel.after(left, self._fired)
        else:
            self._call = None
            call()
