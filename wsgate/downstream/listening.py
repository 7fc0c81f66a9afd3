"""Listening sockets: bind, accept a few at a time, bear the lack of descriptors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable

from twisted.logger import Logger

from wsgate.config.model import Address
from wsgate.errors import WsgateError
from wsgate.transport.hub import READ, Hub
from wsgate.transport.sockets import tune
from wsgate.transport.wheel import Timer, TimerWheel

_log = Logger("wsgate.downstream")

#: Connections accepted in one turn: other connections wait for them, and other workers should get their share.
BATCH = 16

#: Seconds without accepting after the process ran out of descriptors or memory, and between two words about it.
PAUSE = 0.25
SILENCE = 10.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class BindError(WsgateError):
    """An address that cannot be listened on."""


def bind(address: Address, backlog: int, unix_mode: int = 0o660) -> socket.socket:
    """A listening, non-blocking socket.  Raises BindError."""
    try:
        sock = _bind_unix(address.path, unix_mode) if address.is_unix else _bind_tcp(address)
        sock.listen(backlog)
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


def _bind_tcp(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As nginx: [::] is IPv6 only, so that 0.0.0.0 can be listened on beside it.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(sock)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, mode: int) -> socket.socket:
    _remove_dead_socket(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode is set before anybody can connect: between bind and listen.
        sock.bind(path)
        os.chmod(path, mode)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_dead_socket(path: str) -> None:
    """Remove a socket file that nobody listens on; whatever else is there stays, and bind reports it."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                # A listener whose queue is full answers at once, too.
                probe.setblocking(False)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)


class Listening:
    """A listening socket on the hub; ``accepted(sock, peer)`` is called for each connection, ``sock`` non-blocking."""

    __slots__ = ("_accepted", "_hub", "_pause", "_quiet_until", "_watched", "_wheel", "sock")

    def __init__(
        self, hub: Hub, wheel: TimerWheel, sock: socket.socket, accepted: Callable[[socket.socket, object], None]
    ) -> None:
        self._hub = hub
        self._wheel = wheel
        self.sock = sock
        self._accepted = accepted
        self._pause: Timer | None = None
        self._quiet_until = 0.0
        self._watched = False

    def start(self) -> None:
        """Accept from now on."""
        if not self._watched and self.sock.fileno() >= 0:
            self._watched = True
            self._hub.watch(self.sock.fileno(), self, READ)

    def stop(self) -> None:
        """Accept no more; the socket stays open, and its queue fills."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._watched:
            self._watched = False
            self._hub.forget(self.sock.fileno())

    def close(self) -> None:
        self.stop()
        self.sock.close()

    def ready(self, events: int) -> None:
        for _ in range(BATCH):
            # Whoever is accepted may be the last for whom there is room.
            if not self._watched or not self._accept():
                return

    def empty(self, most: int) -> None:
        """Accept who waits already, up to ``most``: they were told that they are connected."""
        for _ in range(most):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept one; False where nobody waits, or nobody can be accepted now."""
        try:
            sock, peer = self.sock.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._exhausted(error)
                return False
            # The connection died in the queue (ECONNABORTED and the network errors of accept(2)); with EINVAL the
            # socket listens no more.
            return error.errno != errno.EINVAL
        sock.setblocking(False)
        try:
            self._accepted(sock, peer)
        except Exception:
            sock.close()
            raise
        return True

    def broken(self) -> None:
        """A connection could not be started; the next one may."""

    def _exhausted(self, error: OSError) -> None:
        self.stop()
        self._pause = self._wheel.after(PAUSE, self.start)
        now = self._wheel.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + SILENCE
            _log.warn("no connection is accepted for {pause} s: {why}", pause=PAUSE, why=error.strerror)
