"""What is measured: one table of cases, each with the gateways that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from bench.place import RELAYS

IDLE_CONNECTIONS = 2000
GROWTH = (10, 1000, 9000)


class Unit(Enum):
    """What the cost of a case is counted in, and its rate."""

    MESSAGE = ("us/message", "messages/s")
    CONNECTION = ("us/connection", "connections/s")
    GIGABYTE = ("s/GB", "MB/s")
    REQUEST = ("us/request", "requests/s")
    FRAME = ("us/frame", "frames/s")
    IDLE = ("kB/connection", "")

    @property
    def cost(self) -> str:
        return self.value[0]

    @property
    def rate(self) -> str:
        return self.value[1]


class Load(Enum):
    """Who makes the load: ``bench/loads.py`` has the function for each."""

    GWBENCH = "gwbench"
    WRK = "wrk"
    S_TIME = "openssl"
    SCANNER = "scanner"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is measured: a gateway, and the relay of its route where it has several."""

    gateway: str
    relay: str = ""

    def __str__(self) -> str:
        return f"{self.gateway} {self.relay}".rstrip()


@dataclass(frozen=True, slots=True)
class Case:
    """One case.  ``listener`` is the port of the gateway; ``path`` has ``{relay}`` where the subject's relay goes.

    ``fresh`` cases have a process that has served nothing yet; ``workers`` are the gateway's.
    """

    group: str
    name: str
    unit: Unit
    listener: str
    arguments: tuple[str, ...]
    subjects: tuple[Subject, ...]
    path: str = ""
    load: Load = Load.GWBENCH
    fresh: bool = False
    workers: int = 1
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def tls(self) -> bool:
        return self.listener in {"l4tls", "l4tlspush", "httptls"}

    @property
    def key(self) -> str:
        """Its name in results and choices: group and name."""
        return f"{self.group}: {self.name}"

    def route(self, subject: Subject) -> str:
        """The path to ask for."""
        return self.path.format(relay=subject.relay or RELAYS[0])


_ONE = ("-c", "1", "-s", "128")
_MANY = ("-c", "50", "-w", "4", "-s", "128")
_LARGE = ("-c", "4", "-w", "2", "-s", "65536")
_PULL = ("--mode", "pull", "-c", "4")
_CONNECT = ("--mode", "connect", "-c", "8", "-s", "16")
_IDLE = ("--mode", "idle", "-c", str(IDLE_CONNECTIONS))
# A process for each connection is too much for a machine two thousand times, and proxy.py does not take so many.
_FEWER = {"websockify": ("--mode", "idle", "-c", "50"), "proxy.py": ("--mode", "idle", "-c", "300")}

_NGINX, _HAPROXY, _WSGATE, _TWISTED = (Subject(name) for name in ("nginx", "haproxy", "wsgate", "twisted"))
_WEBSOCKIFY, _PROXY_PY = Subject("websockify"), Subject("proxy.py")
_OWN_RELAYS = tuple(Subject("wsgate", relay) for relay in RELAYS)
_FRAMES = _OWN_RELAYS[0]

_BYTES = (_NGINX, _HAPROXY, _WSGATE, _TWISTED)
_WEBSOCKETS = (_NGINX, _HAPROXY, *_OWN_RELAYS, _WEBSOCKIFY, _PROXY_PY)
_WEBSOCKETS_TLS = (_NGINX, _HAPROXY, *_OWN_RELAYS, _WEBSOCKIFY)


def _traffic(group: str, listener: str, push: str, path: str, subjects: tuple[Subject, ...]) -> Iterator[Case]:
    """Messages, bulk and connections; websockify's servers speak no WebSocket, so nothing of theirs can be pulled."""
    pulled = tuple(subject for subject in subjects if subject not in {_WEBSOCKIFY, _PROXY_PY})
    yield Case(group, "echo 128 B, 1 connection", Unit.MESSAGE, listener, _ONE, subjects, path)
    yield Case(group, "echo 128 B, 50 connections, 4 in flight", Unit.MESSAGE, listener, _MANY, subjects, path)
    yield Case(group, "echo 64 KiB, 4 connections, 2 in flight", Unit.MESSAGE, listener, _LARGE, subjects, path)
    yield Case(group, "pull, 4 connections", Unit.GIGABYTE, push, _PULL, pulled, path and f"{path}-push")
    yield Case(group, "connect, echo 16 B, close", Unit.CONNECTION, listener, _CONNECT, subjects, path)


