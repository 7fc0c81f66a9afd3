"""Trust in those who show a certificate: which authorities, which lists of revoked ones, and why one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreFlags
from OpenSSL.SSL import X509VerificationCodes

from wsgate.errors import WsgateError
from wsgate.tls.certificates import PARSE_ERRORS, CertificateError

_TEXTS = {
    X509VerificationCodes.ERR_CERT_HAS_EXPIRED: "it has expired",
    X509VerificationCodes.ERR_CERT_NOT_YET_VALID: "it is not valid yet",
    X509VerificationCodes.ERR_CERT_REVOKED: "it was revoked",
    X509VerificationCodes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed and not trusted itself",
    X509VerificationCodes.ERR_SELF_SIGNED_CERT_IN_CHAIN: "it leads to a root that is not trusted",
    X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "no trusted CA signed it",
    X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT: "no trusted CA signed it",
    X509VerificationCodes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "no trusted CA signed it",
    X509VerificationCodes.ERR_INVALID_CA: "what signed it is no CA",
    X509VerificationCodes.ERR_CERT_CHAIN_TOO_LONG: "too many certificates stand between it and a trusted one",
    X509VerificationCodes.ERR_UNABLE_TO_GET_CRL: "there is no revocation list of its authority",
    X509VerificationCodes.ERR_CRL_HAS_EXPIRED: "the revocation list of its authority is out of date",
}
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

Verified = Callable[[SSL.Connection, X509, int, int, int], bool]


class PeerCertificateError(WsgateError, SSL.Error):
    """A peer's certificate is not to be trusted, or not for the name that was asked for.

    A failure of the chain comes out of ``do_handshake`` (the peer gets the alert).
    """


@dataclass(frozen=True, slots=True)
class Peer:
    """Who shows the certificate, and what a wrong purpose is called."""

    name: str
    purpose: str


SERVER = Peer("the server", "it was not made for servers")
CLIENT = Peer("the client", "it was not made for clients")


def explain_failures(peer: Peer) -> Verified:
    """A callback for ``set_verify`` that says why a chain fails: OpenSSL has one text for all reasons."""

    def verified(_connection: SSL.Connection, certificate: X509, code: int, depth: int, ok: int) -> bool:
        if ok:
            return True
        subject = _subject(certificate)
        whose = f"{peer.name}'s certificate" if depth == 0 else f"a CA certificate of {peer.name} ({subject})"
        text = _TEXTS.get(code, f"verification error {code} of OpenSSL")
        if code == X509VerificationCodes.ERR_INVALID_PURPOSE:
            text = peer.purpose
        raise PeerCertificateError(f"{whose} is not trusted: {text}")

    return verified


def trust(context: SSL.Context, authorities: list[x509.Certificate], source: str) -> X509Store:
    """Trust these certificates and what they signed; an operator's own file may hold an issuing CA alone.

    Raises ``CertificateError``.
    """
    store = _store(context)
    for authority in authorities:
        try:
            store.add_cert(X509.from_cryptography(authority))
        except (SSL.Error, *PARSE_ERRORS) as error:
            raise CertificateError(f"{source}: OpenSSL refuses a certificate: {error}") from error
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    return store


def parse_authorities(pem: bytes, source: str) -> list[x509.Certificate]:
    """The certificates of a PEM file; raises ``CertificateError``."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except PARSE_ERRORS as error:
        raise CertificateError(f"{source}: expected CA certificates in PEM format: {error}") from error


def check_revocation(store: X509Store, pem: bytes, source: str) -> None:
    """Refuse what the lists name, and everything of an authority without a current list, as nginx does.

    Raises ``CertificateError``.
    """
    blocks = _CRL.findall(pem)
    if not blocks:
        raise CertificateError(f"{source}: expected revocation lists in PEM format, beginning -----BEGIN X509 CRL-----")
    for block in blocks:
        try:
            store.add_crl(x509.load_pem_x509_crl(block))
        except (SSL.Error, *PARSE_ERRORS) as error:
            raise CertificateError(f"{source}: not a valid revocation list: {error}") from error
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN | X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL)


def _store(context: SSL.Context) -> X509Store:
    store = context.get_cert_store()
    if store is None:
        raise AssertionError("a context without a certificate store")
    return store


def _subject(certificate: X509) -> str:
    """Escaped, so that it breaks no line of a log; and whatever it is, no other error than ours leaves a handshake."""
    try:
        return ascii(certificate.to_cryptography().subject.rfc4514_string())
    except PARSE_ERRORS:
        return "unreadable"
