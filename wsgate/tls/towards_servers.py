"""TLS towards servers: whom the gateway trusts, and sessions that make the next handshake cheap.

The chain is verified during the handshake (VERIFY_PEER), the name after it, by service-identity.  So the order for a
leg is: ``connection``, handshake, ``check_peer``, the first byte of the request; and ``keep_session`` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import idna
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from OpenSSL.SSL import X509VerificationCodes
from service_identity import CertificateError as UnusableCertificate
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from wsgate.config.model import UpstreamTls
from wsgate.errors import WsgateError
from wsgate.tls.certificates import PARSE_ERRORS, CertificateError, alternative_names
from wsgate.tls.policies import HTTP_1, INTERMEDIATE, apply_policy, reason

#: Sessions kept for one upstream; the oldest goes first.  Servers that discovery brings and takes must not add up.
MAX_SESSIONS = 1024

#: Names of a wrong certificate that are shown: enough to see the mistake.
SHOWN_NAMES = 5

_TEXTS = {
    X509VerificationCodes.ERR_CERT_HAS_EXPIRED: "it has expired",
    X509VerificationCodes.ERR_CERT_NOT_YET_VALID: "it is not valid yet",
    X509VerificationCodes.ERR_CERT_REVOKED: "it was revoked",
    X509VerificationCodes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed and not trusted itself",
    X509VerificationCodes.ERR_SELF_SIGNED_CERT_IN_CHAIN: "it leads to a root that is not trusted",
    X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "no trusted CA signed it",
    X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT: "no trusted CA signed it",
    X509VerificationCodes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "no trusted CA signed it",
    X509VerificationCodes.ERR_INVALID_PURPOSE: "it was not made for servers",
    X509VerificationCodes.ERR_INVALID_CA: "what signed it is no CA",
}


class PeerCertificateError(WsgateError, SSL.Error):
    """A server's certificate is not to be trusted, or not for the name that was asked for.

    A failure of the chain comes out of ``do_handshake`` (the server gets the alert), one of the name out of
    ``check_peer``.
    """


class ServerConnection(SSL.Connection):
    """A connection towards a server, with the name that its certificate must have and the place of its session."""

    expected_name: str
    session_key: tuple[str, str]


class UpstreamTlsContext:
    """What one upstream's servers must show, and the sessions that they gave; one for each upstream and process."""

    __slots__ = ("_context", "_options", "_sessions")

    def __init__(self, options: UpstreamTls, *, alpn: Sequence[bytes] = HTTP_1) -> None:
        """Load the trust; an empty ``alpn`` offers none (``mode = tcp``).  Raises ``CertificateError``."""
        self._options = options
        self._context = _client_context(options, tuple(alpn))
        self._sessions: dict[tuple[str, str], SSL.Session] = {}

    def connection(self, server_host: str, *, server: str = "") -> ServerConnection:
        """A connection on memory BIOs that is about to greet ``server_host`` (a name or an IP address).

        ``server_name`` of the options goes before ``server_host``.  ``server`` tells servers of one host apart, for
        their sessions.  Raises ``PeerCertificateError`` where there is no name to verify (a unix socket).
        """
        name = self._name(server_host)
        connection = ServerConnection(self._context, None)
        connection.set_connect_state()
        connection.expected_name = name
        connection.session_key = (name, server or server_host)
        if name and not _is_address(name):
            connection.set_tlsext_host_name(name.encode("ascii"))
        session = self._sessions.get(connection.session_key)
        if session is not None:
            connection.set_session(session)
        return connection

    def check_peer(self, connection: ServerConnection) -> None:
        """Raise ``PeerCertificateError`` unless the certificate is for the name that was asked for.

        Call it after the handshake and before the first byte is sent, for resumed sessions as well.
        """
        if not self._options.verify:
            return
        name = connection.expected_name
        try:
            _check_name(connection, name)
        except VerificationError as error:
            raise PeerCertificateError(
                f"the server's certificate is not for {name} but for {_names(connection)}"
            ) from error
        except UnusableCertificate as error:
            raise PeerCertificateError(f"the server's certificate has unusable names: {error}") from error
        except PARSE_ERRORS as error:
            text = f"the server's certificate cannot be compared with {ascii(name)}: {error}"
            raise PeerCertificateError(text) from error

    def keep_session(self, connection: ServerConnection) -> None:
        """Remember the session for the next connection to the same server; only of a peer that ``check_peer`` passed.

        The tickets of TLS 1.3 come with the first bytes after the handshake: call it when those have come, or at the
        end.  A connection that is dropped without close_notify (``shutdown``) spoils its session: OpenSSL resumes it
        no more, and the next handshake is a full one.
        """
        session = connection.get_session()
        if session is None:
            return
        self._sessions.pop(connection.session_key, None)
        self._sessions[connection.session_key] = session
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _name(self, server_host: str) -> str:
        name = self._options.server_name or server_host
        if not name and self._options.verify:
            raise PeerCertificateError("a server on a unix socket has no name to verify: set server_name")
        if not name.isascii():
            try:
                return idna.encode(name).decode("ascii")
            except idna.IDNAError as error:
                raise PeerCertificateError(f"{name} is no host name: {error}") from error
        return name


def _client_context(options: UpstreamTls, alpn: tuple[bytes, ...]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    apply_policy(context, INTERMEDIATE)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if not options.verify:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    context.set_verify(SSL.VERIFY_PEER, _verified)
    if options.ca is None:
        context.set_default_verify_paths()
        return context
    try:
        context.load_verify_locations(str(options.ca))
    except SSL.Error as error:
        raise CertificateError(f"{options.ca}: expected CA certificates in PEM format: {reason(error)}") from error
    store = context.get_cert_store()
    if store is None:
        raise AssertionError("a context without a certificate store")
    # An operator's own file may hold an issuing CA or the server's certificate itself: what is in it is trusted.
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    return context


def _verified(_connection: SSL.Connection, certificate: X509, code: int, depth: int, ok: int) -> bool:
    """Say why a chain fails: OpenSSL's own error is "certificate verify failed" whatever the reason."""
    if ok:
        return True
    whose = "the server's certificate" if depth == 0 else f"a CA certificate of the server ({_subject(certificate)})"
    raise PeerCertificateError(f"{whose} is not trusted: {_TEXTS.get(code, f'verification error {code} of OpenSSL')}")


def _check_name(connection: SSL.Connection, name: str) -> None:
    if connection.get_peer_certificate() is None:
        # VERIFY_PEER lets none through; service-identity would stumble over it.
        raise PeerCertificateError(f"the server showed no certificate for {name}")
    if _is_address(name):
        verify_ip_address(connection, name)
    else:
        verify_hostname(connection, name)


def _names(connection: SSL.Connection) -> str:
    """Whom a wrong certificate is for.  Escaped: what a peer wrote must not break a line of a log."""
    certificate = connection.get_peer_certificate(as_cryptography=True)
    names = alternative_names(certificate) if certificate is not None else ()
    return ", ".join(map(ascii, names[:SHOWN_NAMES]))


def _subject(certificate: X509) -> str:
    """Escaped, for the same reason; and whatever it is, no other error than ours leaves the handshake."""
    try:
        return ascii(certificate.to_cryptography().subject.rfc4514_string())
    except PARSE_ERRORS:
        return "unreadable"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
