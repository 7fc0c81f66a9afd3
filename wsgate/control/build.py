"""From a configuration to a plan: certificates loaded, names resolved, tables made; nothing is bound or started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from random import Random

from wsgate.admission.origins import OriginPolicy
from wsgate.admission.trusted import TrustedPeers
from wsgate.balance.group import Group
from wsgate.config.model import (
    Address,
    Config,
    Listener,
    RedirectTarget,
    RespondTarget,
    Route,
    Server,
    StaticTarget,
    Upstream,
)
from wsgate.errors import WsgateError
from wsgate.routing.table import RouteTable
from wsgate.runtime import ListenerPlan, Plan, Responder
from wsgate.targets.fixed import Redirect, Respond
from wsgate.targets.static import StaticSite
from wsgate.tls.sections import build_server_identities
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.idle import IdleConnections
from wsgate.upstream.members import UpstreamMembers

Resolve = Callable[[str, int], list[str]]


class BuildError(WsgateError):
    """A configuration that is right as text, but cannot be put to work."""


@dataclass(frozen=True, slots=True)
class Builder:
    """What building needs besides a configuration: a wheel for idle connections, the time, a resolver and chance."""

    wheel: TimerWheel
    now: Callable[[], datetime]
    resolve: Resolve
    random: Random

    def plan(self, config: Config) -> Plan:
        """Raises BuildError, CertificateError or ValueError, each with words for an operator."""
        return Plan(
            config=config,
            listeners={listener.name: self._listener(config, listener) for listener in config.listeners},
            upstreams={name: self._members(upstream) for name, upstream in config.upstreams.items()},
            responders=dict(_responders(config.routes)),
            origins={route.name: OriginPolicy(route.origins) for route in config.routes},
        )

    def _listener(self, config: Config, listener: Listener) -> ListenerPlan:
        names = None
        if listener.tls:
            names = build_server_identities(listener, config.tls, config.gateway.state_dir, self.now())
        return ListenerPlan(
            listener, RouteTable.for_listener(config, listener.name), names, TrustedPeers(listener.trusted_proxies)
        )

    def _members(self, upstream: Upstream) -> UpstreamMembers:
        servers = [resolved for server in upstream.servers for resolved in self._resolved(upstream, server)]
        return UpstreamMembers(
            upstream,
            Group(servers, upstream.balance, self.random, name=upstream.name),
            UpstreamTlsContext(upstream.tls) if upstream.tls is not None else None,
            IdleConnections(self.wheel, upstream.keepalive, upstream.keepalive_timeout),
        )

    def _resolved(self, upstream: Upstream, server: Server) -> Iterator[Server]:
        """One server for each address of a name, as nginx does it."""
        address = server.address
        if server.factory or address.is_unix or _is_ip(address.host):
            yield server
            return
        try:
            found = self.resolve(address.host, address.port)
        except OSError as error:
            why = error.strerror or str(error)
            raise BuildError(f"[upstream {upstream.name}] {address}: the name cannot be resolved: {why}") from None
        for host in found:
            yield replace(server, address=Address(host, address.port), name=address.host)


def _responders(routes: tuple[Route, ...]) -> Iterator[tuple[str, Responder]]:
    for route in routes:
        target = route.target
        if isinstance(target, StaticTarget):
            yield route.name, StaticSite(target.root, target.index, target.max_age)
        elif isinstance(target, RedirectTarget):
            yield route.name, Redirect(target)
        elif isinstance(target, RespondTarget):
            yield route.name, Respond(target)


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a name in the system's order, each once.  Blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
