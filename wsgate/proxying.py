"""An HTTP request answered by a server of an upstream, streaming both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.balance.servers import ServerState
from wsgate.binding import binding_fields
from wsgate.causes import Cause, Side
from wsgate.config.model import Server
from wsgate.facts import wanted_by_request
from wsgate.routing.table import Match
from wsgate.transport.interfaces import Data, Leg
from wsgate.upstream.dialing import Dialling
from wsgate.upstream.http_end import ServerEnd
from wsgate.upstream.members import UpstreamMembers
from wsgate.wire.fields import Fields, encode_request
from wsgate.wire.forwarding import certificate_fields, forwarded_fields
from wsgate.wire.framing import Ending
from wsgate.wire.heads import RequestHead, ResponseHead
from wsgate.wire.paths import rewrite_path, strip_prefix

if TYPE_CHECKING:
    from wsgate.exchange import Exchange

#: Methods that may be sent again when a server fails without an answer (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


def _authority(server: Server) -> bytes:
    """The Host for a server where the client named none: as nginx's $proxy_host."""
    address = server.address
    return b"localhost" if address.is_unix or server.factory else str(address).encode("ascii")


def request_target(exchange: Exchange, match: Match) -> bytes:
    """The request target for the server: the client's bytes, unless the route rewrites its path."""
    target, route = exchange.target, match.route
    if route.rewrite:
        return rewrite_path(target.path, match.matched, route.rewrite) + target.tail
    if route.strip_prefix:
        return strip_prefix(target.path, match.matched) + target.tail
    return target.origin_form


def request_fields(exchange: Exchange) -> Fields:
    """The client's end-to-end fields, Host kept, and who asked."""
    connection, head = exchange.connection, exchange.head
    fields = forwarded_fields(
        connection.client if connection.client != "unix" else "",
        connection.secure,
        head.authority,
        connection.port,
        head.onward,
        connection.place.trusted.trusts(connection.client),
    )
    shown = connection.tls.certificate
    return [*fields, *certificate_fields(shown.subject, shown.names, shown.sha256)] if shown is not None else fields


