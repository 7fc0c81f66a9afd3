"""The ``frames`` relay: bytes pass as they came, every frame header is seen.

Knowing where frames begin and end, the gateway can ping both peers, end a connection with a Close that cuts nothing in
two, bound messages, and say who closed with which code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from wsgate.causes import Cause, Side
from wsgate.config.model import RelayLimits
from wsgate.relay.allowance import Allowance
from wsgate.relay.flood import Flood
from wsgate.relay.frame_side import FrameSide
from wsgate.relay.interfaces import Ending, Traffic, WebSocketLegs
from wsgate.relay.rated_side import RatedSide
from wsgate.relay.silence import Silence
from wsgate.relay.watch import Watch
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import Timer, TimerWheel
from wsgate.wire.close_codes import FrameError
from wsgate.wire.ws_frames import FrameScanner
from wsgate.wire.ws_handshake import is_deflated
from wsgate.wire.ws_rules import FrameRules

#: Seconds that the other side has, after a fault, to send what it owes the one that made it: the fault's Close comes
#: behind the answers to the frames before it, as from a server without a gateway.  A flood is to be over in a second.
VERDICT_WAIT = 0.75

_FAULTS = {
    Side.CLIENT: {1007: Cause.CLIENT_PAYLOAD, 1008: Cause.CLIENT_LIMIT, 1009: Cause.CLIENT_TOO_BIG},
    Side.SERVER: {1007: Cause.SERVER_PAYLOAD, 1008: Cause.SERVER_LIMIT, 1009: Cause.SERVER_TOO_BIG},
}


@lru_cache(maxsize=256)
def rules_of(limits: RelayLimits, masked: bool, deflate: bool, seconds: Callable[[], float]) -> FrameRules:
    """One set of rules for all WebSockets of a route; ``seconds`` is a monotonic clock."""
    return FrameRules(
        masked=masked,
        rsv1=deflate,
        max_frame=limits.max_frame,
        max_message=limits.max_message,
        max_fragments=limits.max_fragments,
        validate_utf8=limits.validate_utf8 and not deflate,
        new_budget=partial(Flood, limits, seconds) if limits.control_rate else None,
    )


def _of(side: FrameSide, if_client: Cause, if_server: Cause) -> Cause:
    return if_client if side.side is Side.CLIENT else if_server


class Frames:
    """Relay WebSocket frames between two legs; see ``wsgate.relay.interfaces.Relay``."""

    __slots__ = (
        "_answer",
        "_client",
        "_deadline",
        "_ending",
        "_limits",
        "_over",
        "_server",
        "_silences",
        "_verdict_timer",
        "_watch",
        "_wheel",
        "buffer",
        "random",
    )

    def __init__(self, legs: WebSocketLegs) -> None:
        limits = legs.limits
        deflate = is_deflated(legs.opening.agreed.extensions)
        self._limits = limits
        self.buffer = limits.buffer
        self._wheel: TimerWheel = legs.wheel
        self._over: Callable[[Ending], None] = legs.over
        self._answer = legs.opening.answer
        self.random = legs.random
        seconds = legs.wheel.seconds
        self._client = self._client_side(legs.client, FrameScanner(rules_of(limits, True, deflate, seconds)))
        self._server = self._server_side(legs.server, FrameScanner(rules_of(limits, False, deflate, seconds)))
        self._client.other, self._server.other = self._server, self._client
        self._watch = Watch(legs.wheel, limits, self._data, self._judged)
        self._ending: Ending | None = None
        self._deadline: Timer | None = None
        self._verdict_timer: Timer | None = None
        self._silences: tuple[Silence, ...] = ()

    def _client_side(self, leg: Leg, scanner: FrameScanner) -> FrameSide:
        """Rates are for clients."""
        allowance = Allowance.of(self._limits, self._wheel.seconds())
        if allowance is None:
            return FrameSide(self, Side.CLIENT, leg, scanner)
        return RatedSide(self, Side.CLIENT, leg, scanner, allowance)

    def _server_side(self, leg: Leg, scanner: FrameScanner) -> FrameSide:
        return FrameSide(self, Side.SERVER, leg, scanner)

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        """Answer the client, wire the producers, then take what came behind the handshakes."""
        for side in (self._client, self._server):
            side.leg.protocol = side
            side.leg.registerProducer(side.other, True)
        self._client.leg.write(self._answer)
        self._answer = b""
        self._watch.start(self._client, self._server, self.random)
        for side, data in ((self._client, from_client), (self._server, from_server)):
            if data:
                side.dataReceived(data)
        for side in (self._client, self._server):
            side.go_on()

    # For the sides

    def seconds(self) -> float:
        return self._wheel.seconds()

    def after(self, delay: float, call: Callable[[], None]) -> Timer:
        return self._wheel.after(delay, call)

    # What the sides tell

    def close_said(self, side: FrameSide) -> None:
        """A Close came from ``side``; it was passed on, unless the other side had one already or earned another."""
        code, reason = side.said or (None, "")
        cause = _of(side, Cause.CLIENT_CLOSED, Cause.SERVER_CLOSED)
        self._begin(Ending(cause, side.side, code, reason))
        if side.other.verdict is not None:
            self._tell(side.other, cause)
        self.hang_up(side)

    def hang_up(self, side: FrameSide) -> None:
        """Close the leg of ``side`` when both have said Close, or it has gone without.

        The server's end of a WebSocket closes TCP first (RFC 6455 section 7.1.1): towards a client that is us, a server
        is waited for.
        """
        if side.gone or not side.shut:
            return
        if side.ended or side.said is not None and side.side is Side.CLIENT:
            side.leg.loseConnection()
        elif side.deaf:
            # What it still sends is read and dropped, so that its Close is not lost in a reset.
            if getattr(side.leg, "half_closes", True):
                side.leg.loseWriteConnection()
            elif all(silence.side is not side for silence in self._silences):
                self._silences += (Silence(self._wheel, side),)

    def ended(self, side: FrameSide) -> None:
        """FIN.  Behind a Close it is the last of a closing handshake, and without one a loss."""
        if side.said is not None or side.deaf:
            self.hang_up(side)
            return
        cause = _of(side, Cause.CLIENT_LOST, Cause.SERVER_LOST)
        ending = self._begin(Ending(cause, side.side))
        side.leg.unregisterProducer()
        side.leg.loseConnection()
        side.other.listen()
        self._tell(side.other, ending.cause)

    def lost(self, side: FrameSide) -> None:
        """The leg of ``side`` is gone: the other side is told by a Close where that cuts no frame in two."""
        ending = self._begin(Ending(_of(side, Cause.CLIENT_LOST, Cause.SERVER_LOST), side.side))
        other = side.other
        if other.gone:
            self._done(ending)
            return
        other.leg.unregisterProducer()
        other.listen()
        self._tell(other, ending.cause)

    def violated(self, side: FrameSide, error: FrameError) -> None:
        """``side`` broke a rule: it hears the fault's own code, the other side that of the table."""
        cause = _FAULTS[side.side].get(error.code, _of(side, Cause.CLIENT_PROTOCOL, Cause.SERVER_PROTOCOL))
        self._begin(Ending(cause, side.side, error.code, error.text, error.text))
        side.deaf = side.in_vain = True
        side.listen()
        other = side.other
        if not side.shut:
            side.verdict = (error.code, error.text)
        self._tell(other, cause)
        if side.shut or other.gone or other.ended or other.deaf or other.said is not None:
            self._tell(side, cause)
        else:
            wait = min(VERDICT_WAIT, self._limits.close_timeout / 2)
            self._verdict_timer = self._wheel.after(wait, lambda: self._tell(side, cause))

    def over_rate(self, side: FrameSide) -> bool:
        """``side`` is ahead of its rates; False where it is to wait."""
        if self._limits.limit_action == "wait":
            return False
        self.violated(side, FrameError(1008, "too much in too little time"))
        return True

    # What the gateway asks

    def close(self, cause: Cause, reason: str = "") -> None:
        row = cause.value
        reason = reason or row.text
        self._begin(Ending(cause, row.side, row.to_client or None, reason))
        for side in (self._client, self._server):
            self._tell(side, cause, reason)

    def abort(self, cause: Cause) -> None:
        self._begin(Ending(cause, cause.value.side))
        for side in (self._client, self._server):
            side.leg.abortConnection()

    def at_boundary(self) -> bool:
        sides = (self._client, self._server)
        return all(side.scanner.at_message_boundary and not side.scanner.held for side in sides)

    def inject(self, side: Side, frame: bytes) -> bool:
        return (self._client if side is Side.CLIENT else self._server).put_in(frame)

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        return False

    def traffic(self) -> Traffic:
        client, server = self._client.scanner, self._server.scanner
        return Traffic(
            bytes_in=self._client.leg.received,
            bytes_out=self._client.leg.sent,
            kept=self._client.leg.queued + self._server.leg.queued,
            frames_in=client.frames,
            frames_out=server.frames,
            messages_in=client.messages,
            messages_out=server.messages,
            rtt_client=self._client.rtt,
            rtt_server=self._server.rtt,
        )

    # What is seen now and then

    def _data(self) -> int:
        """Grows with every data frame, and while a long one passes; pings are no activity."""
        client, server = self._client.scanner, self._server.scanner
        frames = client.frames - client.controls + server.frames - server.controls
        return frames + client.payload_bytes + server.payload_bytes

    def _judged(self, cause: Cause) -> None:
        side = cause.value.side
        if side is Side.GATEWAY:
            self.close(cause)
        else:
            self._begin(Ending(cause, side))
            (self._client if side is Side.CLIENT else self._server).leg.abortConnection()

    # The end

    def _begin(self, ending: Ending) -> Ending:
        """The relay ends.  The first reason is the reason, which is returned."""
        if self._ending is None:
            self._ending = ending
            self._watch.stop()
            self._set_deadline()
        return self._ending

    def _tell(self, side: FrameSide, cause: Cause, reason: str = "") -> None:
        """Send ``side`` its Close for ``cause``; abort it where a frame to it stays half sent."""
        if side.gone or side.shut:
            self.hang_up(side)
            return
        code, reason = self._last_word(side, cause, reason)
        if not code or not side.send_close(code, reason):
            side.leg.abortConnection()

    def _last_word(self, side: FrameSide, cause: Cause, reason: str) -> tuple[int, str]:
        """What its own fault has earned it, or its own Close as the answer, or what the table has."""
        verdict, side.verdict = side.verdict, None
        if verdict is not None:
            if self._verdict_timer is not None:
                self._verdict_timer.cancel()
                self._verdict_timer = None
            return verdict
        row = cause.value
        return side.said or (row.to_client if side.side is Side.CLIENT else row.to_server, reason or row.text)

    def _set_deadline(self) -> None:
        for side in (self._client, self._server):
            side.has_moved()
        self._deadline = self._wheel.after(self._limits.close_timeout, self._force)

    def _force(self) -> None:
        """The closing handshake took too long.  Who waits for a Close gets one; who is still taking bytes may go on."""
        self._deadline = None
        waits = False
        for side in (self._client, self._server):
            if side.gone:
                continue
            if not side.shut and (side.verdict is not None or side.said is not None):
                self._tell(side, Cause.DONE)
            if side.shut and side.leg.queued and side.has_moved():
                waits = True
            elif side.shut and not side.leg.queued:
                side.leg.loseConnection()
                waits = waits or side.leg.queued > 0  # close_notify
            else:
                side.leg.abortConnection()
        if waits:
            self._set_deadline()

    def _done(self, ending: Ending) -> None:
        self._watch.stop()
        for timer in (self._deadline, self._verdict_timer):
            if timer is not None:
                timer.cancel()
        self._deadline = self._verdict_timer = None
        for silence in self._silences:
            silence.stop()
        self._over(ending)