def _handshakes() -> Iterator[Case]:
    """openssl s_time, one connection after the other, then both kinds with a dial and an echo behind."""
    group, three = "TLS handshakes", (_NGINX, _HAPROXY, _WSGATE)
    full, again = ("-new",), ("-reuse",)
    yield Case(group, "full", Unit.CONNECTION, "httptls", full, three, load=Load.S_TIME)
    yield Case(group, "full, then 204", Unit.CONNECTION, "httptls", full, three, "/empty", Load.S_TIME)
    yield Case(group, "resumed, then 204", Unit.CONNECTION, "httptls", again, three, "/empty", Load.S_TIME)
    resume = (*_CONNECT, "--resume")
    yield Case(group, "resumed at Layer 4, echo 16 B, close", Unit.CONNECTION, "l4tls", resume, _BYTES)


def _requests() -> Iterator[Case]:
    group, kept = "HTTP", ("-t", "1", "-c", "16")
    yield Case(group, "static 1 KiB", Unit.REQUEST, "http", kept, (_NGINX, _WSGATE), "/files/1k.txt", Load.WRK)
    # proxy.py does not answer the second request of a connection.
    yield Case(group, "proxied 1 KiB", Unit.REQUEST, "http", kept, (_NGINX, _HAPROXY, _WSGATE), "/proxied", Load.WRK)


def _idle() -> Iterator[Case]:
    group = f"Memory of {IDLE_CONNECTIONS:,} idle connections"
    for name, listener, path, subjects in (
        ("Layer 4", "l4", "", _BYTES),
        ("Layer 4 over TLS", "l4tls", "", _BYTES),
        ("WebSocket", "http", "/{relay}", _WEBSOCKETS),
        ("WebSocket over TLS", "httptls", "/{relay}", _WEBSOCKETS_TLS),
    ):
        yield Case(group, name, Unit.IDLE, listener, _IDLE, subjects, path, fresh=True, instead=_FEWER)


def _growth() -> Iterator[Case]:
    subjects = (_NGINX, _HAPROXY, _FRAMES)
    for count in GROWTH:
        load = ("-c", str(count), "-s", "128", "-w", "1", "--rotate", str(GROWTH[0]))
        yield Case("Growth", f"{count:,} connections", Unit.MESSAGE, "http", load, subjects, "/{relay}", fresh=True)


def _two_workers() -> Iterator[Case]:
    group, three = "Two workers, two cores", (_NGINX, _HAPROXY, _WSGATE)
    websocket = (_NGINX, _HAPROXY, _FRAMES)
    yield Case(group, "Layer 4 echo", Unit.MESSAGE, "l4", _MANY, three, fresh=True, workers=2)
    yield Case(group, "WebSocket echo", Unit.MESSAGE, "http", _MANY, websocket, "/{relay}", fresh=True, workers=2)
    yield Case(
        group, "WebSocket connect", Unit.CONNECTION, "http", _CONNECT, websocket, "/{relay}", fresh=True, workers=2
    )


def all_cases() -> list[Case]:
    """Every case, in the order of the table."""
    scanner = Case("Scanner", "128 B frame", Unit.FRAME, "", (), (_FRAMES,), load=Load.SCANNER)
    return [
        *_traffic("Layer 4", "l4", "l4push", "", _BYTES),
        *_traffic("Layer 4 over TLS", "l4tls", "l4tlspush", "", _BYTES),
        *_traffic("WebSocket", "http", "http", "/{relay}", _WEBSOCKETS),
        *_traffic("WebSocket over TLS", "httptls", "httptls", "/{relay}", _WEBSOCKETS_TLS),
        *_handshakes(),
        *_requests(),
        *_idle(),
        *_growth(),
        *_two_workers(),
        scanner,
    ]


def chosen(patterns: Sequence[str]) -> list[Case]:
    """The cases whose ``key`` matches one of the patterns (``WebSocket: *``), whatever their case."""
    found = all_cases()
    lowered = [pattern.lower() for pattern in patterns]
    return [case for case in found if any(fnmatchcase(case.key.lower(), pattern) for pattern in lowered)]
