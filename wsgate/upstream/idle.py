"""Connections to HTTP servers that wait for the next request.

A connection is kept only when nothing is left of its last exchange: the request was sent whole, the answer was read
whole, and both sides allowed it.  One that says something or ends while it waits is dropped.  The newest is used first,
so that a pool shrinks when there is less to do.
"""

from __future__ import annotations

from twisted.python.failure import Failure

from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import Timer, TimerWheel


class _Waiting:
    """The protocol on an idle connection; ``until`` is when it has waited long enough, in seconds."""

    __slots__ = ("leg", "pool", "server", "until")

    def __init__(self, pool: IdleConnections, server: str, leg: Leg, until: float) -> None:
        self.pool = pool
        self.server = server
        self.leg = leg
        self.until = until

    def dataReceived(self, data: Data) -> None:
        # Nobody asked: whatever it is, it must not become the answer to the next request.
        self.pool.drop(self)
        self.leg.abortConnection()

    def readConnectionLost(self) -> None:
        self.pool.drop(self)
        self.leg.loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.pool.drop(self)


class IdleConnections:
    """Up to ``most`` idle connections of one upstream, each for up to ``timeout`` seconds."""

    __slots__ = ("_count", "_most", "_next_look", "_servers", "_timeout", "_timer", "_wheel")

    def __init__(self, wheel: TimerWheel, most: int, timeout: float) -> None:
        self._wheel = wheel
        self._most = most
        self._timeout = timeout
        self._servers: dict[str, list[_Waiting]] = {}
        self._count = 0
        # One for all: it is there while it may find something, and is not moved for each connection.
        self._timer: Timer | None = None
        self._next_look = 0.0

    def __len__(self) -> int:
        return self._count

    def take(self, server: str) -> Leg | None:
        """A connection to ``server`` (its address as text), or None.  It is paused."""
        waiting = self._servers.get(server)
        if not waiting:
            return None
        leg = waiting.pop().leg
        self._count -= 1
        leg.pauseProducing()
        return leg

    def keep(self, server: str, leg: Leg) -> None:
        """Keep ``leg`` for the next request to ``server``, or close it when there are enough."""
        if self._count >= self._most:
            leg.loseConnection()
            return
        now = self._wheel.seconds()
        waiting = _Waiting(self, server, leg, now + self._timeout)
        leg.protocol = waiting
        known = self._servers.get(server)
        if known is None:
            known = self._servers[server] = []
        known.append(waiting)
        self._count += 1
        if self._timer is None or waiting.until < self._next_look:
            self._look_at(waiting.until, now)
        leg.resumeProducing()

    def drop(self, waiting: _Waiting) -> None:
        """Forget a connection that is gone."""
        known = self._servers.get(waiting.server, [])
        if waiting in known:
            known.remove(waiting)
            self._count -= 1
        if not self._count:
            self._stop_looking()

    def _look_at(self, at: float, now: float) -> None:
        self._stop_looking()
        self._next_look = at
        self._timer = self._wheel.after(at - now, self._expire)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        """Close those that have waited long enough."""
        self._timer = None
        now = self._wheel.seconds()
        for waiting in [waiting for known in self._servers.values() for waiting in known if waiting.until <= now]:
            # Out of the pool first: a leg that is closing takes no request, and closes a little later.
            self.drop(waiting)
            waiting.leg.loseConnection()
        self._servers = {server: known for server, known in self._servers.items() if known}
        if self._count:
            self._look_at(min(waiting.until for known in self._servers.values() for waiting in known), now)

    def reconfigure(self, most: int, timeout: float) -> None:
        """Other bounds, for those that are kept from now on."""
        self._most = most
        self._timeout = timeout

    def forget(self, server: str) -> None:
        """Close those of one server."""
        for waiting in list(self._servers.get(server, ())):
            self.drop(waiting)
            waiting.leg.loseConnection()

    def close(self) -> None:
        """Close all of them."""
        for server in list(self._servers):
            self.forget(server)
        self._stop_looking()
