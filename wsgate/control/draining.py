"""Ending connections in an orderly way: paced, with jitter, and by force only at the deadline."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.internet.defer import Deferred

from wsgate.causes import Cause
from wsgate.registry import Live, Registry
from wsgate.transport.wheel import Timer, TimerWheel

#: Closes a second that hurt nobody who comes back at once: fewer connections are not spread over the whole window.
PACE = 100.0

#: Seconds between two looks at who is still there.
LOOK = 0.05


class Draining:
    """Closes every relayed connection that ``covers`` chooses, those too that begin before ``let_in``.

    Each gets its Close (RFC 6455 section 7.1.2) at a moment of its own within ``spread`` seconds: the window is cut
    into as many parts as there are connections, each takes one, in any order, and a random moment in it.  The window is
    shorter where fewer than ``pace`` a second would fall into it, which are this process's share of ``PACE``.  What is
    left after ``timeout`` seconds is aborted.  ``finished`` fires with the number of connections that were closed when
    none is left and ``done()`` says that no more will come.
    """

    def __init__(
        self,
        live: Registry,
        wheel: TimerWheel,
        random: Random,
        covers: Callable[[Live], bool],
        *,
        cause: Cause,
        reason: str,
        spread: float,
        timeout: float,
        pace: float = PACE,
        done: Callable[[], bool] = lambda: True,
    ) -> None:
        self._live = live
        self._wheel = wheel
        self._random = random
        self._covers = covers
        self._cause = cause
        self._reason = reason
        self._spread = spread
        self._pace = pace
        self._done = done
        self._waiting: dict[int, Timer | None] = {}
        self._closed = 0
        self._over = wheel.seconds() + timeout
        self._timer: Timer | None = None
        self.finished: Deferred[int] = Deferred()

    @property
    def left(self) -> int:
        """How many are still open."""
        return sum(1 for live in self._live if self._covers(live))

    def start(self) -> None:
        """Give everybody a moment; ``finished`` fires at once where there is nobody."""
        chosen = [live for live in self._live if self._covers(live)]
        self._random.shuffle(chosen)
        window = min(self._spread, len(chosen) / self._pace)
        for place, live in enumerate(chosen):
            self._schedule(live, (place + self._random.random()) * window / len(chosen))
        self._look()

    def _schedule(self, live: Live, delay: float) -> None:
        self._waiting[live.number] = None
        if delay <= 0:
            self._close(live)
        else:
            self._waiting[live.number] = self._wheel.after(delay, lambda: self._close(live))

    def _close(self, live: Live) -> None:
        self._waiting[live.number] = None
        if self._live.find(live.number) is live:
            self._closed += 1
            live.close(self._cause, self._reason)

    def _look(self) -> None:
        self._timer = None
        chosen = [live for live in self._live if self._covers(live)]
        late = self._wheel.seconds() >= self._over
        for live in chosen:
            if late:
                live.relay.abort(self._cause)
            elif live.number not in self._waiting:
                self._schedule(live, 0.0)
        if not chosen and self._done():
            self.stop()
            self.finished.callback(self._closed)
        else:
            self._timer = self._wheel.after(LOOK, self._look)

    def let_in(self) -> None:
        """Who begins from now on stays: what is drained is back."""
        numbers = frozenset(live.number for live in self._live if self._covers(live))
        self._covers = lambda live: live.number in numbers

    def hurry(self) -> None:
        """The deadline is now."""
        self._over = self._wheel.seconds()
        if self._timer is not None:
            self._timer.cancel()
            self._look()

    def stop(self) -> None:
        """Close nobody any more."""
        for timer in (self._timer, *self._waiting.values()):
            if timer is not None:
                timer.cancel()
        self._waiting.clear()
