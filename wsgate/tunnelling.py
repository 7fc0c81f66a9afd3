"""Layer 4: a connection of a tcp listener, dialled through to a server of its upstream and tunnelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause, Side
from wsgate.facts import wanted_by_connection
from wsgate.observe.record import Kind
from wsgate.registry import Live
from wsgate.relay.interfaces import Ending, Traffic
from wsgate.relay.tunnel import Tunnel
from wsgate.transport.interfaces import NOBODY, Data, Leg
from wsgate.transport.tcp import TcpLeg
from wsgate.upstream.dialing import Dialling

if TYPE_CHECKING:
    from wsgate.connection import Connection


class Tunnelling:
    """Dials a server for ``leg``, which waits meanwhile, and hands both legs to a tunnel."""

    __slots__ = ("_connect_time", "_connection", "_dialling", "_leg", "_live", "_read", "_state", "_tunnel")

    def __init__(self, connection: Connection, leg: TcpLeg, read: bytes = b"") -> None:
        """``read`` came from the client ahead of the leg, and goes to the server first."""
        self._connection = connection
        self._leg = leg
        self._read = read
        self._tunnel: Tunnel | None = None
        self._live: Live | None = None
        self._state: ServerState | None = None
        self._connect_time: float | None = None
        runtime = connection.runtime
        members = runtime.plan.upstreams[connection.upstream]
        self._dialling = Dialling(runtime.dialer, members, self, wanted_by_connection(connection, members))

    def start(self) -> None:
        """Read nothing until a server is there: what the client says first waits in the kernel."""
        self._leg.protocol = self
        self._leg.pauseProducing()
        route = self._connection.route
        if route in self._connection.runtime.drained_routes:
            self.dial_failed(Cause.DRAINED, f"route {route} is drained")
        else:
            self._dialling.next()

    # What the client's leg tells while a server is dialled

    def dataReceived(self, data: Data) -> None:
        raise AssertionError("bytes from a paused leg")

    def readConnectionLost(self) -> None:
        """Carried over when there is a server: the tunnel asks the leg again."""

    def connectionLost(self, reason: Failure) -> None:
        if self._tunnel is None:
            self._dialling.cancel()
            self._over(Ending(Cause.CLIENT_LOST, Side.CLIENT, detail="while a server was dialled"))

    # What the dialling tells

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        runtime, listener = self._connection.runtime, self._connection.place.listener
        state.succeeded(runtime.wheel.seconds())
        self._dialling.close()
        self._state = state
        self._connect_time = runtime.wheel.seconds() - self._connection.since
        self._tunnel = Tunnel(
            self._leg,
            leg,
            wheel=runtime.wheel,
            pipes=runtime.pipes,
            half_close=listener.half_close,
            idle_timeout=listener.idle_timeout,
            over=self._over,
        )
        self._live = runtime.live.enter(
            listener=listener.name,
            route=self._connection.route,
            upstream=self._connection.upstream,
            server=state.name,
            client=self._connection.client,
            since=self._connection.since,
            relay=self._tunnel,
        )
        self._tunnel.start(self._read)
        self._read = b""

    def dial_failed(self, cause: Cause, detail: str) -> None:
        self._leg.protocol = NOBODY
        self._leg.loseConnection()
        self._over(Ending(cause, cause.value.side, detail=detail))

    def _over(self, ending: Ending) -> None:
        connection, state = self._connection, self._state
        if self._live is not None:
            connection.runtime.live.leave(self._live)
        record = connection.record(Kind.TCP)
        traffic = self._tunnel.traffic() if self._tunnel is not None else Traffic()
        record.route, record.upstream = connection.route, connection.upstream
        if self._dialling.state is not None:
            record.server = self._dialling.state.name
        record.tries = self._dialling.tries
        record.connect_time = self._connect_time
        record.bytes_in, record.bytes_out = traffic.bytes_in, traffic.bytes_out
        record.cause, record.closed_by, record.detail = ending.cause.label, ending.closed_by.value, ending.detail
        connection.runtime.log(record)
        if state is not None:
            state.released()
        connection.gone()
