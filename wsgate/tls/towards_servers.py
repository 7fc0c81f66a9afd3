"""TLS towards servers: whom the gateway trusts, and sessions that make the next handshake cheap.

The chain is verified during the handshake (VERIFY_PEER), the name after it, by service-identity.  So the order for a
leg is: ``connection``, handshake, ``check_peer``, the first byte of the request; and ``keep_session`` at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from OpenSSL import SSL
from service_identity import CertificateError as UnusableCertificate
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from wsgate.config.model import UpstreamTls
from wsgate.tls.certificates import PARSE_ERRORS, alternative_names, parse_chain
from wsgate.tls.material import UpstreamMaterial, read_upstream_material
from wsgate.tls.policies import HTTP_1, INTERMEDIATE, apply_policy, present_chain
from wsgate.tls.verification import SERVER, PeerCertificateError, explain_failures, parse_authorities, trust

#: Sessions kept for one upstream; the oldest goes first.  Servers that discovery brings and takes must not add up.
MAX_SESSIONS = 1024

#: Names of a wrong certificate that are shown: enough to see the mistake.
SHOWN_NAMES = 5


class ServerConnection(SSL.Connection):
    """A connection towards a server, with the name that its certificate must have and the place of its session."""

    expected_name: str
    session_key: tuple[str, str]


class UpstreamTlsContext:
    """What one upstream's servers must show, and the sessions that they gave; one for each upstream and process."""

    __slots__ = ("_context", "_options", "_sessions")

    def __init__(
        self, options: UpstreamTls, *, alpn: Sequence[bytes] = HTTP_1, material: UpstreamMaterial | None = None
    ) -> None:
        """Load the trust; an empty ``alpn`` offers none (``mode = tcp``), that of the options goes before it.

        ``material`` is what the files hold, read now where it is not given.  Raises ``CertificateError``.
        """
        self._options = options
        offered = tuple(protocol.encode("ascii") for protocol in options.alpn) or tuple(alpn)
        self._context = _client_context(options, material or read_upstream_material(options), offered)
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
            raise PeerCertificateError(f"{ascii(name)} is no host name: an international one is written as xn--...")
        return name


def _client_context(options: UpstreamTls, material: UpstreamMaterial, alpn: tuple[bytes, ...]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    apply_policy(context, INTERMEDIATE)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if material.certificate:
        source, key = str(options.certificate), str(options.key or options.certificate)
        present_chain(context, parse_chain(material.certificate, material.key, certificate=source, key=key))
    if not options.verify:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    context.set_verify(SSL.VERIFY_PEER, explain_failures(SERVER))
    if options.ca is None:
        context.set_default_verify_paths()
    else:
        # What is in an operator's own file is trusted, be it a root, an issuing CA or the server's certificate itself.
        trust(context, parse_authorities(material.ca, str(options.ca)), str(options.ca))
    return context


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


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
