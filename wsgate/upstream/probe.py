"""One probe of one server: a connection, an HTTP request, or a WebSocket that is opened, pinged and asked."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.config.model import Probe, ProbeKind
from wsgate.transport.interfaces import NOBODY, Data, Leg
from wsgate.transport.wheel import Timer
from wsgate.upstream.attempt import Attempt, Dialer
from wsgate.upstream.http_end import ServerEnd
from wsgate.upstream.members import UpstreamMembers
from wsgate.wire.close_codes import FrameError, close_payload
from wsgate.wire.fields import Fields, HeadError, encode_request
from wsgate.wire.framing import NO_BODY
from wsgate.wire.heads import ResponseHead
from wsgate.wire.proxy_protocol import encode_v1, encode_v2
from wsgate.wire.ws_encoding import CLOSE, PING, PONG, TEXT, encode_frame
from wsgate.wire.ws_handshake import Upgrade, check_answer, new_key, upgrade_fields
from wsgate.wire.ws_reading import FrameReader

#: Bytes of an answer that are looked at, and of a frame.
MOST = 64 * 1024

#: The header in front of a connection of the gateway's own, which has no client.
_HEADERS = {"off": b"", "v1": encode_v1(None, None), "v2": encode_v2(None, None)}


class Probing:
    """One run of a probe; ``over`` hears, once, what is wrong, or "".  ``random(n)`` gives unpredictable bytes."""

    __slots__ = (
        "_attempt",
        "_body",
        "_dialer",
        "_end",
        "_leg",
        "_members",
        "_offer",
        "_over",
        "_ping",
        "_pinged_at",
        "_probe",
        "_random",
        "_reader",
        "_said",
        "_state",
        "_timer",
    )

    def __init__(
        self,
        dialer: Dialer,
        members: UpstreamMembers,
        state: ServerState,
        probe: Probe,
        random: Callable[[int], bytes],
        over: Callable[[str], None],
    ) -> None:
        self._dialer = dialer
        self._members = members
        self._state = state
        self._probe = probe
        self._random = random
        self._over: Callable[[str], None] | None = over
        header = _HEADERS[members.options.proxy_protocol]
        self._attempt: Attempt | None = Attempt(self, state, dialer, members, header)
        self._end: ServerEnd | None = None
        self._leg: Leg | None = None
        self._offer = Upgrade(b"", (), b"")
        self._body = b""
        self._reader = FrameReader(MOST)
        self._ping = b""
        self._pinged_at = 0.0
        self._said = b""
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin; the whole probe has the probe's time-out."""
        timeout = self._probe.timeout
        self._timer = self._dialer.wheel.after(timeout, lambda: self._finish(f"not done within {timeout:g} s"))
        if self._attempt is not None and (wrong := self._attempt.start(timeout)):
            self._attempt = None
            self._finish(wrong[1])

    def stop(self) -> None:
        """Give it up; nobody hears of it."""
        self._over = None
        self._finish("")

    def _finish(self, wrong: str) -> None:
        over, self._over = self._over, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.drop()
        end, self._end = self._end, None
        if end is not None:
            end.drop()
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.protocol = NOBODY
            leg.loseConnection() if not wrong else leg.abortConnection()
        if over is not None:
            over(wrong)

    # What the attempt tells

    def attempt_succeeded(self, leg: Leg, state: ServerState) -> None:
        self._attempt = None
        if self._probe.kind is ProbeKind.TCP:
            self._leg = leg
            leg.protocol = self
            leg.resumeProducing()
            self._finish("")
            return
        fields: Fields = [(b"Host", self._host()), (b"User-Agent", b"wsgate-probe")]
        method = self._probe.method.encode("ascii")
        if self._probe.kind is ProbeKind.WEBSOCKET:
            protocols = (self._probe.protocol.encode("ascii"),) if self._probe.protocol else ()
            self._offer = Upgrade(new_key(self._random), protocols, b"")
            fields = upgrade_fields(fields, self._offer)
        else:
            fields.append((b"Connection", b"close"))
        self._end = ServerEnd(leg, self._dialer.wheel, method, self._probe.timeout, self)
        self._end.ask(encode_request(method, self._probe.path.encode("ascii"), fields), NO_BODY)

    def attempt_failed(self, cause: Cause, detail: str) -> None:
        self._attempt = None
        self._finish(detail)

    def _host(self) -> bytes:
        server = self._state.server
        if self._probe.host:
            return self._probe.host.encode("ascii")
        if server.name:
            return f"{server.name}:{server.address.port}".encode("ascii")
        return b"localhost" if server.address.is_unix or server.factory else str(server.address).encode("ascii")

    # What the server answers

    def informed(self, head: ResponseHead) -> None:
        """Interim answers say nothing of health."""

    def answered(self, head: ResponseHead) -> None:
        if self._probe.kind is ProbeKind.WEBSOCKET:
            self._opened(head)
        elif head.status not in self._probe.statuses:
            self._finish(f"answered {head.status}")
        elif not self._probe.body:
            self._finish("")

    def answer_body(self, data: Data) -> None:
        self._body = (self._body + data)[:MOST]

    def answer_pause(self) -> None:
        if self._probe.body.encode() in self._body:
            self._finish("")

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        end, self._end = self._end, None
        if end is not None and reusable:
            end.drop()
        found = self._probe.body.encode() in self._body
        self._finish("" if found else f"the answer does not hold {self._probe.body!r}")

    def server_failed(self, cause: Cause, detail: str) -> None:
        self._end = None
        self._finish(detail)

    # The WebSocket

    def _opened(self, head: ResponseHead) -> None:
        end = self._end
        try:
            agreed = check_answer(head, self._offer)
        except HeadError as error:
            self._finish(f"answered {head.status}" if head.status != 101 else str(error))
            return
        if end is None or self._offer.protocols and agreed.protocol is None:
            self._finish(f"the subprotocol {self._probe.protocol} was not agreed on")
            return
        self._end = None
        self._leg, rest = end.release()
        self._leg.protocol = self
        self._ping = self._random(8)
        self._pinged_at = self._dialer.wheel.seconds()
        self._send(PING, self._ping)
        if rest:
            self.dataReceived(rest)
        if self._leg is not None:
            self._leg.resumeProducing()

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._leg is not None:
            self._leg.write(encode_frame(opcode, payload, mask=self._random(4)))

    def dataReceived(self, data: Data) -> None:
        try:
            for opcode, fin, payload in self._reader.feed(data):
                if opcode == CLOSE:
                    self._finish("closed the WebSocket")
                elif opcode == PING:
                    self._send(PONG, payload)
                elif opcode == PONG:
                    self._heard_pong(payload)
                else:
                    self._heard(payload, fin)
                if self._over is None:
                    return
        except FrameError as error:
            self._finish(error.text)

    def _heard_pong(self, payload: bytes) -> None:
        if payload != self._ping:
            return
        trip, within = self._dialer.wheel.seconds() - self._pinged_at, self._probe.within
        if within and trip > within:
            self._finish(f"answered a ping after {trip:.3f} s")
        elif self._probe.send:
            self._send(TEXT, self._probe.send.encode())
            if not self._probe.expect:
                self._part()
        else:
            self._part()

    def _heard(self, payload: bytes, fin: bool) -> None:
        """A message, or a piece of one: what comes unasked is passed over."""
        self._said = (self._said + payload)[:MOST]
        if fin:
            said, self._said = self._said, b""
            if self._probe.expect and self._probe.expect.encode() in said:
                self._part()

    def _part(self) -> None:
        self._send(CLOSE, close_payload(1000, ""))
        self._finish("")

    def readConnectionLost(self) -> None:
        self._finish("closed without a Close")

    def connectionLost(self, reason: Failure) -> None:
        self._finish("the connection was lost")
