"""The few OpenSSL calls of the hot path, taken directly.

pyOpenSSL allocates a buffer for each read and raises an exception for "nothing more to read".  Called directly, one
way of a small TLS message costs 2.0 us instead of 5.4 (measured side by side, 128 bytes, TLS 1.3).  The names used here
are private to pyOpenSSL; they are all in this module, and a test checks that they exist.  Everything that is not done
for each message (handshake, certificates, errors) goes through pyOpenSSL's own methods.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi as _ffi
from OpenSSL._util import lib as _lib

from wsgate.transport.hub import READ_SIZE

#: The largest plaintext of one TLS record (RFC 8446 section 5.1).
RECORD = 16 * 1024

#: Plaintext encrypted in one go, and room for its records: header, tag and inner type are below 64 bytes each.
PIECE = 4 * RECORD
_ROOM = 5 * (RECORD + 256)

#: Plaintext delivered in one go: all records of one read of the socket, so that what follows is done once for them.
PLAIN = 4 * RECORD

#: Small views are copied into bytes: cffi takes those as they are, and makes an object for a view.
_SMALL = 4096

_WANT_READ: int = _lib.SSL_ERROR_WANT_READ
_NOWHERE = _ffi.NULL


class Buffers:
    """Buffers that all TLS legs of one hub share; what is in them belongs to the callback that runs now."""

    __slots__ = ("cipher_in", "cipher_out", "cipher_view", "plain", "plain_view")

    def __init__(self, received: memoryview) -> None:
        if len(received) < READ_SIZE:
            raise ValueError("the buffer that sockets are read into is too small")
        # Of the bytearray itself: a view of the memoryview crashes CPython when both are garbage of one cycle, since
        # the collector empties the memoryview before cffi gives it back.
        self.cipher_in: Any = _ffi.from_buffer(received.obj)
        self.plain: Any = _ffi.new("char[]", PLAIN)
        self.plain_view = memoryview(_ffi.buffer(self.plain))
        self.cipher_out: Any = _ffi.new("char[]", _ROOM)
        self.cipher_view = memoryview(_ffi.buffer(self.cipher_out))


class Engine:
    """A pyOpenSSL connection between two memory BIOs."""

    __slots__ = ("_buffers", "_failed", "_from", "_into", "_ssl", "connection", "more", "records")

    def __init__(self, connection: SSL.Connection, buffers: Buffers) -> None:
        self.connection = connection
        self._buffers = buffers
        self._ssl: Any = connection._ssl
        self._into: Any = connection._into_ssl
        self._from: Any = connection._from_ssl
        self._failed: SSL.Error | None = None
        #: After ``read``: whether another one may find something now, and how many records this one took.
        self.more = False
        self.records = 0

    def feed(self, data: bytes) -> None:
        """Take ciphertext that was received elsewhere."""
        _lib.BIO_write(self._into, data, len(data))

    def feed_received(self, count: int) -> None:
        """Take the first ``count`` bytes of the hub's buffer as ciphertext."""
        _lib.BIO_write(self._into, self._buffers.cipher_in, count)

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is done.  Raises ``SSL.Error``."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def read(self) -> memoryview | None:
        """The plaintext of the next records, at most PLAIN bytes; None when there is no more now.

        The view is valid until the next read on any leg of this hub.  Raises ``SSL.ZeroReturnError`` for close_notify
        and another ``SSL.Error`` for everything that is wrong, behind the plaintext that came before it.
        """
        if self._failed is not None:
            raise self._failed
        ssl, plain, into = self._ssl, self._buffers.plain, self._into
        filled = records = 0
        self.more = False
        while True:
            got = _lib.SSL_read(ssl, plain + filled if filled else plain, RECORD)
            if got <= 0:
                self._read_failed(got, filled)
                break
            filled += got
            records += 1
            # An attempt that finds nothing costs as much as one that finds a record; this look a tenth of it.
            if not _lib.BIO_get_mem_data(into, _NOWHERE):
                break
            if filled > PLAIN - RECORD:
                self.more = True
                break
        self.records = records
        return self._buffers.plain_view[:filled] if filled else None

    def _read_failed(self, got: int, filled: int) -> None:
        """Nothing more to read now, or never: then the error is raised, once what came before it was delivered."""
        if _lib.SSL_get_error(self._ssl, got) == _WANT_READ:
            return
        try:
            # Raises, and empties OpenSSL's error queue, which the next connection would trip over.
            self.connection._raise_ssl_error(self._ssl, got)
        except SSL.Error as error:
            if not filled:
                raise
            self._failed = error
            self.more = True

    def write(self, data: bytes | memoryview) -> int:
        """Encrypt up to PIECE bytes into ``outgoing``; the length of the ciphertext.

        Each record leaves its BIO before the next is made: a memory BIO never gives memory back.
        """
        size = len(data)
        plain: Any
        if 0 < size <= _SMALL:
            plain = data if type(data) is bytes else bytes(data)
            if _lib.SSL_write(self._ssl, plain, size) == size:
                return self._collect(0)
        else:
            plain = data if size <= RECORD and isinstance(data, bytes) else _ffi.from_buffer(data)
        done = filled = 0
        while done < size:
            count = _lib.SSL_write(self._ssl, plain + done if done else plain, min(size - done, RECORD))
            if count <= 0:
                self.connection._raise_ssl_error(self._ssl, count)
                return filled
            done += count
            filled = self._collect(filled)
        return filled

    def pending_output(self) -> int:
        """Move what OpenSSL wants to send (handshake, tickets, alerts, key updates) into ``outgoing``; its length."""
        return self._collect(0)

    def _collect(self, filled: int) -> int:
        out = self._buffers.cipher_out
        got = _lib.BIO_read(self._from, out + filled, _ROOM - filled)
        return filled + got if got > 0 else filled

    def outgoing(self, count: int) -> memoryview:
        return self._buffers.cipher_view[:count]

    def close_notify(self) -> None:
        """Say that nothing more will be written (RFC 8446 section 6.1).  Reading goes on."""
        try:
            self.connection.shutdown()
        except SSL.Error:
            # The session is already broken; the peer learns it from the end of the connection.
            return
