"""Reading a ClientHello ahead of TLS, so that the certificate is known before a TLS connection exists.

Choosing later, in OpenSSL's callback, would leave holes: a ticket of one name resumes on another, and the policy of
client certificates stays that of the first context.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from wsgate.transport.hub import READ, Hub
from wsgate.wire.client_hello import ClientHello, ClientHelloReader, HelloError, NotTls


class HelloReading:
    """Reads from ``sock`` until its ClientHello is whole, then calls ``found(hello, bytes_read)``.

    ``failed(why, bytes_read)`` is called when something else comes, or the peer leaves.  The socket has then left the
    hub and still belongs to the caller.
    """

    __slots__ = ("_failed", "_found", "_hub", "_read", "_reader", "_sock")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        found: Callable[[ClientHello, bytes], None],
        failed: Callable[[str, bytes], None],
    ) -> None:
        self._hub = hub
        self._sock = sock
        self._found = found
        self._failed = failed
        self._reader = ClientHelloReader()
        self._read = b""
        hub.watch(sock.fileno(), self, READ)

    def stop(self) -> None:
        """Leave the hub without a word."""
        self._hub.forget(self._sock.fileno())

    def ready(self, events: int) -> None:
        try:
            count = self._sock.recv_into(self._hub.buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._fail("the client left before its TLS hello")
            return
        data = bytes(self._hub.buffer[:count])
        self._read += data
        try:
            hello = self._reader.feed(data)
        except HelloError as error:
            self._fail(str(error))
            return
        if isinstance(hello, NotTls):
            self._fail("not TLS")
        elif hello is not None:
            self.stop()
            self._found(hello, self._read)

    def broken(self) -> None:
        self._fail("a fault of the gateway")

    def _fail(self, why: str) -> None:
        self.stop()
        self._failed(why, self._read)
