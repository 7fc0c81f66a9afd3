"""PROXY protocol, versions 1 and 2 (HAProxy's ``doc/proxy-protocol.txt``): who really connected, told by a proxy.

Whether a header stands in front of a connection is configured and never guessed: a reader is made only for listeners
with ``proxy_protocol = on`` and peers that are trusted, and what does not begin with a header is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

from wsgate.wire.proxy_tlvs import (
    MAX_UNIQUE_ID,
    ProxyError,
    ProxyTls,
    Tlv,
    crc32c,
    encode_tlvs,
    parse_ssl,
    parse_tlvs,
    plain_text,
)

MAX_V1: Final = 107
"""Bytes of a version 1 line with its end (section 2.1)."""

MAX_V2: Final = 8192
"""Bytes of a version 2 header behind its first 16: addresses, and values up to a client certificate in full."""

Endpoint = tuple[str, int]
"""An IP address and a port."""

Ip = IPv4Address | IPv6Address

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_STREAM: Final = 1
_INET: Final = 1
_INET6: Final = 2
_ADDRESS_BYTES: Final = (0, 12, 36, 216)  # by family: unspecified, IPv4, IPv6, unix
_LINE_END: Final = re.compile(rb"[\r\n]")
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")  # section 2.1: no leading zeros


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says; ``source`` and ``destination`` are None where the connection's own addresses count.

    That is so for a ``local`` connection (the proxy's own), for ``UNKNOWN`` and for all but TCP over IP.  An IPv4
    address mapped into IPv6 is given as IPv4.  ``tls`` is None where the client did not use TLS.  ``other`` holds the
    values of types without a field here.
    """

    version: int
    local: bool = False
    source: Endpoint | None = None
    destination: Endpoint | None = None
    alpn: bytes = b""
    authority: str = ""
    unique_id: bytes = b""
    tls: ProxyTls | None = None
    other: tuple[tuple[int, bytes], ...] = ()


class ProxyReader:
    """Reads the header in front of one connection, in whatever pieces it comes; ``max_v2`` bounds version 2."""

    __slots__ = ("_buffer", "_end", "_header", "_max_v2")

    def __init__(self, max_v2: int = MAX_V2) -> None:
        self._buffer = b""
        self._end = 0
        self._header: ProxyHeader | None = None
        self._max_v2 = max_v2

    @property
    def rest(self) -> bytes:
        """The bytes behind the header; empty until it is complete."""
        return self._buffer[self._end :] if self._header is not None else b""

    def feed(self, data: bytes | memoryview) -> ProxyHeader | None:
        """Add ``data``; return the header once it is complete, else None.

        Raises ProxyError as soon as the bytes cannot become a header, or one within its bound.
        """
        self._buffer += data
        if self._header is None:
            if _begins(self._buffer, _V1):
                self._header = self._line()
            elif _begins(self._buffer, _V2):
                self._header = self._binary()
            else:
                raise ProxyError("no PROXY header")
        return self._header

    def _line(self) -> ProxyHeader | None:
        """Read a version 1 line (section 2.1), where it is complete."""
        line = self._buffer[:MAX_V1]
        found = _LINE_END.search(line)
        end = found.start() if found else len(line)
        ending = line[end : end + 2]
        if not b"\r\n".startswith(ending):
            raise ProxyError("PROXY line with a wrong end")
        if ending != b"\r\n":
            if len(line) == MAX_V1:
                raise ProxyError(f"PROXY line of more than {MAX_V1} bytes")
            return None
        self._end = end + 2
        return _parse_v1(line[len(_V1) : end].split(b" "))

    def _binary(self) -> ProxyHeader | None:
        """Read a version 2 header (section 2.2), where it is complete."""
        buffer = self._buffer
        if len(buffer) > 12 and buffer[12] not in {_LOCAL, _PROXY}:
            raise ProxyError(f"PROXY version and command {buffer[12]:#04x}")
        local = len(buffer) > 12 and buffer[12] == _LOCAL
        if len(buffer) > 13 and not local and (buffer[13] >> 4 > 3 or buffer[13] & 0x0F > 2):
            raise ProxyError(f"PROXY family and protocol {buffer[13]:#04x}")
        if len(buffer) < 16:
            return None
        length = int.from_bytes(buffer[14:16], "big")
        if length > self._max_v2:
            raise ProxyError(f"PROXY header of {length} bytes, {self._max_v2} allowed")
        end = 16 + length
        if len(buffer) < end:
            return None
        self._end = end
        # Section 2.2: a LOCAL header is valid whatever family and block it has, and nothing in it counts.
        return ProxyHeader(2, local=True) if local else _parse_v2(buffer[:end])


def _begins(buffer: bytes, signature: bytes) -> bool:
    """Whether ``buffer`` begins with ``signature``, or is the beginning of it."""
    return buffer.startswith(signature) or signature.startswith(buffer)


def _parse_v1(fields: list[bytes]) -> ProxyHeader:
    """Read the words behind ``PROXY``."""
    if fields[0] == b"UNKNOWN":
        return ProxyHeader(1)
    if fields[0] not in {b"TCP4", b"TCP6"} or len(fields) != 5:
        raise ProxyError("PROXY line that is not a protocol, two addresses and two ports")
    kind = IPv4Address if fields[0] == b"TCP4" else IPv6Address
    source, destination = (_address(kind, text) for text in fields[1:3])
    source_port, destination_port = (_port(text) for text in fields[3:])
    return ProxyHeader(1, False, (source, source_port), (destination, destination_port))


