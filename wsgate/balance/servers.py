"""What is known of one server: its turn, its failures, its health, its open connections.

The rules of failure and recovery are nginx's (ngx_http_upstream_round_robin.c): ``max_fails`` failures in a row, with
no more than ``fail_timeout`` between them, put a server aside for ``fail_timeout``; then one connection probes it.
"""

from __future__ import annotations

from collections.abc import Callable

from wsgate.balance.places import Places
from wsgate.config.model import Server

_NEVER = float("-inf")

#: The share of its weight with which a server that comes back begins its slow start.
WARM_FLOOR = 0.05


class ServerState:
    """The run-time side of a ``Server``; one object lives as long as the address is part of the upstream.

    All times are seconds of one monotonic clock.  ``alone`` is set for the only server of a group: its failures count
    for nothing, since there is no other to try.  ``weight`` is what the orders go by: less than the configured weight
    while the server warms up.  ``freed`` is called when a place becomes free.
    """

    __slots__ = (
        "_places",
        "accessed",
        "alone",
        "checked",
        "current",
        "draining",
        "effective",
        "ejected_until",
        "ejections",
        "fails",
        "freed",
        "key",
        "name",
        "server",
        "strikes",
        "up",
        "warm_from",
        "weight",
    )

    def __init__(self, key: str, server: Server, places: Places) -> None:
        self.key = key
        self.server = server
        self.name = str(server)  # one text for the records of all its connections
        self._places = places
        self.alone = False
        self.draining = False  # by the operator: no new connections
        self.up = True  # as the probes have it
        self.current: float = 0  # smooth weighted round robin's running value
        self.effective = server.weight  # lowered by failures, and regained turn by turn
        self.fails = 0
        self.checked = _NEVER  # the last failure, or the choice that probes after one
        self.accessed = _NEVER  # the last failure
        self.strikes = 0  # WebSockets that it dropped early, in a row
        self.ejections = 0  # in a row
        self.ejected_until = _NEVER
        self.warm_from = _NEVER  # when it last came back
        self.weight: float = server.weight
        self.freed: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<ServerState {self.key} conns={self.conns} fails={self.fails}>"

    @property
    def conns(self) -> int:
        """Open connections now, those of all workers."""
        return self._places.count(self.key)

    def reconfigure(self, server: Server) -> None:
        """Take over new options of the same address; a new weight starts without the old one's history."""
        if server.weight != self.server.weight:
            self.current = 0
            self.effective = self.weight = server.weight
        self.server = server

    def is_eligible(self, now: float) -> bool:
        """Whether a new connection may be given to it; asked for every one, so it looks for itself."""
        server = self.server
        if not self.up or self.draining or server.drain or server.down or now < self.ejected_until:
            return False
        return not (self.fails and self.is_set_aside(now)) and (not server.max_conns or self.has_place())

    def is_last_resort(self, now: float) -> bool:
        """Whether a new connection may be given to it if there is no other: an ejection is only a suspicion."""
        return not self.is_draining and self.may_keep(now)

    def may_keep(self, now: float) -> bool:
        """Whether a client that is bound to it may go there again: draining by configuration keeps those.

        By the operator it does not: they were just sent away.
        """
        return not self.draining and self.would_serve(now) and self.has_place()

    def would_serve(self, now: float) -> bool:
        """Whether it is in order, be it full or not."""
        return not self.server.down and self.up and not self.is_set_aside(now)

    def has_place(self) -> bool:
        """Whether ``max_conns`` leaves room."""
        return not self.server.max_conns or self.conns < self.server.max_conns

    @property
    def is_draining(self) -> bool:
        """Whether it takes nothing new, by the operator's word or by configuration."""
        return self.draining or self.server.drain

    def is_set_aside(self, now: float) -> bool:
        """Whether it failed too often of late."""
        server = self.server
        if self.alone or not server.max_fails or self.fails < server.max_fails:
            return False
        return now - self.checked <= server.fail_timeout

    def chosen(self, now: float) -> None:
        """An order names it: if it was set aside until now, this is the one probe of the next ``fail_timeout``."""
        if now - self.checked > self.server.fail_timeout:
            self.checked = now

    def taken(self) -> bool:
        """Count one connection; False, and nothing is counted, if ``max_conns`` was reached meanwhile.

        Called when the order names the server, before anything is dialled; if False, go on with the order's next.
        """
        return self._places.take(self.key, self.server.max_conns)

    def released(self) -> None:
        """The connection that was counted by ``taken`` is over."""
        self._places.give_back(self.key)
        if self.freed is not None:
            self.freed()

    def failed(self, now: float) -> None:
        """A connection attempt or a request failed by the server's fault."""
        if self.alone:
            return
        self.fails += 1
        self.accessed = self.checked = now
        server = self.server
        if server.max_fails:
            self.effective = max(0, self.effective - server.weight // server.max_fails)

    def succeeded(self, now: float) -> None:
        """A connection attempt or a request went well; the failures before the last probe are forgotten."""
        if self.accessed < self.checked:
            if self.fails and self.fails >= self.server.max_fails:
                self.warm_from = now
            self.fails = 0

    def probed(self, up: bool, now: float) -> None:
        """The probes have come to another opinion.  What passive checks hold against it is forgotten when it is up."""
        if up and not self.up:
            self.fails = self.strikes = 0
            self.ejected_until = _NEVER
            self.warm_from = now
        self.up = up

    def warm_up(self, now: float) -> None:
        """Set ``weight`` by the time since it came back: slow start is linear in ``slow_start`` seconds.

        It is never at the start of the gateway, and never for the only server of a group.
        """
        server = self.server
        since = now - self.warm_from
        if self.alone or since >= server.slow_start:
            self.weight = server.weight
        else:
            self.weight = server.weight * max(WARM_FLOOR, since / server.slow_start)
