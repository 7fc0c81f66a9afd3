"""Servers that follow a script: a real listening socket, and a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

from tests.doubles.ports import bind_anew
from tests.doubles.raw import Wire
from tests.doubles.raw_tls import TlsWire
from tests.doubles.stopping import Stopping
from tests.doubles.waiting import until

Script = Callable[[Wire], None]


class Visit:
    """One connection that a server took: its ``wire``, whether its script is ``over``, and how that failed."""

    def __init__(self, wire: Wire, peer: object) -> None:
        self.wire = wire
        self.peer = peer
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def wait_over(self, timeout: float = 30.0) -> Self:
        """Wait until the script has come to its end; what it raised is in ``failure``."""
        assert self.over.wait(timeout), "the script did not end"
        return self


class ScriptedServer(Stopping):
    """Takes connections and lets ``script`` talk on each, in a thread of its own, until it returns; then it closes.

    An OSError in a script (the peer is gone, or nothing came in time) ends its connection and is kept in the visit;
    anything else, such as a failed assertion, is raised again by ``stop``.  ``receive_buffer`` is the kernel's, in
    bytes; it is set before listening so that a small window is announced.
    """

    def __init__(
        self,
        script: Script,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "",
        tls: ssl.SSLContext | None = None,
        receive_buffer: int = 0,
        backlog: int = 128,
        timeout: float = 30.0,
    ) -> None:
        self.script = script
        self.visits: list[Visit] = []
        self._tls, self._timeout = tls, timeout
        self._listening = _listen(host, port, path, receive_buffer, backlog)
        # What connect takes: (host, port), or the path of a unix socket.
        self.where: tuple[str, int] | str = path or self._listening.getsockname()[:2]
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="scripted server", daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        """The TCP port; 0 for a unix socket."""
        return 0 if isinstance(self.where, str) else self.where[1]

    @property
    def address(self) -> str:
        """What an INI says: ``127.0.0.1:4711``, ``[::1]:4711`` or ``unix:/path``."""
        if isinstance(self.where, str):
            return f"unix:{self.where}"
        host, port = self.where
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, peer = self._listening.accept()
            except OSError:
                return
            if self._stopping.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._serve, args=(sock, peer), name="scripted connection", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, peer: object) -> None:
        wire = (
            TlsWire(sock, self._tls, server_side=True, timeout=self._timeout)
            if self._tls
            else Wire(sock, self._timeout)
        )
        visit = Visit(wire, peer)
        self.visits.append(visit)
        try:
            if isinstance(wire, TlsWire):
                wire.handshake()
            self.script(wire)
            with contextlib.suppress(OSError):
                if isinstance(wire, TlsWire):
                    wire.half_close()
        except Exception as error:  # kept for stop() and for the test
            visit.failure = error
        finally:
            wire.close()
            visit.over.set()

    def wait_visits(self, count: int = 1, timeout: float = 30.0) -> list[Visit]:
        """Wait until at least ``count`` connections were taken."""
        until(lambda: len(self.visits) >= count, f"{count} connections at the server", timeout)
        return self.visits

    def stop(self) -> None:
        """Stop listening, release every connection, and raise what a script raised beyond an OSError."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._acceptor.join(30)
        self._listening.close()
        for visit in self.visits:
            visit.wire.released.set()
            with contextlib.suppress(OSError):
                visit.wire.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a script does not end"
        for visit in self.visits:
            if visit.failure is not None and not isinstance(visit.failure, OSError):
                raise visit.failure


def _listen(host: str, port: int, path: str, receive_buffer: int, backlog: int) -> socket.socket:
    family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if path:
            sock.bind(path)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port:
                sock.bind((host, port))
            else:  # one of ours: nobody gets it when this server has stopped
                bind_anew(sock, host)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
