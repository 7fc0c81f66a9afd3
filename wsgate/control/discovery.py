"""Servers that are found while the gateway runs: names asked again, SRV records, files that are watched.

The last good answer stays until there is a better one, and a server that an answer leaves out stays for a while: some
name servers tell of others each time.  What has changed is handed to ``publish`` and goes to all
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
from wsgate.control.fading import Fading
from wsgate.control.material import Material, is_awaited, is_name, source_key
from wsgate.control.names import Found, Names, Service
from wsgate.control.server_file import read_servers, stamp

_log = Logger("wsgate.control")

#: Bounds of a TTL that is heeded, in seconds, and the wait after an answer that could not be used.
SHORTEST, LONGEST, AGAIN = 5.0, 3600.0, 5.0

#: Seconds for which a server stays that is not in an answer any more; less where names are asked for more often.
HOLD = 30.0

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
                if server.srv or server.file or upstream.resolve and is_name(server):
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
        self._fading = Fading()

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
        elif self._upstream.resolve > 0 and not self._owner._material().config.gateway.resolver:
            done = self._owner.names().system_addresses(server.address.host).addCallback(self._heard_addresses)
        else:
            done = self._owner.names().addresses(server.address.host).addCallback(self._heard_addresses)
        done.addErrback(self._failed).addCallback(self._through)

    def _through(self, delay: float) -> None:
        self.later(delay)

    def _failed(self, failure: Failure) -> float:
        wrong = failure.getErrorMessage() or str(failure.type)
        is_unknown = is_awaited(self._owner._material(), self._upstream, self._server)
        if wrong != self._wrong:
            self._wrong = wrong
            text = "upstream {upstream}: {server}: {wrong}; " + (
                "there is no server from there" if is_unknown else "what was known goes on"
            )
            _log.warn(text, upstream=self._upstream.name, server=str(self._server), wrong=wrong)
        if is_unknown and not self._stopped:
            # Whoever waits for the first answer need not wait any longer.
            self._publish((), ())
        if self._server.file:
            return LOOK
        return min(AGAIN, self._upstream.resolve) if self._upstream.resolve > 0 else AGAIN

    def _publish(self, addresses: tuple[str, ...], servers: tuple[Server, ...]) -> None:
        if self._server.srv or self._server.file:
            self._owner._publish({}, {source_key(self._upstream.name, self._server): servers})
        else:
            self._owner._publish({str(self._server.address): addresses}, {})

    def _pause(self, ttl: float) -> float:
        """The interval that is configured, or the time for which the answer holds."""
        every = self._upstream.resolve
        return every if every > 0 else min(LONGEST, max(SHORTEST, ttl))

    def _heard_addresses(self, found: Found) -> float:
        self._wrong = ""
        known = self._owner._material().resolved.get(str(self._server.address), ())
        pause = self._pause(found.ttl)
        stay = self._fading.stay(known, found.addresses, self._owner._reactor.seconds(), min(HOLD, 3 * pause))
        # Those that stay keep their places: the order of an answer changes with each.
        new = tuple(address for address in found.addresses if address not in known)
        if not self._stopped and (*stay, *new) != known:
            self._publish((*stay, *new), ())
        return min(pause, HOLD) if self._fading else pause

    def _heard_services(self, heard: tuple[tuple[Service, ...], float]) -> float:
        services, ttl = heard
        self._wrong = ""
        first = min(service.priority for service in services)
        found = {str(server): server for service in services for server in self._of_service(service, first)}
        key = source_key(self._upstream.name, self._server)
        known = {str(server): server for server in self._owner._material().found.get(key, ())}
        pause = self._pause(ttl)
        stay = self._fading.stay(tuple(known), tuple(found), self._owner._reactor.seconds(), min(HOLD, 3 * pause))
        self._tell(tuple(({**known, **found})[name] for name in dict.fromkeys((*stay, *found))))
        return min(pause, HOLD) if self._fading else pause

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
            self._publish((), unique)
