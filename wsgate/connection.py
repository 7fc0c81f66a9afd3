"""The life of one connection: accept, first bytes read ahead, TLS, then the protocol of its listener."""

from __future__ import annotations

import socket
from email.utils import formatdate

from wsgate.causes import Cause
from wsgate.config.model import Mode
from wsgate.downstream.hello import HelloReading
from wsgate.downstream.http_end import HttpEnd
from wsgate.exchange import Exchange
from wsgate.observe.record import AccessRecord, Kind
from wsgate.open_connections import Counted
from wsgate.runtime import ListenerPlan, Plan, Runtime
from wsgate.tls.policies import server_connection
from wsgate.tls.server_names import UNRECOGNIZED_NAME, ServerIdentity
from wsgate.transport.sockets import host_of, port_of
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.tls import TlsLeg
from wsgate.transport.wheel import Timer
from wsgate.tunnelling import Tunnelling
from wsgate.wire.client_hello import ClientHello
from wsgate.wire.fields import Fields

#: For those who speak HTTP to a TLS port; nginx answers so too.
_SPEAK_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 34\r\n"
    b"Connection: close\r\n\r\nbad request: this port speaks TLS\n"
)
_TLS_1_3 = 0x0304


class Connection:
    """One accepted connection.

    ``client`` is the address of whoever connected, ``port`` the one connected to, ``identity`` the TLS section that was
    served, ``leg`` what is spoken on once the first bytes are read.
    """

    __slots__ = (
        "_counted",
        "_hello",
        "_http",
        "_sock",
        "_timer",
        "client",
        "client_port",
        "identity",
        "leg",
        "place",
        "port",
        "runtime",
        "since",
        "sni",
    )

    def __init__(self, runtime: Runtime, place: ListenerPlan, sock: socket.socket, peer: object, port: int) -> None:
        self.runtime = runtime
        self.place = place
        self.client = host_of(peer)
        self.client_port = port_of(peer)
        self.port = port
        self.since = runtime.wheel.seconds()
        self.identity: ServerIdentity | None = None
        self.sni = ""
        self.leg: TcpLeg | None = None
        self._counted: Counted = ()
        self._sock: socket.socket | None = sock
        self._hello: HelloReading | None = None
        self._http: HttpEnd | None = None
        self._timer: Timer | None = None

    @property
    def secure(self) -> bool:
        return self.identity is not None

    # The way of a connection, in order

    def begin(self) -> None:
        """Count it, and read ahead what TLS needs; a connection above a limit is closed."""
        runtime, place = self.runtime, self.place
        runtime.live.connections.add(self)
        place.open += 1
        self._counted, refusal = runtime.counts.enter(runtime.plan.config.gateway, place.listener, self.client)
        if refusal or len(runtime.live.connections) > runtime.max_connections:
            self._give_up(Cause.FULL, refusal or "no descriptors for more")
        elif place.names is not None:
            self._timer = runtime.wheel.after(place.listener.tls_timeout, self._too_late)
            self._hello = HelloReading(runtime.hub, self._socket(), self._hello_found, self._hello_failed)
        else:
            leg = TcpLeg(runtime.hub, self._socket())
            self._sock = None
            self._speak(leg)
            leg.start()

    def _hello_found(self, hello: ClientHello, read: bytes) -> None:
        self._hello = None
        names = self.place.names
        if names is None:
            raise AssertionError("a ClientHello on a listener without TLS")
        self.sni = hello.server_name or ""
        identity = names.choose(hello.server_name, hello.signature_algorithms)
        if identity is None:
            self._answer_and_give_up(UNRECOGNIZED_NAME, f"no certificate for {self.sni}")
            return
        self.identity = identity
        connection = server_connection(identity.context, tls13=_TLS_1_3 in hello.versions)
        leg = TlsLeg(
            self.runtime.hub,
            self._socket(),
            connection,
            self.runtime.buffers,
            secured=self._secured,
            refused=self._tls_refused,
        )
        self._sock = None
        self.leg = leg
        leg.start(read)

    def _secured(self) -> None:
        self._cancel_timer()
        if self.leg is not None:
            self._speak(self.leg)

    def _speak(self, leg: TcpLeg) -> None:
        self.leg = leg
        if self.place.listener.mode is Mode.TCP:
            Tunnelling(self, leg).start()
        else:
            self._http = HttpEnd(leg, self.place.listener, self.runtime.wheel, self._exchange, self.gone)
            self._http.start()

    def _exchange(self) -> Exchange:
        return Exchange(self)

    def relayed(self) -> None:
        """The leg belongs to a relay from now on."""
        self._http = None

    def gone(self) -> None:
        """Whoever spoke on the leg has finished, and the leg is closed."""
        self.runtime.counts.leave(self._counted)
        self.runtime.live.connections.discard(self)
        self.place.open -= 1

    def stop(self) -> None:
        """The gateway stops: a connection that waits for a request is closed; one that is busy finishes first."""
        if self._http is not None:
            self._http.stop()
        elif self.leg is None or self._timer is not None:
            self._too_late()

    @property
    def listener_name(self) -> str:
        return self.place.listener.name

    def dismiss(self, plan: Plan) -> None:
        """After a reload: close it, as ``stop`` does, if its listener is gone or reads something else now."""
        now = plan.listeners.get(self.place.listener.name)
        if now is None or (self._http is not None) and now.listener.mode is not Mode.HTTP:
            self.stop()

    def abort(self) -> None:
        """Close it at once."""
        if self.leg is not None:
            self.leg.abortConnection()
        else:
            self._too_late()

    # Ends before a protocol is spoken

    def _hello_failed(self, why: str, read: bytes) -> None:
        self._hello = None
        speaks_http = self.place.listener.mode is Mode.HTTP and read[:8].split(b" ")[0].isalpha()
        self._answer_and_give_up(_SPEAK_TLS if speaks_http else b"", why)

    def _answer_and_give_up(self, answer: bytes, detail: str) -> None:
        if answer:
            # A first answer always fits the socket's buffer; where it does not, the peer gets nothing.
            try:
                self._socket().send(answer)
            except OSError:
                pass
        self._give_up(Cause.TLS_FAILED, detail)

    def _tls_refused(self, why: str) -> None:
        self._end(Cause.TLS_FAILED, why)

    def _too_late(self) -> None:
        self._timer = None
        if self._hello is not None:
            self._hello.stop()
            self._hello = None
            self._give_up(Cause.TLS_TIMEOUT, "no TLS hello")
        elif self.leg is not None:
            self.leg.abortConnection()
            self._end(Cause.TLS_TIMEOUT, "the TLS handshake was not finished")

    def _give_up(self, cause: Cause, detail: str) -> None:
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def own_fields(self) -> Fields:
        """The fields of an origin server, for answers of the gateway's own (RFC 9110 sections 6.6.1 and 10.2.4)."""
        fields = [(b"Date", formatdate(int(self.runtime.wall()), usegmt=True).encode("ascii"))]
        server = self.runtime.plan.config.gateway.server_header
        if server:
            fields.append((b"Server", server.encode("latin-1")))
        return fields

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
        leg = self.leg
        if isinstance(leg, TlsLeg):
            record.tls_version = leg.connection.get_protocol_version_name()
            record.tls_cipher = leg.connection.get_cipher_name() or ""
        return record
