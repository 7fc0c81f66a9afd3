"""A raw TLS connection by the standard library, with the ends of a stream told apart."""

from __future__ import annotations

import contextlib
import socket
import ssl

from tests.doubles.raw import Wire, dial

_RECORDS = 65_536


class CutOff(ConnectionError):
    """The TCP stream ended without close_notify: under TLS that is a loss, no end."""


class TlsWire(Wire):
    """A ``Wire`` under TLS; ``half_close`` sends close_notify and leaves the TCP connection as it is.

    ``handshake`` is called by the functions of this module; ssl.SSLError when it fails.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(sock, timeout)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side, server_name, session)
        self._notified = False

    def flush(self) -> None:
        """Send the records that wait in memory."""
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def _feed(self) -> None:
        """Give the engine what comes next from the socket; CutOff at the end of the TCP stream."""
        data = self.sock.recv(_RECORDS)
        if not data:
            raise CutOff("the TCP stream ended without close_notify")
        self._in.write(data)

    def handshake(self) -> None:
        """Shake hands, as the client or the server that this is."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self._feed()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self.flush()  # the alert
                raise
            else:
                self.flush()
                return

    def _send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def _receive(self) -> bytes:
        while True:
            try:
                data = self.tls.read(_RECORDS)
            except ssl.SSLWantReadError:
                self.flush()
                self._feed()
            except ssl.SSLZeroReturnError:
                return b""
            else:
                return data

    def half_close(self) -> None:
        """Send close_notify, once; the TCP connection stays open both ways."""
        if not self._notified:
            self._notified = True
            with contextlib.suppress(ssl.SSLError):  # it wants the other side's, which has its own time
                self.tls.unwrap()
            self.flush()

    def cut(self) -> None:
        """End the TCP stream without close_notify, which a truncation attack would do."""
        self.sock.shutdown(socket.SHUT_WR)


def client_context(
    authority: str | None = None,
    *,
    alpn: tuple[str, ...] = (),
    version: ssl.TLSVersion | None = None,
    certificate: tuple[str, str] | None = None,
) -> ssl.SSLContext:
    """A client's context that trusts the PEM file ``authority``, or anybody where it is None.

    ``version`` pins one TLS version; ``certificate`` is the (chain, key) files of a client certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def server_context(chain: str, key: str, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A server's context with the PEM files ``chain`` and ``key``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connect_tls(
    address: tuple[str, int] | str,
    context: ssl.SSLContext | None = None,
    *,
    server_name: str | None = "localhost",
    session: ssl.SSLSession | None = None,
    receive_buffer: int = 0,
    source: str = "",
    timeout: float = 30.0,
) -> TlsWire:
    """A ``TlsWire`` to ``address``, its handshake done; without a ``context`` nothing is verified."""
    sock = dial(address, receive_buffer=receive_buffer, source=source, timeout=timeout)
    try:
        wire = TlsWire(sock, context or client_context(), server_name=server_name, session=session, timeout=timeout)
        wire.handshake()
    except BaseException:
        sock.close()
        raise
    return wire
