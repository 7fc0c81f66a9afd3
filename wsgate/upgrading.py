"""A WebSocket: the handshake with a server, the 101 to the client, then a relay between both legs.

Nothing that the client sends behind its request reaches a server before that server's 101 has been checked.  An answer
that is no 101 goes back to the client as the HTTP answer it is, and the client's connection is closed behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.balance.servers import ServerState
from wsgate.binding import binding_fields
from wsgate.causes import Cause, Side
from wsgate.config.model import RelayKind
from wsgate.facts import wanted_by_request
from wsgate.proxying import request_fields, request_target
from wsgate.redialling import Handshake, Redialling
from wsgate.relay.choice import websocket_relay
from wsgate.relay.interfaces import Opening, WebSocketLegs
from wsgate.routing.table import Match
from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import Timer
from wsgate.upstream.dialing import Dialling
from wsgate.upstream.http_end import ServerEnd
from wsgate.upstream.members import UpstreamMembers
from wsgate.websocket import Session
from wsgate.wire.fields import Fields, HeadError, encode_request, encode_response
from wsgate.wire.framing import NO_BODY
from wsgate.wire.heads import ResponseHead
from wsgate.wire.ws_handshake import (
    Agreed,
    Upgrade,
    check_answer,
    client_answer_fields,
    only_deflate,
    upgrade_fields,
)

if TYPE_CHECKING:
    from wsgate.exchange import Exchange


class Upgrading:
    """One WebSocket of ``exchange``, whose handshake the client has asked for rightly."""

    __slots__ = (
        "_dialling",
        "_end",
        "_exchange",
        "_match",
        "_members",
        "_offer",
        "_request",
        "_since",
        "_state",
        "_timer",
        "_upgrade",
        "_wanted",
    )

    def __init__(self, exchange: Exchange, match: Match, members: UpstreamMembers, upgrade: Upgrade) -> None:
        self._exchange = exchange
        self._match = match
        self._members = members
        self._upgrade = upgrade
        # The client's key goes on to the server: both compute the same answer from it.
        route = match.route
        is_plain = route.extensions == "strip" or route.on_server_loss == "hold"
        self._offer = upgrade
        if upgrade.extensions and route.websocket is not RelayKind.TUNNEL or is_plain:
            kept = not is_plain and route.websocket is RelayKind.FRAMES
            self._offer = upgrade._replace(extensions=only_deflate(upgrade.extensions) if kept else b"")
        self._request = b""
        self._end: ServerEnd | None = None
        self._state: ServerState | None = None
        self._timer: Timer | None = None
        connection = exchange.connection
        self._since = connection.runtime.wheel.seconds()
        self._wanted = wanted_by_request(exchange, members)
        self._dialling = Dialling(connection.runtime.dialer, members, self, self._wanted)

    def begin(self) -> None:
        self._dialling.next()

    # What the dialling tells

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        exchange = self._exchange
        wheel = exchange.connection.runtime.wheel
        self._state = state
        self._note_server(wheel.seconds() - self._since)
        timeout = self._members.options.handshake_timeout
        self._timer = wheel.after(timeout, self._too_late)
        self._end = ServerEnd(leg, wheel, b"GET", self._members.options.response_timeout, self)
        leg.registerProducer(exchange.end.leg, True)
        fields = upgrade_fields(request_fields(exchange), self._offer)
        self._request = encode_request(b"GET", request_target(exchange, self._match), fields)
        self._end.ask(self._request, NO_BODY)

    def dial_failed(self, cause: Cause, detail: str) -> None:
        self._note_server(None)
        self._exchange.refuse_with(cause, detail)

    def _note_server(self, connect_time: float | None) -> None:
        record, dialling = self._exchange.noted(), self._dialling
        record.server = dialling.state.name if dialling.state is not None else ""
        record.tries = dialling.tries
        record.connect_time = connect_time

    def drop(self) -> None:
        """The client has gone before there was a relay."""
        self._dialling.cancel()
        self._cancel_timer()
        end, self._end = self._end, None
        if end is not None:
            end.drop()
        self._release()

    # What the server answers

    def informed(self, head: ResponseHead) -> None:
        """Interim answers of a handshake mean nothing to a WebSocket client."""

    def answered(self, head: ResponseHead) -> None:
        exchange, state = self._exchange, self._state
        self._cancel_timer()
        wheel = exchange.connection.runtime.wheel
        record = exchange.noted()
        record.answer_time = wheel.seconds() - self._since
        record.status = head.status
        if head.status != 101:
            self._answered_otherwise(head)
            return
        try:
            agreed = check_answer(head, self._offer)
        except HeadError as error:
            if self._end is not None:
                self._end.drop()
            self.server_failed(error.cause, str(error))
            return
        if state is not None:
            state.succeeded(wheel.seconds())
        self._switch(head, agreed)

    def _answered_otherwise(self, head: ResponseHead) -> None:
        """No upgrade: the next server may do better, or the client gets this answer."""
        end, state = self._end, self._state
        another = self._dialling.rather_another(head.status)
        if state is not None:
            self._members.answered(state, head.status, self._exchange.connection.runtime.wheel.seconds())
            self._dialling.remember(Cause.BAD_ANSWER, f"{state.server}: answered {head.status}")
        if not another:
            self._refused(head)
            return
        self._end = None
        if end is not None:
            end.drop()
        self._release()
        self._dialling.next()

    def _refused(self, head: ResponseHead) -> None:
        exchange = self._exchange
        exchange.end.answer.keep = False
        if self._end is not None:
            exchange.end.feed_from(self._end.leg)
        fields = head.onward + binding_fields(exchange, self._members, self._state)
        exchange.end.answer.head(head.status, head.reason, exchange.connection.with_hsts(fields), head.framing)

    def answer_body(self, data: Data) -> None:
        self._exchange.end.answer.body(data)

    def answer_pause(self) -> None:
        self._exchange.end.answer.flush()

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        end, self._end = self._end, None
        if end is not None and reusable:
            # A connection on which an upgrade was asked for is never used again.
            end.drop()
        self._exchange.end.feed_from(None)
        self._release()
        self._exchange.over(Cause.SERVER_REFUSED, trailers=trailers)

    def server_failed(self, cause: Cause, detail: str) -> None:
        exchange, state = self._exchange, self._state
        self._end = None
        self._cancel_timer()
        exchange.end.feed_from(None)
        if state is not None:
            state.failed(exchange.connection.runtime.wheel.seconds())
        self._release()
        if exchange.end.answer.begun:
            exchange.log(cause, detail, Side.SERVER)
            exchange.end.abort()
        else:
            # A handshake may be repeated until its 101 has been passed on.
            self._dialling.go_on(cause, detail)

    def _too_late(self) -> None:
        self._timer = None
        if self._end is not None:
            self._end.drop()
        timeout = self._members.options.handshake_timeout
        self.server_failed(Cause.ANSWER_TIMEOUT, f"no answer to the handshake within {timeout:g} s")

    # The relay

    def _switch(self, head: ResponseHead, agreed: Agreed) -> None:
        """Both sides have agreed: hand the legs to the relay of the route, which answers the client."""
        exchange, end, route = self._exchange, self._end, self._match.route
        state, self._state = self._state, None
        if end is None or state is None:
            raise AssertionError("a 101 without a server")
        self._end = None
        self._dialling.close()
        connection, runtime, record = exchange.connection, exchange.connection.runtime, exchange.hand_over()
        record.relay = route.websocket.value
        record.subprotocol = (agreed.protocol or b"").decode("latin-1")
        server_leg, from_server = end.release()
        client_leg, from_client = exchange.end.release()
        connection.relayed()
        session = Session(connection, record, self._members, state, self._since)
        relay = websocket_relay(
            route,
            WebSocketLegs(
                client_leg,
                server_leg,
                self._opening(head, agreed),
                route.limits,
                runtime.reactor,
                runtime.wheel,
                runtime.pipes,
                runtime.random,
                session.over,
                self._redial(session, agreed),
            ),
        )
        session.start(relay, from_client, from_server)

    def _redial(self, session: Session, agreed: Agreed) -> Redialling | None:
        """Who finds another server when this one is lost, where the route holds its clients."""
        exchange, route = self._exchange, self._match.route
        if route.on_server_loss != "hold":
            return None
        handshake = Handshake(self._request, self._offer, agreed)
        return Redialling(exchange.connection.runtime, self._members, session, route, self._wanted, handshake)

    def _opening(self, head: ResponseHead, agreed: Agreed) -> Opening:
        exchange = self._exchange
        fields = client_answer_fields(head, agreed, self._upgrade.key)
        fields += binding_fields(exchange, self._members, self._dialling.state)
        return Opening(
            self._upgrade,
            agreed,
            fields,
            encode_response(101, b"Switching Protocols", fields),
            exchange.connection.client,
            exchange.head.host,
            exchange.target.path,
            self._match.route.name,
            exchange.connection.secure,
        )

    def _release(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            state.released()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
