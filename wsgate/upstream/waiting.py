"""Waiting for a place, with a deadline, in one line over all workers."""

from __future__ import annotations

from typing import Protocol

from wsgate.balance.line import Line, lets_pass
from wsgate.balance.places import Notes
from wsgate.config.model import Queue
from wsgate.transport.hub import Hub
from wsgate.transport.wheel import Timer, TimerWheel

#: Seconds between two looks for places that other workers have freed, which tell nobody here.
LOOK = 0.05

#: Seconds by which somebody in this worker may be served before somebody who came earlier to another one.
SLACK = 0.25


class Waiter(Protocol):
    """Who wants a place."""

    def place_free(self) -> None:
        """A place may be free now; one that finds it taken may wait again, and is still the first."""

    def waited_too_long(self, timeout: float) -> None: ...


def waiting_keys(upstream: str) -> tuple[str, str]:
    """What ``Places`` keep the waiting of an upstream under: how many wait, and since when the first does."""
    return f"waiting for {upstream}", f"first for {upstream}"


class Waiting:
    """One that waits.  Its deadline goes on while it looks whether the place is still free."""

    __slots__ = ("_room", "_timer", "_waiter", "since")

    def __init__(self, room: WaitingRoom, waiter: Waiter, since: float) -> None:
        self._room = room
        self._waiter = waiter
        self._timer: Timer | None = None
        self.since = since

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
    """Those who wait in this worker for the servers of ``upstream``; ``places`` know of the other workers' rooms."""

    __slots__ = ("_called", "_first", "_hub", "_line", "_look", "_number", "_patience", "_places", "_wheel")

    def __init__(self, hub: Hub, wheel: TimerWheel, places: Notes, upstream: str) -> None:
        self._hub = hub
        self._wheel = wheel
        self._places = places
        self._number, self._first = waiting_keys(upstream)
        self._line = Line()
        self._look: Timer | None = None
        self._called = False
        self._patience = 0.0

    def __len__(self) -> int:
        """How many wait, in all workers."""
        return self._places.count(self._number)

    def enter(self, waiter: Waiter, queue: Queue) -> Waiting | None:
        """Wait behind all others; None where ``queue`` has no room for one more."""
        if not self._places.take(self._number, queue.most):
            return None
        waiting = Waiting(self, waiter, self._wheel.seconds())
        self._line.join(waiting)
        self._patience = queue.timeout
        waiting.arm(self._wheel.after(queue.timeout, lambda: waiting.too_late(queue.timeout)))
        self._note()
        self._look_later()
        return waiting

    def come_back(self, waiting: Waiting) -> None:
        self._line.come_back(waiting)

    def leave(self, waiting: Waiting) -> None:
        """``waiting`` is over, whether it was its turn or not."""
        self._places.give_back(self._number)
        self._line.leave(waiting)
        self._note()

    def freed(self) -> None:
        """There may be free places.  Those who wait are called when whoever freed them has finished."""
        if len(self._line) and not self._called:
            self._called = True
            self._hub.soon(self._call)

    def _call(self) -> None:
        """Let one after the other look for a place, until one finds none."""
        self._called = False
        while not self._lets_pass() and self._line.call():
            pass
        self._note()

    def _lets_pass(self) -> bool:
        first = self._line.first
        if first is None:
            return False
        oldest = self._places.least(self._first) / 1000
        return lets_pass(first.since, oldest, self._wheel.seconds(), self._patience, SLACK)

    def _note(self) -> None:
        """Let the other workers know since when the first waits here."""
        first = self._line.first
        self._places.note(self._first, int(first.since * 1000) if first is not None else 0)

    def _look_later(self) -> None:
        if self._look is None:
            self._look = self._wheel.after(LOOK, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        if len(self._line):
            self._call()
        if len(self._line):
            self._look_later()
