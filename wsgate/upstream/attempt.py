"""Connecting to one server: within its deadline, with a PROXY header where one is sent, through TLS where there is."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.model import Address
from wsgate.tls.towards_servers import ServerConnection
from wsgate.tls.verification import PeerCertificateError
from wsgate.transport.hub import WRITE, Hub
from wsgate.transport.interfaces import Leg
from wsgate.transport.openssl import Buffers
from wsgate.transport.sockets import connecting_socket
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.tls import TlsLeg
from wsgate.transport.wheel import Timer, TimerWheel
from wsgate.upstream.members import UpstreamMembers

#: What this process or machine lacks: no fault of the server.
_EXHAUSTED = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


class Dialer:
    """What every dialling needs."""

    __slots__ = ("buffers", "hub", "in_process", "wheel")

    def __init__(
        self,
        hub: Hub,
        wheel: TimerWheel,
        buffers: Buffers,
        in_process: Callable[[str], socket.socket],
    ) -> None:
        self.hub = hub
        self.wheel = wheel
        self.buffers = buffers
        self.in_process = in_process


class Trying(Protocol):
    """Who made the attempt; hears one of both, once, unless the attempt was dropped or failed at its start."""

    def attempt_succeeded(self, leg: Leg, state: ServerState) -> None:
        """The connection stands; the leg is paused."""

    def attempt_failed(self, cause: Cause, detail: str) -> None: ...


class Attempt:
    """One server being connected to; ``header`` goes in front of everything, TLS included."""

    __slots__ = (
        "_connection",
        "_dialer",
        "_header",
        "_leg",
        "_members",
        "_sock",
        "_timer",
        "_trying",
        "_watched",
        "state",
    )

    def __init__(
        self, trying: Trying, state: ServerState, dialer: Dialer, members: UpstreamMembers, header: bytes = b""
    ) -> None:
        self._trying = trying
        self.state = state
        self._dialer = dialer
        self._members = members
        self._header = header
        self._sock: socket.socket | None = None
        self._leg: TlsLeg | None = None
        self._connection: ServerConnection | None = None
        self._timer: Timer | None = None
        self._watched = False

    def start(self, timeout: float) -> tuple[Cause, str] | None:
        """Begin to connect; ``timeout`` seconds are for all of it.  What is wrong, where that failed at once."""
        try:
            sock, pending = self._open()
        except OSError as error:
            return Cause.EXHAUSTED if error.errno in _EXHAUSTED else Cause.CONNECT_FAILED, _words(error)
        self._sock = sock
        # A server on this machine has answered before connect returns.
        if pending and not _stands(sock):
            self._watched = True
            self._dialer.hub.watch(sock.fileno(), self, WRITE)
        else:
            self._dialer.hub.soon(self._established)
        if self._watched or self._members.tls is not None:
            self._timer = self._dialer.wheel.after(timeout, lambda: self._too_late(timeout))
        return None

    def _open(self) -> tuple[socket.socket, bool]:
        """A socket that connects, and whether it still has to be waited for."""
        server = self.state.server
        if server.factory:
            return self._dialer.in_process(server.factory), False
        sock = connecting_socket(_family(server.address))
        try:
            code = sock.connect_ex(server.address.path or (server.address.host, server.address.port))
        except OSError:
            sock.close()
            raise
        if code and code not in _PENDING or code == errno.EAGAIN and server.address.is_unix:
            # A unix socket never connects later: EAGAIN says that its queue is full.
            sock.close()
            raise OSError(code, os.strerror(code))
        return sock, bool(code)

    def ready(self, events: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if _stands(sock):
            self._established()
        elif code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(Cause.CONNECT_FAILED, os.strerror(code).lower())
        # Else it was an event meant for an earlier owner of this descriptor.

    def broken(self) -> None:
        self._fail(Cause.INTERNAL, "a fault of the gateway")

    def _established(self) -> None:
        sock = self._sock
        if sock is None:
            return
        if self._header and not self._introduced(sock):
            return
        self._sock = None
        tls = self._members.tls
        if tls is None:
            leg = TcpLeg(self._dialer.hub, sock)
            if self._watched:
                self._watched = False
                leg.adopt(WRITE, paused=True)
            self._done(leg)
            return
        self._unwatch(sock)
        server = self.state.server
        try:
            connection = tls.connection(server.name or server.address.host, server=str(server))
        except PeerCertificateError as error:
            sock.close()
            self._fail(Cause.CONNECT_FAILED, str(error))
            return
        self._connection = connection
        self._leg = TlsLeg(
            self._dialer.hub, sock, connection, self._dialer.buffers, secured=self._secured, refused=self._refused
        )
        self._leg.start()

    def _introduced(self, sock: socket.socket) -> bool:
        """Send the header; the buffer of a new socket takes it whole, or the connection is no good."""
        try:
            whole = sock.send(self._header) == len(self._header)
        except OSError as error:
            self._fail(Cause.CONNECT_FAILED, _words(error))
            return False
        if not whole:
            self._fail(Cause.CONNECT_FAILED, "the PROXY header did not go out")
        return whole

    def _secured(self) -> None:
        leg, tls, connection = self._leg, self._members.tls, self._connection
        if leg is None or tls is None or connection is None:
            raise AssertionError("TLS finished on an attempt without TLS")
        try:
            tls.check_peer(connection)
        except PeerCertificateError as error:
            leg.abortConnection()
            self._leg = None
            self._fail(Cause.CONNECT_FAILED, str(error))
            return
        self._leg = None
        leg.once_heard(lambda: tls.keep_session(connection))
        self._done(leg)

    def _refused(self, why: str) -> None:
        self._leg = None
        self._fail(Cause.CONNECT_FAILED, f"TLS: {why}")

    def _done(self, leg: TcpLeg) -> None:
        self._cancel_timer()
        leg.pauseProducing()
        try:
            self._trying.attempt_succeeded(leg, self.state)
        finally:
            # Whoever has the leg now may not have asked anything of it yet.
            leg.settle()

    def _too_late(self, timeout: float) -> None:
        self._timer = None
        self.drop()
        self._trying.attempt_failed(Cause.CONNECT_TIMEOUT, f"no connection within {timeout:g} s")

    def _fail(self, cause: Cause, detail: str) -> None:
        self._cancel_timer()
        if self._sock is not None:
            self._unwatch(self._sock)
            self._sock.close()
            self._sock = None
        self._trying.attempt_failed(cause, detail)

    def drop(self) -> None:
        """Close whatever there is, without a word."""
        self._cancel_timer()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._unwatch(sock)
            sock.close()
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.abortConnection()

    def _unwatch(self, sock: socket.socket) -> None:
        if self._watched:
            self._watched = False
            self._dialer.hub.forget(sock.fileno())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _stands(sock: socket.socket) -> bool:
    """Whether the connection has been made."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _family(address: Address) -> socket.AddressFamily:
    if address.is_unix:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
