"""Client certificates: asked for, verified in the handshake, and told as facts.

Tickets are off where certificates are asked for: a resumed session would carry a client past a list of revoked
certificates, and past the end of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from wsgate.config.model import TlsOptions
from wsgate.tls.certificates import PARSE_ERRORS
from wsgate.tls.material import TlsMaterial
from wsgate.tls.verification import CLIENT, check_revocation, explain_failures, parse_authorities, trust

#: More names than anybody needs; all together they must fit a field of a request.
MAX_NAMES = 32


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate that was verified.

    ``subject`` is written as in RFC 4514, ``names`` are ``dns:``, ``email:``, ``uri:`` and ``ip:`` with their values,
    ``sha256`` the fingerprint in hexadecimal digits.
    """

    subject: str
    names: tuple[str, ...]
    sha256: str

    @property
    def facts(self) -> frozenset[str]:
        """What a route may ask for with ``client_certs``."""
        return frozenset((*self.names, f"subject:{self.subject}", f"sha256:{self.sha256}", "any"))


def ask_for_certificates(context: SSL.Context, options: TlsOptions, material: TlsMaterial) -> None:
    """Make ``context`` ask clients for a certificate as the section says; raises ``CertificateError``."""
    if options.client_auth == "off":
        return
    mode = SSL.VERIFY_PEER
    if options.client_auth == "require":
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, explain_failures(CLIENT))
    context.set_verify_depth(options.client_depth)
    context.set_options(SSL.OP_NO_TICKET)
    source = str(options.client_ca)
    authorities = parse_authorities(material.client_ca, source)
    store = trust(context, authorities, source)
    for authority in authorities:
        # Browsers offer their users only certificates of these.
        context.add_client_ca(authority)
    if material.client_crl:
        check_revocation(store, material.client_crl, str(options.client_crl))


def client_certificate(connection: SSL.Connection) -> ClientCertificate | None:
    """What the client has shown in the handshake, which has ended well; None where it showed none.

    Raises ``ValueError`` for one that OpenSSL let pass and nobody can read.
    """
    shown = connection.get_peer_certificate(as_cryptography=True)
    if shown is None:
        return None
    try:
        return ClientCertificate(
            shown.subject.rfc4514_string(),
            tuple(_names(shown))[:MAX_NAMES],
            shown.fingerprint(hashes.SHA256()).hex(),
        )
    except PARSE_ERRORS as error:
        raise ValueError(f"the client's certificate cannot be read: {error}") from error


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *(f"dns:{name.lower()}" for name in found.get_values_for_type(x509.DNSName)),
        *(f"email:{name}" for name in found.get_values_for_type(x509.RFC822Name)),
        *(f"uri:{name}" for name in found.get_values_for_type(x509.UniformResourceIdentifier)),
        *(f"ip:{name}" for name in found.get_values_for_type(x509.IPAddress)),
    ]
