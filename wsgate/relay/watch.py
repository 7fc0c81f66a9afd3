"""Looking after a WebSocket now and then: is a peer dead, stuck or silent, is the whole idle or too old.

One timer for a relay, however many things it watches; nothing is noted for a message that passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wsgate.causes import Cause
from wsgate.config.model import RelayLimits
from wsgate.relay.keepalive import Act, KeepAlive, look_every
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import Timer, TimerWheel


class Watched(Protocol):
    """One side of a relay."""

    @property
    def leg(self) -> Leg: ...

    def life(self) -> int:
        """Another number than before where the peer has completed a frame since, or could not have been heard."""

    def may_ping(self) -> bool: ...

    def send_ping(self) -> None: ...


class _Eye:
    """What is remembered of one side between two looks."""

    __slots__ = ("alive", "dead", "side", "since", "stuck", "taken")

    def __init__(self, side: Watched, alive: KeepAlive, dead: Cause, stuck: Cause, now: float) -> None:
        self.side = side
        self.alive = alive
        self.dead = dead
        self.stuck = stuck
        self.taken = 0
        self.since = now

    def is_stuck(self, now: float, timeout: float) -> bool:
        """Whether bytes have waited for the peer all the time, and it has taken none for ``timeout`` seconds."""
        leg = self.side.leg
        taken = leg.sent - leg.queued
        # Only what was never taken before counts: under TLS bytes that are queued weigh more than bytes that were sent.
        if not leg.queued or taken > self.taken:
            self.taken = taken
            self.since = now
            return False
        return now - self.since >= timeout


class Watch:
    """Watches the sides ``client`` and ``server`` as ``limits`` say; ``data()`` counts data frames, both ways.

    ``verdict(cause)`` is called once, with one of CLIENT_DEAD, SERVER_DEAD, CLIENT_STUCK, SERVER_STUCK, IDLE and
    MAX_AGE; nothing is watched then.
    """

    __slots__ = ("_data", "_data_seen", "_data_since", "_eyes", "_limits", "_timer", "_until", "_verdict", "_wheel")

    def __init__(
        self, wheel: TimerWheel, limits: RelayLimits, data: Callable[[], int], verdict: Callable[[Cause], None]
    ) -> None:
        self._wheel = wheel
        self._limits = limits
        self._data = data
        self._verdict = verdict
        self._eyes: tuple[_Eye, ...] = ()
        self._timer: Timer | None = None
        self._data_seen = 0
        self._data_since = self._until = 0.0

    def start(self, client: Watched, server: Watched, random: Callable[[int], bytes]) -> None:
        """``random`` gives the bytes that settle by how much ``max_age`` is exceeded."""
        now, limits = self._wheel.seconds(), self._limits
        self._eyes = (
            self._eye(client, Cause.CLIENT_DEAD, Cause.CLIENT_STUCK, now),
            self._eye(server, Cause.SERVER_DEAD, Cause.SERVER_STUCK, now),
        )
        self._data_since = now
        # A held client keeps its age: the watch starts anew for its next server.
        if limits.max_age and not self._until:
            share = int.from_bytes(random(4), "big") / 2**32
            self._until = now + limits.max_age * (1 + limits.max_age_jitter * share)
        self._look_later()

    def replace_server(self, server: Watched) -> None:
        """Watch another leg's side from now on."""
        if self._eyes:
            new = self._eye(server, Cause.SERVER_DEAD, Cause.SERVER_STUCK, self._wheel.seconds())
            self._eyes = (self._eyes[0], new)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._eyes = ()

    def _eye(self, side: Watched, dead: Cause, stuck: Cause, now: float) -> _Eye:
        limits = self._limits
        return _Eye(side, KeepAlive(limits.ping_interval, limits.ping_timeout, now), dead, stuck, now)

    def _look_later(self) -> None:
        limits = self._limits
        pings = (limits.ping_interval, limits.ping_timeout) if limits.ping_interval else ()
        delay = look_every(*pings, limits.idle_timeout, limits.slow_consumer_timeout)
        if self._until:
            left = max(0.0, self._until - self._wheel.seconds())
            delay = min(delay, left) if delay else left
        if delay or self._until:
            self._timer = self._wheel.after(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        cause = self._cause(self._wheel.seconds())
        if cause is None:
            self._look_later()
        else:
            self.stop()
            self._verdict(cause)

    def _cause(self, now: float) -> Cause | None:
        limits = self._limits
        for eye in self._eyes:
            act = eye.alive.look(now, eye.side.life(), blocked=not eye.side.may_ping())
            if act is Act.DEAD:
                return eye.dead
            if act is Act.PING:
                eye.side.send_ping()
            if limits.slow_consumer_timeout and eye.is_stuck(now, limits.slow_consumer_timeout):
                return eye.stuck
        data = self._data()
        if data != self._data_seen:
            self._data_seen = data
            self._data_since = now
        if limits.idle_timeout and now - self._data_since >= limits.idle_timeout:
            return Cause.IDLE
        if self._until and now >= self._until:
            return Cause.MAX_AGE
        return None
