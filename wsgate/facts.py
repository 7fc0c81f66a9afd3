"""What the balancer is told of a request or a connection: for whom a server is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.balance.keys import Facts
from wsgate.upstream.dialing import Wanted
from wsgate.upstream.members import UpstreamMembers

if TYPE_CHECKING:
    from wsgate.connection import Connection
    from wsgate.exchange import Exchange


def wanted_by_request(exchange: Exchange, members: UpstreamMembers) -> Wanted:
    """A server for one request; its client is the one that trusted proxies name."""
    target, head = exchange.target, exchange.head
    facts = Facts(exchange.noted().client, head.host, target.path, target.query, head.fields)
    return Wanted(facts, head.method)


def wanted_by_connection(connection: Connection, members: UpstreamMembers) -> Wanted:
    """A server for a whole connection, of which nothing is read but a TLS hello."""
    return Wanted(Facts(connection.client, connection.sni))
