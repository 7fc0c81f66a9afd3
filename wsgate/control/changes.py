"""What a reload changes, in words; and what only a new process could change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from wsgate.config.model import Config
from wsgate.control.material import Material, source_key
from wsgate.control.whereabouts import OptionError


def changes(before: Material, after: Material) -> list[str]:
    """One line for each section that was added, removed or changed, with its options; empty: nothing is different."""
    lines = list(_options("[gateway]", before.config.gateway, after.config.gateway))
    for kind in ("listener", "tls", "route", "upstream", "app"):
        lines += _sections(kind, _named(before.config, kind), _named(after.config, kind))
    lines += _bytes("tls", before.tls, after.tls)
    lines += _bytes("upstream", before.upstream_tls, after.upstream_tls)
    names = after.resolved.keys() if before.config == after.config else before.resolved.keys() & after.resolved.keys()
    lines += [
        f"{name}: now {', '.join(after.resolved[name]) or 'no server'}"
        for name in sorted(names)
        if before.resolved.get(name) != after.resolved[name]
    ]
    lines += _found(before, after)
    return lines


def _found(before: Material, after: Material) -> Iterator[str]:
    """Which files and SRV records name other servers than before."""
    for name, upstream in after.config.upstreams.items():
        for server in upstream.servers:
            key = source_key(name, server)
            is_news = key in before.found or before.config == after.config
            if is_news and before.found.get(key) != after.found.get(key):
                now = ", ".join(map(str, after.found.get(key, ())))
                yield f"[upstream {name}] {server}: now {now or 'no server'}"


def fixed(before: Config, after: Config) -> list[str]:
    """What ``after`` asks for and a reload cannot do."""
    found = {}
    if before.gateway.state_dir != after.gateway.state_dir:
        found["state_dir"] = "state_dir cannot change while the gateway runs: start it anew"
    if (before.gateway.workers == 1) != (after.gateway.workers == 1):
        found["workers"] = "workers cannot change from or to 1 by a reload: wsgate upgrade does it"
    return [str(OptionError(after.source, "gateway", "", option, text)) for option, text in found.items()]


def _named(config: Config, kind: str) -> Mapping[str, Any]:
    sections: Any = {
        "listener": config.listeners,
        "tls": config.tls.values(),
        "route": (*config.routes, *config.sni_routes),
        "upstream": config.upstreams.values(),
        "app": config.apps,
    }[kind]
    return {section.name: section for section in sections}


def _sections(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in before:
        if name not in after:
            yield f"[{kind} {name}] removed"
    for name, section in after.items():
        if name not in before:
            yield f"[{kind} {name}] added"
        elif type(section) is not type(before[name]):
            yield f"[{kind} {name}] changed"
        else:
            yield from _options(f"[{kind} {name}]", before[name], section)


def _bytes(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Which files have other bytes than before; never the bytes."""
    for name in before.keys() & after.keys():
        one, two = before[name], after[name]
        other = [field.name for field in fields(one) if getattr(one, field.name) != getattr(two, field.name)]
        if other:
            yield f"[{kind} {name}] new bytes: {', '.join(other)}"


def _options(where: str, before: Any, after: Any) -> Iterator[str]:
    names = [field.name for field in fields(before) if getattr(before, field.name) != getattr(after, field.name)]
    if names:
        yield f"{where} changed: {', '.join(names)}"
