"""The first message of a TLS client, read without a TLS library (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2).

The names, protocols and algorithms in it choose a certificate, a policy or a server before any TLS state exists; the
bytes themselves stay with the caller, who hands them on unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address
from struct import Struct, unpack
from typing import Final

from wsgate.errors import WsgateError

MAX_HELLO: Final = 16384
"""Bytes of a ClientHello without its header: far above what clients send (2 kB with post-quantum keys)."""

MAX_WIRE: Final = 32768
"""Bytes of the records that hold the ClientHello: twice its bound, for one that is cut into many small records."""

_HANDSHAKE: Final = 22
_RECORD_START: Final = bytes((_HANDSHAKE, 3))
_CLIENT_HELLO: Final = 1
_MAX_RECORD: Final = 16384  # RFC 8446 section 5.1

_SERVER_NAME: Final = 0
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_TLS_1_3: Final = 0x0304

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_MAX_HOST: Final = 253
# Placeholders that mean nothing: 0x0A0A, 0x1A1A and so on (RFC 8701 section 2).
_GREASE: Final = frozenset(0x1010 * high + 0x0A0A for high in range(16))
# Every connection under TLS passes here: one call for the two numbers before each extension.
_KIND_AND_LENGTH: Final = Struct(">HH")
# Clients send the same few values again and again.  Each is at most MAX_HELLO bytes, mostly below 64.
_REMEMBERED: Final = 128


class HelloError(WsgateError):
    """The first bytes began as TLS and are not a ClientHello as the RFCs have it; the connection is to be closed."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client says about itself; numbers are those of the TLS registries, placeholders (RFC 8701) left out.

    ``server_name`` is a host name in lower case without a last dot; None where the client sent none or an IPv4
    address, which RFC 6066 section 3 does not count as a name.  ``versions`` are in the client's order; a client
    without the extension gives one, the highest that it speaks.  What was not sent is empty.  ``suites`` are the cipher
    suites of a client without TLS 1.3, two bytes each; those of TLS 1.3 say nothing about a certificate.
    """

    server_name: str | None = None
    alpn: tuple[bytes, ...] = ()
    versions: tuple[int, ...] = ()
    signature_algorithms: tuple[int, ...] = ()
    suites: bytes = b""


@dataclass(frozen=True, slots=True)
class NotTls:
    """The answer for first bytes that are no TLS record: another protocol, or SSL 2."""


class ClientHelloReader:
    """Reads one ClientHello from the first bytes of a connection, in whatever pieces and records they come."""

    __slots__ = ("_answer", "_head", "_left", "_message", "_wire")

    def __init__(self) -> None:
        self._answer: ClientHello | NotTls | None = None
        self._head = b""  # of the record, while it is incomplete
        self._left = 0  # bytes to come of the record
        self._message = bytearray()
        self._wire = 0  # bytes of all records so far, the one under way included

    def feed(self, data: bytes | memoryview) -> ClientHello | NotTls | None:
        """Take note of the next bytes; return the answer, or None where more are needed.

        The answer comes as soon as it is certain (NotTls with the first or second byte) and stays the same from then
        on.  Raises HelloError for what is malformed, above `MAX_HELLO` or above `MAX_WIRE`; the reader is then done
        with.
        """
        at, size = 0, len(data)
        if not (self._answer or self._head or self._wire) and (body := _whole(data, size)):
            self._wire = size
            self._answer = _parse(body)
        while at < size and self._answer is None:
            if self._left:
                part = data[at : at + min(self._left, self._missing())]
                self._left -= len(part)
                self._take(part)
            else:
                part = data[at : at + 5 - len(self._head)]
                self._record(part)
            at += len(part)
        return self._answer

    def _record(self, part: bytes | memoryview) -> None:
        """Add ``part`` to the header of the record and judge what is there of it (RFC 8446 section 5.1)."""
        head = self._head = self._head + part
        if head[0] != _HANDSHAKE or (len(head) > 1 and head[1] != 3):
            if self._message:
                raise HelloError("another record inside the ClientHello")
            self._answer = NotTls()
        elif len(head) == 5:
            self._left = int.from_bytes(head[3:], "big")
            if not 0 < self._left <= _MAX_RECORD:
                raise HelloError(f"TLS record of {self._left} bytes")
            self._wire += 5 + self._left
            if self._wire > MAX_WIRE:
                raise HelloError("ClientHello in too many records")
            self._head = b""

    def _missing(self) -> int:
        """Bytes to come of the handshake message, as far as that is known."""
        have = len(self._message)
        return 4 - have if have < 4 else 4 + int.from_bytes(self._message[1:4], "big") - have

    def _take(self, part: bytes | memoryview) -> None:
        """Add ``part`` to the handshake message, and read the message once it is whole."""
        message = self._message
        message += part
        if message[0] != _CLIENT_HELLO:
            raise HelloError(f"handshake message {message[0]} instead of a ClientHello")
        if len(message) < 4:
            return
        missing = self._missing()
        if len(message) + missing > MAX_HELLO + 4:
            raise HelloError(f"ClientHello of {len(message) + missing - 4} bytes")
        if not missing:
            self._answer = _parse(bytes(message[4:]))
            self._message = bytearray()


def _whole(data: bytes | memoryview, size: int) -> bytes:
    """The ClientHello in ``data`` where it is just that: one record with one message, as nearly every client sends it.

    Nothing where it is anything else; the reader then looks at each byte, as it must.
    """
    if (
        size > 9
        and data[:2] == _RECORD_START
        and data[5] == _CLIENT_HELLO
        and int.from_bytes(data[3:5], "big") == size - 5 <= _MAX_RECORD
        and int.from_bytes(data[6:9], "big") == size - 9
    ):
        return bytes(data[9:])
    return b""


class _Cursor:
    """Walks a structure of lengths and values, and holds every length against what is there."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    def __bool__(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise HelloError(f"{self._what} cut short")
        found = self._data[self._at : end]
        self._at = end
        return found

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int, least: int, most: int) -> bytes:
        """Take a value of ``least`` to ``most`` bytes behind its length in ``width`` bytes."""
        length = self.number(width)
        if not least <= length <= most:
            raise HelloError(f"{self._what} with a length of {length}")
        return self.take(length)

    def end(self) -> None:
        if self:
            raise HelloError(f"{self._what} with bytes behind its end")


