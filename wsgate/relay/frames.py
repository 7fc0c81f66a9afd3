"""The ``frames`` relay: bytes pass as they came, every frame header is seen.

Knowing where frames begin and end, the gateway can ping both peers, end a connection with a Close that cuts nothing in
two, bound messages, and say who closed with which code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from wsgate.causes import Cause, Side
from wsgate.config.model import RelayLimits
from wsgate.relay.frame_side import FrameSide
from wsgate.relay.interfaces import Ending, Traffic, WebSocketLegs
from wsgate.relay.keepalive import Act, KeepAlive, look_every
from wsgate.relay.rates import Bucket
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import Timer, TimerWheel
from wsgate.wire.close_codes import FrameError, parse_close
from wsgate.wire.ws_frames import FrameScanner
from wsgate.wire.ws_rules import FrameRules

#: Seconds that the other side has, after a fault, to send what it owes the one that made it: the fault's Close comes
#: behind the answers to the frames before it, as from a server without a gateway.
VERDICT_WAIT = 1.0

_CLIENT_FAULTS = {1007: Cause.CLIENT_PAYLOAD, 1008: Cause.CLIENT_LIMIT, 1009: Cause.CLIENT_TOO_BIG}
_SERVER_FAULTS = {1007: Cause.SERVER_PAYLOAD, 1008: Cause.SERVER_LIMIT, 1009: Cause.SERVER_TOO_BIG}


@lru_cache(maxsize=256)
def _rules(limits: RelayLimits, masked: bool, deflate: bool) -> FrameRules:
    """One set of rules for all WebSockets of a route."""
    return FrameRules(
        masked=masked,
        rsv1=deflate,
        max_frame=limits.max_frame,
        max_message=limits.max_message,
        max_fragments=limits.max_fragments,
        validate_utf8=limits.validate_utf8 and not deflate,
    )


def _buckets(limits: RelayLimits, now: float) -> tuple[Bucket | None, Bucket | None] | None:
    """For messages and for bytes; None where neither has a rate."""
    if not limits.messages_per_second and not limits.bytes_per_second:
        return None
    return (
        Bucket(limits.messages_per_second, limits.messages_burst, now) if limits.messages_per_second else None,
        Bucket(limits.bytes_per_second, limits.bytes_burst, now) if limits.bytes_per_second else None,
    )


class Frames:
    """Relay WebSocket frames between two legs; see ``wsgate.relay.interfaces.Relay``."""

    __slots__ = (
        "_answer",
        "_client",
        "_deadline",
        "_ending",
        "_idle_messages",
        "_idle_since",
        "_limits",
        "_over",
        "_server",
        "_timer",
        "_until",
        "_verdict_timer",
        "_wheel",
        "random",
    )

    def __init__(self, legs: WebSocketLegs) -> None:
        limits = legs.limits
        deflate = b"permessage-deflate" in legs.opening.agreed.extensions
        self._limits = limits
        self._wheel: TimerWheel = legs.wheel
        self._over: Callable[[Ending], None] = legs.over
        self._answer = legs.opening.answer
        self.random = legs.random
        self._client = FrameSide(self, Side.CLIENT, legs.client, FrameScanner(_rules(limits, True, deflate)))
        self._server = FrameSide(self, Side.SERVER, legs.server, FrameScanner(_rules(limits, False, deflate)))
        self._client.other, self._server.other = self._server, self._client
        self._ending: Ending | None = None
        self._deadline: Timer | None = None
        self._timer: Timer | None = None
        self._verdict_timer: Timer | None = None
        self._idle_messages = 0
        self._idle_since = self._until = 0.0

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        """Answer the client, wire the producers, then take what came behind the handshakes."""
        now, limits = self._wheel.seconds(), self._limits
        self._idle_since = now
        if limits.max_age:
            jitter = int.from_bytes(self.random(4), "big") / 2**32
            self._until = now + limits.max_age * (1 + limits.max_age_jitter * jitter)
        for side in (self._client, self._server):
            side.leg.protocol = side
            side.leg.registerProducer(side.other, True)
            if limits.ping_interval:
                side.alive = KeepAlive(limits.ping_interval, limits.ping_timeout, now)
            side.buckets = _buckets(limits, now)
        self._client.leg.write(self._answer)
        self._answer = b""
        self._look_later()
        for side, data in ((self._client, from_client), (self._server, from_server)):
            if data and not side.gone:
                side.dataReceived(data)
        for side in (self._client, self._server):
            side.resumeProducing()

    def seconds(self) -> float:
        return self._wheel.seconds()

    # What the sides tell

    def close_passed(self, side: FrameSide, payload: bytes) -> None:
        """A Close came from ``side``; unless the other side had one already, it was passed on to it."""
        code, reason = parse_close(payload)
        closed = Cause.CLIENT_CLOSED if side.side is Side.CLIENT else Cause.SERVER_CLOSED
        self._note(Ending(closed, side.side, code, reason))
        self._set_deadline()
        if side.other.verdict is not None:
            self._deliver_verdict(side.other)
        side.other.shut = True
        self._hang_up(side)
        self._hang_up(side.other)

    def _hang_up(self, side: FrameSide) -> None:
        """After Close both ways the server's end of a WebSocket closes TCP first (RFC 6455 section 7.1.1).

        Towards a client that is us; a server is waited for.
        """
        if side.shut and side.scanner.closed and not side.gone and side.side is Side.CLIENT:
            side.leg.loseConnection()

    def ended(self, side: FrameSide) -> None:
        """FIN: the end of it, with or without a Close."""
        if not side.scanner.closed:
            self._note(Ending(Cause.CLIENT_LOST if side.side is Side.CLIENT else Cause.SERVER_LOST, side.side))
        side.leg.unregisterProducer()
        side.leg.loseConnection()
        self._set_deadline()

    def lost(self, side: FrameSide, *, orderly: bool) -> None:
        """The leg of ``side`` is gone: the other side is told by a Close where that cuts no frame in two."""
        ending = self._ending
        if ending is None:
            ending = Ending(Cause.CLIENT_LOST if side.side is Side.CLIENT else Cause.SERVER_LOST, side.side)
            self._note(ending)
        other = side.other
        if other.gone:
            self._done(ending)
            return
        self._deliver_verdict(other)
        other.leg.unregisterProducer()
        other.resumeProducing()
        self._set_deadline()
        self._tell(other, ending.cause)

    def violated(self, side: FrameSide, error: FrameError) -> None:
        """``side`` broke a rule: it hears the fault's own code, the other side that of the table."""
        faults, default = (_CLIENT_FAULTS, Cause.CLIENT_PROTOCOL)
        if side.side is Side.SERVER:
            faults, default = _SERVER_FAULTS, Cause.SERVER_PROTOCOL
        cause = faults.get(error.code, default)
        self._note(Ending(cause, side.side, error.code, error.text, error.text))
        self._set_deadline()
        side.deaf = True
        side.verdict = (error.code, error.text)
        # What it still sends is read and dropped, so that its Close is not lost in a reset.
        side.resumeProducing()
        self._tell(side.other, cause)
        if side.other.gone or side.other.scanner.closed or side.other.deaf:
            self._deliver_verdict(side)
        else:
            wait = min(VERDICT_WAIT, self._limits.close_timeout / 2)
            self._verdict_timer = self._wheel.after(wait, lambda: self._deliver_verdict(side))

    def _deliver_verdict(self, side: FrameSide) -> None:
        """Close the side that broke a rule, once the answers to what it sent before that have come back."""
        verdict, side.verdict = side.verdict, None
        if self._verdict_timer is not None:
            self._verdict_timer.cancel()
            self._verdict_timer = None
        if verdict is not None and not side.gone:
            side.send_close(*verdict)
            side.leg.loseWriteConnection()

    def _tell(self, side: FrameSide, cause: Cause) -> None:
        """Close ``side`` for ``cause``, which lies on the other side; abort it where a frame to it is half sent."""
        code = cause.value.to_client if side.side is Side.CLIENT else cause.value.to_server
        if side.gone or side.shut:
            self._hang_up(side)
        elif not code or not side.send_close(code, cause.value.text):
            side.leg.abortConnection()

    def heed_rates(self, side: FrameSide) -> None:
        """Count what came from ``side`` against its rates; control frames count as messages."""
        wait = side.over_rate(self._wheel.seconds())
        if wait <= 0 or side.deaf:
            return
        if self._limits.limit_action == "wait":
            side.hold(wait, self._wheel.after)
        else:
            self.violated(side, FrameError(1008, "too much in too little time"))

    # What the gateway asks

    def close(self, cause: Cause, reason: str = "") -> None:
        row = cause.value
        reason = reason or row.text
        self._note(Ending(cause, row.side, row.to_client or None, reason))
        self._set_deadline()
        for side, code in ((self._client, row.to_client), (self._server, row.to_server)):
            if code and not side.send_close(code, reason):
                side.close_at_boundary(code, reason)
            self._hang_up(side)

    def abort(self, cause: Cause) -> None:
        self._note(Ending(cause, cause.value.side))
        self._force()

    def at_boundary(self) -> bool:
        sides = (self._client, self._server)
        return all(side.scanner.at_message_boundary and not side.scanner.held for side in sides)

    def inject(self, side: Side, frame: bytes) -> bool:
        (self._client if side is Side.CLIENT else self._server).put_in(frame)
        return True

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        return False

    def traffic(self) -> Traffic:
        client, server = self._client.scanner, self._server.scanner
        return Traffic(
            bytes_in=self._client.leg.received,
            bytes_out=self._client.leg.sent,
            frames_in=client.frames,
            frames_out=server.frames,
            messages_in=client.messages,
            messages_out=server.messages,
            rtt_client=self._client.rtt,
            rtt_server=self._server.rtt,
        )

    # Now and then

    def _look_later(self) -> None:
        limits = self._limits
        times = (limits.ping_interval, limits.ping_timeout, limits.idle_timeout, limits.slow_consumer_timeout)
        delay = look_every(*times)
        if self._until:
            left = max(0.0, self._until - self._wheel.seconds())
            delay = min(delay, left) if delay else left
        if delay:
            self._timer = self._wheel.after(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        now, limits = self._wheel.seconds(), self._limits
        if self._ending is not None:
            return
        for side in (self._client, self._server):
            if side.look_alive(now) is Act.DEAD:
                self._give_up(side, Cause.CLIENT_DEAD, Cause.SERVER_DEAD)
                return
            if limits.slow_consumer_timeout and side.is_stuck(now, limits.slow_consumer_timeout):
                self._give_up(side, Cause.CLIENT_STUCK, Cause.SERVER_STUCK)
                return
        if limits.idle_timeout and self._is_idle(now):
            self.close(Cause.IDLE)
        elif self._until and now >= self._until:
            self.close(Cause.MAX_AGE)
        else:
            self._look_later()

    def _is_idle(self, now: float) -> bool:
        """Whether no data frame has passed for the idle time-out; pings are no activity."""
        client, server = self._client.scanner, self._server.scanner
        data = client.frames - client.controls + server.frames - server.controls
        if data != self._idle_messages:
            self._idle_messages = data
            self._idle_since = now
        return now - self._idle_since >= self._limits.idle_timeout

    def _give_up(self, side: FrameSide, if_client: Cause, if_server: Cause) -> None:
        cause = if_client if side.side is Side.CLIENT else if_server
        self._note(Ending(cause, side.side))
        side.leg.abortConnection()

    # The end

    def _note(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self._wheel.after(self._limits.close_timeout, self._force)

    def _force(self) -> None:
        """The closing handshake took too long, or nobody waits for it."""
        self._deadline = None
        for side in (self._client, self._server):
            if not side.gone:
                if side.shut and side.scanner.closed and not side.leg.queued:
                    side.leg.loseConnection()
                else:
                    side.leg.abortConnection()

    def _done(self, ending: Ending) -> None:
        for timer in (self._timer, self._deadline, self._verdict_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._deadline = self._verdict_timer = None
        self._over(ending)
