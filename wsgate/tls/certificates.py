"""Certificates and keys: read from PEM files, checked before anything is served with them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from wsgate.errors import WsgateError

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

#: Certificate and key files are small; a larger file is something else.
MAX_FILE = 1024 * 1024

#: OpenSSL's security level 2, and what CAs sign.
MIN_RSA_BITS = 2048

#: The curves of ECDSA certificates in TLS 1.3 (RFC 8446 section 4.2.3).
CURVES = ("secp256r1", "secp384r1", "secp521r1")

#: What cryptography raises for certificates that OpenSSL may have let pass.
PARSE_ERRORS = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class CertificateError(WsgateError):
    """A certificate or key cannot be used; the text names the file and says what would be right."""


@dataclass(frozen=True, slots=True, eq=False)
class CertificateChain:
    """A certificate, the certificates that lead from it towards a root, and its key; ``source`` names the file."""

    leaf: x509.Certificate
    issuers: tuple[x509.Certificate, ...]
    key: PrivateKey
    source: str

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names of the subjectAltName, lower case; the common name counts for nothing (RFC 9525 section 2)."""
        names = _subject_alternative_name(self.leaf)
        return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)) if names else ()

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The IP addresses of the subjectAltName."""
        names = _subject_alternative_name(self.leaf)
        found = names.get_values_for_type(x509.IPAddress) if names else []
        return tuple(address for address in found if isinstance(address, IPv4Address | IPv6Address))

    @property
    def not_after(self) -> datetime:
        """When the certificate expires, in UTC."""
        return self.leaf.not_valid_after_utc

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the certificate, as hexadecimal digits."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    def days_left(self, now: datetime) -> float:
        """Days until the certificate expires, below 0 when it has; ``now`` is aware of its time zone."""
        return (self.not_after - now).total_seconds() / 86400

    def warnings(self, now: datetime) -> tuple[str, ...]:
        """What an operator should hear about a certificate that is served all the same."""
        if now > self.not_after:
            return (f"{self.source}: the certificate expired on {_day(self.not_after)}: renew it",)
        if now < self.leaf.not_valid_before_utc:
            start = _day(self.leaf.not_valid_before_utc)
            return (f"{self.source}: the certificate is valid from {start} only: check the clock of this machine",)
        return ()


def load_chain(certificate: Path, key: Path | None) -> CertificateChain:
    """Read a chain (leaf first) and its key; without ``key``, both are in one file.

    Raises ``CertificateError``.
    """
    if key is None:
        pem = read_private(certificate)
        return parse_chain(pem, pem, certificate=str(certificate), key=str(certificate))
    return parse_chain(read_public(certificate), read_private(key), certificate=str(certificate), key=str(key))


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody but its owner may read; raises ``CertificateError``.

    The one exception is root's file with mode 0640, the way of Debian's ssl-cert group.
    """
    return _read(path, private=True)


def read_public(path: Path) -> bytes:
    """The bytes of a file that anybody may read; raises ``CertificateError``."""
    return _read(path)


def parse_chain(certificate_pem: bytes, key_pem: bytes, *, certificate: str, key: str) -> CertificateChain:
    """Make a chain of PEM text; ``certificate`` and ``key`` name the files in errors.  Raises ``CertificateError``."""
    certificates = _parse_certificates(certificate_pem, certificate)
    private = _parse_key(key_pem, key)
    _check_key(certificates, private, certificate, key)
    _check_order(certificates, certificate)
    return CertificateChain(certificates[0], tuple(certificates[1:]), private, certificate)


def _read(path: Path, *, private: bool = False) -> bytes:
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CertificateError(f"{path}: expected a file in PEM format, this is no regular file")
            if private:
                _check_permissions(path, status)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise CertificateError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE:
        raise CertificateError(f"{path}: expected a file in PEM format, this one is larger than {MAX_FILE} bytes")
    return data


def _open(path: str, flags: int) -> int:
    # Not blocking: a FIFO named by mistake must not hang the start.
    return os.open(path, flags | os.O_NONBLOCK)


def _check_permissions(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 and not (status.st_uid == 0 and mode == 0o640):
        raise CertificateError(
            f"{path}: others may read this key (mode {mode:04o}): make it 0600 with chmod, "
            "or 0640 where root owns it; and replace the key if others could have read it"
        )


def _parse_certificates(pem: bytes, source: str) -> list[x509.Certificate]:
    if _BEGIN_CERTIFICATE not in pem:
        raise CertificateError(
            f"{source}: expected certificates in PEM format, beginning {_BEGIN_CERTIFICATE.decode()}"
        )
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        for certificate in certificates:
            _subject_alternative_name(certificate)
    except PARSE_ERRORS as error:
        raise CertificateError(f"{source}: not a valid certificate: {error}") from error
    return certificates


def _parse_key(pem: bytes, source: str) -> PrivateKey:
    if b"PRIVATE KEY-----" not in pem:
        raise CertificateError(f"{source}: expected a private key in PEM format, beginning -----BEGIN PRIVATE KEY-----")
    try:
        key = load_pem_private_key(_key_block(pem), password=None)
    except TypeError as error:
        raise CertificateError(
            f"{source}: the key is encrypted and nobody is there to type its passphrase: "
            f"decrypt it with openssl pkey -in {source} -out NEW and give NEW mode 0600"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{source}: not a valid private key: {error}") from error
    if not isinstance(key, PrivateKey):
        raise CertificateError(f"{source}: expected an ECDSA, RSA or Ed25519 key, this is {type(key).__name__}")
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name not in CURVES:
        raise CertificateError(f"{source}: a key on the curve {key.curve.name}: TLS has {', '.join(CURVES)}")
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise CertificateError(f"{source}: an RSA key of {key.key_size} bits is too weak: at least {MIN_RSA_BITS}")
    return key


def _key_block(pem: bytes) -> bytes:
    """The first private key of a file: EC PARAMETERS or certificates may stand around it."""
    end = pem.index(b"PRIVATE KEY-----")
    start = pem.rindex(b"-----BEGIN ", 0, end)
    return pem[start:]


def _check_key(certificates: list[x509.Certificate], key: PrivateKey, source: str, key_source: str) -> None:
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for place, certificate in enumerate(certificates, 1):
        if _public_key(certificate, source) == wanted:
            if place > 1:
                raise CertificateError(
                    f"{source}: the certificate of the key is number {place} of the file: it must be the first, "
                    "each followed by the one that signed it"
                )
            return
    raise CertificateError(
        f"{key_source}: this key belongs to no certificate in {source}: give the key it was made with"
    )


def _public_key(certificate: x509.Certificate, source: str) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{source}: a certificate has a public key that cannot be used: {error}") from error


def _check_order(certificates: list[x509.Certificate], source: str) -> None:
    for place, (certificate, issuer) in enumerate(zip(certificates, certificates[1:], strict=False), 1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise CertificateError(
                f"{source}: certificate {place + 1} of the file did not sign certificate {place}: "
                "put the server's certificate first, each followed by the one that signed it, and nothing else"
            ) from error


def _subject_alternative_name(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and addresses that a certificate is for, as text."""
    names = _subject_alternative_name(certificate)
    if names is None:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d")
