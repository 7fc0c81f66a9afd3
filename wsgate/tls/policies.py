"""Which versions, ciphers and groups are spoken, and the contexts that speak them.

The presets follow Mozilla's server side TLS guidelines, version 6.0 (https://ssl-config.mozilla.org/guidelines/6.0.json).
Their ``server_preferred_order`` is false, so that clients without AES instructions may take ChaCha20.  Here the order
is ours and those clients get it all the same: a client that puts ChaCha20 first is served with it, the others with
AES-128 and SHA-256, with which handshakes are cheaper than with AES-256 and SHA-384, which OpenSSL's clients put first.

Sessions.  Tickets of TLS 1.3 are on: a resumed handshake still makes fresh keys (psk_dhe_ke).  Tickets of TLS 1.2 are
off: they carry the traffic secret itself, sealed with a key that lives as long as the context, since there is no call
to rotate ticket keys in pyOpenSSL; whoever gets that key later could read every recorded connection.  The session cache
is off as well: it would grow with the clients and is not shared by workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from OpenSSL import SSL

from wsgate.errors import WsgateError
from wsgate.tls.certificates import CertificateChain, CertificateError
from wsgate.tls.openssl import set_groups

HTTP_1 = (b"http/1.1",)

#: How long a ticket of TLS 1.3 may be used, in seconds: a day, as Mozilla's generator sets it.
TICKET_LIFETIME = 24 * 60 * 60

_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    b":ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_GROUPS = ("X25519", "prime256v1", "secp384r1")
_HYBRID = "X25519MLKEM768"

# SSL_OP_PRIORITIZE_CHACHA of openssl/ssl.h, which pyOpenSSL does not name (a test sees what it does).
_PRIORITIZE_CHACHA = 1 << 21


class NoCommonProtocol(WsgateError, SSL.Error):
    """The client offers ALPN protocols and speaks none of ours (RFC 7301 section 3.2)."""


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """A preset; ``ciphers`` are those of TLS 1.2, ``suites`` those of TLS 1.3."""

    name: str
    min_version: int
    ciphers: bytes = _CIPHERS
    suites: bytes = _SUITES
    groups: tuple[str, ...] = _GROUPS


MODERN = TlsPolicy("modern", SSL.TLS1_3_VERSION)
INTERMEDIATE = TlsPolicy("intermediate", SSL.TLS1_2_VERSION)

#: By the value of ``policy`` in a ``[tls NAME]`` section.
POLICIES = {policy.name: policy for policy in (INTERMEDIATE, MODERN)}


def apply_policy(context: SSL.Context, policy: TlsPolicy) -> None:
    """Set what a policy says, and what holds for both ends whatever it says, on a context that was never used."""
    context.set_min_proto_version(policy.min_version)
    context.set_cipher_list(policy.ciphers)
    context.set_tls13_ciphersuites(policy.suites)
    try:
        set_groups(context, (_HYBRID, *policy.groups))
    except SSL.Error:
        # OpenSSL before 3.5 has no hybrid groups.
        set_groups(context, policy.groups)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Idle connections give their record buffers back, and what is written may be moved and taken in parts.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)


def server_context(
    chain: CertificateChain, policy: TlsPolicy, *, section: str, alpn: Sequence[bytes] = HTTP_1
) -> SSL.Context:
    """A context that presents ``chain``; an empty ``alpn`` answers no ALPN at all (``mode = tcp``).

    ``section`` names the ``[tls NAME]`` section: sessions are bound to it.  A context cannot be changed once a
    connection was made with it.  Raises ``CertificateError`` for a certificate that OpenSSL refuses.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    apply_policy(context, policy)
    present_chain(context, chain)
    # At most 32 bytes; without one, OpenSSL refuses to resume where client certificates are asked for.
    context.set_session_id(sha256(section.encode()).digest())
    context.set_timeout(TICKET_LIFETIME)
    if alpn:
        context.set_alpn_select_callback(_alpn_choice(tuple(alpn)))
    return context


def present_chain(context: SSL.Context, chain: CertificateChain) -> None:
    """Show ``chain`` to peers; raises ``CertificateError`` where OpenSSL refuses it."""
    try:
        context.use_certificate(chain.leaf)
        for issuer in chain.issuers:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(chain.key)
        context.check_privatekey()
    except SSL.Error as error:
        raise CertificateError(
            f"{chain.source}: OpenSSL refuses this certificate or its key: {reason(error)}"
        ) from error


def server_connection(context: SSL.Context, *, tls13: bool) -> SSL.Connection:
    """A connection on memory BIOs that waits for a ClientHello; ``tls13``: that hello offers TLS 1.3.

    A hello that offers TLS 1.3 is never answered with less by these contexts, so tickets are left on for it alone.
    """
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    if not tls13:
        connection.set_options(SSL.OP_NO_TICKET)
    return connection


def reason(error: SSL.Error) -> str:
    """The text of an OpenSSL error: its reasons, without library and function names."""
    first = error.args[0] if error.args else ""
    if isinstance(first, list):
        return ", ".join(entry[2] for entry in first if len(entry) > 2 and entry[2]) or "no reason given"
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    return str(error) or type(error).__name__


def _alpn_choice(alpn: tuple[bytes, ...]) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    def choose(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in alpn:
            if protocol in offered:
                return protocol
        # Returning b"" would be answered with an internal_error, and NO_OVERLAPPING_PROTOCOLS would let a client in
        # that is going to speak something else.  What is raised comes out of do_handshake, and OpenSSL sends the
        # alert no_application_protocol, as nginx does.
        raise NoCommonProtocol("the client speaks no protocol of ours, only " + b", ".join(offered).decode("latin-1"))

    return choose
