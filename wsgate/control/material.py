"""What is read and checked once, in the parent, before any process builds its plan from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from twisted.logger import Logger

from wsgate.config.model import Config, Server, Upstream
from wsgate.control.scopes import Scope
from wsgate.control.server_file import read_servers
from wsgate.control.sticky_key import sticky_key
from wsgate.control.whereabouts import OptionError
from wsgate.tls.material import TlsMaterial, UpstreamMaterial, read_upstream_material
from wsgate.tls.sections import read_materials

_log = Logger("wsgate.control")

Resolve = Callable[[str, int], list[str]]


class BuildError(OptionError):
    """A configuration that is right as text, but cannot be put to work."""


@dataclass(frozen=True, slots=True)
class Material:
    """A configuration with what the world said to it: files of keys and certificates read, names resolved.

    ``tls`` is by section, ``upstream_tls`` by upstream, ``resolved`` by ``host:port``.  ``slots`` number the counters
    of the shared board, ``drained`` is what takes nothing new, ``sticky_key`` signs cookies where an upstream has them.
    ``found`` are the servers of files and SRV records, by ``source_key``.
    """

    config: Config
    tls: Mapping[str, TlsMaterial]
    upstream_tls: Mapping[str, UpstreamMaterial]
    resolved: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, int] = field(default_factory=dict)
    drained: frozenset[Scope] = frozenset()
    sticky_key: bytes = b""
    found: Mapping[str, tuple[Server, ...]] = field(default_factory=dict)


def read_material(config: Config, resolve: Resolve, now: datetime, known: Material | None = None) -> Material:
    """Read files and resolve names; blocks.  ``now`` is aware of its time zone.

    ``known`` is what goes on meanwhile: what it knows of names and services holds where nobody can say it better.
    A self-signed certificate and the key of cookies are made here where there is none.  Raises BuildError,
    CertificateError or StickyKeyError.
    """
    is_sticky = any(upstream.sticky is not None for upstream in config.upstreams.values())
    key = sticky_key(config.gateway.state_dir) if is_sticky else b""
    resolved = dict(_resolved(config, resolve, known.resolved if known is not None else {}))
    found = {**(known.found if known is not None else {}), **_files(config)}
    return Material(config, *read_files(config, now), resolved, sticky_key=key, found=found)


def read_files(config: Config, now: datetime) -> tuple[dict[str, TlsMaterial], dict[str, UpstreamMaterial]]:
    """What the files of certificates and keys hold, for listeners and for upstreams.  Raises CertificateError."""
    upstreams = {upstream.name: upstream.tls for upstream in config.upstreams.values()}
    return (
        read_materials(config.listeners, config.tls, config.gateway.state_dir, now),
        {name: read_upstream_material(tls) for name, tls in upstreams.items() if tls is not None},
    )


def _resolved(
    config: Config, resolve: Resolve, known: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One entry for each name among the servers, as nginx does it at its start.

    Names that are asked for again are left to discovery: when it knows them already, and where other DNS servers than
    the system's are to be asked.
    """
    for upstream in config.upstreams.values():
        for address in (server.address for server in upstream.servers if is_name(server)):
            key = str(address)
            if upstream.resolve and (key in known or config.gateway.resolver):
                if key in known:
                    yield key, known[key]
                continue
            try:
                yield key, tuple(resolve(address.host, address.port))
            except OSError as error:
                why = error.strerror or str(error)
                if key in known:
                    _log.warn("{name} cannot be resolved: {why}; what was known goes on", name=key, why=why)
                    yield key, known[key]
                elif not upstream.resolve:
                    text = f"{address}: the name cannot be resolved: {why}"
                    raise BuildError(config.source, "upstream", upstream.name, "servers", text, address.host) from None


def _files(config: Config) -> dict[str, tuple[Server, ...]]:
    """What files say of servers; those of SRV records come when somebody can be asked."""
    return {
        source_key(upstream.name, server): read_servers(Path(server.file))
        for upstream in config.upstreams.values()
        for server in upstream.servers
        if server.file
    }


def source_key(upstream: str, server: Server) -> str:
    """What the servers of a file or of SRV records are kept under."""
    return f"{upstream}/{server}"


def is_awaited(material: Material, upstream: Upstream, server: Server) -> bool:
    """Whether nobody has said yet which servers ``server`` stands for."""
    if server.srv:
        return source_key(upstream.name, server) not in material.found
    return is_name(server) and str(server.address) not in material.resolved


def is_name(server: Server) -> bool:
    """Whether it is given by a host name."""
    return not (server.factory or server.srv or server.file or server.address.is_unix or is_ip(server.address.host))


def is_ip(host: str) -> bool:
    """Whether ``host`` is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
