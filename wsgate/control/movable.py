"""The WebSockets of one process that may be moved to another server: how many, how old, and the word to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from twisted.logger import Logger

from wsgate.balance.rebalancing import serving
from wsgate.causes import Cause
from wsgate.relay.tunnel import Tunnel
from wsgate.runtime import Runtime

_log = Logger("wsgate.control")


class Movable:
    """``number`` is that of the process; it stands before those of its connections."""

    def __init__(self, runtime: Runtime, number: int) -> None:
        self._runtime = runtime
        self._number = number
        self._told: set[int] = set()

    def loads(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The servers in good order of each upstream with ``rebalance``, as ``Load`` has them."""
        now = self._runtime.wheel.seconds()
        leaving = self._leaving()
        found = {}
        for name, members in self._runtime.plan.upstreams.items():
            if members.options.rebalance:
                among = serving(members.group.states, now)
                for state in among:
                    state.warm_up(now)
                found[name] = {
                    state.name: {
                        "conns": state.conns,
                        "weight": state.weight,
                        "whole": state.server.weight,
                        "leaving": leaving[name, state.name],
                        "is_full": not state.has_place(),
                        "since": max(0.0, state.warm_from),
                        "unproven": bool(state.fails) and members.options.probe is None,
                    }
                    for state in among
                }
        return found

    def _leaving(self) -> Counter[tuple[str, str]]:
        """How many of those that were told are still there, by upstream and server."""
        live = {number: self._runtime.live.find(number) for number in self._told}
        self._told = {number for number, one in live.items() if one is not None}
        return Counter((one.upstream, one.server) for one in live.values() if one is not None)

    def oldest(self, upstream: str, wanted: Mapping[str, int]) -> dict[str, list[tuple[float, str]]]:
        """So many of each server that are here longest: since when, and their names."""
        found: dict[str, list[tuple[float, str]]] = {server: [] for server in wanted}
        for live in self._runtime.live:
            if live.upstream != upstream or len(found.get(live.server, ())) >= wanted.get(live.server, 0):
                continue
            # Layer 4 and tunnels have no Close to say: their clients would see a loss.
            if live.number not in self._told and not isinstance(live.relay, Tunnel):
                found[live.server].append((live.since, f"{self._number}.{live.number}"))
        return found

    def move(self, names: Collection[str]) -> int:
        """Close those of ``names`` that are here, with 1012 at a frame boundary; how many there were."""
        chosen = [live for live in self._runtime.live if f"{self._number}.{live.number}" in names]
        for live in chosen:
            self._told.add(live.number)
            _log.debug("upstream {upstream}: a client of {server} is moved", upstream=live.upstream, server=live.server)
            live.close(Cause.REBALANCED)
        return len(chosen)
