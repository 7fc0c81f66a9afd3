"""A certificate authority for one test run: its certificates are made when a test asks for them, and nowhere else.

RSA keys take a tenth of a second: one is made in a process and serves all.  The same question to one authority gets the
same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Name = str | x509.GeneralName
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """PEM files: the certificate alone, its key (0600), and the chain that a server shows (without the root)."""

    cert_path: Path
    key_path: Path
    chain_path: Path


_CURVES: dict[str, type[ec.EllipticCurve]] = {"ec": ec.SECP256R1, "ec384": ec.SECP384R1, "secp256k1": ec.SECP256K1}


def throwaway_key(kind: str) -> Key:
    """A new key (``ec``, ``ec384``, ``secp256k1``, ``ed25519``), or the process's RSA key (``rsa``, ``rsa1024``)."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind]()) if kind in _CURVES else _rsa_key(kind)


@cache
def _rsa_key(kind: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, {"rsa": 2048, "rsa1024": 1024}[kind])


class CertificateAuthority:
    """A root, or with ``parent`` an intermediate below it, whose files lie in ``directory``.

    Trust ``ca_path``: the root's file, also of an intermediate.  One that is not ``genuine`` has a certificate as any
    server has, which must not sign others.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "Throw-away CA",
        parent: CertificateAuthority | None = None,
        genuine: bool = True,
    ) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.parent = parent
        self._numbers = count(1)
        self._issued: dict[object, IssuedCertificate] = {}
        # Roots and intermediates have keys of their own: two authorities never stand in for each other.
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        self.certificate = self._sign_authority(genuine)
        self.ca_path: Path = parent.ca_path if parent else directory / "ca.pem"
        if parent is None:
            self.ca_path.write_bytes(pem(self.certificate))

    def intermediate(self, name: str = "Throw-away intermediate CA") -> CertificateAuthority:
        """An authority below this one; its certificate is in the ``chain_path`` of what it issues."""
        return CertificateAuthority(self.directory / f"intermediate-{next(self._numbers)}", name=name, parent=self)

    def issue(
        self,
        names: str | Sequence[Name],
        *,
        key: str = "ec",
        days: float = 30,
        expired: bool = False,
        client: bool = False,
    ) -> IssuedCertificate:
        """A certificate for ``names`` (DNS names, wildcards, addresses, ready-made names), valid for ``days`` from now.

        ``expired``: it ended yesterday.  ``client``: for clients only (extended key usage).  The common name says
        ``not-a-name.invalid``, so that whoever reads it as a host name is found out.
        """
        listed = (names,) if isinstance(names, str) else tuple(names)
        question = (listed, key, days, expired, client)
        if question not in self._issued:
            self._issued[question] = self._issue(listed, key, days, expired, client)
        return self._issued[question]

    def _issue(self, names: tuple[Name, ...], kind: str, days: float, expired: bool, client: bool) -> IssuedCertificate:
        number = next(self._numbers)
        key = throwaway_key(kind)
        end = datetime.now(UTC) + (timedelta(days=-1) if expired else timedelta(days=days))
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            self._builder(_subject("not-a-name.invalid"), key, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        stem = self.directory / f"leaf-{number}"
        issued = IssuedCertificate(*(stem.with_suffix(suffix) for suffix in (".pem", ".key", ".chain.pem")))
        issued.cert_path.write_bytes(pem(certificate))
        issued.chain_path.write_bytes(pem(certificate) + self._intermediates())
        write_key(issued.key_path, key)
        return issued

    def _intermediates(self) -> bytes:
        return pem(self.certificate) + self.parent._intermediates() if self.parent else b""

    def _sign_authority(self, genuine: bool) -> x509.Certificate:
        issuer = self.parent or self
        end = datetime.now(UTC) + timedelta(days=365)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=genuine,
            crl_sign=genuine,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            issuer._builder(self._name, self._key, end)
            .add_extension(x509.BasicConstraints(ca=genuine, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        return builder.sign(issuer._key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: Key, end: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(datetime.now(UTC), end) - timedelta(days=2))
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(Encoding.PEM)


def write_key(path: Path, key: Key, mode: int = 0o600) -> Path:
    """Write ``key`` without a passphrase, with the permissions ``mode``; the path."""
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(mode)
    return path


def general_names(names: Sequence[Name]) -> list[x509.GeneralName]:
    """Subject alternative names: addresses as addresses, everything else as DNS names."""
    found: list[x509.GeneralName] = []
    for name in names:
        if isinstance(name, x509.GeneralName):
            found.append(name)
            continue
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
