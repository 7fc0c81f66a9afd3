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


#: Seconds between two connections that are moved to find out whether a server is well again.
PROOF = 10.0


def serving(states: Sequence[ServerState], now: float) -> list[ServerState]:
    """The servers between which connections are shared: primaries in order."""
    return [
        state
        for state in states
        if not state.server.backup and not state.is_draining and now >= state.ejected_until and state.would_serve(now)
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """What one of these servers has: open connections, of which ``leaving`` were told to go and are still there.

    ``weight`` is less than the ``whole`` one (0: the same) while it warms up.  ``since`` is when it last came back, in
    monotonic seconds, 0 where it was never away.  One that is ``unproven`` has failed, and nobody has asked it since.
    """

    key: str
    conns: int
    weight: float
    leaving: int = 0
    is_full: bool = False
    since: float = 0.0
    unproven: bool = False
    whole: float = 0.0


class Rebalance:
    """One upstream: who served at the last look, who lacks connections since when, how many moves are due."""

    __slots__ = ("_before", "_due", "_lacking", "_peak", "_peak_at", "_proof_at", "_then")

    def __init__(self) -> None:
        self._before: dict[str, float] | None = None
        self._lacking: dict[str, float] = {}
        self._due = 0.0
        self._then = 0.0
        self._peak = 0
        self._peak_at = 0.0
        self._proof_at = float("-inf")

    @property
    def is_busy(self) -> bool:
        """Whether somebody lacks connections."""
        return bool(self._lacking)

    def look(self, loads: Sequence[Load], rate: float, now: float) -> list[str]:
        """The keys of servers that give one connection each now; a key may stand there several times.

        ``rate`` is a number a second, over all.
        """
        self._count(loads, now)
        was_busy, then = self.is_busy, self._then
        self._notice(loads, now)
        self._then = now
        if not (self.is_busy and was_busy):
            self._due = 0.0
            return []
        self._due = min(max(1.0, rate), self._due + rate * (now - then))
        if all(load.unproven for load in loads if load.key in self._lacking):
            if self._due < 1 or now - self._proof_at < PROOF:
                return []
            self._proof_at, self._due = now, 1.0
        return self._givers(loads)

    def _count(self, loads: Sequence[Load], now: float) -> None:
        """How many connections there are, those included that are between two servers."""
        total = sum(load.conns for load in loads)
        if total >= self._peak or now - self._peak_at > AWAY:
            self._peak, self._peak_at = total, now

    def _shares(self, weights: dict[str, float]) -> dict[str, float]:
        """What each would have if all were shared by weight."""
        weight = sum(weights.values())
        return {key: self._peak * one / weight for key, one in weights.items()}

    def _notice(self, loads: Sequence[Load], now: float) -> None:
        """Who came since the last look lacks connections, until one more would be too many when it is warm."""
        keys = {load.key: load.since for load in loads}
        if self._before is not None:
            # Somebody may have been away between two looks.
            came = [key for key, since in keys.items() if key not in self._before or since > self._before[key]]
            self._lacking |= dict.fromkeys(came, now)
        self._before = keys
        shares = self._shares({load.key: load.whole or load.weight for load in loads})
        enough = {load.key for load in loads if load.is_full or load.conns + 1 > shares[load.key]}
        self._lacking = {
            key: since
            for key, since in self._lacking.items()
            if key in keys and key not in enough and now - since < PATIENCE
        }

    def _givers(self, loads: Sequence[Load]) -> list[str]:
        """Who gives what is due, as far as those who lack have room for it, with those that are on their way."""
        shares = self._shares({load.key: load.weight for load in loads})
        wanted = sum(max(0.0, shares[load.key] - load.conns) for load in loads if load.key in self._lacking)
        coming = sum(load.leaving - load.conns for load in loads) + self._peak
        givers: list[str] = []
        while self._due >= 1 and wanted - coming - len(givers) >= 1 and (key := self._giver(loads, shares, givers)):
            givers.append(key)
            self._due -= 1
        return givers

    def _giver(self, loads: Sequence[Load], shares: dict[str, float], givers: list[str]) -> str:
        """Who is furthest above its share, by at least one connection, without those that leave already."""
        above = {
            load.key: load.conns - load.leaving - givers.count(load.key) - shares[load.key]
            for load in loads
            if load.key not in self._lacking
        }
        key = max(above, key=lambda key: above[key], default="")
        return key if key and above[key] >= 1 else ""
