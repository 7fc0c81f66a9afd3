"""Which certificate a client gets: by the name and the signature algorithms of its ClientHello.

Every look-up is one in a dictionary: names that an attacker chooses cost no file access, no pattern and no search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from OpenSSL import SSL

    from wsgate.config.model import TlsOptions
    from wsgate.tls.certificates import CertificateChain
    from wsgate.tls.material import TlsMaterial
    from wsgate.tls.stapling import Staple

#: The alert record for a name that is refused: fatal, unrecognized_name (RFC 6066 section 3, RFC 8446 section 6).
#: Nothing has been said yet, so it goes out in the clear, before a connection of OpenSSL exists.
UNRECOGNIZED_NAME = bytes.fromhex("15 0303 0002 02 70")

# Suites of TLS 1.2 say with which kind of key the server signs (RFC 5289, RFC 7905); those that the policies have.
_RSA_PSS = 0x0804
_RSA_SUITES = frozenset({0xC02F, 0xC030, 0xCCA8})
_ECDSA_SUITES = frozenset({0xC02B, 0xC02C, 0xCCA9})


class UnknownNames(Enum):
    """What is done with a client that asks for a name of no section."""

    DEFAULT = "default"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, eq=False)
class ServerIdentity:
    """One ``[tls NAME]`` section, ready to be served.

    ``names`` are lower-case DNS names, ``*.example.org`` for a wildcard.  ``signatures`` are the codes of RFC 8446
    section 4.2.3 that its key can make; ``rank`` orders keys for the same name, the cheapest signature first.
    """

    section: str
    names: tuple[str, ...]
    signatures: frozenset[int]
    rank: int
    context: SSL.Context
    chain: CertificateChain
    options: TlsOptions | None = None
    material: TlsMaterial | None = None
    staple: Staple | None = None

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for certificates."""
        return self.options is not None and self.options.client_auth != "off"

    @property
    def hsts(self) -> bytes:
        """The value of Strict-Transport-Security (RFC 6797 section 6.1); empty: none."""
        options = self.options
        if options is None or not options.hsts:
            return b""
        return b"max-age=%d%b" % (options.hsts, b"; includeSubDomains" if options.hsts_subdomains else b"")


class ServerNames:
    """The sections of one listener, in the listener's order; the first is the default."""

    __slots__ = ("_by_name", "_default", "_unknown", "identities")

    def __init__(
        self, identities: Sequence[ServerIdentity], unknown_names: UnknownNames = UnknownNames.DEFAULT
    ) -> None:
        if not identities:
            raise ValueError("a TLS listener needs a section")
        self.identities = tuple(identities)
        self._unknown = unknown_names
        self._by_name: dict[str, tuple[ServerIdentity, ...]] = {}
        for identity in self.identities:
            for name in identity.names:
                self._add(name, identity)
        first = self.identities[0]
        self._default = _ordered(other for other in self.identities if set(other.names) == set(first.names))

    def _add(self, name: str, identity: ServerIdentity) -> None:
        """Put a section under a name; of two with the same kind of key, the listener's first one keeps it."""
        known = self._by_name.get(name, ())
        if all(other.rank != identity.rank for other in known):
            self._by_name[name] = _ordered((*known, identity))

    def choose(
        self, name: str | None, signature_algorithms: Sequence[int], suites: bytes = b""
    ) -> ServerIdentity | None:
        """The identity for a ClientHello: its server name (``None``: none given) and signature algorithms.

        ``suites`` are those of a client without TLS 1.3, two bytes each; empty: they ask for no kind of key.

        ``None`` when the name is unknown and unknown names are refused: answer ``UNRECOGNIZED_NAME`` and close.
        """
        candidates = self._default if name is None else self._find(name)
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        for identity in candidates:
            if not identity.signatures.isdisjoint(signature_algorithms) and _suits(identity, suites):
                return identity
        # No match, or a TLS 1.2 client without the extension, which is old: RSA comes last and serves most of those.
        return candidates[-1]

    def serves(self, identity: ServerIdentity, host: str) -> bool:
        """Whether a connection that was given ``identity`` may carry requests for ``host`` (421 otherwise).

        ``host`` is a request's Host without its port.  Clients send no server name for an address, so an address
        belongs to the default.
        """
        found = self._default if _is_address(host) else self._find(host)
        # By section: a connection outlives a reload that brought the section a new certificate.
        return any(known.section == identity.section for known in found)

    def _find(self, name: str) -> tuple[ServerIdentity, ...]:
        name = name.lower().removesuffix(".")
        found = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if found:
            return found
        return self._default if self._unknown is UnknownNames.DEFAULT else ()


def _ordered(identities: Iterable[ServerIdentity]) -> tuple[ServerIdentity, ...]:
    return tuple(sorted(identities, key=lambda identity: identity.rank))


def _suits(identity: ServerIdentity, suites: bytes) -> bool:
    """Whether one of a client's suites goes with the key of ``identity``."""
    wanted = _RSA_SUITES if _RSA_PSS in identity.signatures else _ECDSA_SUITES
    numbers = (int.from_bytes(suites[at : at + 2]) for at in range(0, len(suites), 2))
    return not suites or not wanted.isdisjoint(numbers)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
