"""A ClientHello is read ahead of TLS: whole, in pieces, with more behind it, or not at all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
from twisted.logger import globalLogPublisher

from tests.doubles.hand_reactor import HandReactor
from tests.transport.leg_ends import HUBS, Peer
from wsgate.downstream.hello import NOT_TLS, SPEAK_TLS, HelloReading
from wsgate.transport.tcp import TcpLeg
from wsgate.wire.client_hello import ClientHello


def client_hello(name: str = "example.org") -> bytes:
    """What a stock client says first."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


class Reading:
    """A hello that is being read, and what was told of it."""

    def __init__(self, kind: str, initial: bytes = b"") -> None:
        self.reactor = HandReactor()
        self.hub = HUBS[kind](self.reactor)  # type: ignore[arg-type]
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        self.peer = Peer(theirs)
        self.found: list[tuple[ClientHello, bytes]] = []
        self.failed: list[tuple[str, bytes]] = []
        self.fails = False
        self.take: Callable[[], None] = self._stop
        self.hello = HelloReading(self.hub, self.sock, self._found, self._failed, initial)

    def _found(self, hello: ClientHello, read: bytes) -> None:
        self.found.append((hello, read))
        if self.fails:
            raise ZeroDivisionError
        self.take()

    def _stop(self) -> None:
        self.hello.stop()

    def _failed(self, why: str, read: bytes) -> None:
        self.failed.append((why, read))

    def turn(self) -> None:
        for _ in range(3):
            self.reactor.turn()

    def close(self) -> None:
        self.hello.stop()
        self.hub.close()
        self.sock.close()
        self.peer.close()


@pytest.fixture(params=sorted(HUBS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reading(kind: str) -> Iterator[Reading]:
    reading = Reading(kind)
    yield reading
    reading.close()


def test_a_hello_is_found(reading: Reading) -> None:
    data = client_hello()
    reading.peer.send(data)
    reading.turn()
    ((hello, read),) = reading.found
    assert hello.server_name == "example.org" and read == data
    assert not reading.failed


def test_a_hello_comes_byte_by_byte(reading: Reading) -> None:
    data = client_hello()
    for at in range(len(data) - 1):
        reading.peer.send(data[at : at + 1])
        reading.turn()
        assert not reading.found
    assert reading.hello.read == data[:-1]
    reading.peer.send(data[-1:])
    reading.turn()
    assert reading.found[0][1] == data


def test_what_comes_behind_a_hello_is_kept_with_it(reading: Reading) -> None:
    data = client_hello()
    reading.peer.send(data + b"early data")
    reading.turn()
    assert reading.found[0][1] == data + b"early data"


def test_what_was_read_before_counts(kind: str) -> None:
    data = client_hello()
    reading = Reading(kind, data[:20])
    assert not reading.found
    reading.turn()
    reading.peer.send(data[20:])
    reading.turn()
    assert reading.found[0][1] == data
    reading.close()


def test_a_hello_that_was_read_before_is_found_in_the_next_turn(kind: str) -> None:
    reading = Reading(kind, client_hello())
    assert not reading.found
    reading.turn()
    assert len(reading.found) == 1
    reading.close()


def test_one_that_is_stopped_before_its_turn_finds_nothing(kind: str) -> None:
    reading = Reading(kind, client_hello())
    reading.hello.stop()
    reading.turn()
    assert not reading.found and not reading.failed
    reading.close()


def test_a_leg_reads_on_behind_the_hello(reading: Reading) -> None:
    leg = TcpLeg(reading.hub, reading.sock)
    reading.take = lambda: reading.hello.give_to(leg)
    reading.peer.send(client_hello())
    reading.turn()
    leg.start()
    reading.peer.send(b"more")
    reading.turn()
    assert leg.received == 4 and len(reading.found) == 1
    leg.abortConnection()
    reading.turn()


def test_a_socket_that_is_stopped_has_left_the_hub(reading: Reading) -> None:
    reading.peer.send(client_hello())
    reading.turn()
    leg = TcpLeg(reading.hub, reading.sock)
    leg.start()
    reading.peer.send(b"more")
    reading.turn()
    assert leg.received == 4 and len(reading.found) == 1
    leg.abortConnection()
    reading.turn()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 600, b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x00"])
def test_what_is_no_hello_fails_with_what_was_read(reading: Reading, data: bytes) -> None:
    reading.peer.send(data)
    reading.turn()
    ((why, read),) = reading.failed
    assert read == data and why and not reading.found


def test_http_is_told_from_a_broken_hello(reading: Reading) -> None:
    reading.peer.send(b"GET / HTTP/1.1\r\n")
    reading.turn()
    assert reading.failed[0][0] == NOT_TLS


def test_the_answer_to_http_has_its_length() -> None:
    head, _, body = SPEAK_TLS.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head


@pytest.mark.parametrize("sent", [0, 30])
def test_a_client_that_leaves_fails_once(reading: Reading, sent: int) -> None:
    reading.peer.send(client_hello()[:sent])
    reading.peer.close()
    reading.turn()
    assert [why for why, _ in reading.failed] == ["the client left before its TLS hello"]


def test_a_fault_of_ours_takes_nobody_with_it(kind: str) -> None:
    reading, events = Reading(kind), []
    globalLogPublisher.addObserver(events.append)
    reading.fails = True
    reading.peer.send(client_hello())
    reading.turn()
    globalLogPublisher.removeObserver(events.append)
    assert events and [why for why, _ in reading.failed] == ["a fault of the gateway"]
    other, theirs = socket.socketpair()
    other.setblocking(False)
    leg = TcpLeg(reading.hub, other)
    leg.start()
    theirs.send(b"still served")
    reading.turn()
    assert leg.received == 12
    leg.abortConnection()
    theirs.close()
    reading.turn()
    reading.close()
