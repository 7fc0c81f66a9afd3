"""Routes for the tests of the routing room: only what routing reads is worth naming."""

from __future__ import annotations

import re
from pathlib import Path

from wsgate.config.model import (
    PathKind,
    PathPattern,
    ProxyTarget,
    RelayKind,
    RelayLimits,
    Route,
    StaticTarget,
    Target,
)

PROXY = ProxyTarget(upstream="u")
STATIC = StaticTarget(root=Path("/srv"), index=("index.html",), max_age=0.0)
LIMITS = RelayLimits(
    max_frame=0,
    max_message=0,
    max_fragments=0,
    control_rate=0,
    control_burst=0,
    messages_per_second=0,
    messages_burst=0,
    bytes_per_second=0,
    bytes_burst=0,
    limit_action="close",
    validate_utf8=False,
    ping_interval=0,
    ping_timeout=0,
    idle_timeout=0,
    max_age=0,
    max_age_jitter=0,
    close_timeout=0,
    slow_consumer_timeout=0,
    buffer=0,
)


def pattern(text: str) -> PathPattern:
    """``= /x``, ``^~ /x``, ``~ expression``, ``~* expression`` or a prefix, as the INI writes them."""
    modifier, _, rest = text.rpartition(" ")
    kind = PathKind(modifier)
    if kind in (PathKind.REGEX, PathKind.REGEX_CASELESS):
        return PathPattern(kind, rest, re.compile(rest, re.IGNORECASE if kind is PathKind.REGEX_CASELESS else 0))
    return PathPattern(kind, rest)


def route(
    path: str,
    name: str = "",
    *,
    hosts: tuple[str, ...] = (),
    listeners: tuple[str, ...] = (),
    target: Target = PROXY,
    strip_prefix: bool = False,
    rewrite: str = "",
) -> Route:
    return Route(
        name=name or path,
        listeners=listeners,
        hosts=hosts,
        path=pattern(path),
        target=target,
        websocket=RelayKind.FRAMES,
        strip_prefix=strip_prefix,
        rewrite=rewrite,
        methods=(),
        origins=(),
        extensions="pass",
        compression="off",
        on_message="",
        encoded_slash="refuse",
        max_body=0,
        limits=LIMITS,
    )
