"""How servers and routes stand: what is drained, what a reload takes away, what an operator is told of servers."""

from __future__ import annotations

from random import Random
from typing import Any

from wsgate.config.model import Config
from wsgate.control.scopes import Scope
from wsgate.runtime import Plan, Runtime
from wsgate.upstream.members import UpstreamMembers


def route_names(config: Config) -> list[str]:
    """The names of all routes, by head and by hello."""
    return [route.name for route in config.routes] + [route.name for route in config.sni_routes]


class Standing:
    """Puts what is drained into the states of servers and routes of ``runtime``."""

    def __init__(self, runtime: Runtime, random: Random) -> None:
        self._runtime = runtime
        self._random = random

    def apply(self, drained: frozenset[Scope]) -> None:
        """Give nothing new to what is in ``drained``, and to everything else again."""
        runtime = self._runtime
        runtime.drained_routes = frozenset(scope.name for scope in drained if scope.kind == "route")
        for name, members in runtime.plan.upstreams.items():
            whole = Scope("upstream", name) in drained
            for state in members.group.states:
                server = str(state.server)
                state.draining = whole or Scope("server", name, server) in drained
                if state.draining:
                    members.idle.forget(server)

    def removed(self, before: Plan, after: Plan) -> list[Scope]:
        """What ``before`` had and ``after`` has no more, and connections may belong to."""
        scopes = [Scope("listener", name) for name in before.listeners if name not in after.listeners]
        names = set(route_names(after.config))
        scopes += [Scope("route", name) for name in route_names(before.config) if name not in names]
        for name, members in before.upstreams.items():
            if name not in after.upstreams:
                scopes.append(Scope("upstream", name))
                continue
            servers = {str(state.server) for state in after.upstreams[name].group.states}
            gone = [str(state.server) for state in members.group.states if str(state.server) not in servers]
            scopes += [Scope("server", name, server) for server in gone]
        return scopes

    def servers(self, members: UpstreamMembers, now: float) -> list[dict[str, Any]]:
        """The servers of an upstream; ``open`` counts those of all workers."""
        return [
            {
                "server": str(state.server),
                "open": state.conns,
                "state": _word(state.is_draining, state.server.down or not state.up, not state.is_eligible(now)),
                "fails": state.fails,
            }
            for state in members.group.states
        ]


def _word(draining: bool, down: bool, aside: bool) -> str:
    return "drained" if draining else "down" if down else "set aside" if aside else "up"
