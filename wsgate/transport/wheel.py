"""Deadlines of all connections in one timer wheel, with at most one delayed call of the reactor.

A connection has several deadlines, most of which are put off or dropped before they fall due.  Here setting and
dropping one is a dictionary operation.  Deadlines are kept in slots of ``tick`` seconds and fire at the end of their
slot: never early, at most one tick late.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from twisted.logger import Logger

from wsgate.transport.interfaces import Delayed, Reactor

_log = Logger("wsgate.transport")

TICK = 0.05


class Timer:
    """A deadline that was set.  Drop it with ``cancel``; cancelling twice or after it fired does nothing."""

    __slots__ = ("_call", "_slot")

    def __init__(self, call: Callable[[], None], slot: dict[Timer, None]) -> None:
        self._call: Callable[[], None] | None = call
        self._slot = slot

    @property
    def active(self) -> bool:
        return self._call is not None

    def cancel(self) -> None:
        if self._call is not None:
            self._call = None
            self._slot.pop(self, None)

    def fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class TimerWheel:
    """Deadlines on the reactor's clock, which the entry points make a monotonic one."""

    def __init__(self, reactor: Reactor, tick: float = TICK) -> None:
        self._reactor = reactor
        #: What the reactor's clock shows; entry points have chosen it before any wheel is made.
        self.seconds: Callable[[], float] = reactor.seconds
        self._tick = tick
        self._slots: dict[int, dict[Timer, None]] = {}
        self._due: list[int] = []
        self._firing: dict[Timer, None] = {}
        self._turn: Delayed | None = None
        self._turn_at = 0

    def after(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call ``call`` once, ``delay`` seconds from now or up to a tick later."""
        number = int((self.seconds() + delay) / self._tick) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            heapq.heappush(self._due, number)
            if self._turn is None or number < self._turn_at:
                self._arm(number)
        timer = Timer(call, slot)
        slot[timer] = None
        return timer

    def __len__(self) -> int:
        """How many deadlines are set."""
        return sum(len(slot) for slot in self._slots.values())

    def close(self) -> None:
        """Drop every deadline."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        for slot in (self._firing, *self._slots.values()):
            for timer in list(slot):
                timer.cancel()
        self._slots.clear()
        self._due.clear()

    def _arm(self, number: int) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._turn_at = number
        self._turn = self._reactor.callLater(max(0.0, number * self._tick - self._reactor.seconds()), self._run)

    def _run(self) -> None:
        self._turn = None
        now = self._reactor.seconds()
        while self._due and self._due[0] * self._tick <= now:
            slot = self._firing = self._slots.pop(heapq.heappop(self._due))
            for timer in list(slot):
                try:
                    timer.fire()
                except Exception:
                    _log.failure("a deadline failed")
            # Timers know their slot: left in it they would wait for the collector of cycles.
            slot.clear()
        while self._due and not self._slots[self._due[0]]:
            del self._slots[heapq.heappop(self._due)]
        if self._due and (self._turn is None or self._due[0] < self._turn_at):
            self._arm(self._due[0])
