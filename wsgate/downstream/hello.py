"""Reading a ClientHello ahead of TLS, so that the certificate is known before a TLS connection exists.

Choosing later, in OpenSSL's callback, would leave holes: a ticket of one name resumes on another, and the policy of
client certificates stays that of the first context.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from wsgate.downstream.read_ahead import ReadAhead
from wsgate.transport.hub import Hub
from wsgate.wire.client_hello import ClientHello, ClientHelloReader, HelloError, NotTls

#: Why a connection is no TLS: the one failure that may have another way to go.
NOT_TLS = "not TLS"

#: For those who speak HTTP to a TLS port; nginx answers so too.
SPEAK_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 34\r\n"
    b"Connection: close\r\n\r\nbad request: this port speaks TLS\n"
)


class HelloReading(ReadAhead):
    """Reads from ``sock`` until its ClientHello is whole, then calls ``found(hello, bytes_read)``.

    Whoever hears that calls ``give_to`` or ``stop``: nothing more may be read here.  ``failed(why, bytes_read)`` is
    called when something else comes, or the peer leaves; the socket has then left the hub and still belongs to the
    caller.  ``initial`` are bytes that were read before, behind a PROXY header.
    """

    __slots__ = ("_failed", "_found", "_read", "_reader")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        found: Callable[[ClientHello, bytes], None],
        failed: Callable[[str, bytes], None],
        initial: bytes = b"",
    ) -> None:
        self._found = found
        self._failed = failed
        self._reader = ClientHelloReader()
        self._read = b""
        super().__init__(hub, sock, initial)

    @property
    def read(self) -> bytes:
        """What has come so far."""
        return self._read

    def _take(self, data: bytes) -> None:
        self._read += data
        try:
            hello = self._reader.feed(data)
        except HelloError as error:
            self._fail(str(error))
            return
        if isinstance(hello, NotTls):
            self._fail(NOT_TLS)
        elif hello is not None:
            self._found(hello, self._read)

    def _left(self) -> None:
        self._fail("the client left before its TLS hello")

    def _fail(self, why: str) -> None:
        self.stop()
        self._failed(why, self._read)
