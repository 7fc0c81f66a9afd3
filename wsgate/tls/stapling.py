"""OCSP stapling from a file (RFC 6066 section 8): a job of the operator's fetches the response, it is checked here."""

from __future__ import annotations

from datetime import datetime

from cryptography.x509 import ocsp
from OpenSSL import SSL

from wsgate.tls.certificates import PARSE_ERRORS, CertificateChain, CertificateError


class Staple:
    """The response that a context sends; it can be changed while the context is in use, without touching sessions."""

    __slots__ = ("_until", "response")

    def __init__(self) -> None:
        self.response = b""
        self._until: datetime | None = None

    def attach(self, context: SSL.Context) -> None:
        """Let ``context``, which was never used, send the response of the moment."""
        context.set_ocsp_server_callback(lambda _connection, _data: self.response)

    def load(self, response: bytes, chain: CertificateChain, now: datetime, source: str) -> None:
        """Take a response in DER; an old one is not sent, since clients refuse a connection for it.

        Raises ``CertificateError`` for one that is no good answer about this certificate; the former one stays.
        """
        until = _check(response, chain, source)
        self.response, self._until = response, until
        self.expire(now)

    def expire(self, now: datetime) -> bool:
        """Stop sending a response that is out of date; whether there was one to stop."""
        if self.response and self._until is not None and now >= self._until:
            self.response = b""
            return True
        return False


def _check(response: bytes, chain: CertificateChain, source: str) -> datetime | None:
    try:
        answer = ocsp.load_der_ocsp_response(response)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise CertificateError(
                f"{source}: the OCSP response says {answer.response_status.name.lower()}: fetch anew"
            )
        if answer.serial_number != chain.leaf.serial_number:
            raise CertificateError(f"{source}: the OCSP response is for another certificate than {chain.source}")
        if answer.certificate_status is ocsp.OCSPCertStatus.REVOKED:
            raise CertificateError(f"{source}: the certificate {chain.source} was revoked: get another one")
        return answer.next_update_utc
    except PARSE_ERRORS as error:
        raise CertificateError(f"{source}: expected an OCSP response in DER format: {error}") from error
