"""Servers that are found while the gateway runs: names asked again, SRV records, files that are watched.

The last good answer stays until there is a better one.  What has changed is handed to ``publish`` and goes to all
workers as a reload does, so that nothing is touched but the servers that came or went.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.config.model import Address, Server, Upstream
from wsgate.control.material import Material, is_ip, source_key
from wsgate.control.names import Found, Names, Service
from wsgate.control.server_file import read_servers, stamp

_log = Logger("wsgate.control")

#: Bounds of a TTL that is heeded, in seconds, and the wait after an answer that could not be used.
SHORTEST, LONGEST, AGAIN = 5.0, 3600.0, 5.0

#: Seconds between two looks at a file.
LOOK = 0.5

Resolved = Mapping[str, tuple[str, ...]]
Servers = Mapping[str, tuple[Server, ...]]


class Discovery:
    """Looks for the servers of ``material()`` from ``follow`` to ``stop``."""

    def __init__(
        self, reactor: Any, material: Callable[[], Material], publish: Callable[[Resolved, Servers], None]
    ) -> None:
        self._reactor = reactor
        self._material = material
        self._publish = publish
        self._names: tuple[object, Names] | None = None
        self._sources: dict[tuple[str, Server, Upstream], _Source] = {}

    def follow(self) -> None:
        """Look for what the configuration names now; what is looked for already goes on."""
        config = self._material().config
        wanted: dict[tuple[str, Server, Upstream], None] = {}
        for upstream in config.upstreams.values():
            for server in upstream.servers:
                if server.srv or server.file or upstream.resolve and _is_name(server):
                    wanted[upstream.name, server, upstream] = None
        for key in [key for key in self._sources if key not in wanted]:
            self._sources.pop(key).stop()
        for key in wanted:
            if key not in self._sources:
                self._sources[key] = source = _Source(self, key[2], key[1])
                source.later(0.0)

    def stop(self) -> None:
        for source in self._sources.values():
            source.stop()
        self._sources.clear()

    def names(self) -> Names:
        """Who is asked, as the configuration says now."""
        servers = self._material().config.gateway.resolver
        if self._names is None or self._names[0] != servers:
            self._names = servers, Names(self._reactor, servers)
        return self._names[1]


def _is_name(server: Server) -> bool:
    return not (server.factory or server.address.is_unix or is_ip(server.address.host))


class _Source:
    """One place where servers are found."""

    def __init__(self, owner: Discovery, upstream: Upstream, server: Server) -> None:
        self._owner = owner
        self._upstream = upstream
        self._server = server
        self._call: Any = None
        self._stopped = False
        self._wrong = ""
        self._stamp: object = ""

    def later(self, delay: float) -> None:
        if not self._stopped:
            self._call = self._owner._reactor.callLater(delay, self._look)

    def stop(self) -> None:
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _look(self) -> None:
        server = self._server
        if server.file:
            done = maybeDeferred(self._read, Path(server.file))
        elif server.srv:
            done = self._owner.names().services(server.srv).addCallback(self._heard_services)
        else:
            done = self._owner.names().addresses(server.address.host).addCallback(self._heard_addresses)
        done.addErrback(self._failed).addCallback(self._through)

    def _through(self, delay: float) -> None:
        self.later(delay)

    def _failed(self, failure: Failure) -> float:
        wrong = failure.getErrorMessage() or str(failure.type)
        if wrong != self._wrong:
            self._wrong = wrong
            text = "upstream {upstream}: {server}: {wrong}; what was known goes on"
            _log.warn(text, upstream=self._upstream.name, server=str(self._server), wrong=wrong)
        return LOOK if self._server.file else AGAIN

    def _pause(self, ttl: float) -> float:
        """The interval that is configured, or the time for which the answer holds."""
        self._wrong = ""
        every = self._upstream.resolve
        return every if every > 0 else min(LONGEST, max(SHORTEST, ttl))

    def _heard_addresses(self, found: Found) -> float:
        key = str(self._server.address)
        known = self._owner._material().resolved.get(key, ())
        if not self._stopped and set(found.addresses) != set(known):
            # Those that stay keep their places: the order of an answer changes with each.
            stay = tuple(address for address in known if address in found.addresses)
            new = tuple(address for address in found.addresses if address not in known)
            self._owner._publish({key: stay + new}, {})
        return self._pause(found.ttl)

    def _heard_services(self, heard: tuple[tuple[Service, ...], float]) -> float:
        services, ttl = heard
        first = min(service.priority for service in services)
        self._tell(tuple(server for service in services for server in self._of_service(service, first)))
        return self._pause(ttl)

    def _of_service(self, service: Service, first: int) -> list[Server]:
        """Those of the lowest priority serve, the others are their backup; weight 0 is for who has nothing better."""
        template = replace(
            self._server,
            srv="",
            name=service.target,
            weight=max(1, service.weight),
            backup=self._server.backup or service.priority > first,
        )
        return [replace(template, address=Address(host, service.port)) for host in service.addresses]

    def _read(self, path: Path) -> float:
        now = stamp(path)
        if now != self._stamp:
            servers = read_servers(path)
            self._stamp, self._wrong = now, ""
            self._tell(servers)
        return LOOK

    def _tell(self, servers: tuple[Server, ...]) -> None:
        key = source_key(self._upstream.name, self._server)
        known = self._owner._material().found.get(key, ())
        unique = tuple({str(server): server for server in servers}.values())
        if not self._stopped and sorted(unique, key=str) != sorted(known, key=str):
            self._owner._publish({}, {key: unique})
