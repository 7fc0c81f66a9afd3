"""Options that would do nothing where they stand.

They are refused, because whoever sets a limit or a hook counts on it.  Switched off (``off`` or ``0``) they may stand
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wsgate.config.addresses import is_literal
from wsgate.config.build import MADE_HERE
from wsgate.config.model import Config, Mode, ProxyTarget, RelayKind, StaticTarget
from wsgate.config.options import LIMITS
from wsgate.config.problems import Findings


@dataclass(frozen=True, slots=True)
class Need:
    """``options`` of a kind of section work only where ``met`` says so of the section; ``words`` tells the operator
    what it takes.  ``on`` are the options that ``met`` looks at."""

    kind: str
    options: tuple[str, ...]
    words: str
    on: tuple[str, ...]
    met: Callable[[Any], bool]


_HOLD = ("hold_buffer", "hold_timeout", "replay")
_RELAY = ("on_server_loss", *_HOLD, "websocket", "origins", "extensions", "compression", "on_message", *LIMITS)
_MESSAGES = ("compression", "on_message")
_FRAMES = (
    *("max_frame", "max_message", "max_fragments", "validate_utf8", "ping_interval", "ping_timeout"),
    *("control_rate", "control_burst"),
    *("messages_per_second", "messages_burst", "bytes_per_second", "bytes_burst", "limit_action", "close_timeout"),
    *("max_age", "max_age_jitter", "slow_consumer_timeout", "buffer", "on_server_loss", *_HOLD),
)
_HTTP = (
    *("head_timeout", "body_timeout", "keepalive_timeout", "keepalive_requests", "max_head", "max_fields"),
    "trusted_proxies",
)

_ACME = ("acme_directory", "acme_email", "acme_ca", "acme_challenge")
_UPSTREAM_TLS = ("tls_verify", "tls_ca", "tls_server_name", "tls_certificate", "tls_key", "tls_alpn")

# Of several needs of one option the first that is not met is told.
NEEDS = (
    Need("listener", ("half_close", "idle_timeout"), "mode = tcp", ("mode",), lambda x: x.mode is Mode.TCP),
    Need("listener", _HTTP, "mode = http", ("mode",), lambda x: x.mode is Mode.HTTP),
    Need("listener", ("tls_timeout",), "tls = NAME", ("tls",), lambda x: bool(x.tls)),
    Need("listener", ("unix_mode",), "a unix: address in bind", ("bind",), lambda x: any(a.is_unix for a in x.bind)),
    Need("listener", ("unknown_names", "max_handshakes"), "tls = NAME", ("tls",), lambda x: bool(x.tls)),
    Need(
        "listener",
        ("proxy_trusted", "proxy_timeout"),
        "proxy_protocol = on",
        ("proxy_protocol",),
        lambda x: x.proxy_protocol,
    ),
    Need("tls", ("key",), "certificate = FILE", ("certificate",), lambda x: x.certificate not in MADE_HERE),
    Need("tls", ("ocsp",), "certificate = FILE", ("certificate",), lambda x: x.certificate not in MADE_HERE),
    Need(
        "tls",
        ("client_ca", "client_depth", "client_crl"),
        "client_auth = optional or require",
        ("client_auth",),
        lambda x: x.client_auth != "off",
    ),
    Need("tls", _ACME, "certificate = acme", ("certificate",), lambda x: x.certificate == "acme"),
    Need("tls", ("hsts_subdomains",), "hsts = 180d", ("hsts",), lambda x: x.hsts > 0),
    Need("route", ("alpn", "tls"), "sni = NAME", ("sni",), lambda x: False),
    Need(
        "route",
        ("static_index", "static_max_age"),
        "static = DIRECTORY",
        ("static",),
        lambda x: isinstance(x.target, StaticTarget),
    ),
    Need(
        "route",
        ("strip_prefix", "rewrite"),
        "upstream = NAME or static = DIRECTORY",
        ("upstream", "static"),
        lambda x: isinstance(x.target, ProxyTarget | StaticTarget),
    ),
    Need("route", _RELAY, "upstream = NAME", ("upstream",), lambda x: isinstance(x.target, ProxyTarget)),
    Need(
        "route",
        tuple(option for option in _RELAY if option not in ("websocket", "compression", "on_message")),
        "websocket = frames, messages or tunnel",
        ("websocket",),
        lambda x: x.websocket is not RelayKind.OFF,
    ),
    Need("route", _MESSAGES, "websocket = messages", ("websocket",), lambda x: x.websocket is RelayKind.MESSAGES),
    Need(
        "route",
        ("extensions",),
        "websocket = frames or tunnel (messages agrees on extensions itself)",
        ("websocket",),
        lambda x: x.websocket is not RelayKind.MESSAGES,
    ),
    Need(
        "route",
        _FRAMES,
        "websocket = frames or messages (tunnel sees no frames)",
        ("websocket",),
        lambda x: x.websocket is not RelayKind.TUNNEL,
    ),
    Need("route", _HOLD, "on_server_loss = hold", ("on_server_loss",), lambda x: x.on_server_loss == "hold"),
    Need("route", ("ping_timeout",), "ping_interval", ("ping_interval",), lambda x: x.limits.ping_interval > 0),
    Need("route", ("max_age_jitter",), "max_age", ("max_age",), lambda x: x.limits.max_age > 0),
    Need("route", ("control_burst",), "control_rate", ("control_rate",), lambda x: x.limits.control_rate > 0),
    Need(
        "route",
        ("messages_burst",),
        "messages_per_second",
        ("messages_per_second",),
        lambda x: x.limits.messages_per_second > 0,
    ),
    Need("route", ("bytes_burst",), "bytes_per_second", ("bytes_per_second",), lambda x: x.limits.bytes_per_second > 0),
    Need(
        "route",
        ("limit_action",),
        "messages_per_second or bytes_per_second",
        ("messages_per_second", "bytes_per_second"),
        lambda x: x.limits.messages_per_second > 0 or x.limits.bytes_per_second > 0,
    ),
    Need(
        "upstream",
        ("keepalive", "keepalive_timeout"),
        "proxy_protocol = off (a connection with a PROXY header belongs to one client)",
        ("proxy_protocol",),
        lambda x: x.proxy_protocol == "off",
    ),
    Need(
        "upstream",
        ("rebalance",),
        "balance = least_conn or random_two (the others send clients where they were, or anywhere)",
        ("balance",),
        lambda x: x.balance in ("least_conn", "random_two"),
    ),
    Need(
        "upstream",
        ("rebalance",),
        "sticky = off (a cookie leads clients back to the server that they left)",
        ("sticky",),
        lambda x: x.sticky is None,
    ),
    Need(
        "upstream",
        ("resolve",),
        "a server with a host name, or srv:",
        ("servers",),
        lambda x: any(y.srv or y.address.host and not is_literal(y.address.host) for y in x.servers),
    ),
    Need("upstream", _UPSTREAM_TLS, "tls = on", ("tls",), lambda x: x.tls is not None),
    Need(
        "upstream",
        ("tls_key",),
        "tls_certificate = FILE",
        ("tls_certificate",),
        lambda x: x.tls is None or x.tls.certificate is not None,
    ),
)


def check(config: Config, findings: Findings) -> None:
    """Find the options that have no effect."""
    sections: dict[str, Iterable[Any]] = {
        "listener": config.listeners,
        "tls": config.tls.values(),
        "route": config.routes,
        "upstream": config.upstreams.values(),
    }
    for kind, items in sections.items():
        for item in items:
            _check_section(kind, item, findings)


def _check_section(kind: str, item: Any, findings: Findings) -> None:
    told: set[str] = set()
    for need in NEEDS:
        if need.kind != kind or need.met(item) or findings.is_bad(kind, item.name, *need.on):
            continue
        for option in need.options:
            if option not in told and findings.is_set(kind, item.name, option):
                findings.problem(kind, item.name, option, f"has no effect without {need.words}")
                told.add(option)
