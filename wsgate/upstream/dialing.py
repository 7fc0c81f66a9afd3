"""Finding a server that takes the connection: the balancer's order, one attempt at a time, each with a deadline."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Protocol

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.model import Address
from wsgate.tls.towards_servers import ServerConnection
from wsgate.tls.verification import PeerCertificateError
from wsgate.transport.hub import WRITE, Hub
from wsgate.transport.interfaces import Leg
from wsgate.transport.openssl import Buffers
from wsgate.transport.sockets import tune
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.tls import TlsLeg
from wsgate.transport.wheel import Timer, TimerWheel
from wsgate.upstream.members import UpstreamMembers

_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


class Dialled(Protocol):
    """Who asked for a server."""

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        """A server's connection stands; the leg is paused.  ``state`` is taken and must be released in the end."""

    def dial_failed(self, cause: Cause, detail: str) -> None:
        """No server is left to try."""


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


class Dialling:
    """One search for a server.  ``next`` starts it, and goes on when a server that was connected proved no good.

    With ``reuse`` an idle connection to the server whose turn it is will do.  ``tries`` counts the servers that were
    tried, ``state`` is the last of them.
    """

    __slots__ = ("_attempt", "_cause", "_detail", "_dialer", "_members", "_order", "_owner", "_reuse", "state", "tries")

    def __init__(
        self, dialer: Dialer, members: UpstreamMembers, owner: Dialled, key: bytes, *, reuse: bool = False
    ) -> None:
        self._dialer = dialer
        self._members = members
        self._owner: Dialled | None = owner
        self._reuse = reuse
        self._order: Iterator[ServerState] = members.group.order(dialer.wheel.seconds(), key)
        self._attempt: _Attempt | None = None
        self._cause = Cause.NO_SERVER
        self._detail = "no server is eligible"
        self.tries = 0
        self.state: ServerState | None = None

    def next(self) -> None:
        """Try the next server of the order; its owner hears ``connected`` or ``dial_failed``, perhaps at once."""
        limit = self._members.options.tries
        while not limit or self.tries < limit:
            state = next(self._order, None)
            if state is None:
                break
            if not state.taken():
                continue
            self.tries += 1
            self.state = state
            idle = self._members.idle.take(str(state.server)) if self._reuse else None
            if idle is not None:
                self._tell_connected(idle, state, reused=True)
                return
            if self._attempt_at(state):
                return
        if self._owner is not None:
            self._owner.dial_failed(self._cause, self._detail)

    def again(self) -> None:
        """Dial the last server anew: an idle connection of it was no longer good, which is no fault of the server's."""
        state = self.state
        if state is None:
            raise AssertionError("no server has been tried")
        if not state.taken() or not self._attempt_at(state):
            self.next()

    def _attempt_at(self, state: ServerState) -> bool:
        self._attempt = _Attempt(self, state, self._dialer, self._members)
        return self._attempt.start()

    def cancel(self) -> None:
        """The client has gone: drop what is under way."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.drop()
            attempt.state.released()

    def close(self) -> None:
        """Nothing more will be asked of it: let go of its owner, and of the order that the balancer keeps open."""
        self._owner = None
        self._order = iter(())

    def remember(self, cause: Cause, detail: str) -> None:
        """Why the server tried last was no good: the answer when no other is left."""
        self._cause = cause
        self._detail = detail

    # What an attempt tells

    def _succeeded(self, leg: Leg, state: ServerState) -> None:
        self._attempt = None
        self._tell_connected(leg, state, reused=False)

    def _tell_connected(self, leg: Leg, state: ServerState, *, reused: bool) -> None:
        if self._owner is None:
            raise AssertionError("a server was connected for nobody")
        self._owner.connected(leg, state, reused)

    def _failed(self, cause: Cause, detail: str) -> None:
        attempt = self._attempt
        self._attempt = None
        if attempt is not None:
            self._note(attempt.state, cause, detail)
            self.next()

    def _note(self, state: ServerState, cause: Cause, detail: str) -> None:
        state.failed(self._dialer.wheel.seconds())
        state.released()
        self.remember(cause, f"{state.server}: {detail}")


class _Attempt:
    """One server being connected to, through TLS where the upstream has it."""

    __slots__ = ("_connection", "_dialer", "_leg", "_members", "_search", "_sock", "_timer", "_watched", "state")

    def __init__(self, search: Dialling, state: ServerState, dialer: Dialer, members: UpstreamMembers) -> None:
        self._search = search
        self.state = state
        self._dialer = dialer
        self._members = members
        self._sock: socket.socket | None = None
        self._leg: TlsLeg | None = None
        self._connection: ServerConnection | None = None
        self._timer: Timer | None = None
        self._watched = False

    def start(self) -> bool:
        """Begin to connect; False when that failed at once (the search has been told why)."""
        try:
            sock, pending = self._open()
        except OSError as error:
            self._search._note(self.state, Cause.CONNECT_FAILED, _words(error))
            return False
        self._sock = sock
        self._timer = self._dialer.wheel.after(self._members.options.connect_timeout, self._too_late)
        if pending:
            self._watched = True
            self._dialer.hub.watch(sock.fileno(), self, WRITE)
        else:
            self._dialer.hub.soon(self._established)
        return True

    def _open(self) -> tuple[socket.socket, bool]:
        """A socket that connects, and whether it still has to be waited for."""
        server = self.state.server
        if server.factory:
            return self._dialer.in_process(server.factory), False
        sock = socket.socket(_family(server.address), socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            tune(sock)
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
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            try:
                sock.getpeername()
            except OSError as error:
                if error.errno == errno.ENOTCONN:
                    # An event meant for an earlier owner of this descriptor.
                    return
                code = error.errno or errno.EIO
        self._unwatch(sock)
        if code:
            self._fail(Cause.CONNECT_FAILED, os.strerror(code).lower())
        else:
            self._established()

    def broken(self) -> None:
        self._fail(Cause.INTERNAL, "a fault of the gateway")

    def _established(self) -> None:
        sock = self._sock
        if sock is None:
            return
        self._sock = None
        tls = self._members.tls
        if tls is None:
            self._done(TcpLeg(self._dialer.hub, sock))
            return
        server = self.state.server
        connection = tls.connection(server.name or server.address.host, server=str(server))
        self._connection = connection
        self._leg = TlsLeg(
            self._dialer.hub, sock, connection, self._dialer.buffers, secured=self._secured, refused=self._refused
        )
        self._leg.start()

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
        self._done(leg)

    def _refused(self, why: str) -> None:
        self._leg = None
        self._fail(Cause.CONNECT_FAILED, f"TLS: {why}")

    def _done(self, leg: TcpLeg) -> None:
        self._cancel_timer()
        leg.pauseProducing()
        self._search._succeeded(leg, self.state)

    def _too_late(self) -> None:
        self._timer = None
        self.drop()
        self._search._failed(Cause.CONNECT_TIMEOUT, f"no connection within {self._members.options.connect_timeout:g} s")

    def _fail(self, cause: Cause, detail: str) -> None:
        self._cancel_timer()
        if self._sock is not None:
            self._unwatch(self._sock)
            self._sock.close()
            self._sock = None
        self._search._failed(cause, detail)

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


def _family(address: Address) -> socket.AddressFamily:
    if address.is_unix:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
