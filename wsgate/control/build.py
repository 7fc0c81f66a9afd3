"""From material to a plan: certificates loaded, tables made; nothing is bound or started.

A new plan is built beside the one that is served, from which it takes what did not change.  It touches nothing of it
until ``adopt``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from wsgate.acme.places import AcmePlaces
from wsgate.acme.renewing import sections
from wsgate.admission.origins import OriginPolicy
from wsgate.admission.trusted import TrustedPeers
from wsgate.balance.group import Group
from wsgate.balance.places import Notes
from wsgate.balance.sticky import Bindings
from wsgate.config.model import (
    Address,
    Listener,
    ProxyTarget,
    RedirectTarget,
    RelayKind,
    RespondTarget,
    Route,
    Server,
    StaticTarget,
    Upstream,
)
from wsgate.control.material import Material, is_awaited, is_name, source_key
from wsgate.routing.sni import SniTable
from wsgate.routing.table import RouteTable
from wsgate.runtime import ListenerPlan, Plan, Responder, Trust
from wsgate.targets.fixed import Redirect, Respond
from wsgate.targets.static import StaticSite
from wsgate.tls.policies import HTTP_1
from wsgate.tls.sections import build_server_identities
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.idle import IdleConnections
from wsgate.upstream.members import UpstreamMembers


@dataclass(frozen=True, slots=True)
class Builder:
    """What building needs besides material: a wheel for idle connections, the time, chance, and who counts."""

    wheel: TimerWheel
    now: Callable[[], datetime]
    random: Random
    places: Notes | None = None

    def plan(self, material: Material, before: Plan | None = None) -> Plan:
        """Raises BuildError, CertificateError, HookError or ValueError, each with words for an operator.

        TLS contexts of ``before`` are used again where neither options nor bytes have changed, also if ``before`` was
        built in another process that this one was forked from.
        """
        config = material.config
        _prepare_relays(config.routes)
        contexts = {}
        upstreams = {}
        for upstream in config.upstreams.values():
            if upstream.tls is not None:
                contexts[upstream.name] = self._context(material, upstream, before)
            upstreams[upstream.name] = self._members(material, upstream, contexts.get(upstream.name))
        return Plan(
            config=config,
            listeners={listener.name: self._listener(material, listener, before) for listener in config.listeners},
            upstreams=upstreams,
            responders=dict(_responders(config.routes, before)),
            origins={route.name: OriginPolicy(route.origins) for route in config.routes},
            acme=AcmePlaces(config.gateway.state_dir) if sections(config) else None,
            contexts=contexts,
        )

    def _listener(self, material: Material, listener: Listener, before: Plan | None) -> ListenerPlan:
        config = material.config
        names = None
        if listener.tls:
            known = before.listeners.get(listener.name) if before else None
            names = build_server_identities(
                listener,
                config.tls,
                config.gateway.state_dir,
                self.now(),
                materials=material.tls,
                # Contexts of another mode answer ALPN in another way.
                previous=known.names if known and known.listener.mode is listener.mode else None,
            )
        return ListenerPlan(
            listener,
            RouteTable.for_listener(config, listener.name),
            names,
            TrustedPeers(listener.trusted_proxies),
            SniTable(config.sni_routes, listener.name),
        )

    def _context(self, material: Material, upstream: Upstream, before: Plan | None) -> Trust:
        tls, read = upstream.tls, material.upstream_tls[upstream.name]
        known = before.contexts.get(upstream.name) if before else None
        if known is not None and (known.options, known.material) == (tls, read):
            return known
        if tls is None:
            raise AssertionError("an upstream without TLS")
        # A tcp listener's clients speak what they like; only requests are known to be HTTP/1.
        asked = {route.target.upstream for route in material.config.routes if isinstance(route.target, ProxyTarget)}
        alpn = HTTP_1 if upstream.name in asked else ()
        return Trust(tls, read, UpstreamTlsContext(tls, material=read, alpn=alpn))

    def _members(self, material: Material, upstream: Upstream, trust: Trust | None) -> UpstreamMembers:
        servers = list(servers_of(material, upstream))
        return UpstreamMembers(
            upstream,
            Group(servers, upstream.balance, self.random, self.places, name=upstream.name),
            trust.context if trust is not None else None,
            IdleConnections(self.wheel, upstream.keepalive, upstream.keepalive_timeout),
            Bindings(material.sticky_key) if upstream.sticky is not None else None,
            any(is_awaited(material, upstream, server) for server in upstream.servers),
        )


def adopt(before: Plan, staged: Plan, now: float) -> Plan:
    """Make ``staged`` the plan: what goes on of ``before`` keeps its objects, and with them its counts and pools.

    Servers that are added at ``now`` have their slow start.
    """
    listeners = {}
    for name, listener in staged.listeners.items():
        kept = before.listeners.get(name)
        if kept is not None:
            kept.listener, kept.routes = listener.listener, listener.routes
            kept.names, kept.trusted, kept.sni = listener.names, listener.trusted, listener.sni
        listeners[name] = kept or listener
    upstreams = {}
    for name, members in staged.upstreams.items():
        known = before.upstreams.get(name)
        if known is not None:
            _change(known, members, now)
        upstreams[name] = known or members
    for name, members in before.upstreams.items():
        if name not in staged.upstreams:
            members.idle.close()
    return replace(staged, listeners=listeners, upstreams=upstreams)


def _change(known: UpstreamMembers, staged: UpstreamMembers, now: float) -> None:
    """Take the options of ``staged`` over into members whose states and idle connections go on."""
    options = staged.options
    if known.tls is not staged.tls:
        known.idle.close()
    known.idle.reconfigure(options.keepalive, options.keepalive_timeout)
    gone = {str(state.server) for state in known.group.states}
    known.group.reconfigure([state.server for state in staged.group.states], options.balance, now)
    for server in gone - {str(state.server) for state in known.group.states}:
        known.idle.forget(server)
    known.options, known.tls, known.bindings = options, staged.tls, staged.bindings
    known.awaited = staged.awaited


def servers_of(material: Material, upstream: Upstream) -> Iterator[Server]:
    """The servers of an upstream as they are now: names, files and SRV records give any number of them."""
    for server in upstream.servers:
        yield from _resolved(material, upstream, server)


def _resolved(material: Material, upstream: Upstream, server: Server) -> Iterator[Server]:
    """One server for each address of a name, as nginx does it."""
    address = server.address
    if server.srv or server.file:
        yield from material.found.get(source_key(upstream.name, server), ())
        return
    if not is_name(server):
        yield server
        return
    for host in material.resolved.get(str(address), ()):
        yield replace(server, address=Address(host, address.port), name=address.host)


def _prepare_relays(routes: tuple[Route, ...]) -> None:
    """Load autobahn and the hooks where a route needs them, once and before a fork; it takes a tenth of a second."""
    for route in routes:
        if route.websocket is RelayKind.MESSAGES:
            from wsgate.relay.messages import prepare

            prepare(route)


def _responders(routes: tuple[Route, ...], before: Plan | None) -> Iterator[tuple[str, Responder]]:
    """What answers by itself; one whose route has the same target keeps what it has learnt of its files."""
    targets = {route.name: route.target for route in before.config.routes} if before else {}
    for route in routes:
        target = route.target
        if before is not None and targets.get(route.name) == target and route.name in before.responders:
            yield route.name, before.responders[route.name]
        elif isinstance(target, StaticTarget):
            yield route.name, StaticSite(target.root, target.index, target.max_age)
        elif isinstance(target, RedirectTarget):
            yield route.name, Redirect(target)
        elif isinstance(target, RespondTarget):
            yield route.name, Respond(target)


def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a name in the system's order, each once.  Blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
