"""Waiting for a place at a server, with a deadline."""

from __future__ import annotations

from typing import Protocol

from wsgate.balance.line import Line
from wsgate.config.model import Queue
from wsgate.transport.hub import Hub
from wsgate.transport.wheel import Timer, TimerWheel

#: Seconds between two looks for places that other workers have freed, which tell nobody here.
LOOK = 0.2


class Waiter(Protocol):
    """Who wants a place."""

    def place_free(self) -> None:
        """A place may be free now; one that finds it taken may wait again, and is still the first."""

    def waited_too_long(self, timeout: float) -> None: ...


class Waiting:
    """One that waits.  Its deadline goes on while it looks whether the place is still free."""

    __slots__ = ("_room", "_timer", "_waiter")

    def __init__(self, room: WaitingRoom, waiter: Waiter) -> None:
        self._room = room
        self._waiter = waiter
        self._timer: Timer | None = None

    def arm(self, timer: Timer) -> None:
        self._timer = timer

    def turn(self) -> None:
        """A place may be free."""
        self._waiter.place_free()

    def too_late(self, timeout: float) -> None:
        self._timer = None
        self._room.leave(self)
        self._waiter.waited_too_long(timeout)

    def stop(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._room.leave(self)

    def again(self) -> None:
        """The place was taken by another: go on waiting, in front."""
        self._room.come_back(self)


class WaitingRoom:
    """Those who wait for one upstream's servers."""

    __slots__ = ("_free", "_hub", "_line", "_look", "_wheel")

    def __init__(self, hub: Hub, wheel: TimerWheel) -> None:
        self._hub = hub
        self._wheel = wheel
        self._line = Line()
        self._look: Timer | None = None
        self._free = 0  # places that nobody was told of yet

    def __len__(self) -> int:
        return len(self._line)

    def enter(self, waiter: Waiter, queue: Queue) -> Waiting | None:
        """Wait behind all others; None where ``queue`` has no room for one more."""
        waiting = Waiting(self, waiter)
        if not self._line.join(waiting.turn, queue.most):
            return None
        waiting.arm(self._wheel.after(queue.timeout, lambda: waiting.too_late(queue.timeout)))
        self._look_later()
        return waiting

    def come_back(self, waiting: Waiting) -> None:
        self._line.come_back(waiting.turn)
        self._look_later()

    def leave(self, waiting: Waiting) -> None:
        self._line.leave(waiting.turn)

    def freed(self) -> None:
        """A place is free.  The next is called when whoever freed it has finished."""
        if len(self._line):
            if not self._free:
                self._hub.soon(self._call)
            self._free += 1

    def _call(self) -> None:
        free, self._free = self._free, 0
        for _ in range(free):
            self._line.call()

    def _look_later(self) -> None:
        if self._look is None:
            self._look = self._wheel.after(LOOK, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        if len(self._line):
            self._look_later()
            self._line.call()
