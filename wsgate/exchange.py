"""The life of one request, from its head to its record: route, admission, then the target that answers.

Nothing here knows HTTP/1: a head comes in as values, the answer goes out through the client's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from wsgate.acme.places import AcmePlaces
from wsgate.causes import Cause, Side
from wsgate.config.model import PathKind, ProxyTarget, RelayKind, Route
from wsgate.downstream.http_end import HttpEnd
from wsgate.observe.record import AccessRecord, Kind
from wsgate.proxying import Proxying
from wsgate.routing.table import Match, SlashRedirect
from wsgate.sending import Sending
from wsgate.targets.answer import Answer, FileBlocks, text_answer
from wsgate.targets.errors import error_answer
from wsgate.targets.fixed import Redirect, Respond, slash_answer
from wsgate.transport.interfaces import Data
from wsgate.upgrading import Upgrading
from wsgate.wire.fields import Fields, HeadError
from wsgate.wire.forwarding import client_address
from wsgate.wire.framing import NO_BODY
from wsgate.wire.heads import RequestHead
from wsgate.wire.paths import Target, parse_target, rewrite_path
from wsgate.wire.ws_handshake import Upgrade, check_upgrade

if TYPE_CHECKING:
    from wsgate.connection import Connection

#: What the log says of an answer that a target gave with the status of an error.
_CAUSES = {
    400: Cause.BAD_REQUEST,
    403: Cause.FORBIDDEN,
    404: Cause.NO_ROUTE,
    405: Cause.METHOD,
    416: Cause.RANGE,
    500: Cause.INTERNAL,
}

Part = Proxying | Upgrading | Sending


class Exchange:
    """One request of ``connection``.

    Whoever answers it is a part: a file being sent, a request proxied, an upgrade.  ``record`` is what the access log
    will say; it is written once, by ``over``.
    """

    __slots__ = (
        "_part",
        "connection",
        "end",
        "head",
        "plan",
        "record",
        "route",
        "since",
        "target",
    )

    end: HttpEnd
    head: RequestHead
    target: Target

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.plan = connection.runtime.plan
        self.since = connection.runtime.wheel.seconds()
        self.route: Route | None = None
        self.record: AccessRecord | None = connection.record(Kind.HTTP)
        self._part: Part | None = None

    # The way of a request, in order

    def begin(self, end: HttpEnd, head: RequestHead) -> None:
        self.end = end
        self.head = head
        self._note_request(head)
        try:
            self.target = self._read_target(head)
            if self.plan.acme is not None and self._answers_authority(self.plan.acme, head):
                return
            self._serve(self._match(head), head)
        except HeadError as error:
            self.refuse_with(error.cause, str(error))

    def _read_target(self, head: RequestHead) -> Target:
        # Those of the handshake: a reload since then does not make its certificate wrong.
        names, identity = self.connection.names, self.connection.identity
        if names is not None and identity is not None and head.host and not names.serves(identity, head.host):
            raise HeadError(Cause.MISDIRECTED, f"{head.host} is not a name of the certificate that was served")
        return parse_target(head.target)

    def _answers_authority(self, acme: AcmePlaces, head: RequestHead) -> bool:
        """Whether this is an ACME authority that asks for an answer which lies ready; it is given before any route."""
        answer = acme.answer(self.target.raw_path)
        if answer and head.method == b"GET":
            self.give(text_answer(200, answer.decode("ascii")), Cause.DONE)
        return bool(answer) and head.method == b"GET"

    def _match(self, head: RequestHead) -> Match | None:
        choice = self.connection.place.routes.choose(head.host, self.target.path, head.upgrade)
        if isinstance(choice, SlashRedirect):
            self._take(choice.route)
            answer = slash_answer(head.method.decode("ascii"), self.target.raw_path, self.target.query)
            self.give(answer, Cause.DONE)
            return None
        if choice is None:
            raise HeadError(Cause.NO_ROUTE, "")
        return choice

    def _serve(self, match: Match | None, head: RequestHead) -> None:
        if match is None:
            return
        route = match.route
        self._take(route)
        if self.connection.runtime.short_of_memory:
            raise HeadError(Cause.MEMORY, "")
        if route.name in self.connection.runtime.drained_routes:
            raise HeadError(Cause.DRAINED, f"route {route.name} is drained")
        if self.target.encoded_slash and route.encoded_slash == "refuse":
            raise HeadError(Cause.BAD_REQUEST, "an encoded slash in the path")
        if route.methods and head.method.decode("ascii") not in route.methods:
            self.give(error_answer(Cause.METHOD, route.methods), Cause.METHOD)
            return
        if route.client_certs and not self._shows_certificate(route):
            self.give(
                error_answer(Cause.FORBIDDEN), Cause.FORBIDDEN, "no client certificate that the route lets through"
            )
            return
        target = route.target
        if isinstance(target, ProxyTarget):
            self._proxy(match, target, head)
        else:
            answer = self._own_answer(match, head)
            self.give(answer, _CAUSES.get(answer.status, Cause.DONE))

    def _shows_certificate(self, route: Route) -> bool:
        """Whether the client has shown, in the handshake, a certificate that the route asks for."""
        certificate = self.connection.tls.certificate
        return certificate is not None and not certificate.facts.isdisjoint(route.client_certs)

    def _own_answer(self, match: Match, head: RequestHead) -> Answer:
        """What a route answers without asking a server."""
        responder, target = self.plan.responders[match.route.name], self.target
        if isinstance(responder, Redirect):
            return responder.answer(head.host, target.raw_path, target.query)
        if isinstance(responder, Respond):
            return responder.answer()
        route = match.route
        path = target.path
        if route.rewrite or route.strip_prefix:
            path = unquote(rewrite_path(path, match.matched, route.rewrite).decode("ascii"))
        requested = b"" if route.path.kind is PathKind.EXACT else target.raw_path
        method = head.method.decode("ascii")
        return responder.answer(method, path, head.fields, requested=requested, query=target.query, now=self.since)

    def _proxy(self, match: Match, target: ProxyTarget, head: RequestHead) -> None:
        members = self.plan.upstreams[target.upstream]
        record = self.noted()
        record.upstream = target.upstream
        if not head.upgrade:
            if match.route.max_body and head.framing.length > match.route.max_body:
                raise HeadError(Cause.BODY_SIZE, f"{head.framing.length} bytes announced")
            self._part = proxying = Proxying(self, match, members)
            proxying.begin()
            return
        if match.route.websocket is RelayKind.OFF:
            raise HeadError(Cause.FORBIDDEN, "the route takes no WebSocket")
        upgrade = self._admit_upgrade(match.route, head)
        self._part = upgrading = Upgrading(self, match, members, upgrade)
        upgrading.begin()

    def _admit_upgrade(self, route: Route, head: RequestHead) -> Upgrade:
        """The handshake's rules and the origin, before any server is asked.  Raises HeadError."""
        upgrade = check_upgrade(head)
        origins = head.get_all(b"origin")
        admitted = self.plan.origins[route.name].admits(
            origins[0] if origins else None,
            len(origins) > 1,
            self.scheme,
            head.authority,
            head.get(b"cookie") is not None,
        )
        if not admitted:
            raise HeadError(Cause.ORIGIN, "origin not allowed")
        return upgrade

    # Answers of the gateway's own

    def give(self, answer: Answer, cause: Cause, detail: str = "", *, close: bool = False) -> None:
        """Send an answer of our own; a file is sent as fast as the client takes it."""
        end, record = self.end, self.noted()
        # A client that asked for a WebSocket may already have sent frames: never read them as a request.
        if close or record.kind is Kind.WEBSOCKET:
            end.answer.keep = False
        else:
            end.answer_early(self.head.framing)
        record.status = int(answer.status)
        own = self.connection.own_fields()
        if end.answer.is_plain:
            end.answer.made(answer.head_with(own))
        else:
            end.answer.head(answer.status, b"", [*answer.headers, *own], NO_BODY)
        if isinstance(answer.body, FileBlocks):
            self._part = sending = Sending(self, answer.body)
            sending.begin()
            return
        if answer.body:
            end.answer.body(answer.body)
        self.over(cause, detail)

    def refuse_with(self, cause: Cause, detail: str) -> None:
        """Answer with the row of the table of causes, and close the connection behind it."""
        self.give(error_answer(cause), cause, detail, close=True)

    def over(self, cause: Cause, detail: str = "", trailers: Fields | None = None) -> None:
        """The answer is complete: write the record and let the connection go on."""
        self.end.answer.end(trailers)
        self.log(cause, detail)
        self.end.finish()

    def log(self, cause: Cause, detail: str = "", side: Side | None = None) -> None:
        """Write the record; only once."""
        record, self.record = self.record, None
        if record is None:
            return
        runtime = self.connection.runtime
        self._part = None
        record.time = runtime.wall()
        record.duration = runtime.wheel.seconds() - self.since
        record.cause = cause.label
        record.closed_by = (side or cause.value.side).value
        record.detail = record.detail or detail
        record.bytes_in, record.bytes_out = self.end.traffic()
        runtime.log(record)

    def hand_over(self) -> AccessRecord:
        """Give the record to whoever goes on with the connection."""
        record = self.noted()
        self.record = self._part = None
        # What the connection carried before: whoever goes on counts from its beginning.
        before_in, before_out = self.end.carried_before
        record.bytes_in, record.bytes_out = -before_in, -before_out
        return record

    # What the client's end tells

    def refuse(self, end: HttpEnd, cause: Cause, detail: str) -> None:
        self.end = end
        self.refuse_with(cause, detail)

    def request_body(self, data: Data) -> None:
        if isinstance(self._part, Proxying):
            self._part.request_body(data)

    def request_end(self, trailers: Fields) -> None:
        if isinstance(self._part, Proxying):
            self._part.request_end(trailers)

    def request_failed(self, cause: Cause, detail: str) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.drop()
        if self.end.answer.begun:
            self.log(cause, detail)
            self.end.abort()
        else:
            self.refuse_with(cause, detail)

    def client_ended(self) -> bool:
        # As nginx does: a server's answer is given up, since most clients that close their direction have left; what
        # costs only sending is sent.
        return isinstance(self._part, Sending)

    def client_gone(self, cause: Cause) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.drop()
        self.log(cause)

    # Facts

    @property
    def scheme(self) -> str:
        return "https" if self.connection.secure else "http"

    def noted(self) -> AccessRecord:
        """The record, which is still open."""
        if self.record is None:
            raise AssertionError("the exchange is over")
        return self.record

    def _take(self, route: Route) -> None:
        self.route = route
        self.noted().route = route.name

    def _note_request(self, head: RequestHead) -> None:
        record, told = self.noted(), head.told
        record.method, record.path, record.query, record.host, record.version = told[:5]
        if head.upgrade:
            record.kind = Kind.WEBSOCKET
        record.user_agent, record.referer, record.origin = told[5:]
        connection = self.connection
        if connection.place.trusted.trusts(connection.client):
            record.client = client_address(connection.client, connection.place.trusted.trusts, head.fields)
