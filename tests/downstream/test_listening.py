"""Listening sockets: binding, accepting a few at a time, and bearing what the kernel and the process run out of."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.logger import globalLogPublisher

from tests.doubles.hand_reactor import HandReactor
from tests.transport.leg_ends import HUBS
from wsgate.config.model import Address
from wsgate.downstream.listening import BATCH, PAUSE, SILENCE, BindError, Listening, bind
from wsgate.transport.sockets import host_of, port_of
from wsgate.transport.wheel import TICK, TimerWheel


class Door:
    """A listening socket, whoever came in, and what was logged."""

    def __init__(self, sock: socket.socket, kind: str = "epoll") -> None:
        self.reactor = HandReactor()
        self.hub = HUBS[kind](self.reactor)  # type: ignore[arg-type]
        self.wheel = TimerWheel(self.reactor)  # type: ignore[arg-type]
        self.came: list[tuple[socket.socket, object]] = []
        self.then: Callable[[], object] = lambda: None
        self.events: list[dict[str, object]] = []
        self.listening = Listening(self.hub, self.wheel, sock, self._accepted)
        globalLogPublisher.addObserver(self.events.append)
        self._clients: list[socket.socket] = []

    def _accepted(self, sock: socket.socket, peer: object) -> None:
        self.then()
        self.came.append((sock, peer))

    def knock(self, count: int = 1) -> None:
        where = self.listening.sock.getsockname()
        for _ in range(count):
            client = socket.socket(self.listening.sock.family)
            self._clients.append(client)
            client.connect(where)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.reactor.advance(TICK)
            self.reactor.turn()

    def close(self) -> None:
        globalLogPublisher.removeObserver(self.events.append)
        self.listening.close()
        self.hub.close()
        for sock in (*self._clients, *(sock for sock, _ in self.came)):
            sock.close()


@pytest.fixture(params=sorted(HUBS))
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    door = Door(bind(Address(host="127.0.0.1", port=0), 128), request.param)
    yield door
    door.close()


# Binding


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_tcp_address_is_listened_on(host: str) -> None:
    with bind(Address(host=host, port=0), 16) as sock:
        assert not sock.getblocking()
        with socket.create_connection(sock.getsockname()[:2]):
            accepted, peer = sock.accept()
            with accepted:
                assert host_of(peer) == host and port_of(peer) > 0


def test_ipv6_leaves_ipv4_its_port() -> None:
    with bind(Address(host="::", port=0), 16) as six:
        port = six.getsockname()[1]
        with bind(Address(host="0.0.0.0", port=port), 16) as four:
            assert four.getsockname()[1] == port


def test_an_address_that_is_taken_is_told_by_its_name() -> None:
    with bind(Address(host="127.0.0.1", port=0), 16) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(BindError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(Address(host="127.0.0.1", port=port), 16)


def test_a_unix_socket_has_its_permissions_before_anybody_can_connect(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    with bind(Address(path=str(path)), 16, 0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_unix_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "gate.sock")
    bind(Address(path=path), 16).close()
    assert os.path.exists(path)
    with bind(Address(path=path), 16):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_a_unix_socket_that_somebody_listens_on_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "gate.sock")
    with bind(Address(path=path), 16) as first:
        with pytest.raises(BindError, match="Address already in use"):
            bind(Address(path=path), 16)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            first.accept()[0].close()


def test_a_unix_socket_whose_queue_is_full_holds_nobody_up(tmp_path: Path) -> None:
    path = str(tmp_path / "gate.sock")
    with bind(Address(path=path), 0), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(path)
        with pytest.raises(BindError, match="Address already in use"):
            bind(Address(path=path), 16)


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(BindError):
        bind(Address(path=str(path)), 16)
    assert path.read_text() == "data"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BindError, match="No such file or directory"):
        bind(Address(path=str(tmp_path / "none" / "gate.sock")), 16)


# Accepting


def test_whoever_connects_is_accepted(door: Door) -> None:
    door.listening.start()
    door.knock()
    door.reactor.until(lambda: door.came)
    sock, peer = door.came[0]
    assert not sock.getblocking() and host_of(peer) == "127.0.0.1"


def test_a_few_are_accepted_in_a_turn_and_all_in_the_end(door: Door) -> None:
    door.listening.start()
    door.knock(BATCH * 2 + 3)
    door.listening.ready(0)
    assert len(door.came) == BATCH
    door.listening.start()
    door.reactor.until(lambda: len(door.came) == BATCH * 2 + 3)


def test_before_the_start_and_after_a_stop_nobody_is_accepted(door: Door) -> None:
    door.knock()
    door.wait(0.2)
    assert not door.came
    door.listening.start()
    door.listening.start()
    door.listening.stop()
    door.listening.stop()
    door.wait(0.2)
    assert not door.came
    door.listening.start()
    door.reactor.until(lambda: door.came)


def test_a_closed_one_does_not_start_again(door: Door) -> None:
    door.listening.close()
    door.listening.start()
    door.wait(0.2)
    assert not door.came


def test_a_connection_that_cannot_be_started_is_closed_and_the_next_one_is_accepted(door: Door) -> None:
    calls = []

    def then() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError

    door.then = then
    door.listening.start()
    door.knock(2)
    door.reactor.until(lambda: door.came)
    assert len(calls) == 2
    door._clients[0].settimeout(5)
    assert door._clients[0].recv(1) == b""


# What runs out


class Failing(socket.socket):
    """Fails to accept as it is told."""

    failures: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            code = self.failures.pop(0)
            raise OSError(code, os.strerror(code))
        return super().accept()


def failing(codes: list[int]) -> Door:
    sock = Failing(socket.AF_INET, socket.SOCK_STREAM)
    sock.failures = codes
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return Door(sock)


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN])
def test_a_connection_that_died_in_the_queue_is_passed_over(code: int) -> None:
    door = failing([code, code])
    door.listening.start()
    door.knock()
    door.reactor.until(lambda: door.came)
    assert not door.events
    door.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_where_the_process_has_run_out_accepting_pauses(code: int) -> None:
    door = failing([code])
    door.listening.start()
    door.knock()
    door.reactor.until(lambda: door.events)
    door.wait(PAUSE - 0.1)
    assert not door.came
    door.wait(0.2)
    assert len(door.came) == 1
    door.close()


def test_it_is_told_now_and_then_however_long_it_lasts() -> None:
    door = failing([errno.EMFILE] * 10_000)
    door.listening.start()
    door.knock()
    door.wait(SILENCE * 2.5)
    assert len(door.events) == 3
    door.close()


def test_a_pause_is_over_when_it_is_stopped() -> None:
    door = failing([errno.EMFILE])
    door.listening.start()
    door.knock()
    door.reactor.until(lambda: door.events)
    door.listening.stop()
    door.wait(1)
    assert not door.came and len(door.wheel) == 0
    door.close()


def test_a_process_without_descriptors_accepts_again_when_it_has_some(door: Door) -> None:
    door.listening.start()
    clients = [socket.socket() for _ in range(3)]
    where = door.listening.sock.getsockname()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = [os.dup(0) for _ in range(64)]
    try:
        # Every number below the limit is in use.
        resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1, hard))
        for client in clients:
            client.connect(where)
        door.wait(PAUSE * 2)
        assert not door.came and door.events
        for filler in fillers:
            os.close(filler)
        door.wait(PAUSE * 2)
        assert len(door.came) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            client.close()


def test_the_last_one_for_whom_there_is_room_ends_the_turn(door: Door) -> None:
    """Who waits behind is left to another process on the same socket."""
    door.listening.start()
    door.knock(3)
    door.then = lambda: door.listening.stop() if len(door.came) == 1 else None
    door.listening.ready(0)
    assert len(door.came) == 2
    door.listening.empty(10)
    assert len(door.came) == 3


def test_all_who_wait_are_taken_before_a_socket_is_closed(door: Door) -> None:
    door.knock(BATCH * 2 + 3)
    door.listening.empty(BATCH)
    assert len(door.came) == BATCH
    door.listening.empty(1000)
    assert len(door.came) == BATCH * 2 + 3
