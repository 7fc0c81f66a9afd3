"""Connecting to servers on real sockets: the first that takes the connection, and nothing left of the others."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from tests.doubles.certificates import CertificateAuthority
from tests.doubles.ports import free_port
from tests.doubles.raw_tls import server_context
from tests.tls.handshakes import StdlibEnd
from tests.transport.leg_ends import HUBS, Ground, Peer
from wsgate.balance.group import Group
from wsgate.balance.keys import Facts
from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.load import parse_config
from wsgate.config.model import UpstreamTls
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.interfaces import Leg
from wsgate.transport.openssl import Buffers
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.upstream.attempt import Dialer
from wsgate.upstream.dialing import Dialling, Wanted
from wsgate.upstream.idle import IdleConnections
from wsgate.upstream.members import UpstreamMembers

INI = """
[listener raw]
bind = 127.0.0.1:0
mode = tcp
upstream = servers

[upstream servers]
balance = first
connect_timeout = 2s
servers = {servers}
"""


class Owner:
    """Who asks for a server; connected legs are its own."""

    def __init__(self) -> None:
        self.legs: list[Leg] = []
        self.states: list[ServerState] = []
        self.reused: list[bool] = []
        self.failed: list[tuple[Cause, str]] = []

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        self.legs.append(leg)
        self.states.append(state)
        self.reused.append(reused)

    def dial_failed(self, cause: Cause, detail: str) -> None:
        self.failed.append((cause, detail))

    @property
    def told(self) -> bool:
        return bool(self.legs or self.failed)


class Dials:
    """A dialer on a hand-turned hub, servers that listen or not, and searches among them."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.ground = Ground(kind)
        self.wheel = TimerWheel(self.ground.reactor)  # type: ignore[arg-type]
        self.directory = directory
        self.made: list[str] = []
        self.dialer = Dialer(self.ground.hub, self.wheel, Buffers(self.ground.hub.buffer), self._in_process)  # type: ignore[arg-type]
        self._stack = ExitStack()
        self._legs: list[Owner] = []

    def _in_process(self, name: str) -> socket.socket:
        self.made.append(name)
        ours, theirs = socket.socketpair()
        self._stack.enter_context(theirs)
        ours.setblocking(False)
        return ours

    def listens(self, host: str = "127.0.0.1") -> socket.socket:
        """A server that accepts."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self._stack.enter_context(socket.socket(family))
        sock.bind((host, 0))
        sock.listen()
        return sock

    def deaf(self) -> str:
        """The address of a server whose queue is full: it answers no SYN."""
        sock = self._stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(4):
            client = self._stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
        return address(sock)

    def members(self, *servers: str, tls: UpstreamTlsContext | None = None, keepalive: int = 0) -> UpstreamMembers:
        text = INI.format(servers="".join(f"\n    {server} max_fails=1 max_conns=5" for server in servers))
        if not servers:
            text = text.replace("servers = \n", "servers = srv:_ws._tcp.test\n")
        upstream = parse_config(text, "test", self.directory).upstreams["servers"]
        group = Group(upstream.servers if servers else (), upstream.balance, Random(1), name="servers")
        return UpstreamMembers(upstream, group, tls, IdleConnections(self.wheel, keepalive, 60.0))

    def search(self, members: UpstreamMembers, *, reuse: bool = False) -> tuple[Dialling, Owner]:
        owner = Owner()
        self._legs.append(owner)
        return Dialling(self.dialer, members, owner, Wanted(Facts("192.0.2.1")), reuse=reuse), owner

    def found(self, *servers: str) -> Owner:
        """What a search among these comes to."""
        members = self.members(*servers)
        dialling, owner = self.search(members)
        dialling.next()
        self.ground.until(lambda: owner.told)
        return owner

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.ground.reactor.advance(TICK)
            self.ground.turn(1)

    def close(self) -> None:
        for owner in self._legs:
            for leg in owner.legs:
                leg.abortConnection()
        self.ground.turn()
        self._stack.close()
        self.ground.close()


def address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refusing() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(params=sorted(HUBS))
def dials(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dials]:
    dials = Dials(request.param, tmp_path)
    yield dials
    dials.close()


# One server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_server_that_listens_is_connected_and_its_leg_is_paused(dials: Dials, host: str) -> None:
    server = dials.listens(host)
    owner = dials.found(address(server))
    accepted, _ = server.accept()
    with accepted:
        accepted.send(b"220 ready")
        dials.ground.turn()
        leg = owner.legs[0]
        assert isinstance(leg, TcpLeg) and leg.paused and leg.received == 0
        assert owner.reused == [False] and owner.states[0].conns == 1
        assert len(dials.wheel) == 0, "the deadline is dropped"


def test_a_unix_server_is_connected(dials: Dials, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert dials.found(f"unix:{path}").legs


def test_a_server_in_this_process_is_connected(dials: Dials) -> None:
    assert dials.found("python:here.it:is").legs
    assert dials.made == ["here.it:is"]


def test_sockets_towards_servers_are_tuned(dials: Dials) -> None:
    server = dials.listens()
    leg = dials.found(address(server)).legs[0]
    assert isinstance(leg, TcpLeg)
    sock = leg.detach()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    sock.close()


def test_a_server_that_refuses_is_told_and_given_back(dials: Dials) -> None:
    where = refusing()
    owner = dials.found(where)
    assert owner.failed == [(Cause.CONNECT_FAILED, f"{where}: connection refused")]
    assert len(dials.wheel) == 0


@pytest.mark.parametrize("why", ["missing", "full"])
def test_a_unix_server_that_cannot_be_connected_fails_at_once(dials: Dials, tmp_path: Path, why: str) -> None:
    path = tmp_path / "app.sock"
    with ExitStack() as stack:
        if why == "full":
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(path))
            server.listen(0)
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        owner = dials.found(f"unix:{path}")
    expected = {"missing": errno.ENOENT, "full": errno.EAGAIN}[why]
    assert owner.failed[0][0] is Cause.CONNECT_FAILED and os.strerror(expected).lower() in owner.failed[0][1]


def test_a_server_that_answers_no_syn_is_given_up_at_the_deadline(dials: Dials) -> None:
    members = dials.members(dials.deaf())
    dialling, owner = dials.search(members)
    dialling.next()
    dials.wait(1.9)
    assert not owner.told and members.group.states[0].conns == 1
    dials.wait(0.2)
    assert owner.failed[0][0] is Cause.CONNECT_TIMEOUT and "no connection within 2 s" in owner.failed[0][1]
    assert members.group.states[0].conns == 0


# Several


def test_a_server_that_refuses_is_passed_over(dials: Dials) -> None:
    server = dials.listens()
    members = dials.members(refusing(), refusing(), address(server))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.ground.until(lambda: owner.told)
    assert owner.legs and dialling.tries == 3 and dialling.state is members.group.states[2]
    assert [state.conns for state in members.group.states] == [0, 0, 1]
    assert [state.fails for state in members.group.states] == [1, 1, 0]


def test_a_server_that_answers_no_syn_is_passed_over(dials: Dials) -> None:
    server = dials.listens()
    members = dials.members(dials.deaf(), address(server))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.wait(2.2)
    assert owner.legs and dialling.tries == 2
    assert [state.conns for state in members.group.states] == [0, 1]


def test_the_last_reason_is_the_reason(dials: Dials) -> None:
    last = refusing()
    owner = dials.found(refusing(), last)
    assert owner.failed == [(Cause.CONNECT_FAILED, f"{last}: connection refused")]


def test_where_no_server_is_eligible_nothing_is_dialled(dials: Dials) -> None:
    members = dials.members(refusing())
    for _ in range(5):
        assert members.group.states[0].taken()
    dialling, owner = dials.search(members)
    dialling.next()
    assert owner.failed == [(Cause.NO_SERVER, "no server is eligible")] and dialling.tries == 0


# Ends from the client's side


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_search_that_is_cancelled_leaves_nothing(dials: Dials, when: str) -> None:
    members = dials.members(dials.deaf())
    before = set(os.listdir("/proc/self/fd"))
    dialling, owner = dials.search(members)
    dialling.next()
    if when == "later":
        dials.wait(1)
    dialling.cancel()
    dials.wait(3)
    assert not owner.told and members.group.states[0].conns == 0 and len(dials.wheel) == 0
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_search_that_is_cancelled_before_it_is_told_of_its_connection(dials: Dials) -> None:
    members = dials.members(address(dials.listens()))
    dialling, owner = dials.search(members)
    dialling.next()
    dialling.cancel()
    dialling.cancel()
    dials.ground.turn(5)
    assert not owner.told and members.group.states[0].conns == 0


def test_an_event_for_an_earlier_owner_of_the_number_does_no_harm(dials: Dials) -> None:
    members = dials.members(dials.deaf())
    dialling, owner = dials.search(members)
    dialling.next()
    attempt = dialling._attempt
    assert attempt is not None
    attempt.ready(0xFFFF)
    assert not owner.told
    dialling.cancel()
    attempt.ready(0xFFFF)
    assert not owner.told


# Connections that wait


def test_a_connection_that_waits_is_used_where_it_may_be(dials: Dials) -> None:
    server = dials.listens()
    members = dials.members(address(server), keepalive=4)
    first, owner = dials.search(members)
    first.next()
    dials.ground.until(lambda: owner.told)
    leg, state = owner.legs.pop(), owner.states[0]
    members.idle.keep(state.name, leg)
    state.released()
    other, fresh = dials.search(members)
    other.next()
    dials.ground.until(lambda: fresh.told)
    assert fresh.reused == [False] and fresh.legs[0] is not leg
    again, reusing = dials.search(members, reuse=True)
    again.next()
    assert reusing.reused == [True] and reusing.legs[0] is leg and leg.paused
    assert state.conns == 2


def test_a_connection_that_was_no_longer_good_is_dialled_anew(dials: Dials) -> None:
    server = dials.listens()
    members = dials.members(address(server), keepalive=4)
    first, owner = dials.search(members)
    first.next()
    dials.ground.until(lambda: owner.told)
    members.idle.keep(owner.states[0].name, owner.legs.pop())
    owner.states[0].released()
    again, reusing = dials.search(members, reuse=True)
    again.next()
    reusing.legs.pop().abortConnection()
    reusing.states[0].released()
    again.again()
    dials.ground.until(lambda: reusing.legs)
    assert reusing.reused == [True, False] and again.tries == 1
    assert members.group.states[0].conns == 1 and members.group.states[0].fails == 0


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


def tls_to(authority: CertificateAuthority, name: str) -> UpstreamTlsContext:
    options = UpstreamTls(verify=True, ca=authority.ca_path, server_name=name)
    return UpstreamTlsContext(options)


def serve_tls(dials: Dials, server: socket.socket, authority: CertificateAuthority, owner: Owner) -> None:
    """Shake hands with whoever connects, until the search is told something."""
    certificate = authority.issue("app.internal")
    accepted, _ = server.accept()
    peer = Peer(accepted)
    context = server_context(str(certificate.chain_path), str(certificate.key_path))
    end = StdlibEnd(context, server_side=True)

    def move() -> bool:
        end.feed(peer.receive())
        with suppress(OSError):
            end.step()
        with suppress(OSError):  # the gateway may have left already
            peer.send(end.outgoing())
        return owner.told

    dials.ground.until(move)
    accepted.close()


@pytest.mark.parametrize("name", ["app.internal", "other.internal"])
def test_a_certificate_is_checked_before_the_connection_counts(
    dials: Dials, authority: CertificateAuthority, name: str
) -> None:
    server = dials.listens()
    members = dials.members(address(server), tls=tls_to(authority, name))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.ground.turn()
    serve_tls(dials, server, authority, owner)
    if name == "app.internal":
        assert owner.legs and owner.legs[0].paused
    else:
        assert owner.failed[0][0] is Cause.CONNECT_FAILED and "certificate" in owner.failed[0][1]
        assert members.group.states[0].conns == 0
    assert len(dials.wheel) == 0


def test_a_server_that_speaks_no_tls_is_told(dials: Dials, authority: CertificateAuthority) -> None:
    server = dials.listens()
    members = dials.members(address(server), tls=tls_to(authority, "app.internal"))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.ground.turn()
    accepted, _ = server.accept()
    accepted.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    dials.ground.until(lambda: owner.told)
    accepted.close()
    assert owner.failed[0][0] is Cause.CONNECT_FAILED and "TLS: " in owner.failed[0][1]


def test_a_tls_handshake_shares_the_deadline_of_connecting(dials: Dials, authority: CertificateAuthority) -> None:
    server = dials.listens()
    members = dials.members(address(server), tls=tls_to(authority, "app.internal"))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.wait(1.9)
    assert not owner.told
    dials.wait(0.2)
    assert owner.failed[0][0] is Cause.CONNECT_TIMEOUT
    assert members.group.states[0].conns == 0


def test_a_client_that_leaves_during_the_tls_handshake_takes_the_server_with_it(
    dials: Dials, authority: CertificateAuthority
) -> None:
    server = dials.listens()
    members = dials.members(address(server), tls=tls_to(authority, "app.internal"))
    dialling, owner = dials.search(members)
    dialling.next()
    dials.ground.turn()
    accepted, _ = server.accept()
    peer = Peer(accepted)
    dials.ground.until(peer.receive)
    dialling.cancel()
    dials.ground.until(lambda: peer.receive() is not None and peer.end)
    accepted.close()
    assert peer.end == "reset" and not owner.told and len(dials.wheel) == 0


# Servers that are still to be found


def test_who_comes_before_servers_are_known_waits_as_long_as_connecting_may_take(dials: Dials) -> None:
    members = dials.members()
    members.awaited = True
    (early, first), (late, second) = dials.search(members), dials.search(members)
    early.next()
    dials.wait(1)
    late.next()
    dials.wait(1.1)
    assert first.failed == [(Cause.NO_SERVER, "no server was found within 2 s")]
    members.awaited = False
    members.group.reconfigure(dials.members(address(dials.listens())).options.servers, "first")
    dials.ground.until(lambda: second.told)
    assert len(second.legs) == 1


def test_who_waits_is_refused_when_it_is_clear_that_there_are_none(dials: Dials) -> None:
    members = dials.members()
    members.awaited = True
    dialling, owner = dials.search(members)
    dialling.next()
    members.awaited = False
    members.group.reconfigure((), "first")
    dials.ground.until(lambda: owner.told)
    assert owner.failed == [(Cause.NO_SERVER, "no server is eligible")]
