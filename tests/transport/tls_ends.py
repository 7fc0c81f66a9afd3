"""A TLS leg of ours on one end of a socket and a stock peer on the other, both moved by hand."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.doubles.waiting import until
from tests.tls.handshakes import End, OpenSslEnd, StdlibEnd
from wsgate.transport.hub import EpollHub
from wsgate.transport.openssl import Buffers
from wsgate.transport.tls import TlsLeg


class HandReactor(Clock):
    """A reactor that has time and nothing else: the hub is told by the test when to look at its sockets."""

    def addReader(self, reader: object) -> None: ...

    def removeReader(self, reader: object) -> None: ...

    def addWriter(self, writer: object) -> None: ...

    def removeWriter(self, writer: object) -> None: ...


class Listening:
    """The protocol of a leg: keeps what it is told; ``on_data`` is called with each piece."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.read_ended = 0
        self.lost: list[Failure] = []
        self.on_data: Callable[[memoryview], object] = len

    def dataReceived(self, data: bytes | memoryview) -> None:
        assert not self.lost, "bytes after the end"
        self.data += data
        self.on_data(memoryview(data))

    def readConnectionLost(self) -> None:
        self.read_ended += 1

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)

    @property
    def why(self) -> str:
        """How the leg ended, by the name of the reason; nothing while it lives."""
        return type(self.lost[0].value).__name__ if self.lost else ""


class TlsPair:
    """Our leg and its peer; ``tcp`` takes a real TCP connection instead of a socket pair."""

    def __init__(self, hub: EpollHub, buffers: Buffers, connection: SSL.Connection, *, tcp: bool = False) -> None:
        self.hub = hub
        ours, self.peer_sock = tcp_pair() if tcp else socket.socketpair()
        for sock in (ours, self.peer_sock):
            sock.setblocking(False)
        self.listening = Listening()
        self.secured = 0
        self.refusals: list[str] = []
        self.at_secured: Callable[[], None] = lambda: None
        self.leg = TlsLeg(hub, ours, connection, buffers, secured=self._secured, refused=self.refusals.append)
        self.peer: End
        self.heard = bytearray()
        self.peer_end = ""
        self._backlog = b""

    def _secured(self) -> None:
        self.secured += 1
        self.leg.protocol = self.listening
        self.at_secured()

    # The peer's side

    def peer_sends(self, most: int = 1 << 20) -> None:
        """Put what the peer has to say into the socket, at most ``most`` bytes of it."""
        self._backlog += self.peer.outgoing()
        while self._backlog and most > 0:
            try:
                sent = self.peer_sock.send(self._backlog[:most])
            except (BlockingIOError, ConnectionError):
                return
            self._backlog = self._backlog[sent:]
            most -= sent

    def peer_receives(self, most: int = 1 << 20) -> bytes:
        """Take what lies in the socket, decrypt it, and keep it in ``heard``; the ciphertext."""
        got = b""
        while len(got) < most and not self.peer_end:
            try:
                data = self.peer_sock.recv(min(65536, most - len(got)))
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.peer_end = "reset"
                break
            if not data:
                self.peer_end = self.peer_end or "cut"
                break
            got += data
            self.peer.feed(data)
            self._peer_reads()
        return got

    def _peer_reads(self) -> None:
        try:
            if not self.peer.step():
                return
            while data := self.peer.read():
                self.heard += data
        except (ssl.SSLZeroReturnError, SSL.ZeroReturnError):
            self.peer_end = self.peer_end or "close_notify"
        except (ssl.SSLError, SSL.Error) as error:
            self.peer_end = self.peer_end or str(error)

    def peer_says(self, data: bytes) -> None:
        self.peer.write(data)
        self.peer_sends()

    def peer_closes(self) -> None:
        """close_notify, and nothing of TCP.  A peer of pyOpenSSL goes on reading, the standard library's cannot."""
        if isinstance(self.peer, OpenSslEnd):
            self.peer.connection.shutdown()
        elif isinstance(self.peer, StdlibEnd):
            with contextlib.suppress(ssl.SSLError):
                self.peer.tls.unwrap()
        self.peer_sends()

    # Both

    def turn(self) -> bool:
        """One turn of the reactor for us; always True."""
        self.hub.doRead()
        self.hub.reactor.advance(0)  # type: ignore[attr-defined]
        return True

    def exchange(self) -> bool:
        """A turn on both sides; always True."""
        self.peer_sends()
        self.turn()
        self.peer_receives()
        return True

    def until(self, fact: Callable[[], object], what: str = "") -> None:
        """Go on until ``fact``."""
        until(lambda: self.exchange() and fact(), what)

    def shake(self) -> TlsPair:
        self.leg.start()
        with contextlib.suppress(ssl.SSLError):
            self.peer.step()
        self.until(lambda: (self.secured and self.peer.step()) or self.refusals, "the handshake's end")
        return self

    def close(self) -> None:
        self.peer_sock.close()
        if not self.leg.closed:
            self.leg.abortConnection()
        self.turn()
        # What a test hung here refers to the leg: without it nothing waits for the collector.
        self.listening.on_data = len


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        dialled = socket.create_connection(listening.getsockname())
        accepted, _address = listening.accept()
    return accepted, dialled


class RecordWriter:
    """Writes records of TLS 1.3 in a client's name that no library would write (RFC 8446 sections 5.2 and 7.2).

    ``key_log`` is the file in which a client noted its secrets; that client must not have written anything yet.
    """

    def __init__(self, key_log: Path, cipher: str) -> None:
        (line,) = [line for line in key_log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self._secret = bytes.fromhex(line.split()[2])
        self._hash: hashes.HashAlgorithm = hashes.SHA384() if cipher.endswith("SHA384") else hashes.SHA256()
        self._key_size = 32 if "256_GCM" in cipher else 16
        self._use(self._secret)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._key = AESGCM(self._derive(b"key", self._key_size))
        self._iv = int.from_bytes(self._derive(b"iv", 12))
        self._sequence = 0

    def _derive(self, label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = size.to_bytes(2) + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(self._hash, size, info).derive(self._secret)

    def _record(self, content: bytes, kind: int) -> bytes:
        header = bytes([23, 3, 3]) + (len(content) + 17).to_bytes(2)
        nonce = (self._iv ^ self._sequence).to_bytes(12)
        self._sequence += 1
        return header + self._key.encrypt(nonce, content + bytes([kind]), header)

    def data(self, content: bytes) -> bytes:
        """A record of application data, which may be empty."""
        return self._record(content, 23)

    def key_update(self) -> bytes:
        """A KeyUpdate that asks for one in return (RFC 8446 section 4.6.3)."""
        record = self._record(bytes([24, 0, 0, 1, 1]), 22)
        self._use(self._derive(b"traffic upd", self._hash.digest_size))
        return record
