"""Legs of ours on one end of a socket, the test on the other; moved by hand, on either hub."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from twisted.python.failure import Failure

from tests.doubles.hand_reactor import HandReactor
from tests.transport.tls_ends import Listening, tcp_pair
from wsgate.transport.hub import EpollHub, ReactorHub
from wsgate.transport.tcp import TcpLeg

HUBS = {"epoll": EpollHub, "reactor": ReactorHub}
FAMILIES = ("tcp", "unix")


class Peer:
    """The other end of a leg's socket: sends and receives as far as the kernel goes along."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.heard = bytearray()
        self.end = ""  # "fin" or "reset", once it is seen

    def send(self, data: bytes) -> int:
        """Send what the kernel takes; how much that was."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def fill(self, piece: bytes = bytes(65536)) -> int:
        """Send until the kernel takes no more; how much that was."""
        total = 0
        while sent := self.send(piece):
            total += sent
        return total

    def receive(self, most: int = 1 << 20) -> bytes:
        """Take what is there, at most so much."""
        got = bytearray()
        while len(got) < most and not self.end:
            try:
                data = self.sock.recv(min(65536, most - len(got)))
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.end = "reset"
                break
            if not data:
                self.end = "fin"
                break
            got += data
        self.heard += got
        return bytes(got)

    def half_close(self) -> None:
        """End the sending direction; where the connection was reset there is none."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Abort the connection; a unix socket only has an end."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Ground:
    """A hub on a hand-turned reactor, and the legs made on it."""

    def __init__(self, kind: str = "epoll") -> None:
        self.reactor = HandReactor()
        self.hub = HUBS[kind](self.reactor)  # type: ignore[arg-type]
        self._opened: list[tuple[TcpLeg, Peer]] = []

    def leg(self, family: str = "tcp", *, buffers: int = 0) -> tuple[TcpLeg, Peer]:
        """A leg and its peer.  ``buffers`` are the kernel's, in bytes, for both ends."""
        ours, theirs = tcp_pair() if family == "tcp" else socket.socketpair()
        for sock in (ours, theirs) if buffers else ():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        ours.setblocking(False)
        leg, peer = TcpLeg(self.hub, ours), Peer(theirs)
        self._opened.append((leg, peer))
        return leg, peer

    def listening(self, family: str = "tcp", *, buffers: int = 0) -> tuple[TcpLeg, Peer, Listening]:
        """A leg that has been started, its peer, and its protocol."""
        leg, peer = self.leg(family, buffers=buffers)
        listening = Listening()
        leg.protocol = listening
        leg.start()
        return leg, peer, listening

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.reactor.turn()

    def until(self, fact: Callable[[], object], what: str = "") -> None:
        self.reactor.until(fact, what)

    def close(self) -> None:
        for leg, peer in self._opened:
            peer.close()
            if not leg.closed:
                leg.abortConnection()
        self.turn()
        for leg, _ in self._opened:
            with contextlib.suppress(AttributeError):
                leg.protocol.on_data = len  # type: ignore[attr-defined]
        self.hub.close()


def why(reason: Failure) -> str:
    return type(reason.value).__name__
