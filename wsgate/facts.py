"""What the servers' side is told of a request or a connection: for whom a server is wanted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wsgate.balance.keys import Facts
from wsgate.binding import bound_server
from wsgate.transport.tls import TlsLeg
from wsgate.upstream.dialing import Wanted
from wsgate.upstream.members import UpstreamMembers
from wsgate.wire.proxy_protocol import Endpoint, encode_v1, encode_v2
from wsgate.wire.proxy_tlvs import ProxyTls, Tlv

if TYPE_CHECKING:
    from wsgate.connection import Connection
    from wsgate.exchange import Exchange

#: In a PROXY header: the client used TLS, and showed a certificate on this connection.
_TLS, _CERTIFICATE = 1, 2


def wanted_by_request(exchange: Exchange, members: UpstreamMembers) -> Wanted:
    """A server for one request; its client is the one that trusted proxies name."""
    target, head = exchange.target, exchange.head
    facts = Facts(exchange.noted().client, head.host, target.path, target.query, head.fields)
    return Wanted(facts, head.method, _header(exchange.connection, members), bound_server(exchange, members))


def wanted_by_connection(connection: Connection, members: UpstreamMembers) -> Wanted:
    """A server for a whole connection, of which nothing is read but a TLS hello."""
    return Wanted(Facts(connection.client, connection.sni), header=_header(connection, members))


def _header(connection: Connection, members: UpstreamMembers) -> partial[bytes] | None:
    version = members.options.proxy_protocol
    return None if version == "off" else partial(proxy_header, connection, version)


def proxy_header(connection: Connection, version: str) -> bytes:
    """The PROXY header that tells a server of the client of ``connection``; ``version`` is ``v1`` or ``v2``."""
    source, destination = _ends(connection)
    if version == "v1":
        return encode_v1(source, destination)
    told = connection.told
    tlvs: list[tuple[int, bytes]] = []
    if connection.sni:
        tlvs.append((Tlv.AUTHORITY, connection.sni.encode()))
    if told is not None and told.unique_id:
        tlvs.append((Tlv.UNIQUE_ID, told.unique_id))
    tls, alpn = _tls_of(connection)
    if alpn:
        tlvs.insert(0, (Tlv.ALPN, alpn))
    if tls is not None:
        tlvs.append((Tlv.SSL, tls.encode()))
    return encode_v2(source, destination, tlvs)


def _ends(connection: Connection) -> tuple[Endpoint | None, Endpoint | None]:
    """Who connected to what: as a proxy in front tells it, or as the socket knows it.  None for a unix socket."""
    told = connection.told
    if told is not None and told.source is not None:
        return told.source, told.destination
    leg = connection.leg
    host = leg.getHost() if leg is not None else None
    if not isinstance(host, tuple) or connection.client == "unix":
        return None, None
    return (connection.client, connection.client_port), (host[0], host[1])


def _tls_of(connection: Connection) -> tuple[ProxyTls | None, bytes]:
    """The client's TLS and ALPN: what ends here, else what a proxy in front tells of."""
    leg, told = connection.leg, connection.told
    if not isinstance(leg, TlsLeg):
        return (told.tls, told.alpn) if told is not None else (None, b"")
    session = leg.connection
    certificate = session.get_peer_certificate()
    common_name = certificate.get_subject().CN if certificate is not None else None
    tls = ProxyTls(
        flags=_TLS | (_CERTIFICATE if certificate is not None else 0),
        # A client that shows a bad certificate does not get through the handshake.
        verify=0 if certificate is not None else 1,
        version=session.get_protocol_version_name(),
        common_name=common_name or "",
        cipher=session.get_cipher_name() or "",
    )
    return tls, session.get_alpn_proto_negotiated()
