"""Two ends of TLS that shake hands in memory: ours, and stock ones of pyOpenSSL and of the standard library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol

from OpenSSL import SSL

#: A handshake takes three flights at most, with a HelloRetryRequest four.
_FLIGHTS = 6


class End(Protocol):
    """One end: it takes a step of the handshake, and bytes go in and out."""

    def step(self) -> bool: ...

    def read(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def feed(self, data: bytes) -> None: ...

    def outgoing(self) -> bytes: ...


class OpenSslEnd:
    """A pyOpenSSL connection on memory BIOs."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection

    def step(self) -> bool:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def read(self) -> bytes:
        """The next record's plaintext, or nothing."""
        try:
            return self.connection.recv(65536)
        except SSL.WantReadError:
            return b""

    def write(self, data: bytes) -> None:
        self.connection.send(data)

    def feed(self, data: bytes) -> None:
        if data:
            self.connection.bio_write(data)

    def outgoing(self) -> bytes:
        pieces = []
        while True:
            try:
                pieces.append(self.connection.bio_read(65536))
            except SSL.WantReadError:
                return b"".join(pieces)


class StdlibEnd:
    """An ``ssl.SSLObject``."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        server_side: bool = False,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side, server_name, session)

    def step(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self) -> bytes:
        """The next record's plaintext, or nothing; SSLZeroReturnError for close_notify, as pyOpenSSL has it."""
        try:
            data = self.tls.read(65536)
        except ssl.SSLWantReadError:
            return b""
        if not data:
            raise ssl.SSLZeroReturnError
        return data

    def write(self, data: bytes) -> None:
        self.tls.write(data)

    def feed(self, data: bytes) -> None:
        self._in.write(data)

    def outgoing(self) -> bytes:
        return self._out.read()


@dataclass
class Handshake:
    """How a handshake ended: what each end raised, and whether both finished."""

    done: bool = False
    client_error: Exception | None = None
    server_error: Exception | None = None

    @property
    def alert(self) -> str:
        """What the client heard from the server, in lower case with spaces."""
        return str(self.client_error).lower().replace("_", " ")


def shake(client: End, server: End) -> Handshake:
    """Let both ends shake hands; each flight, the alert of a failing end too, reaches the other."""
    result = Handshake()
    ready = {id(client): False, id(server): False}
    for _ in range(_FLIGHTS):
        for end, other in ((client, server), (server, client)):
            try:
                ready[id(end)] = ready[id(end)] or end.step()
            except (SSL.Error, ssl.SSLError) as error:
                if end is client:
                    result.client_error = result.client_error or error
                else:
                    result.server_error = result.server_error or error
            other.feed(end.outgoing())
        if result.client_error or result.server_error:
            # TLS 1.3: a client is done before the server has seen its last flight; the alert comes as a record.
            _hear(client, server, result)
            return result
    result.done = all(ready.values())
    return result


def _hear(client: End, server: End, result: Handshake) -> None:
    for end in (client, server):
        try:
            end.step()
            end.read()
        except (SSL.Error, ssl.SSLError) as error:
            if end is client:
                result.client_error = result.client_error or error
            else:
                result.server_error = result.server_error or error


def say(sender: End, receiver: End, data: bytes) -> bytes:
    """Send ``data`` one way; what arrived (tickets that came before it are taken in as well)."""
    sender.write(data)
    receiver.feed(sender.outgoing())
    return receiver.read()


def stdlib_client(
    ca: str | None = None,
    *,
    alpn: tuple[str, ...] = (),
    version: ssl.TLSVersion | None = None,
    ciphers: str = "",
) -> ssl.SSLContext:
    """A client of the standard library that trusts ``ca``, or everybody; ``version`` is the only one it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    if ca is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    if ciphers:
        context.set_ciphers(ciphers)
    if version is not None:
        context.minimum_version = version
        context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def openssl_client(context: SSL.Context | None = None, session: SSL.Session | None = None) -> OpenSslEnd:
    """A stock pyOpenSSL client that verifies nothing."""
    connection = SSL.Connection(context or SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    if session is not None:
        connection.set_session(session)
    return OpenSslEnd(connection)
