"""A certificate made by the gateway itself, for trying it out and for names that no CA signs.

It is made once and kept in the state directory, so that a browser that was told to trust it stays content.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wsgate.tls.certificates import CertificateError, load_chain
from wsgate.tls.files import put_in_place

LOCALHOST = ("localhost", "127.0.0.1", "::1")

#: Clients refuse certificates that live longer than 398 days (CA/Browser Forum baseline requirements 6.3.2, 2020).
LIFETIME = timedelta(days=397)

#: A certificate with less time left is made anew.
RENEW_BEFORE = timedelta(days=30)

#: Clocks differ: valid a little before it is made.
_SKEW = timedelta(hours=1)


class SelfSignedPaths(NamedTuple):
    """Where a self-signed certificate and its key lie."""

    certificate: Path
    key: Path


def self_signed(state_dir: Path, names: Sequence[str], now: datetime) -> SelfSignedPaths:
    """The paths of a certificate for ``names`` (DNS names and addresses; empty: localhost), made where there is none.

    Files lie in ``state_dir/tls``.  One that covers the same names for another 30 days is used again.  ``now`` is
    aware of its time zone.  Raises ``CertificateError`` when the directory cannot be written.
    """
    wanted = _complete(names)
    folder = state_dir / "tls"
    stem = "self-signed" if wanted == LOCALHOST else f"self-signed-{sha256(' '.join(wanted).encode()).hexdigest()[:8]}"
    paths = SelfSignedPaths(folder / f"{stem}.pem", folder / f"{stem}.key")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Two gateways that start at once must not mix their keys and certificates.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o700:
                os.fchmod(descriptor, 0o700)
            if not _is_good(paths, wanted, now):
                _make(paths, wanted, now)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CertificateError(
            f"{folder}: a self-signed certificate cannot be kept here: {error.strerror or error}"
        ) from error
    return paths


def _complete(names: Sequence[str]) -> tuple[str, ...]:
    """The names without repetition; who asks for localhost gets its addresses too, as browsers open both."""
    given = dict.fromkeys(name.lower() for name in names)
    if not given or "localhost" in given:
        given |= dict.fromkeys(LOCALHOST)
    return tuple(given)


def _is_good(paths: SelfSignedPaths, names: tuple[str, ...], now: datetime) -> bool:
    try:
        chain = load_chain(paths.certificate, paths.key)
    except CertificateError:
        return False
    covered = {*chain.dns_names, *map(str, chain.addresses)}
    lasts = now + RENEW_BEFORE < chain.not_after and now >= chain.leaf.not_valid_before_utc
    return lasts and covered == {str(name.value) for name in _general_names(names)}


def _make(paths: SelfSignedPaths, names: tuple[str, ...], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, names, now)
    put_in_place(paths.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    put_in_place(paths.certificate, certificate.public_bytes(Encoding.PEM), 0o644)


def _certificate(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...], now: datetime) -> x509.Certificate:
    # The serial number tells two certificates of the same gateway apart; some clients cache by it and the subject.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wsgate self-signed")])
    start = now - _SKEW
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(key_id, critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _general_names(names: tuple[str, ...]) -> list[x509.DNSName | x509.IPAddress]:
    found: list[x509.DNSName | x509.IPAddress] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            found.append(_dns_name(name))
    return found


def _dns_name(name: str) -> x509.DNSName:
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise CertificateError(f"names = {name}: expected ASCII names; write others as xn--...") from error
