"""The answer to tls-alpn-01 as a TLS context (RFC 8737)."""

from __future__ import annotations

from OpenSSL import SSL

from wsgate.acme.places import ACME_TLS, AcmePlaces
from wsgate.tls.certificates import load_chain
from wsgate.tls.policies import INTERMEDIATE, server_context


def answer_context(places: AcmePlaces, name: str) -> SSL.Context:
    """A context for the hello of an authority that asks for ``name``.

    Raises ``CertificateError`` where no answer lies ready, ``ValueError`` for what is no name.
    """
    chain = load_chain(places.name(name), None)
    return server_context(chain, INTERMEDIATE, section="acme-tls/1", alpn=(ACME_TLS,))
