"""Reading the PROXY header that a trusted proxy sends in front of everything, TLS included."""

from __future__ import annotations

import socket
from collections.abc import Callable

from wsgate.downstream.read_ahead import ReadAhead
from wsgate.transport.hub import Hub
from wsgate.wire.proxy_protocol import ProxyHeader, ProxyReader
from wsgate.wire.proxy_tlvs import ProxyError


class HeaderReading(ReadAhead):
    """Reads until the header is whole, then calls ``found(header, rest)`` with the bytes that came behind it.

    ``failed(why)`` is called when something else comes, or the proxy leaves.
    """

    __slots__ = ("_failed", "_found", "_reader")

    def __init__(
        self,
        hub: Hub,
        sock: socket.socket,
        found: Callable[[ProxyHeader, bytes], None],
        failed: Callable[[str], None],
    ) -> None:
        self._found = found
        self._failed = failed
        self._reader = ProxyReader()
        super().__init__(hub, sock)

    def _take(self, data: bytes) -> None:
        try:
            header = self._reader.feed(data)
        except ProxyError as error:
            self._fail(str(error))
            return
        if header is not None:
            self.stop()
            self._found(header, self._reader.rest)

    def _left(self) -> None:
        self._fail("the proxy left before its PROXY header was complete")

    def _fail(self, why: str) -> None:
        self.stop()
        self._failed(why)
