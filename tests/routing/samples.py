"""Routes for the tests of the routing room: only what routing reads is worth naming."""

from __future__ import annotations

import re
from pathlib import Path

from tests.doubles.relay_limits import NO_LIMITS
from wsgate.config.model import (
    PathKind,
    PathPattern,
    ProxyTarget,
    RelayKind,
    Route,
    StaticTarget,
    Target,
)

PROXY = ProxyTarget(upstream="u")
STATIC = StaticTarget(root=Path("/srv"), index=("index.html",), max_age=0.0)


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
        limits=NO_LIMITS,
    )
