"""What a finished handshake agreed on, asked of OpenSSL once."""

from __future__ import annotations

from typing import NamedTuple

from OpenSSL import SSL

from wsgate.tls.client_certificates import ClientCertificate, client_certificate
from wsgate.tls.openssl import session_reused


class TlsFacts(NamedTuple):
    """Version and cipher by their names, whether an earlier session was resumed, and who the client is."""

    version: str = ""
    cipher: str = ""
    resumed: bool | None = None
    certificate: ClientCertificate | None = None


def tls_facts(connection: SSL.Connection, *, asked: bool) -> TlsFacts:
    """The facts of a connection towards a client; ``asked``: it was asked for a certificate.

    Raises ``ValueError`` for a certificate that nobody can read.
    """
    return TlsFacts(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        session_reused(connection),
        client_certificate(connection) if asked else None,
    )
