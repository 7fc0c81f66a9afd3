"""An open WebSocket, from the relay's start to its record: all that is kept of its exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause, Side
from wsgate.observe.record import AccessRecord
from wsgate.registry import Live
from wsgate.relay.interfaces import Ending, Relay
from wsgate.upstream.members import UpstreamMembers

if TYPE_CHECKING:
    from wsgate.connection import Connection


class Session:
    """Owns the record, the place at the server and the entry in the registry while a relay runs.

    The exchange that opened it, with the request's head, is let go: thousands of sessions are idle at a time.
    """

    __slots__ = (
        "_connection",
        "_has_place",
        "_live",
        "_members",
        "_record",
        "_relay",
        "_server_since",
        "_since",
        "_state",
    )

    def __init__(
        self,
        connection: Connection,
        record: AccessRecord,
        members: UpstreamMembers,
        state: ServerState,
        since: float,
    ) -> None:
        self._connection = connection
        self._record = record
        self._members = members
        self._state = state
        self._since = self._server_since = since
        self._has_place = True
        self._relay: Relay | None = None
        self._live: Live | None = None

    def start(self, relay: Relay, from_client: bytes, from_server: bytes) -> None:
        """Enter the registry and let frames pass; the bytes came behind the handshakes."""
        record, connection = self._record, self._connection
        self._relay = relay
        self._live = connection.runtime.live.enter(
            listener=record.listener,
            route=record.route,
            upstream=record.upstream,
            server=record.server,
            client=record.client,
            since=self._since,
            relay=relay,
        )
        relay.start(from_client, from_server)

    def left(self) -> None:
        """The server is lost, the client is held."""
        now = self._connection.runtime.wheel.seconds()
        self._members.closed(self._state, now, now - self._server_since, Ending(Cause.SERVER_LOST, Side.SERVER))
        self._state.released()
        self._has_place = False

    def moved(self, state: ServerState) -> None:
        """Another server, whose place is taken, goes on."""
        self._state = state
        self._server_since = self._connection.runtime.wheel.seconds()
        self._has_place = True
        self._record.server = str(state.server)
        if self._live is not None:
            self._live.server = str(state.server)

    def over(self, ending: Ending) -> None:
        """Both legs are gone: write the record, give the place back."""
        record, connection, relay = self._record, self._connection, self._relay
        runtime = connection.runtime
        if self._live is not None:
            runtime.live.leave(self._live)
        if relay is not None:
            traffic = relay.traffic()
            record.bytes_in += traffic.bytes_in
            record.bytes_out += traffic.bytes_out
            record.frames_in, record.frames_out = traffic.frames_in, traffic.frames_out
            record.messages_in, record.messages_out = traffic.messages_in, traffic.messages_out
            record.rtt_client, record.rtt_server = traffic.rtt_client, traffic.rtt_server
        record.time = runtime.wall()
        record.duration = runtime.wheel.seconds() - self._since
        record.close_code, record.close_reason = ending.code, ending.reason
        record.cause, record.closed_by, record.detail = ending.cause.label, ending.closed_by.value, ending.detail
        if self._has_place:
            now = runtime.wheel.seconds()
            self._members.closed(self._state, now, now - self._server_since, ending)
            self._state.released()
        runtime.log(record)
        self._relay = self._live = None
        connection.gone()
