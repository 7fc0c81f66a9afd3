"""The parts of a running gateway that an operator may name: what is not there is refused, with the nearest name."""

from __future__ import annotations

from wsgate.config.problems import unknown
from wsgate.control.build import servers_of
from wsgate.control.material import Material
from wsgate.control.scopes import Scope, ScopeError
from wsgate.control.standing import route_names


def check_scope(scope: Scope, material: Material) -> None:
    """Raise ScopeError, with the nearest name, where ``material`` has no such listener, route, upstream or server."""
    config = material.config
    names = {
        "listener": [listener.name for listener in config.listeners],
        "route": route_names(config),
        "upstream": list(config.upstreams),
        "server": list(config.upstreams),
    }.get(scope.kind)
    if names is None:
        return
    if scope.name not in names:
        raise ScopeError(unknown("upstream" if scope.kind == "server" else scope.kind, scope.name, names))
    if scope.kind == "server":
        upstream = config.upstreams[scope.name]
        servers = [str(server) for server in servers_of(material, upstream)]
        if scope.server not in servers:
            raise ScopeError(unknown(f"server of upstream {scope.name}", scope.server, servers))
