"""How servers and routes stand: what is drained, what a reload takes away, what an operator is told of servers."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from wsgate.config.model import Config
from wsgate.control.scopes import Scope
from wsgate.registry import Live
from wsgate.runtime import Plan, Runtime
from wsgate.upstream.members import UpstreamMembers

#: Seconds that a handshake can take with all its attempts; who comes later was not under way.
LATE = 60.0


def route_names(config: Config) -> list[str]:
    """The names of all routes, by head and by hello."""
    return [route.name for route in config.routes] + [route.name for route in config.sni_routes]


class Standing:
    """Puts what is drained into the states of servers and routes of ``runtime``."""

    def __init__(self, runtime: Runtime, random: Random) -> None:
        self._runtime = runtime
        self._random = random
        self._gone: dict[Scope, float] = {}  # until when somebody may still come whose request was for it

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

    def took_away(self, scopes: Iterable[Scope]) -> None:
        """A reload has taken these away; handshakes that began before it go on."""
        now = self._runtime.wheel.seconds()
        self._gone = {scope: until for scope, until in self._gone.items() if until > now}
        self._gone |= dict.fromkeys(scopes, now + LATE)

    def gave_back(self, scopes: Iterable[Scope]) -> None:
        """A reload has these, which were not there: whoever comes for them, or for servers in them, stays."""
        back = set(scopes)
        self._gone = {
            scope: until
            for scope, until in self._gone.items()
            if scope not in back and not (scope.kind == "server" and Scope("upstream", scope.name) in back)
        }

    def is_leaving(self, live: Live, drained: frozenset[Scope]) -> bool:
        """Whether a connection that begins now belongs to what is drained, or was taken away a moment ago."""
        now = self._runtime.wheel.seconds()
        return any(scope.covers(live) for scope in drained) or any(
            until > now and scope.covers(live) for scope, until in self._gone.items()
        )

    def is_quiet(self, scope: Scope) -> bool:
        """Whether nothing of it goes on, requests included; always so for a route, whose requests nobody counts."""
        runtime = self._runtime
        match scope.kind:
            case "gateway":
                return not runtime.live.connections
            case "listener":
                return not any(one.listener_name == scope.name for one in runtime.live.connections)
            case "upstream" | "server" if scope.name in runtime.plan.upstreams:
                states = runtime.plan.upstreams[scope.name].group.states
                return not any(state.conns for state in states if scope.server in {"", str(state.server)})
        return True

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