class Proxying:
    """One request at a server; its body is taken once a server is there, its answer passed on as it comes."""

    __slots__ = (
        "_dialling",
        "_end",
        "_exchange",
        "_match",
        "_members",
        "_received",
        "_reused",
        "_since",
        "_state",
    )

    def __init__(self, exchange: Exchange, match: Match, members: UpstreamMembers) -> None:
        self._exchange = exchange
        self._match = match
        self._members = members
        self._end: ServerEnd | None = None
        self._state: ServerState | None = None
        self._reused = False
        self._received = 0
        connection = exchange.connection
        self._since = connection.runtime.wheel.seconds()
        wanted = wanted_by_request(exchange, members)
        self._dialling = Dialling(connection.runtime.dialer, members, self, wanted, reuse=True)

    def begin(self) -> None:
        self._dialling.next()

    # What the dialling tells

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        exchange = self._exchange
        runtime, head = exchange.connection.runtime, exchange.head
        self._state = state
        self._reused = reused
        self._note_server(runtime.wheel.seconds() - self._since)
        self._end = ServerEnd(leg, runtime.wheel, head.method, self._members.options.response_timeout, self)
        request = self._request(head, state.server)
        leg.registerProducer(exchange.end.leg, True)
        self._end.ask(request, head.framing)
        exchange.end.feed_from(leg)
        exchange.end.want_body()

    def _request(self, head: RequestHead, server: Server) -> bytes:
        """The head of the request to ``server``; a client that asks the same again gets the same asked."""
        exchange, match = self._exchange, self._match
        asked = exchange.connection.asked
        if asked is not None and asked[0] is head and asked[1] is match:
            return asked[2]
        fields = request_fields(exchange)
        if head.get(b"expect") is not None:
            fields = [field for field in fields if field[0].lower() != b"expect"]
        names_host = head.get(b"host") is not None
        if not names_host:
            # HTTP/1.0 has none or says it in the target; the server is asked in HTTP/1.1 (RFC 9112 section 3.2).
            fields.insert(0, (b"Host", head.authority or _authority(server)))
        if head.framing.ending is Ending.CHUNKED:
            fields.append((b"Transfer-Encoding", b"chunked"))
        request = encode_request(head.method, request_target(exchange, match), fields)
        if head.is_kept and names_host:
            exchange.connection.asked = (head, match, request)
        return request

    def dial_failed(self, cause: Cause, detail: str) -> None:
        self._note_server(None)
        self._exchange.refuse_with(cause, detail)

    def _note_server(self, connect_time: float | None) -> None:
        record, dialling = self._exchange.noted(), self._dialling
        record.server = dialling.state.name if dialling.state is not None else ""
        record.tries = dialling.tries
        record.connect_time = connect_time

    # What the client sends

    def request_body(self, data: Data) -> None:
        limit = self._match.route.max_body
        self._received += len(data)
        if limit and self._received > limit:
            self._exchange.request_failed(Cause.BODY_SIZE, f"more than {limit} bytes")
        elif self._end is not None:
            self._end.body(data)

    def request_end(self, trailers: Fields) -> None:
        if self._end is not None:
            self._end.end(trailers)

    def drop(self) -> None:
        """The client has gone, or its request has failed."""
        self._dialling.cancel()
        end, self._end = self._end, None
        if end is not None:
            end.drop()
        self._release()

    # What the server answers

    def informed(self, head: ResponseHead) -> None:
        # 100 is the gateway's own business: the client was told to go on when a server was there.
        if head.status != 100:
            self._exchange.end.answer.informational(head.status, head.reason, head.onward)

    def answered(self, head: ResponseHead) -> None:
        exchange, state = self._exchange, self._state
        if head.status == 101:
            self._fail_answer("a 101 to a request that is no upgrade")
            return
        if exchange.head.framing.ending is Ending.NONE and self._dialling.rather_another(head.status):
            self._pass_over(head.status)
            return
        if state is not None:
            self._members.answered(state, head.status, exchange.connection.runtime.wheel.seconds())
        record = exchange.noted()
        record.status = head.status
        record.answer_time = exchange.connection.runtime.wheel.seconds() - self._since
        binding = binding_fields(exchange, self._members, state)
        fields = exchange.connection.with_hsts(head.onward + binding if binding else head.onward)
        answer = exchange.end.answer
        if fields is head.onward and answer.is_plain and head.reason and head.framing.ending is Ending.LENGTH:
            answer.made(head.encoded)
        else:
            answer.head(head.status, head.reason, fields, head.framing)

    def _pass_over(self, status: int) -> None:
        """Leave this answer and ask the next server."""
        end, self._end, state = self._end, None, self._state
        if end is not None:
            end.drop()
        if state is not None:
            self._members.answered(state, status, self._exchange.connection.runtime.wheel.seconds())
            self._dialling.remember(Cause.BAD_ANSWER, f"{state.server}: answered {status}")
        self._exchange.end.feed_from(None)
        self._release()
        self._dialling.next()

    def _fail_answer(self, detail: str) -> None:
        if self._end is not None:
            self._end.drop()
        self.server_failed(Cause.BAD_ANSWER, detail)

    def answer_body(self, data: Data) -> None:
        self._exchange.end.answer.body(data)

    def answer_pause(self) -> None:
        self._exchange.end.answer.flush()

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        end, self._end = self._end, None
        state = self._state
        if end is not None and state is not None:
            leg = end.leg
            leg.unregisterProducer()
            if reusable:
                self._members.keep(state, leg)
        self._exchange.end.feed_from(None)
        self._release()
        self._exchange.over(Cause.DONE, trailers=trailers)

    def server_failed(self, cause: Cause, detail: str) -> None:
        exchange, end, state = self._exchange, self._end, self._state
        self._end = None
        exchange.end.feed_from(None)
        if state is not None and not self._reused:
            state.failed(exchange.connection.runtime.wheel.seconds())
        self._release()
        if exchange.end.answer.begun and not exchange.end.answer.withdraw():
            exchange.log(cause, detail, Side.SERVER)
            exchange.end.abort()
        elif exchange.head.framing.ending is not Ending.NONE:
            # What was taken of a body is no longer there to be sent again.
            exchange.refuse_with(cause, detail)
        elif self._reused and end is not None and end.silent and cause is Cause.SERVER_LOST and self._is_repeatable():
            # A server that closes an idle connection just as it is taken has not failed.
            self._dialling.again()
        else:
            # nginx's proxy_next_upstream: while nothing has reached the client, the next server may do better.
            self._dialling.go_on(cause, detail)

    def _is_repeatable(self) -> bool:
        return self._exchange.head.method in _IDEMPOTENT

    def _release(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            state.released()