def _address(kind: type[Ip], text: bytes) -> str:
    try:
        address = kind(text.decode("ascii"))
    except (AddressValueError, UnicodeDecodeError):
        raise ProxyError("PROXY line with a wrong address") from None
    if "%" in str(address):
        raise ProxyError("PROXY line with a scoped address")
    return str(_unmapped(address))


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ProxyError("PROXY line with a wrong port")
    return int(text)


def _unmapped(address: Ip) -> Ip:
    """An IPv4 address that comes in IPv6 as what it is: a client has one address, in every list and log."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _parse_v2(header: bytes) -> ProxyHeader:
    """Read a whole version 2 header of command PROXY."""
    family = header[13] >> 4
    start = 16 + _ADDRESS_BYTES[family]
    if start > len(header):
        raise ProxyError("PROXY addresses cut short")
    source = destination = None
    if header[13] & 0x0F == _STREAM and family in {_INET, _INET6}:
        source, destination = _endpoints(header[16:start])
    known: dict[int, bytes] = {}
    other = []
    for kind, at, value in parse_tlvs(header[start:]):
        if kind in {Tlv.ALPN, Tlv.AUTHORITY, Tlv.CRC32C, Tlv.UNIQUE_ID, Tlv.SSL}:
            if kind in known:
                raise ProxyError(f"PROXY value {kind:#04x} twice")
            known[kind] = value
            if kind == Tlv.CRC32C:
                _check_crc(header, start + at, value)
        elif kind != Tlv.NOOP:
            other.append((kind, value))
    if len(known.get(Tlv.UNIQUE_ID, b"")) > MAX_UNIQUE_ID:
        raise ProxyError(f"unique id of more than {MAX_UNIQUE_ID} bytes")
    return ProxyHeader(
        2,
        False,
        source,
        destination,
        known.get(Tlv.ALPN, b""),
        plain_text(known.get(Tlv.AUTHORITY, b""), "authority"),
        known.get(Tlv.UNIQUE_ID, b""),
        parse_ssl(known[Tlv.SSL]) if Tlv.SSL in known else None,
        tuple(other),
    )


def _endpoints(block: bytes) -> tuple[Endpoint, Endpoint]:
    """Read source and destination; ``block`` is two addresses and two ports, of 12 or 36 bytes."""
    size = (len(block) - 4) // 2
    source, destination = (str(_unmapped(ip_address(block[at : at + size]))) for at in (0, size))
    return (source, int.from_bytes(block[-4:-2], "big")), (destination, int.from_bytes(block[-2:], "big"))


def _check_crc(header: bytes, at: int, value: bytes) -> None:
    """Hold the checksum ``value`` at offset ``at`` against the header with zeros in its place (section 2.2.3)."""
    if len(value) != 4:
        raise ProxyError(f"checksum of {len(value)} bytes")
    if crc32c(header[:at] + bytes(4) + header[at + 4 :]) != int.from_bytes(value, "big"):
        raise ProxyError("checksum does not match")


def _addresses(source: Endpoint, destination: Endpoint) -> tuple[Ip, Ip, bytes]:
    """Return both addresses in one family, IPv4 only where both are, and the ports as version 2 has them."""
    ends = [_unmapped(ip_address(host.partition("%")[0])) for host, _ in (source, destination)]
    ports = source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
    if ends[0].version != ends[1].version:
        ends = [IPv6Address(0xFFFF << 32 | int(end)) if end.version == 4 else end for end in ends]
    return ends[0], ends[1], ports


def encode_v1(source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """Return a version 1 line; ``UNKNOWN`` where an end is None.

    Where only one end is IPv4, it is sent mapped into IPv6; the zone of a link-local address is left out.  Raises
    ValueError for what is not an IP address, OverflowError for what is not a port.
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    client, server, _ = _addresses(source, destination)
    return f"PROXY TCP{client.version} {client} {server} {source[1]} {destination[1]}\r\n".encode()


def encode_v2(
    source: Endpoint | None,
    destination: Endpoint | None,
    tlvs: Sequence[tuple[int, bytes]] = (),
    checksum: bool = False,
) -> bytes:
    """Return a version 2 header with ``tlvs`` as (type, value), and a CRC-32C where asked for.

    Addresses are sent as in `encode_v1`.  Where an end is None (a client on a unix socket, a probe of the gateway's
    own) the command is LOCAL, which every receiver must accept; with PROXY and no family HAProxy 2.6 closes.  Raises
    ValueError for what is not an IP address, OverflowError for what is not a port and for more than 65535 bytes.
    """
    command, family, addresses = _LOCAL, 0, b""
    if source is not None and destination is not None:
        client, server, ports = _addresses(source, destination)
        command, family = _PROXY, (_INET if client.version == 4 else _INET6) << 4 | _STREAM
        addresses = client.packed + server.packed + ports
    block = addresses + encode_tlvs([*tlvs, (Tlv.CRC32C, bytes(4))] if checksum else tlvs)
    header = _V2 + bytes((command, family)) + len(block).to_bytes(2, "big") + block
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header
