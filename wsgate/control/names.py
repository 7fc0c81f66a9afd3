"""Asking for addresses without blocking: DNS, and for how long its answer holds; or the system as it is set up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from socket import AF_INET6, SOCK_STREAM, getaddrinfo, inet_ntop
from threading import Thread
from typing import Any

from twisted.internet import base, defer, udp
from twisted.internet.defer import Deferred, DeferredList
from twisted.names import client, dns, error, hosts, resolve
from twisted.python.failure import Failure

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


class _Port(udp.Port):
    """A port of Twisted's, but for the two lines in the log for each question."""

    fileno: Any

    def _bindSocket(self) -> None:
        self.socket = self.createInternetSocket()
        self.socket.bind((self.interface, self.port))
        self._realPortNumber = self.socket.getsockname()[1]
        self.fileno = self.socket.fileno
        self.connected = 1

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._realPortNumber = None
        base.BasePort.connectionLost(self, reason)
        self.protocol.doStop()
        self.socket.close()


class _Resolver(client.Resolver):
    """Twisted's, but silent: each question from a port of its own, which the kernel draws."""

    def _connectedProtocol(self, interface: str = "") -> dns.DNSDatagramProtocol:
        protocol = dns.DNSDatagramProtocol(self, reactor=self._reactor)
        protocol.noisy = False
        port: Any = _Port(0, protocol, interface, 8192, self._reactor)  # type: ignore[no-untyped-call]
        port.startListening()
        return protocol

    def messageReceived(self, message: object, protocol: object, address: object = None) -> None:
        """Whoever sends what nobody asked for fills no log."""


class Names:
    """Asks ``servers`` (of the system where there are none), and the hosts file before them."""

    def __init__(self, reactor: Any, servers: Sequence[Address] = (), tries: Sequence[float] = TRIES) -> None:
        given = [(server.host, server.port) for server in servers]
        where: dict[str, Any] = {"servers": given} if given else {"resolv": "/etc/resolv.conf"}
        asked: Any = _Resolver(timeout=tuple(tries), reactor=reactor, **where)  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._chain: Any = resolve.ResolverChain([hosts.Resolver(file=HOSTS), asked])
        self._dns: Any = asked

    def addresses(self, name: str) -> Deferred[Found]:
        """A and AAAA together; fails with NoAnswer where neither gives an address."""
        asked = [self._chain.lookupAddress(name), self._chain.lookupIPV6Address(name)]
        return DeferredList(asked, consumeErrors=True).addCallback(_addresses)

    def system_addresses(self, name: str) -> Deferred[Found]:
        """As every program of the system finds them, by its search list too; fails with NoAnswer.

        It blocks a thread, which is let go at the end of the process: nobody waits for a system that does not answer.
        """
        done: Deferred[Found] = Deferred()

        def look() -> None:
            result: Found | Failure
            try:
                entries = getaddrinfo(name, None, type=SOCK_STREAM)
                result = Found(tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))[:MOST], 0.0)
            except OSError as error:
                result = Failure(NoAnswer(error.strerror or str(error)))
            self._reactor.callFromThread(done.callback, result)

        Thread(target=look, name="names", daemon=True).start()
        return done

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
        whys = dict.fromkeys(_words(answer) for done, answer in results if not done)
        raise NoAnswer(", ".join(whys) or "no addresses")
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


def _unanswered(failure: Failure) -> None:
    raise NoAnswer(_words(failure))


_WORDS = (
    (error.DNSQueryTimeoutError, "DNS does not answer"),
    (defer.TimeoutError, "DNS does not answer"),
    (error.DNSNameError, "there is no such name"),
    (error.DomainError, "DNS does not know"),
    (error.DNSServerError, "the DNS server has failed"),
    (error.DNSQueryRefusedError, "the DNS server refuses"),
)


def _words(failure: Failure) -> str:
    for kind, words in _WORDS:
        if failure.check(kind):
            return words
    return failure.getErrorMessage() or str(failure.type)
