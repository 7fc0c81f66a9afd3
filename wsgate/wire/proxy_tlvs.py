"""The values that may follow the addresses of a PROXY header v2 (section 2.2 of HAProxy's specification)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from wsgate.errors import WsgateError

MAX_UNIQUE_ID: Final = 128
"""Bytes of a unique id."""


class ProxyError(WsgateError):
    """What a trusted peer sent is not a PROXY header; the connection is to be closed without an answer."""


class Tlv(IntEnum):
    """The registered types of values."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


_CLIENT_TLS: Final = 0x01
_CLIENT_CERTIFICATE: Final = 0x02 | 0x04  # presented on this connection, or earlier in its TLS session

# The types inside of an SSL value, with the fields of ProxyTls that hold them.
_TEXTS: Final = {
    0x21: "version",
    0x22: "common_name",
    0x23: "cipher",
    0x24: "signature_algorithm",
    0x25: "key_algorithm",
    0x26: "group",
    0x27: "signature_scheme",
}
_CERTIFICATE: Final = 0x28


@dataclass(frozen=True, slots=True)
class ProxyTls:
    """What the sender says of the client's TLS (section 2.2.6); what was not said is empty.

    ``flags`` are the bits 1 (TLS), 2 (certificate on this connection), 4 (certificate in this TLS session); ``verify``
    is 0 where the sender verified the certificate.  ``signature_algorithm`` and ``key_algorithm`` are those of the
    sender's own certificate, ``common_name`` and ``certificate`` (DER) are the client's.
    """

    flags: int = _CLIENT_TLS
    verify: int = 1
    version: str = ""
    common_name: str = ""
    cipher: str = ""
    signature_algorithm: str = ""
    key_algorithm: str = ""
    group: str = ""
    signature_scheme: str = ""
    certificate: bytes = b""

    @property
    def verified(self) -> bool:
        """Whether there was a client certificate and it was good; HAProxy sends ``verify`` 0 without one, too."""
        return self.verify == 0 and bool(self.flags & _CLIENT_CERTIFICATE)

    def encode(self) -> bytes:
        """Return the value for a `Tlv.SSL`."""
        subs = [(kind, str(getattr(self, name)).encode()) for kind, name in _TEXTS.items()]
        subs.append((_CERTIFICATE, self.certificate))
        head = self.flags.to_bytes(1, "big") + self.verify.to_bytes(4, "big")
        return head + encode_tlvs((kind, value) for kind, value in subs if value)


def parse_ssl(value: bytes) -> ProxyTls | None:
    """Read the value of a `Tlv.SSL`, None where it says that there was no TLS, as HAProxy does.

    Unknown types inside are skipped.  Raises ProxyError.
    """
    if len(value) < 5:
        raise ProxyError("TLS value cut short")
    texts: dict[str, str] = {}
    certificate = b""
    seen = set()
    for kind, _, sub in parse_tlvs(value[5:]):
        if kind in seen:
            raise ProxyError(f"TLS value with {kind:#04x} twice")
        seen.add(kind)
        if kind == _CERTIFICATE:
            certificate = sub
        elif kind in _TEXTS:
            texts[_TEXTS[kind]] = plain_text(sub, _TEXTS[kind])
    if not value[0] & _CLIENT_TLS:
        return None
    return ProxyTls(value[0], int.from_bytes(value[1:5], "big"), certificate=certificate, **texts)


def parse_tlvs(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the values in ``block`` as (type, offset of the value, value).  Raises ProxyError for one cut short."""
    at = 0
    while at < len(block):
        start = at + 3
        end = start + int.from_bytes(block[at + 1 : start], "big")
        if start > len(block) or end > len(block):
            raise ProxyError("value cut short")
        yield block[at], start, block[start:end]
        at = end


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the values one behind the other.  Raises OverflowError above 65535 bytes or a type above 255."""
    return b"".join(kind.to_bytes(1, "big") + len(value).to_bytes(2, "big") + value for kind, value in tlvs)


def plain_text(value: bytes, what: str) -> str:
    """Return ``value`` as text.  Raises ProxyError where it is not UTF-8 or holds what cannot be printed."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ProxyError(f"{what} is not UTF-8") from None
    if not text.isprintable():
        raise ProxyError(f"{what} holds what cannot be printed")
    return text


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE: Final = tuple(_crc_row(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of ``data`` (RFC 4960 appendix B); about 0.1 us a byte, for headers only."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
