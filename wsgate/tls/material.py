"""The bytes that TLS sections stand on: read once, by whoever may read them, then compared and used as values.

Whoever reloads reads everything first (``read_material``), compares it with what is served, and makes contexts from
values alone: a process that has given its privileges up needs no file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wsgate.config.model import TlsOptions, UpstreamTls
from wsgate.tls.certificates import CertificateChain, parse_chain, read_private, read_public
from wsgate.tls.self_signed import self_signed

SELF_SIGNED = "self-signed"
ACME = "acme"


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What the files of a ``[tls NAME]`` section hold; empty where the section names none."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""
    client_crl: bytes = b""
    ocsp: bytes = b""


@dataclass(frozen=True, slots=True)
class UpstreamMaterial:
    """What the files of an upstream's TLS options hold; empty where it names none."""

    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)


def read_material(options: TlsOptions, state_dir: Path, now: datetime) -> TlsMaterial:
    """Read the files of a section; a self-signed certificate is made where there is none.

    Raises ``CertificateError``.
    """
    certificate, key = certificate_files(options, state_dir, now)
    key_pem = read_private(key)
    return TlsMaterial(
        key_pem if certificate == key else read_public(certificate),
        key_pem,
        _optional(options.client_ca),
        _optional(options.client_crl),
        _optional(options.ocsp),
    )


def certificate_files(options: TlsOptions, state_dir: Path, now: datetime) -> tuple[Path, Path]:
    """Where the certificate and the key of a section lie; raises ``CertificateError`` when none can be made.

    Until an authority has given the first one, a self-signed certificate stands in for it.
    """
    if options.certificate == ACME:
        given = state_dir / ACME / f"{options.name}.pem"
        if given.exists():
            return given, given
    if options.certificate in (SELF_SIGNED, ACME):
        return self_signed(state_dir, options.names, now)
    certificate = Path(options.certificate)
    return certificate, options.key or certificate


def read_upstream_material(options: UpstreamTls) -> UpstreamMaterial:
    """Read the files of an upstream's TLS options; raises ``CertificateError``."""
    certificate = key = b""
    if options.certificate is not None:
        key = read_private(options.key or options.certificate)
        certificate = key if options.key is None else read_public(options.certificate)
    return UpstreamMaterial(_optional(options.ca), certificate, key)


def chain_of(options: TlsOptions, material: TlsMaterial) -> CertificateChain:
    """The certificate of a section from its bytes; raises ``CertificateError``."""
    source = options.certificate if options.certificate not in (SELF_SIGNED, ACME) else f"[tls {options.name}]"
    return parse_chain(material.certificate, material.key, certificate=source, key=str(options.key or source))


def _optional(path: Path | None) -> bytes:
    return b"" if path is None else read_public(path)
