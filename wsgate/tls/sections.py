"""From ``[tls NAME]`` sections to what a listener serves: certificates loaded, contexts made, names laid out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import combinations
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from wsgate.config.model import Listener, Mode, TlsOptions
from wsgate.tls.certificates import CertificateChain, CertificateError
from wsgate.tls.client_certificates import ask_for_certificates
from wsgate.tls.material import TlsMaterial, chain_of, read_material
from wsgate.tls.policies import HTTP_1, POLICIES, server_context
from wsgate.tls.server_names import ServerIdentity, ServerNames, UnknownNames
from wsgate.tls.stapling import Staple

# Codes of signature algorithms (RFC 8446 section 4.2.3) that each kind of key can make.
_ECDSA = {"secp256r1": 0x0403, "secp384r1": 0x0503, "secp521r1": 0x0603}
_ED25519 = frozenset({0x0807})
_RSA = frozenset({0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601})


def read_materials(
    listeners: Iterable[Listener], sections: Mapping[str, TlsOptions], state_dir: Path, now: datetime
) -> dict[str, TlsMaterial]:
    """Read the files of the sections that are in use, by section.  Raises ``CertificateError``."""
    used = dict.fromkeys(name for listener in listeners for name in listener.tls)
    return {name: read_material(sections[name], state_dir, now) for name in used}


def build_server_identities(
    listener: Listener,
    sections: Mapping[str, TlsOptions],
    state_dir: Path,
    now: datetime,
    *,
    materials: Mapping[str, TlsMaterial] | None = None,
    previous: ServerNames | None = None,
) -> ServerNames:
    """Make the contexts of the sections that ``listener`` names; ``now`` is aware of its time zone.

    ``materials`` is what their files hold (read now where it is not given).  With ``previous``, what the listener
    serves already, a section that has not changed keeps its context, and with it its sessions.

    Contexts belong to this listener alone, so that a ticket from it resumes nowhere else.  A listener of mode tcp
    answers no ALPN: what its servers speak is not known here.  Raises ``CertificateError``, also for an expired
    certificate that would replace one which is valid, and where ``agree_on_clients`` does.
    """
    if materials is None:
        materials = read_materials([listener], sections, state_dir, now)
    alpn = HTTP_1 if listener.mode is Mode.HTTP else ()
    served = {identity.section: identity for identity in previous.identities} if previous is not None else {}
    identities = [make_identity(sections[name], materials[name], now, alpn, served.get(name)) for name in listener.tls]
    agree_on_clients(identities)
    return ServerNames(identities, UnknownNames(listener.unknown_names))


def agree_on_clients(identities: Iterable[ServerIdentity]) -> None:
    """Raise ``CertificateError`` where sections with two kinds of key for one name ask clients for different things.

    It is the client that chooses the kind of key: it would choose whether it must show a certificate, too.
    """
    for one, other in combinations(identities, 2):
        shared = set(one.names) & set(other.names)
        if shared and one.rank != other.rank and _asked(one) != _asked(other):
            raise CertificateError(
                f"{other.chain.source}: [tls {one.section}] and [tls {other.section}] are both for {min(shared)}, and "
                "clients choose between them by what they can verify: give both the same client_auth, client_ca, "
                "client_depth and client_crl"
            )


def _asked(identity: ServerIdentity) -> object:
    options = identity.options
    if options is None or options.client_auth == "off":
        return None
    return options.client_auth, options.client_ca, options.client_depth, options.client_crl


def load_section(options: TlsOptions, state_dir: Path, now: datetime) -> CertificateChain:
    """The certificate of a section; a self-signed one is made where there is none.  Raises ``CertificateError``."""
    return chain_of(options, read_material(options, state_dir, now))


def section_warnings(options: TlsOptions, chain: CertificateChain, now: datetime) -> tuple[str, ...]:
    """What an operator should hear about a section: its certificate's age, and names that it does not cover."""
    missing = [name for name in options.names if not _covers(chain, name.lower())]
    uncovered = f"{chain.source}: the certificate is not for {', '.join(missing)}, which [tls {options.name}] names"
    return chain.warnings(now) + ((uncovered,) if missing else ())


def names_warnings(names: ServerNames, now: datetime) -> tuple[str, ...]:
    """The warnings about all sections of a listener."""
    found: list[str] = []
    for identity in names.identities:
        if identity.options is not None:
            found += section_warnings(identity.options, identity.chain, now)
            if identity.options.ocsp is not None and identity.staple is not None and not identity.staple.response:
                found.append(f"{identity.options.ocsp}: the OCSP response is out of date and is not sent: fetch anew")
    return tuple(found)


def make_identity(
    options: TlsOptions,
    material: TlsMaterial,
    now: datetime,
    alpn: tuple[bytes, ...],
    served: ServerIdentity | None = None,
) -> ServerIdentity:
    """One section ready to be served, or ``served`` where that is the same.  Raises ``CertificateError``."""
    if served is not None and served.options == options and served.material == material:
        return served
    chain = chain_of(options, material)
    if served is not None and served.chain.days_left(now) > 0 >= chain.days_left(now):
        raise CertificateError(
            f"{chain.source}: this certificate has expired, the one that is served has not and stays: renew the file"
        )
    context = server_context(chain, POLICIES[options.policy], section=options.name, alpn=alpn)
    ask_for_certificates(context, options, material)
    staple = None
    if options.ocsp is not None:
        staple = Staple()
        staple.load(material.ocsp, chain, now, str(options.ocsp))
        staple.attach(context)
    names = tuple(name.lower() for name in options.names) or chain.dns_names
    rank, signatures = _signatures(chain)
    return ServerIdentity(options.name, names, signatures, rank, context, chain, options, material, staple)


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
