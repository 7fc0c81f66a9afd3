"""From parsed values, one mapping of option to value a section, to the frozen values of the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsgate.config.model import (
    Address,
    App,
    GatewayOptions,
    Listener,
    Mode,
    ProxyTarget,
    RelayKind,
    RelayLimits,
    RespondTarget,
    Route,
    Server,
    SniRoute,
    StaticTarget,
    Target,
    TlsOptions,
    Upstream,
    UpstreamTls,
)
from wsgate.config.options import LIMITS

Values = Mapping[str, Any]
SELF_SIGNED = "self-signed"
#: Certificates whose files the gateway makes itself.
MADE_HERE = (SELF_SIGNED, "acme")
TARGETS = ("upstream", "static", "redirect", "respond")
SNI = ("sni", "alpn", "tls")


def anchored(value: Any, base: Path) -> Any:
    """The value with every relative path in it made absolute below ``base``."""
    match value:
        case Path():
            return Path(os.path.normpath(base / value))
        case Address(path=path) if path:
            return Address(path=os.path.normpath(base / path))
        case Server(address=address, file=file):
            path = os.path.normpath(base / file) if file else ""
            return replace(value, address=anchored(address, base), file=path)
        case tuple():
            return tuple(anchored(item, base) for item in value)
        case _:
            return value


def gateway(values: Values) -> GatewayOptions:
    """The ``[gateway]`` section."""
    return GatewayOptions(**{**values, "access_log": str(values["access_log"])})


def listener(name: str, values: Values) -> Listener:
    """A ``[listener NAME]`` section."""
    return Listener(name=name, **{**values, "mode": Mode(values["mode"])})


def tls(name: str, values: Values) -> TlsOptions:
    """A ``[tls NAME]`` section; the key is in the certificate's file where no other is named."""
    certificate = values["certificate"]
    key = values["key"] if certificate in MADE_HERE or values["key"] else Path(certificate)
    return TlsOptions(name=name, **{**values, "certificate": str(certificate), "key": key})


def route(name: str, values: Values) -> Route:
    """A ``[route NAME]`` section."""
    apart = {*TARGETS, *LIMITS, *SNI, "listener", "host", "static_index", "static_max_age", "websocket"}
    return Route(
        name=name,
        listeners=values["listener"],
        hosts=values["host"],
        target=_target(values),
        websocket=RelayKind(values["websocket"]),
        limits=_limits(values),
        **{option: value for option, value in values.items() if option not in apart},
    )


def sni_route(name: str, values: Values) -> SniRoute:
    """A ``[route NAME]`` section with ``sni``."""
    terminate = values["tls"] == "terminate"
    return SniRoute(name, values["listener"], values["sni"], values["alpn"], terminate, values["upstream"])


def _target(values: Values) -> Target:
    if values["upstream"]:
        return ProxyTarget(values["upstream"])
    if values["static"]:
        return StaticTarget(values["static"], values["static_index"], values["static_max_age"])
    # The stand-in is only seen by further checks: a route without a target is a problem.
    return values["redirect"] or values["respond"] or RespondTarget(404, "")


def _limits(values: Values) -> RelayLimits:
    limits = {name: values[name] for name in LIMITS}
    for rated, burst in (
        ("messages_per_second", "messages_burst"),
        ("bytes_per_second", "bytes_burst"),
        ("control_rate", "control_burst"),
    ):
        rate = limits[rated]
        limits[rated] = float(rate)
        # A bucket must hold one whole message, however seldom messages are allowed.
        limits[burst] = float(limits[burst] or (max(rate, 1) if rate else 0))
    return RelayLimits(**limits)


def upstream(name: str, values: Values) -> Upstream:
    """An ``[upstream NAME]`` section."""
    security = UpstreamTls(
        **{option.removeprefix("tls_"): value for option, value in values.items() if option.startswith("tls_")}
    )
    rest = {option: value for option, value in values.items() if not option.startswith("tls")}
    return Upstream(name=name, tls=security if values["tls"] else None, **rest)


def app(name: str, values: Values) -> App:
    """An ``[app NAME]`` section."""
    return App(name, **values)
