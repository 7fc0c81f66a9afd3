"""A configuration in words: what would listen, and where it would go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from wsgate.config.model import (
    Config,
    Listener,
    Mode,
    ProxyTarget,
    RedirectTarget,
    RelayKind,
    RespondTarget,
    Route,
    Server,
    StaticTarget,
    TlsOptions,
    Upstream,
)
from wsgate.config.values import duration_text


def summary(config: Config) -> str:
    """Several lines for an operator: each listener with its routes, the upstreams, the demo servers, the warnings."""
    return "\n".join(_lines(config))


def _lines(config: Config) -> Iterator[str]:
    yield f"{config.source}: {_counts(config)}"
    told: dict[tuple[str, ...], str] = {}
    for listener in config.listeners:
        yield ""
        yield _listener(listener, config)
        by_name = _sni_routes(listener, config)
        yield from _rows(by_name)
        if listener.mode is Mode.TCP:
            if listener.upstream:
                yield f"  everything{' else' if by_name else ''} -> upstream {listener.upstream}"
            continue
        routes = tuple(_rows(_routes(listener, config)))
        same = told.setdefault(routes, listener.name)
        if same != listener.name:
            yield f"  the routes of {same}"
        else:
            yield from routes or ("  no route: 404 for every request",)
    if config.upstreams:
        yield ""
        yield "upstreams"
        yield from _rows([(upstream.name, _upstream(upstream)) for upstream in config.upstreams.values()], "  ")
    if config.apps:
        yield ""
        yield "demo servers"
        yield from _rows([(app.name, f"{app.kind} on {app.bind}") for app in config.apps], "  ")
    if config.warnings:
        yield ""
        yield from (f"warning: {warning}" for warning in config.warnings)


def _counts(config: Config) -> str:
    sizes = {
        "listener": len(config.listeners),
        "route": len(config.routes) + len(config.sni_routes),
        "upstream": len(config.upstreams),
        "demo server": len(config.apps),
    }
    return ", ".join(f"{size} {word}{'' if size == 1 else 's'}" for word, size in sizes.items() if size)


def _listener(listener: Listener, config: Config) -> str:
    layer = "Layer 4" if listener.mode is Mode.TCP else "Layer 7"
    scheme = {Mode.TCP: "tcp", Mode.HTTP: "http"}[listener.mode]
    if listener.tls:
        scheme = {Mode.TCP: "tls", Mode.HTTP: "https"}[listener.mode]
        certificates = "; ".join(_certificate(config.tls[name]) for name in listener.tls)
        layer = f"{layer}, {certificates}"
    return f"{listener.name}: {scheme} on {', '.join(map(str, listener.bind))} ({layer})"


def _certificate(tls: TlsOptions) -> str:
    names = f" for {', '.join(tls.names)}" if tls.names else ""
    clients = f", client certificates: {tls.client_auth}" if tls.client_auth != "off" else ""
    return f"certificate {tls.name}: {tls.certificate}{names}{clients}"


def _sni_routes(listener: Listener, config: Config) -> list[tuple[str, str]]:
    rows = []
    for route in config.sni_routes:
        if listener.name in route.listeners:
            end = "ends here" if route.terminate else "passes through"
            alpn = f" with {' or '.join(route.alpn)}" if route.alpn else ""
            rows += [
                (f"sni {name}{alpn}", f"upstream {route.upstream}{'' if name == 'none' else f', TLS {end}'}")
                for name in route.sni
            ]
    return rows


def _routes(listener: Listener, config: Config) -> list[tuple[str, str]]:
    routes = [route for route in config.routes if not route.listeners or listener.name in route.listeners]
    return [(f"{host}{route.path}", _target(route)) for route in routes for host in _hosts(route)]


def _hosts(route: Route) -> tuple[str, ...]:
    # A modifier stands apart from the host before it, a plain prefix joins it and reads like a URL.
    space = " " if route.path.kind.value else ""
    return tuple(f"[{host}]{space}" if ":" in host else f"{host}{space}" for host in route.hosts) or ("",)


def _target(route: Route) -> str:
    match route.target:
        case ProxyTarget(upstream=name):
            return f"upstream {name}, {_relay(route)}"
        case StaticTarget(root=root):
            return f"files in {root}"
        case RedirectTarget(status=status, location=location):
            return f"redirect {status} to {location}"
        case RespondTarget(status=status, text=text):
            return f"answer {status} {text}".rstrip()
        case other:
            assert_never(other)


def _relay(route: Route) -> str:
    if route.websocket is RelayKind.OFF:
        return "no WebSockets"
    return f"WebSockets by {route.websocket.value}"


def _upstream(upstream: Upstream) -> str:
    servers = ", ".join(map(_server, upstream.servers))
    if upstream.tls is None:
        return f"{upstream.balance}: {servers}"
    return f"{upstream.balance}, TLS{'' if upstream.tls.verify else ' unverified'}: {servers}"


def _server(server: Server) -> str:
    usual = Server(server.address)
    words = [str(server)]
    words += [
        f"{name}={getattr(server, name)}"
        for name in ("weight", "max_fails", "max_conns")
        if getattr(server, name) != getattr(usual, name)
    ]
    if server.fail_timeout != usual.fail_timeout:
        words.append(f"fail_timeout={duration_text(server.fail_timeout)}")
    words += [flag for flag in ("backup", "down") if getattr(server, flag)]
    return " ".join(words)


def _rows(rows: list[tuple[str, str]], arrow: str = " -> ") -> Iterator[str]:
    """Two columns, indented."""
    width = max((len(left) for left, _ in rows), default=0)
    return (f"  {left:{width}}{arrow}{right}" for left, right in rows)
