"""What must be true of TLS between sections: routes by ``sni``, and client certificates."""

from __future__ import annotations

from collections.abc import Iterator

from wsgate.config.model import Config, Listener, Mode, Route, SniRoute, TlsOptions
from wsgate.config.options import of_section
from wsgate.config.problems import Findings, unknown

_SNI_OPTIONS = frozenset({"listener", "sni", "alpn", "tls", "upstream"})


def check(config: Config, findings: Findings) -> None:
    """Add what is wrong to the findings."""
    for route in config.sni_routes:
        _sni_route(route, config, findings)
    _same_names(config, findings)
    for name, tls in config.tls.items():
        if tls.client_auth != "off" and tls.client_ca is None and not findings.is_bad("tls", name, "client_ca"):
            text = f"client_auth = {tls.client_auth} needs client_ca = FILE: the authorities that sign the certificates"
            findings.problem("tls", name, "client_auth", text)
        if tls.certificate == "acme" and not findings.is_bad("tls", name, "names"):
            _acme(tls, config, findings)
    for http_route in config.routes:
        _client_certs(http_route, config, findings)


def _acme(tls: TlsOptions, config: Config, findings: Findings) -> None:
    if not tls.names:
        findings.problem("tls", tls.name, "certificate", "acme needs names = example.org: what the certificate is for")
    for name in tls.names:
        if name.startswith("*.") or ":" in name or name.rpartition(".")[2].isdigit():
            text = f"{name}: acme gives certificates for single host names here, no wildcards and no addresses"
            findings.problem("tls", tls.name, "names", text, item=name)
    plain = any(listener.mode is Mode.HTTP and not listener.tls for listener in config.listeners)
    if tls.acme_challenge == "http-01" and not plain:
        text = "http-01 asks on port 80: it needs a [listener NAME] of mode http without tls, or choose tls-alpn-01"
        findings.problem("tls", tls.name, "acme_challenge", text)


def _sni_route(route: SniRoute, config: Config, findings: Findings) -> None:
    place = ("route", route.name)
    for option in of_section("route"):
        if option not in _SNI_OPTIONS and findings.is_set(*place, option):
            findings.problem(*place, option, "has no effect with sni, which chooses before any request is read")
    if not route.upstream:
        findings.problem(*place, "", "needs upstream = NAME: a connection chosen by sni is tunnelled to an upstream")
    elif route.upstream not in config.upstreams:
        text = unknown("upstream", route.upstream, config.upstreams)
        findings.problem(*place, "upstream", text, item=route.upstream)
    if "none" in route.sni and (route.terminate or route.alpn):
        option = "tls" if route.terminate else "alpn"
        findings.problem(*place, option, "sni = none is for clients without TLS: give them a route of their own")
    if not route.listeners:
        findings.problem(*place, "", "needs listener = NAME: a route with sni holds for the listeners that it names")
    listeners = {listener.name: listener for listener in config.listeners}
    for name in route.listeners:
        if name in listeners:
            _on_listener(route, listeners[name], findings)
        else:
            findings.problem(*place, "listener", unknown("listener", name, listeners), item=name)


def _on_listener(route: SniRoute, listener: Listener, findings: Findings) -> None:
    place, name = ("route", route.name), listener.name
    if route.terminate and not listener.tls:
        text = f"[listener {name}] has no certificate to end TLS with: give it tls = NAME, or let TLS pass"
        findings.problem(*place, "tls", text)
    if listener.mode is Mode.HTTP and not listener.tls:
        text = f"[listener {name}] speaks plain HTTP, where no TLS hello comes: give it tls = NAME, or mode = tcp"
        findings.problem(*place, "listener", text, item=name)
    elif listener.mode is Mode.HTTP and (route.terminate or "none" in route.sni):
        option = "tls" if route.terminate else "sni"
        text = f"[listener {name}] has mode http: there only TLS that passes through is chosen by sni"
        findings.problem(*place, option, text)


def _same_names(config: Config, findings: Findings) -> None:
    """A second route for the same hellos would never be used."""
    first: dict[tuple[str, str], SniRoute] = {}
    for route in config.sni_routes:
        for key in _hellos(route):
            other = first.setdefault(key, route)
            if other is not route and (not other.alpn or set(route.alpn) & set(other.alpn)):
                line = findings.line("route", other.name)
                text = f"[route {other.name}] in line {line} takes {key[1]} on listener {key[0]} before it: change one"
                findings.problem("route", route.name, "sni", text, item=key[1])


def _hellos(route: SniRoute) -> Iterator[tuple[str, str]]:
    for listener in route.listeners:
        for name in route.sni:
            yield listener, name


def _client_certs(route: Route, config: Config, findings: Findings) -> None:
    """A route that no client can pass is a mistake."""
    if not route.client_certs:
        return
    asking = {
        listener.name
        for listener in config.listeners
        if any(name in config.tls and config.tls[name].client_auth != "off" for name in listener.tls)
    }
    if not asking & set(route.listeners or asking):
        text = "nobody could pass: none of its listeners has a tls section with client_auth = optional or require"
        findings.problem("route", route.name, "client_certs", text)
