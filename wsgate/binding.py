"""Requests that belong to a server by their cookie, and the cookie for those that do not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.balance.keys import cookies
from wsgate.balance.servers import ServerState
from wsgate.balance.sticky import set_cookie
from wsgate.upstream.members import UpstreamMembers
from wsgate.wire.fields import Fields

if TYPE_CHECKING:
    from wsgate.exchange import Exchange


def bound_server(exchange: Exchange, members: UpstreamMembers) -> ServerState | None:
    """The server that the request's cookie names; None where it has none, or one that is not ours."""
    sticky, bindings = members.options.sticky, members.bindings
    if sticky is None or bindings is None:
        return None
    values = cookies(exchange.head.fields, sticky.name.encode())
    return bindings.find(members.group.states, values)


def binding_fields(exchange: Exchange, members: UpstreamMembers, state: ServerState | None) -> Fields:
    """The field that binds the client to ``state``, where it is not bound to it already."""
    sticky, bindings = members.options.sticky, members.bindings
    if sticky is None or bindings is None or state is None or bound_server(exchange, members) is state:
        return []
    return [(b"Set-Cookie", set_cookie(sticky, bindings.mark(state), exchange.connection.secure))]