def _parse(body: bytes) -> ClientHello:
    """Read the ClientHello in ``body``, its message without header."""
    if len(body) < 35:
        raise HelloError("ClientHello cut short")
    version = int.from_bytes(body[:2], "big")
    at = _behind(body, 34, 1, 0, 32)  # the random value, the session id
    suites, at = at + 2, _behind(body, at, 2, 2, 65534)
    behind = at
    at = _behind(body, at, 1, 1, 255)  # compression methods
    extensions = {}
    if at < len(body):
        end = _behind(body, at, 2, 0, 65535)
        extensions = _extensions(body[at + 2 : end])
        at = end
    if at < len(body):
        raise HelloError("ClientHello with bytes behind its end")
    name = extensions.get(_SERVER_NAME)
    alpn = extensions.get(_ALPN)
    listed = extensions.get(_SUPPORTED_VERSIONS)
    versions = (version,) if listed is None else _numbers(listed, 1, "supported_versions")
    algorithms = extensions.get(_SIGNATURE_ALGORITHMS)
    return ClientHello(
        None if name is None else _server_name(name),
        () if alpn is None else _protocols(alpn),
        versions,
        () if algorithms is None else _numbers(algorithms, 2, "signature_algorithms"),
        b"" if _TLS_1_3 in versions else body[suites:behind],
    )


def _behind(body: bytes, at: int, width: int, least: int, most: int) -> int:
    """Where the value of ``least`` to ``most`` bytes ends whose length lies at ``at``, in ``width`` bytes."""
    start = at + width
    length = int.from_bytes(body[at:start], "big")
    if start + length > len(body):
        raise HelloError("ClientHello cut short")
    if not least <= length <= most:
        raise HelloError(f"ClientHello with a length of {length}")
    return start + length


def _extensions(block: bytes) -> dict[int, bytes]:
    """Return the extensions by type; raises HelloError where one is there twice (RFC 8446 section 4.2)."""
    found: dict[int, bytes] = {}
    at, size = 0, len(block)
    while at < size:
        if at + 4 > size:
            raise HelloError("extensions cut short")
        kind, length = _KIND_AND_LENGTH.unpack_from(block, at)
        if kind in found:
            raise HelloError(f"extension {kind} twice")
        start, at = at + 4, at + 4 + length
        if at > size:
            raise HelloError("extensions cut short")
        found[kind] = block[start:at]
    return found


@lru_cache(_REMEMBERED)
def _server_name(value: bytes) -> str | None:
    """Return the one host name of the extension (RFC 6066 section 3)."""
    outer = _Cursor(value, "server_name")
    cursor = _Cursor(outer.vector(2, 1, 65535), "server_name")
    outer.end()
    if cursor.number(1):
        raise HelloError("server_name of an unknown kind")
    name = cursor.vector(2, 1, 65535)
    cursor.end()
    if not _HOST.fullmatch(name) or len(name.rstrip(b".")) > _MAX_HOST:
        raise HelloError("server_name is not a host name")
    host = name.rstrip(b".").lower().decode("ascii")
    if not host[-1].isdigit():
        return host
    try:
        IPv4Address(host)
    except AddressValueError:
        return host
    return None


@lru_cache(_REMEMBERED)
def _protocols(value: bytes) -> tuple[bytes, ...]:
    """Return the protocol names of the ALPN extension (RFC 7301 section 3.1), placeholders left out."""
    outer = _Cursor(value, "ALPN")
    cursor = _Cursor(outer.vector(2, 2, 65535), "ALPN")
    outer.end()
    names = []
    while cursor:
        names.append(cursor.vector(1, 1, 255))
    return tuple(name for name in names if not (len(name) == 2 and int.from_bytes(name, "big") in _GREASE))


@lru_cache(_REMEMBERED)
def _numbers(value: bytes, width: int, what: str) -> tuple[int, ...]:
    """Return the 16-bit numbers of a list whose length has ``width`` bytes, placeholders left out."""
    outer = _Cursor(value, what)
    listed = outer.vector(width, 2, 65534)
    outer.end()
    if len(listed) % 2:
        raise HelloError(f"{what} of an odd length")
    numbers: tuple[int, ...] = unpack(f">{len(listed) // 2}H", listed)
    return numbers if _GREASE.isdisjoint(numbers) else tuple(number for number in numbers if number not in _GREASE)
