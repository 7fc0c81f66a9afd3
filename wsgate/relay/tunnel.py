"""Bytes both ways, whatever they mean: Layer 4, and WebSocket routes with ``websocket = tunnel``."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from wsgate.causes import Cause, Side
from wsgate.relay.idleness import Idleness
from wsgate.relay.interfaces import Ending, Traffic
from wsgate.transport.hub import READ_SIZE
from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.pipes import AVAILABLE, PipePool, Splice
from wsgate.transport.tcp import TcpLeg
from wsgate.transport.wheel import Timer, TimerWheel

#: Seconds in which a leg must take something of what is queued for it once the other leg is gone.
LAST_BYTES = 30.0


class _End:
    """One side of a tunnel: the protocol on its leg."""

    __slots__ = ("ended", "gone", "leg", "other", "side", "taken", "tunnel")

    other: _End

    def __init__(self, tunnel: Tunnel, side: Side, leg: Leg) -> None:
        self.tunnel = tunnel
        self.side = side
        self.leg = leg
        self.ended = False  # what came from it was a whole stream
        self.gone = False
        self.taken = -1  # bytes, at the last look at a closing leg

    def dataReceived(self, data: Data) -> None:
        self.other.leg.write(data)
        if len(data) == READ_SIZE:
            self.tunnel.splice(self)

    def readConnectionLost(self) -> None:
        self.ended = True
        self.tunnel.ended(self)

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        self.tunnel.lost(self, reason)


def _closed(end: _End) -> Cause:
    return Cause.CLIENT_CLOSED if end.side is Side.CLIENT else Cause.SERVER_CLOSED


class Tunnel:
    """Relay bytes between two legs.

    ``answer`` is written to the client first.  ``half_close``: an end of input on one side is carried over, and the
    other direction goes on; otherwise it ends both.  ``idle_timeout`` in seconds, 0 for none; bytes in either direction
    count as life.  ``over(ending)`` is called once, when both legs are gone.
    """

    __slots__ = (
        "_answer",
        "_client",
        "_deadline",
        "_ending",
        "_half_close",
        "_idleness",
        "_over",
        "_pipes",
        "_server",
        "_wheel",
    )

    def __init__(
        self,
        client: Leg,
        server: Leg,
        *,
        wheel: TimerWheel,
        pipes: PipePool | None,
        half_close: bool,
        idle_timeout: float,
        over: Callable[[Ending], None],
        answer: bytes = b"",
    ) -> None:
        self._client = _End(self, Side.CLIENT, client)
        self._server = _End(self, Side.SERVER, server)
        self._client.other, self._server.other = self._server, self._client
        self._wheel = wheel
        self._pipes = pipes
        self._half_close = half_close
        self._over = over
        self._answer = answer
        self._ending: Ending | None = None
        self._deadline: Timer | None = None
        self._idleness = Idleness(wheel, idle_timeout, self._progress, self._idle)

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        """Take the legs over; producers are wired both ways before the first byte."""
        for end in (self._client, self._server):
            end.leg.protocol = end
            end.leg.registerProducer(end.other.leg, True)
        self._idleness.start()
        if self._answer:
            self._client.leg.write(self._answer)
        if from_client:
            self._server.leg.write(from_client)
        if from_server:
            self._client.leg.write(from_server)
        for end in (self._client, self._server):
            end.leg.resumeProducing()

    def splice(self, end: _End) -> None:
        """A read filled the buffer: this is bulk, let the kernel move it where neither leg must see the bytes."""
        source, target = end.leg, end.other.leg
        # Exact types: a TLS leg is a TcpLeg too.
        if not (AVAILABLE and self._pipes is not None and type(source) is TcpLeg and type(target) is TcpLeg):
            return
        if not target.queued and not target.closed and not source.closed:
            Splice(self._pipes, source, target).start()

    # What the ends tell

    def ended(self, end: _End) -> None:
        self._note(_closed(end), end.side)
        target = end.other.leg
        if self._half_close and not end.other.ended and getattr(target, "half_closes", True):
            target.loseWriteConnection()
            return
        # Where both have ended, closing says so as well, behind what is queued.
        self._finish()

    def lost(self, end: _End, reason: Failure) -> None:
        orderly = reason.type is ConnectionDone
        self._note_lost(end, reason)
        if end.other.gone:
            self._done()
        elif orderly or end.ended:
            # All that came from it came whole, and reaches the other leg.
            self._finish()
        else:
            # Cut short on one side: the other must not take it for a complete stream.
            end.other.leg.abortConnection()

    def _note_lost(self, end: _End, reason: Failure) -> None:
        lost = Cause.CLIENT_LOST if end.side is Side.CLIENT else Cause.SERVER_LOST
        if reason.type is ConnectionLost and not end.ended and self._deadline is None:
            # It says more than the end of the other direction, which had been carried over.
            self._ending = None
        self._note(_closed(end) if reason.type is ConnectionDone else lost, end.side)

    def _finish(self) -> None:
        for end in (self._client, self._server):
            if not end.gone:
                end.leg.unregisterProducer()
                end.leg.loseConnection()
        if self._deadline is None:
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        for end in (self._client, self._server):
            end.taken = end.leg.sent - end.leg.queued
        self._deadline = self._wheel.after(LAST_BYTES, self._look_at_rest)

    def _look_at_rest(self) -> None:
        """A leg that has taken nothing of what is queued for a while is given up."""
        self._deadline = None
        for end in (self._client, self._server):
            if not end.gone and end.taken == end.leg.sent - end.leg.queued:
                end.leg.abortConnection()
        self._wait_for_rest()

    def _force(self) -> None:
        for end in (self._client, self._server):
            if not end.gone:
                end.leg.abortConnection()

    # What the gateway asks

    def close(self, cause: Cause, reason: str = "") -> None:
        """A drain tells the server that its input has ended, and what it still answers is carried over.

        Whoever drains has a deadline.  Without half-close there is nothing to tell: both legs are closed.
        """
        self._note(cause, cause.value.side)
        server = self._server.leg
        drained = cause in {Cause.STOPPING, Cause.DRAINED}
        if drained and self._half_close and not self._server.gone and getattr(server, "half_closes", True):
            server.unregisterProducer()
            self._client.leg.pauseProducing()
            server.loseWriteConnection()
        else:
            self._finish()

    def abort(self, cause: Cause) -> None:
        self._note(cause, cause.value.side)
        self._force()

    def at_boundary(self) -> bool:
        return False

    def inject(self, side: Side, frame: bytes) -> bool:
        return False

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        return False

    def traffic(self) -> Traffic:
        client, server = self._client.leg, self._server.leg
        return Traffic(bytes_in=client.received, bytes_out=client.sent, kept=client.queued + server.queued)

    # Bookkeeping

    def _progress(self) -> int:
        client, server = self._client.leg, self._server.leg
        return client.received + server.received - client.queued - server.queued

    def _idle(self) -> None:
        self._note(Cause.IDLE, Side.GATEWAY)
        self._finish()
        if self._deadline is not None:
            # A leg that is still there has taken nothing all the time.
            self._deadline.cancel()
            self._deadline = self._wheel.after(0, self._force)

    def _note(self, cause: Cause, side: Side) -> None:
        if self._ending is None:
            self._ending = Ending(cause, side)

    def _done(self) -> None:
        self._idleness.stop()
        if self._deadline is not None:
            self._deadline.cancel()
        ending = self._ending
        if ending is None:
            raise AssertionError("a tunnel ended for no cause")
        self._over(ending)
