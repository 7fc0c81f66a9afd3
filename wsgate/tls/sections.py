"""From ``[tls NAME]`` sections to what a listener serves: certificates loaded, contexts made, names laid out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from wsgate.config.model import Listener, Mode, TlsOptions
from wsgate.tls.certificates import CertificateChain, load_chain
from wsgate.tls.policies import BY_MIN_VERSION, HTTP_1, server_context
from wsgate.tls.self_signed import self_signed
from wsgate.tls.server_names import ServerIdentity, ServerNames, UnknownNames

SELF_SIGNED = "self-signed"

# Codes of signature algorithms (RFC 8446 section 4.2.3) that each kind of key can make.
_ECDSA = {"secp256r1": 0x0403, "secp384r1": 0x0503, "secp521r1": 0x0603}
_ED25519 = frozenset({0x0807})
_RSA = frozenset({0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601})


def build_server_identities(
    listener: Listener,
    sections: Mapping[str, TlsOptions],
    state_dir: Path,
    now: datetime,
    *,
    unknown_names: UnknownNames = UnknownNames.DEFAULT,
) -> ServerNames:
    """Load the sections that ``listener`` names and make their contexts; ``now`` is aware of its time zone.

    Contexts belong to this listener alone, so that a ticket from it resumes nowhere else.  A listener of mode tcp
    answers no ALPN: what its servers speak is not known here.  Raises ``CertificateError``.
    """
    alpn = HTTP_1 if listener.mode is Mode.HTTP else ()
    identities = [_identity(sections[name], state_dir, now, alpn) for name in listener.tls]
    return ServerNames(identities, unknown_names)


def load_section(options: TlsOptions, state_dir: Path, now: datetime) -> CertificateChain:
    """The certificate of a section; a self-signed one is made where there is none.  Raises ``CertificateError``."""
    if options.certificate == SELF_SIGNED:
        paths = self_signed(state_dir, options.names, now)
        return load_chain(paths.certificate, paths.key)
    return load_chain(Path(options.certificate), options.key)


def section_warnings(options: TlsOptions, chain: CertificateChain, now: datetime) -> tuple[str, ...]:
    """What an operator should hear about a section: its certificate's age, and names that it does not cover."""
    missing = [name for name in options.names if not _covers(chain, name.lower())]
    uncovered = f"{chain.source}: the certificate is not for {', '.join(missing)}, which [tls {options.name}] names"
    return chain.warnings(now) + ((uncovered,) if missing else ())


def _identity(options: TlsOptions, state_dir: Path, now: datetime, alpn: tuple[bytes, ...]) -> ServerIdentity:
    chain = load_section(options, state_dir, now)
    context = server_context(chain, BY_MIN_VERSION[options.min_version], section=options.name, alpn=alpn)
    names = tuple(name.lower() for name in options.names) or chain.dns_names
    rank, signatures = _signatures(chain)
    return ServerIdentity(options.name, names, signatures, rank, context, chain)


def _signatures(chain: CertificateChain) -> tuple[int, frozenset[int]]:
    """The rank of a key (a P-256 signature costs a tenth of an RSA one) and the signatures that it can make."""
    key = chain.key
    if isinstance(key, EllipticCurvePrivateKey):
        return 0, frozenset({_ECDSA[key.curve.name]})
    if isinstance(key, RSAPrivateKey):
        return 2, _RSA
    return 1, _ED25519


def _covers(chain: CertificateChain, name: str) -> bool:
    return (
        name in chain.dns_names or "*." + name.partition(".")[2] in chain.dns_names or name in map(str, chain.addresses)
    )
