"""What must be true between the sections of a configuration.  Adds to the findings, decides nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address

from wsgate.config import effects, tls_rules
from wsgate.config.build import TARGETS
from wsgate.config.model import Address, Config, Listener, Mode, PathKind, ProxyTarget, Route, Upstream
from wsgate.config.problems import Findings, unknown

_SUN_PATH = 107  # bytes of a unix socket's path, unix(7): 108 with the final zero


def check(config: Config, findings: Findings) -> None:
    """Check a whole configuration."""
    rules: tuple[Callable[[Config, Findings], None], ...] = (
        _listeners,
        _binds,
        _targets,
        _references,
        _paths,
        _same_routes,
        _upstreams,
        tls_rules.check,
        effects.check,
        _unused,
    )
    for rule in rules:
        rule(config, findings)


def _listeners(config: Config, findings: Findings) -> None:
    if not config.listeners:
        findings.at(0, "", "nothing would listen: it needs a [listener NAME] with bind = 127.0.0.1:8080, for example")
    for listener in config.listeners:
        place = ("listener", listener.name)
        if findings.is_bad(*place, "mode", "upstream"):
            continue
        if listener.mode is Mode.TCP and not listener.upstream and not _has_sni_route(listener, config):
            text = "needs upstream = NAME, or routes with sni: mode tcp tunnels every connection to an upstream"
            findings.problem(*place, "", text)
        if listener.mode is Mode.HTTP and listener.upstream:
            text = "mode http chooses by routes: name the upstream in a [route NAME], or set mode = tcp"
            findings.problem(*place, "upstream", text)
        if listener.proxy_protocol and not listener.proxy_trusted and not all(x.is_unix for x in listener.bind):
            text = "needs proxy_trusted = NETWORK, ...: the proxies that are believed; anybody can send a PROXY header"
            if not findings.is_bad(*place, "proxy_trusted"):
                findings.problem(*place, "proxy_protocol", text)


def _binds(config: Config, findings: Findings) -> None:
    """Two sockets on one address: the second could not be bound."""
    taken: list[tuple[Address, str]] = []
    for kind, name, address in _addresses(config):
        if findings.is_bad(kind, name, "bind"):
            continue
        for other, header in taken:
            if _collide(other, address):
                holder = header if other == address else f"{other} of {header}"
                text = f"{address} is taken by {holder}: choose another port or address"
                findings.problem(kind, name, "bind", text, item=str(address))
                break
        taken.append((address, f"[{kind} {name}]"))
        _socket_path(address, (kind, name, "bind"), findings)


def _addresses(config: Config) -> Iterator[tuple[str, str, Address]]:
    for listener in config.listeners:
        for address in listener.bind:
            yield "listener", listener.name, address
    for app in config.apps:
        yield "app", app.name, app.bind


def _collide(one: Address, two: Address) -> bool:
    """Whether both cannot be bound: the same address, or all addresses of a family beside one of it."""
    if one.is_unix or two.is_unix:
        return one == two
    first, second = ip_address(one.host), ip_address(two.host)
    if one.port != two.port or not one.port or first.version != second.version:
        return False
    return first == second or first.is_unspecified or second.is_unspecified


def _socket_path(address: Address, place: tuple[str, str, str], findings: Findings) -> None:
    length = len(address.path.encode(errors="surrogateescape"))
    if length > _SUN_PATH:
        text = f"the path of the socket, {address.path}, has {length} bytes: the system takes up to {_SUN_PATH}"
        findings.problem(*place, text)


def _targets(config: Config, findings: Findings) -> None:
    for route in config.routes:
        given = [option for option in TARGETS if findings.is_set("route", route.name, option)]
        if not given:
            text = f"needs a target: one of {', '.join(TARGETS)}, such as static = ../www"
            findings.problem("route", route.name, "", text)
        for option in given[1:]:
            text = f"a route has one target, and this one has {given[0]} too: keep one of them"
            findings.problem("route", route.name, option, text)


def _references(config: Config, findings: Findings) -> None:
    for listener in config.listeners:
        place = ("listener", listener.name)
        for name in listener.tls:
            _refer(place, "tls", "tls", name, config.tls, findings)
        if listener.upstream and listener.mode is Mode.TCP:
            _refer(place, "upstream", "upstream", listener.upstream, config.upstreams, findings)
    modes = {listener.name: listener.mode for listener in config.listeners}
    for route in config.routes:
        for name in route.listeners:
            if modes.get(name) is Mode.TCP and not findings.is_bad("route", route.name, "sni"):
                text = f"[listener {name}] has mode tcp, which reads no requests: only routes with sni are for it"
                findings.problem("route", route.name, "listener", text, item=name)
            else:
                _refer(("route", route.name), "listener", "listener", name, modes, findings)
        if isinstance(route.target, ProxyTarget):
            _refer(("route", route.name), "upstream", "upstream", route.target.upstream, config.upstreams, findings)


def _refer(
    place: tuple[str, str], option: str, kind: str, name: str, known: Collection[str], findings: Findings
) -> None:
    if name not in known:
        text = unknown(kind, name, known) if known else f"there is no [{kind} {name}]: add it"
        findings.problem(*place, option, text, item=name)


def _paths(config: Config, findings: Findings) -> None:
    for route in config.routes:
        given = [option for option in ("strip_prefix", "rewrite") if getattr(route, option)]
        if route.path.regex is not None:
            for option in given:
                text = f"a regular expression ({route.path}) matches no fixed part that could be replaced: use a prefix"
                findings.problem("route", route.name, option, text)
        elif len(given) > 1:
            text = "strip_prefix and rewrite both replace the matched part: keep one of them"
            findings.problem("route", route.name, "rewrite", text)


def _same_routes(config: Config, findings: Findings) -> None:
    """A second route for the same requests would never be used."""
    http = tuple(listener.name for listener in config.listeners if listener.mode is Mode.HTTP)
    first: dict[tuple[str, str, str, str], str] = {}
    for route in config.routes:
        if findings.is_bad("route", route.name, "listener", "host", "path"):
            continue
        others = {first.setdefault(key, route.name) for key in _requests(route, http)} - {route.name}
        for other in sorted(others):
            line = findings.line("route", other)
            text = f"[route {other}] in line {line} has the same path for the same host and listener: change one"
            findings.problem("route", route.name, "path", text)


def _requests(route: Route, http: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    # As in nginx, "/x" and "^~ /x" are one location: the modifier only changes what comes after the choice.
    kind = PathKind.PREFIX if route.path.kind is PathKind.PREFIX_FIRST else route.path.kind
    for listener in route.listeners or http:
        for host in route.hosts or ("",):
            yield listener, host, kind.value, route.path.text


def _upstreams(config: Config, findings: Findings) -> None:
    for upstream in config.upstreams.values():
        if findings.is_bad("upstream", upstream.name, "servers"):
            continue
        place = ("upstream", upstream.name, "servers")
        if all(server.backup for server in upstream.servers):
            findings.problem(*place, "every server is a backup: at least one must not be")
        _servers(upstream, place, findings)


def _servers(upstream: Upstream, place: tuple[str, str, str], findings: Findings) -> None:
    seen: set[str] = set()
    for server in upstream.servers:
        text = str(server)
        if text in seen:
            findings.problem(*place, f"{text} stands here twice: give it weight=2 instead", item=text)
        seen.add(text)
        if server.factory and upstream.tls is not None:
            findings.problem(*place, f"{text} is in this process, where tls = on has no meaning: take one away", text)
        _socket_path(server.address, place, findings)


def _unused(config: Config, findings: Findings) -> None:
    upstreams = {listener.upstream for listener in config.listeners}
    upstreams |= {route.target.upstream for route in config.routes if isinstance(route.target, ProxyTarget)}
    upstreams |= {route.upstream for route in config.sni_routes}
    tls = {name for listener in config.listeners for name in listener.tls}
    for kind, names, used in (("upstream", config.upstreams, upstreams), ("tls", config.tls, tls)):
        for name in names:
            if name not in used:
                findings.warn(kind, name, "", "is not used: nothing names it")
    for listener in config.listeners:
        if listener.mode is Mode.HTTP and not _has_route(listener, config):
            findings.warn("listener", listener.name, "", "has no route: every request would be answered with 404")


def _has_sni_route(listener: Listener, config: Config) -> bool:
    return any(listener.name in route.listeners for route in config.sni_routes)


def _has_route(listener: Listener, config: Config) -> bool:
    return any(not route.listeners or listener.name in route.listeners for route in config.routes)
