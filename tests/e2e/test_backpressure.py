"""Peers that do not read: memory stays flat, the other side is held, nothing spins, and all of it comes back.

All relays are tried at once on one gateway, so that the bound holds for their sum.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.doubles.frames import BINARY, encode
from tests.doubles.peers import Script
from tests.doubles.raw import Wire
from tests.doubles.scripts import holds, upgrades
from tests.e2e.relay_site import LAYER_4, RelaySite, relay_site, steady, until_idle
from tests.e2e.shared_site import Backend

MiB = 1 << 20
GiB = 1 << 30
BOUND = 12 * MiB

#: Each relay, plain and over TLS.
WAYS = (*LAYER_4, ("web", "/big/"), ("web", "/tunnel/"), ("secure", "/big/"), ("secure", "/tunnel/"))

FRAME = encode(BINARY, bytes(65_000))
UNMASKED = encode(BINARY, bytes(65_000), mask=b"")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelaySite]:
    with relay_site(tmp_path_factory.mktemp("backpressure")) as site:
        yield site


@pytest.fixture
def site(shared: RelaySite) -> Iterator[RelaySite]:
    shared.app.begin()
    yield shared
    shared.end_test()
    shared.app.finish()


@pytest.fixture
def app(site: RelaySite) -> Backend:
    return site.app


class Pending:
    """Counts what senders got rid of, out of 1 GiB each."""

    def __init__(self) -> None:
        self.sent = 0
        self._lock = threading.Lock()

    def pour(self, wire: Wire, piece: bytes) -> None:
        """Send pieces until all is sent or nobody takes any more."""
        try:
            for _ in range(GiB // len(piece)):
                wire.send(piece)
                with self._lock:
                    self.sent += len(piece)
        except OSError:
            return


def speaks_either(then: Script) -> Script:
    """A WebSocket server where a request comes, and a plain one where none does."""

    def run(wire: Wire) -> None:
        first = wire.exactly(1)
        wire.unread[:0] = first
        if first == b"G":
            upgrades(then)(wire)
        else:
            wire.exactly(1)
            then(wire)

    return run


def joined(site: RelaySite) -> list[Wire]:
    """One client for each way, small windows on all."""
    clients = []
    for listener, path in WAYS:
        options = {} if "secure" in listener else {"receive_buffer": 4096}
        client = site.join(listener, path, **options)
        if not path:
            client.send(b"-")
        clients.append(client)
    return clients


def check_flat(site: RelaySite, before: int, pending: Pending) -> None:
    """Wait until nothing moves any more and no time is spent; memory has not grown."""
    until_idle(site.gateway, lambda: pending.sent, "number of bytes sent")
    assert pending.sent < GiB
    assert site.gateway.rss() - before < BOUND


def test_clients_that_never_read_cost_no_memory(site: RelaySite, app: Backend) -> None:
    """Row 9: a GiB is pending for each of six."""
    pending = Pending()
    app.runs(speaks_either(lambda wire: pending.pour(wire, UNMASKED)))
    before, sockets = site.gateway.rss(), site.sockets()
    clients = joined(site)
    check_flat(site, before, pending)
    assert len(app.taken) == len(WAYS)
    for client in clients:
        client.close()
    site.until_quiet(sockets)


def test_servers_that_never_read_cost_no_memory(site: RelaySite, app: Backend) -> None:
    """Row 10: the other way round."""
    pending = Pending()
    app.runs(speaks_either(holds))
    before, sockets = site.gateway.rss(), site.sockets()
    clients = joined(site)
    senders = [threading.Thread(target=pending.pour, args=(client, FRAME)) for client in clients]
    for sender in senders:
        sender.start()
    check_flat(site, before, pending)
    for client in clients:
        client.reset()
    for sender in senders:
        sender.join()
    site.until_quiet(sockets)


def test_who_reads_after_a_long_while_gets_everything(site: RelaySite, app: Backend) -> None:
    count = 24 * MiB // len(UNMASKED)

    def pours(wire: Wire) -> None:
        for _ in range(count):
            wire.send(UNMASKED)

    app.runs(speaks_either(pours))
    clients = joined(site)
    before = site.gateway.rss()
    for client in clients:
        for _ in range(count):
            assert client.exactly(len(UNMASKED)) == UNMASKED
    assert site.gateway.rss() - before < BOUND


def test_others_are_served_beside_those_who_do_not_read(site: RelaySite, app: Backend) -> None:
    pending = Pending()

    def pours_or_echoes(wire: Wire) -> None:
        if wire.unread[:2] == b"--":
            pending.pour(wire, UNMASKED)
        while data := wire.some():
            wire.send(data)

    app.runs(pours_or_echoes)
    for _ in range(8):
        site.connect("raw", receive_buffer=4096).send(b"--")
    steady(lambda: pending.sent, "number of bytes sent")
    for _ in range(20):
        client = site.connect("raw")
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
