"""Which servers have to give connections away, so that one that came back or is new gets its share.

New connections alone would fill it, which takes days where connections live for days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsgate.balance.servers import ServerState

#: Seconds after which a server that has not got its share is left to new connections.
PATIENCE = 600.0

#: Seconds that a client which was told to leave may take to come back, and is counted meanwhile.
AWAY = 30.0


def serving(states: Sequence[ServerState], now: float) -> list[ServerState]:
    """The servers between which connections are shared: primaries in good order of which nothing bad is known."""
    return [
        state
        for state in states
        if not state.server.backup
        and not state.is_draining
        and not state.fails
        and now >= state.ejected_until
        and state.would_serve(now)
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """What one of these servers has: open connections, of which ``leaving`` were told to go and are still there.

    ``since`` is when it last came back, in monotonic seconds, 0 where it was never away.
    """

    key: str
    conns: int
    weight: float
    leaving: int = 0
    is_full: bool = False
    since: float = 0.0


class Rebalance:
    """One upstream: who served at the last look, who lacks connections since when, how many moves are due."""

    __slots__ = ("_before", "_due", "_lacking", "_peak", "_peak_at", "_then")

    def __init__(self) -> None:
        self._before: dict[str, float] | None = None
        self._lacking: dict[str, float] = {}
        self._due = 0.0
        self._then = 0.0
        self._peak = 0
        self._peak_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether somebody lacks connections."""
        return bool(self._lacking)

    def look(self, loads: Sequence[Load], rate: float, now: float) -> list[str]:
        """The keys of servers that give one connection each now; a key may stand there several times.

        ``rate`` is a number a second, over all.
        """
        self._count(loads, now)
        shares = self._shares(loads)
        was_busy, then = self.is_busy, self._then
        self._notice(loads, shares, now)
        self._then = now
        if not (self.is_busy and was_busy):
            self._due = 0.0
            return []
        self._due = min(max(1.0, rate), self._due + rate * (now - then))
        givers: list[str] = []
        while self._due >= 1 and (key := self._giver(loads, shares, givers)):
            givers.append(key)
            self._due -= 1
        return givers

    def _count(self, loads: Sequence[Load], now: float) -> None:
        """How many connections there are, those included that are between two servers."""
        total = sum(load.conns for load in loads)
        if total >= self._peak or now - self._peak_at > AWAY:
            self._peak, self._peak_at = total, now

    def _shares(self, loads: Sequence[Load]) -> dict[str, float]:
        """What each would have if all were shared by weight; less while it warms up."""
        weight = sum(load.weight for load in loads)
        return {load.key: self._peak * load.weight / weight for load in loads}

    def _notice(self, loads: Sequence[Load], shares: dict[str, float], now: float) -> None:
        """Who came since the last look lacks connections, until one more would be too many."""
        keys = {load.key: load.since for load in loads}
        if self._before is not None:
            # Somebody may have been away between two looks.
            came = [key for key, since in keys.items() if key not in self._before or since > self._before[key]]
            self._lacking |= dict.fromkeys(came, now)
        self._before = keys
        enough = {load.key for load in loads if load.is_full or load.conns + 1 > shares[load.key]}
        self._lacking = {
            key: since
            for key, since in self._lacking.items()
            if key in keys and key not in enough and now - since < PATIENCE
        }

    def _giver(self, loads: Sequence[Load], shares: dict[str, float], givers: list[str]) -> str:
        """Who is furthest above its share, by at least one connection, without those that leave already."""
        above = {
            load.key: load.conns - load.leaving - givers.count(load.key) - shares[load.key]
            for load in loads
            if load.key not in self._lacking
        }
        key = max(above, key=lambda key: above[key], default="")
        return key if key and above[key] >= 1 else ""
