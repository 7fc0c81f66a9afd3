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
    """The protocol on an idle connection."""

    __slots__ = ("leg", "pool", "server", "timer")

    timer: Timer

    def __init__(self, pool: IdleConnections, server: str, leg: Leg) -> None:
        self.pool = pool
        self.server = server
        self.leg = leg

    def expire(self) -> None:
        # Out of the pool first: a leg that is closing takes no request, and closes a little later.
        self.pool.drop(self)
        self.leg.loseConnection()

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

    __slots__ = ("_count", "_most", "_servers", "_timeout", "_wheel")

    def __init__(self, wheel: TimerWheel, most: int, timeout: float) -> None:
        self._wheel = wheel
        self._most = most
        self._timeout = timeout
        self._servers: dict[str, list[_Waiting]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, server: str) -> Leg | None:
        """A connection to ``server`` (its address as text), or None.  It is paused."""
        waiting = self._servers.get(server)
        if not waiting:
            return None
        newest = waiting[-1]
        self.drop(newest)
        newest.leg.pauseProducing()
        return newest.leg

    def keep(self, server: str, leg: Leg) -> None:
        """Keep ``leg`` for the next request to ``server``, or close it when there are enough."""
        if self._count >= self._most:
            leg.loseConnection()
            return
        waiting = _Waiting(self, server, leg)
        waiting.timer = self._wheel.after(self._timeout, waiting.expire)
        leg.protocol = waiting
        self._servers.setdefault(server, []).append(waiting)
        self._count += 1
        leg.resumeProducing()

    def drop(self, waiting: _Waiting) -> None:
        """Forget a connection that is used, or gone."""
        known = self._servers.get(waiting.server, [])
        if waiting in known:
            known.remove(waiting)
            self._count -= 1
            waiting.timer.cancel()
            if not known:
                del self._servers[waiting.server]

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
        for server in list(self._servers):
            self.forget(server)
