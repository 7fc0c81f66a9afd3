"""Asking DNS without blocking: addresses and SRV records, with the time for which the answer holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from socket import AF_INET6, inet_ntop
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.names import client, dns, hosts, resolve

from wsgate.config.model import Address
from wsgate.errors import WsgateError

#: Seconds to wait for an answer, for each try.
TRIES = (1, 2, 4)

#: Addresses and records of one name that are used; more are a mistake, or somebody's answer for us.
MOST = 256

HOSTS = b"/etc/hosts"


class NoAnswer(WsgateError):
    """DNS has nothing to say that could be used."""


@dataclass(frozen=True, slots=True)
class Found:
    """Addresses of a name, IPv4 first, and for how many seconds they hold."""

    addresses: tuple[str, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record (RFC 2782) with the addresses of its target."""

    priority: int
    weight: int
    port: int
    target: str
    addresses: tuple[str, ...]


class Names:
    """Asks ``servers`` (of the system where there are none), and the hosts file before them."""

    def __init__(self, reactor: Any, servers: Sequence[Address] = ()) -> None:
        given = [(server.host, server.port) for server in servers]
        asked = (
            client.Resolver(servers=given, timeout=TRIES, reactor=reactor)
            if given
            else client.Resolver(resolv="/etc/resolv.conf", timeout=TRIES, reactor=reactor)
        )
        self._chain: Any = resolve.ResolverChain([hosts.Resolver(file=HOSTS), asked])
        self._dns: Any = asked

    def addresses(self, name: str) -> Deferred[Found]:
        """A and AAAA together; fails with NoAnswer where neither gives an address."""
        asked = [self._chain.lookupAddress(name), self._chain.lookupIPV6Address(name)]
        return DeferredList(asked, consumeErrors=True).addCallback(_addresses)

    def services(self, name: str) -> Deferred[tuple[tuple[Service, ...], float]]:
        """The SRV records of ``name``, with their targets' addresses; fails with NoAnswer where none can be used."""
        return self._dns.lookupService(name).addCallbacks(self._targets, _unanswered)  # type: ignore[no-any-return]

    def _targets(self, answer: tuple[Iterable[Any], Any, Any]) -> Deferred[tuple[tuple[Service, ...], float]]:
        records = [record for record in answer[0] if record.type == dns.SRV][:MOST]
        # A target of "." says that the service is not there (RFC 2782).
        records = [record for record in records if str(record.payload.target).rstrip(".")]
        if not records:
            raise NoAnswer("no SRV records")
        asked = [self.addresses(str(record.payload.target)) for record in records]
        found = DeferredList(asked, consumeErrors=True)
        return found.addCallback(lambda results: _services(records, results))


def _addresses(results: list[tuple[bool, Any]]) -> Found:
    found: list[str] = []
    ttls: list[int] = []
    for (done, answer), kind in zip(results, (dns.A, dns.AAAA), strict=True):
        for record in answer[0] if done else ():
            if record.type == kind:
                found.append(
                    record.payload.dottedQuad() if kind == dns.A else inet_ntop(AF_INET6, record.payload.address)
                )
                ttls.append(record.ttl)
    if not found:
        raise NoAnswer("no addresses")
    return Found(tuple(dict.fromkeys(found))[:MOST], float(min(ttls)))


def _services(records: list[Any], results: list[tuple[bool, Any]]) -> tuple[tuple[Service, ...], float]:
    services = []
    ttls = [float(record.ttl) for record in records]
    for record, (done, found) in zip(records, results, strict=True):
        if done:
            payload = record.payload
            target = str(payload.target).rstrip(".").lower()
            services.append(Service(payload.priority, payload.weight, payload.port, target, found.addresses))
            ttls.append(found.ttl)
    if not services:
        raise NoAnswer("no target of the SRV records has an address")
    return tuple(services), min(ttls)


def _unanswered(failure: Any) -> None:
    raise NoAnswer(failure.getErrorMessage() or failure.type.__name__)
