"""The life of one connection: accept, first bytes read ahead, TLS, then the protocol of its listener."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from OpenSSL import SSL

from wsgate.acme.places import ACME_TLS
from wsgate.acme.tls_alpn import answer_context
from wsgate.admission.trusted import peers_of
from wsgate.causes import Cause
from wsgate.config.model import Mode
from wsgate.downstream.hello import NOT_TLS, SPEAK_TLS, HelloReading
from wsgate.downstream.http_end import HttpEnd
from wsgate.downstream.proxy_header import HeaderReading
from wsgate.exchange import Exchange
from wsgate.observe.record import AccessRecord, Kind
from wsgate.open_connections import Counted
from wsgate.routing.table import Match
from wsgate.runtime import ListenerPlan, Plan, Runtime
from wsgate.tls.certificates import CertificateError
from wsgate.tls.policies import server_connection
from wsgate.tls.server_names import UNRECOGNIZED_NAME, ServerIdentity, ServerNames
from wsgate.tls.sessions import TlsFacts, tls_facts
from wsgate.transport.sockets import host_of, port_of
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.tls import TlsLeg
from wsgate.transport.wheel import Timer
from wsgate.tunnelling import Tunnelling
from wsgate.wire.client_hello import ClientHello
from wsgate.wire.fields import Fields
from wsgate.wire.heads import RequestHead
from wsgate.wire.own_fields import origin_fields, with_hsts
from wsgate.wire.proxy_protocol import ProxyHeader

_TLS_1_3 = 0x0304
_NO_TLS = TlsFacts()


class Connection:
    """One accepted connection.

    ``client`` is the address of whoever connected, ``port`` the one connected to, ``identity`` the TLS section that was
    served out of ``names``, ``tls`` what was agreed on, ``leg`` what is spoken on once the first bytes are read.  Where
    the connection itself is routed, ``upstream`` takes it, by the route ``route`` if its hello chose one.  ``told`` is
    what a trusted proxy says of the client; then ``client`` and ``port`` are those of the connection to that proxy.
    ``asked`` is what a server was asked last, where the same may come again: the client's head, its match, the request.
    """

    __slots__ = (
        "_counted",
        "_header",
        "_hello",
        "_http",
        "_shaking",
        "_sock",
        "_timer",
        "asked",
        "client",
        "client_port",
        "identity",
        "leg",
        "names",
        "place",
        "port",
        "route",
        "runtime",
        "since",
        "sni",
        "tls",
        "told",
        "upstream",
    )

    def __init__(self, runtime: Runtime, place: ListenerPlan, sock: socket.socket, peer: object, port: int) -> None:
        self.runtime = runtime
        self.place = place
        self.client = host_of(peer)
        self.client_port = port_of(peer)
        self.port = port
        self.since = runtime.wheel.seconds()
        self.names: ServerNames | None = None
        self.identity: ServerIdentity | None = None
        self.tls = _NO_TLS
        self.sni = ""
        self.route = ""
        self.upstream = place.listener.upstream
        self._shaking = False
        self.leg: TcpLeg | None = None
        self._counted: Counted = ()
        self._sock: socket.socket | None = sock
        self.told: ProxyHeader | None = None
        self._header: HeaderReading | None = None
        self._hello: HelloReading | None = None
        self._http: HttpEnd | None = None
        self._timer: Timer | None = None
        self.asked: tuple[RequestHead, Match, bytes] | None = None

    @property
    def secure(self) -> bool:
        return self.identity is not None or self.told is not None and self.told.tls is not None

    # The way of a connection, in order

    def begin(self) -> None:
        """Count it, and read ahead what a proxy says and what TLS needs; a connection above a limit is closed."""
        runtime, place = self.runtime, self.place
        runtime.live.connections.add(self)
        place.open += 1
        is_told = place.listener.proxy_protocol
        refusal = self._count("unix" if is_told else self.client)
        if refusal or len(runtime.live.connections) > runtime.max_connections:
            self._give_up(Cause.FULL, refusal or "no descriptors for more")
        elif is_told:
            self._read_header()
        else:
            self._read_hello(b"")

    def _count(self, client: str) -> str:
        """Take the places of the connection; the words say which limit is in the way."""
        runtime = self.runtime
        self._counted, refusal = runtime.counts.enter(runtime.plan.config.gateway, self.place.listener, client)
        return refusal

    def _read_header(self) -> None:
        """What a proxy says of the client; whoever may open a unix socket is trusted, as its permissions say."""
        listener = self.place.listener
        if self.client != "unix" and not peers_of(listener.proxy_trusted).trusts(self.client):
            self._give_up(Cause.PROXY_HEADER, "from a peer that is no trusted proxy")
            return
        self._timer = self.runtime.wheel.after(listener.proxy_timeout, self._too_late)
        self._header = HeaderReading(self.runtime.hub, self._socket(), self._header_found, self._header_failed)

    def _header_found(self, header: ProxyHeader, rest: bytes) -> None:
        self._header = None
        self._cancel_timer()
        self.told = header
        if header.source is not None and header.destination is not None:
            self.client, self.client_port = header.source
            self.port = header.destination[1]
        self.sni = header.authority
        self.runtime.counts.leave(self._counted)
        if refusal := self._count(self.client):
            self._give_up(Cause.FULL, refusal)
        else:
            self._read_hello(rest)

    def _read_hello(self, read: bytes) -> None:
        """What TLS needs, on a listener that has it or routes by it; ``read`` came behind a PROXY header."""
        runtime, place = self.runtime, self.place
        if place.names is not None or place.sni:
            self._timer = runtime.wheel.after(place.listener.tls_timeout, self._too_late)
            self._hello = HelloReading(runtime.hub, self._socket(), self._hello_found, self._hello_failed, read)
        elif read and place.listener.mode is Mode.TCP:
            self._pass_on(read)
        else:
            leg = TcpLeg(runtime.hub, self._socket())
            self._leave_to(leg)
            self._speak(leg)
            leg.start(read)

    def _hello_found(self, hello: ClientHello, read: bytes) -> None:
        """A route may choose by the hello; without one the listener ends TLS if it can, or passes it on."""
        self.sni = hello.server_name or ""
        place = self.place
        if hello.alpn == (ACME_TLS,) and place.names is not None and self._answer_authority(read):
            return
        route = place.sni.choose(hello.server_name, hello.alpn)
        if route is not None:
            self.route, self.upstream = route.name, route.upstream
        if place.listener.mode is Mode.TCP and not self.upstream:
            self._answer_and_give_up(UNRECOGNIZED_NAME, f"no route for {self.sni or 'a hello without a name'}")
        elif place.names is None or route is not None and not route.terminate:
            self._pass_on(read)
        else:
            self._end_tls(place.names, hello, read)

    def _answer_authority(self, read: bytes) -> bool:
        """Show an ACME authority the certificate that it asks for, and close; False where none lies ready."""
        acme = self.runtime.plan.acme
        try:
            context = answer_context(acme, self.sni) if acme is not None else None
        except (CertificateError, ValueError):
            return False
        if context is None:
            return False
        connection = server_connection(context, tls13=True)
        self._shake(connection, self._authority_answered, read)
        return True

    def _authority_answered(self) -> None:
        if self.leg is not None:
            self.leg.loseConnection()
        self._end(Cause.DONE, "an answer to an ACME authority")

    def _pass_on(self, read: bytes) -> None:
        """Tunnel the connection as it is, behind the bytes that were read ahead."""
        self._cancel_timer()
        leg = TcpLeg(self.runtime.hub, self._socket())
        self._leave_to(leg)
        leg.received += len(read)
        Tunnelling(self, leg, read).start()
        leg.start()

    def _end_tls(self, names: ServerNames, hello: ClientHello, read: bytes) -> None:
        identity = names.choose(hello.server_name, hello.signature_algorithms, hello.suites)
        if identity is None:
            self._answer_and_give_up(UNRECOGNIZED_NAME, f"no certificate for {self.sni}")
            return
        limit = self.place.listener.max_handshakes
        if limit and self.place.handshakes >= limit:
            self._give_up(Cause.FULL, "too many TLS handshakes under way")
            return
        self.place.handshakes += 1
        self._shaking = True
        self.names, self.identity = names, identity
        self._shake(server_connection(identity.context, tls13=_TLS_1_3 in hello.versions), self._secured, read)

    def _shake(self, connection: SSL.Connection, secured: Callable[[], None], read: bytes) -> None:
        runtime = self.runtime
        refused = partial(self._end, Cause.TLS_FAILED)
        leg = TlsLeg(runtime.hub, self._socket(), connection, runtime.buffers, secured=secured, refused=refused)
        self._leave_to(leg)
        leg.start(read)

    def _leave_to(self, leg: TcpLeg) -> None:
        """The socket is the leg's from now on."""
        self._sock, self.leg = None, leg
        if self._hello is not None:
            self._hello.give_to(leg)
            self._hello = None

    def _secured(self) -> None:
        self._cancel_timer()
        leg, identity = self.leg, self.identity
        if not isinstance(leg, TlsLeg) or identity is None:
            raise AssertionError("a handshake without TLS")
        try:
            self.tls = tls_facts(leg.connection, asked=identity.asks_clients)
        except ValueError as error:
            leg.abortConnection()
            self._end(Cause.TLS_FAILED, str(error))
            return
        self._speak(leg)

    def _speak(self, leg: TcpLeg) -> None:
        if self.place.listener.mode is Mode.TCP:
            Tunnelling(self, leg).start()
        else:
            self._http = HttpEnd(leg, self.place.listener, self.runtime.wheel, partial(Exchange, self), self.gone)
            self._http.start()

    def relayed(self) -> None:
        """The leg belongs to a relay from now on."""
        self._http = None

    def gone(self) -> None:
        """Whoever spoke on the leg has finished, and the leg is closed."""
        self.runtime.counts.leave(self._counted)
        self.runtime.live.connections.discard(self)
        self.place.open -= 1

    def stop(self, *, gently: bool = False) -> None:
        """The gateway stops: a connection that waits for a request is closed; one that is busy finishes first.

        ``gently``: it may have the request that it waits for.
        """
        if self._http is not None:
            self._http.stop(gently=gently)
        elif self._timer is not None and not gently:
            self._give_up_unfinished()

    @property
    def listener_name(self) -> str:
        return self.place.listener.name

    def dismiss(self, plan: Plan) -> None:
        """After a reload: close it, as ``stop`` does, if its listener is gone or reads something else now."""
        now = plan.listeners.get(self.place.listener.name)
        if now is None or (self._http is not None) and now.listener.mode is not Mode.HTTP:
            self.stop()

    @property
    def unread(self) -> int:
        return self.leg.queued if self._http is not None and self.leg is not None else 0

    def abort(self, cause: Cause = Cause.STOPPING) -> None:
        if self._timer is not None:
            self._give_up_unfinished()
        elif self._http is not None:
            self._http.give_up(cause)
        elif self.leg is not None:
            self.leg.abortConnection()

    # Ends before a protocol is spoken

    def _header_failed(self, why: str) -> None:
        self._header = None
        self._give_up(Cause.PROXY_HEADER, why)

    def _hello_failed(self, why: str, read: bytes) -> None:
        self._hello = None
        if why == NOT_TLS and self._goes_without_tls(read):
            return
        speaks_http = self.place.listener.mode is Mode.HTTP and read[:8].split(b" ")[0].isalpha()
        self._answer_and_give_up(SPEAK_TLS if speaks_http else b"", why)

    def _answer_and_give_up(self, answer: bytes, detail: str) -> None:
        if answer:
            # A first answer always fits the socket's buffer; where it does not, the peer gets nothing.
            with suppress(OSError):
                self._socket().send(answer)
        self._give_up(Cause.TLS_FAILED, detail)

    def _too_late(self) -> None:
        if self._hello is None or self._hello.read or not self._goes_without_tls(b""):
            self._give_up_unfinished()

    def _give_up_unfinished(self) -> None:
        header, self._header = self._header, None
        if header is not None:
            header.stop()
            self._give_up(Cause.PROXY_HEADER, "no PROXY header in time")
        elif self._hello is not None:
            self._give_up(Cause.TLS_TIMEOUT, "no TLS hello")
        elif self.leg is not None:
            self.leg.abortConnection()
            self._end(Cause.TLS_TIMEOUT, "the TLS handshake was not finished")

    def _goes_without_tls(self, read: bytes) -> bool:
        """Whether a route takes those who speak no TLS, or wait for the server to speak first; it does so then."""
        route = self.place.sni.without_tls
        if route is None:
            return False
        self.route, self.upstream = route.name, route.upstream
        self._pass_on(read)
        return True

    def _give_up(self, cause: Cause, detail: str) -> None:
        if self._hello is not None:
            self._hello.stop()
            self._hello = None
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        self._end(cause, detail)

    def _end(self, cause: Cause, detail: str) -> None:
        self._cancel_timer()
        record = self.record(Kind.TCP)
        record.cause = cause.label
        record.closed_by = cause.value.side.value
        record.detail = detail
        self.runtime.log(record)
        self.gone()

    def _socket(self) -> socket.socket:
        if self._sock is None:
            raise AssertionError("the socket has been given away")
        return self._sock

    def _cancel_timer(self) -> None:
        if self._shaking:
            self._shaking = False
            self.place.handshakes -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def own_fields(self) -> Fields:
        """The fields of an origin server, for answers of the gateway's own; the same object within a second."""
        runtime = self.runtime
        return self.with_hsts(origin_fields(int(runtime.wall()), runtime.plan.config.gateway.server_header))

    def with_hsts(self, fields: Fields) -> Fields:
        """``fields`` of an answer, with Strict-Transport-Security where the section has it and no server sent it."""
        return with_hsts(fields, self.identity.hsts if self.identity is not None else b"")

    def record(self, kind: Kind) -> AccessRecord:
        """A record with what is known of the connection itself."""
        runtime = self.runtime
        record = AccessRecord(
            kind,
            runtime.wall(),
            runtime.wheel.seconds() - self.since,
            listener=self.place.listener.name,
            client=self.client,
            client_port=self.client_port or None,
            tls_name=self.sni,
        )
        if self.tls is not _NO_TLS:
            record.tls_version, record.tls_cipher, record.tls_resumed, _ = self.tls
        return record
