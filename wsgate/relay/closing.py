"""How a WebSocket of the ``messages`` relay ends: Close both ways, deadlines, and legs that are simply lost.

RFC 6455 section 7.1: a Close is answered with a Close, then the server's end closes the TCP connection.  A gateway is
the server's end towards the client only.
"""

from __future__ import annotations

from collections.abc import Callable

from wsgate.causes import Cause, Side
from wsgate.relay.interfaces import Ending
from wsgate.relay.message_side import MessageSide
from wsgate.relay.silence import Silence
from wsgate.transport.wheel import Timer, TimerWheel

#: Bytes that are read and dropped of a peer from which nothing is passed on any more; one that sends more is cut off.
MOST_DROPPED = 16 * 1024 * 1024

#: Seconds for a peer to take a Close that it gets at the closing deadline.
LAST_WORD = 1.0

#: Seconds that the other side has, after a fault, to send what it owes the one that made it: the fault's Close comes
#: behind the answers to the messages before it, as from a server without a gateway.  A flood is to be over in a second.
VERDICT_WAIT = 0.75

_FAULTS = {
    Side.CLIENT: {1007: Cause.CLIENT_PAYLOAD, 1008: Cause.CLIENT_LIMIT, 1009: Cause.CLIENT_TOO_BIG},
    Side.SERVER: {1007: Cause.SERVER_PAYLOAD, 1008: Cause.SERVER_LIMIT, 1009: Cause.SERVER_TOO_BIG},
}


def _of(side: MessageSide, if_client: Cause, if_server: Cause) -> Cause:
    return if_client if side.side is Side.CLIENT else if_server


class Closing:
    """The end of one relay between ``client`` and ``server``; ``ending`` is set when it has begun.

    ``begun`` is called then, and ``over`` once, when both legs are gone, which takes ``timeout`` seconds at most, and
    ``LAST_WORD`` more where a peer waits for an answer.
    """

    __slots__ = (
        *("_begun", "_deadline", "_over", "_silence", "_timeout", "_verdict_due", "_wheel"),
        *("client", "ending", "server"),
    )

    def __init__(
        self,
        client: MessageSide,
        server: MessageSide,
        wheel: TimerWheel,
        timeout: float,
        begun: Callable[[], None],
        over: Callable[[Ending], None],
    ) -> None:
        self.client = client
        self.server = server
        self.ending: Ending | None = None
        self._wheel = wheel
        self._timeout = timeout
        self._begun = begun
        self._over = over
        self._deadline: Timer | None = None
        self._verdict_due: Timer | None = None
        self._silence: Silence | None = None

    # What the sides tell

    def close_said(self, side: MessageSide, code: int, reason: str) -> None:
        """A Close came: it goes to the other side, as the first of two or as the answer to its own."""
        self.begin(Ending(_of(side, Cause.CLIENT_CLOSED, Cause.SERVER_CLOSED), side.side, code, reason))
        self._deliver_verdict(side.other)
        if side.other.gone or side.other.shut:
            side.send_close(code, reason)
        side.other.send_close(code, reason)
        self._hang_up(side.other)
        self._hang_up(side)

    def input_over(self, side: MessageSide) -> None:
        """Nothing more will come from ``side``; without a Close it is lost, even if it could still be written to."""
        if side.said is not None:
            if side.shut:
                side.leg.loseConnection()
            return
        self.begin(Ending(_of(side, Cause.CLIENT_LOST, Cause.SERVER_LOST), side.side))
        self._deliver_verdict(side)
        side.leg.loseConnection()
        self._deliver_verdict(side.other)
        self._tell(side.other)

    def leg_lost(self, side: MessageSide) -> None:
        if side.other.gone:
            self.begin(Ending(_of(side.other, Cause.CLIENT_LOST, Cause.SERVER_LOST), side.other.side))
            self._done()

    def violated(self, side: MessageSide, code: int, text: str) -> None:
        """``side`` broke a rule: it hears the fault's own code, the other side that of the table.

        What still comes from it is read and dropped, so that it reads its Close and not a reset.
        """
        cause = _FAULTS[side.side].get(code, _of(side, Cause.CLIENT_PROTOCOL, Cause.SERVER_PROTOCOL))
        self.begin(Ending(cause, side.side, code, text, text))
        if side.failed:
            return
        other = side.other
        side.failed = side.talk.deaf = True
        side.verdict = (code, text)
        self._tell(other)
        if other.gone or other.failed or other.said is not None:
            self._deliver_verdict(other)
            self._deliver_verdict(side)
        else:
            self._verdict_due = self._wheel.after(VERDICT_WAIT, lambda: self._deliver_verdict(side))

    def _deliver_verdict(self, side: MessageSide) -> None:
        verdict, side.verdict = side.verdict, None
        if verdict is None:
            return
        self._drop(self._verdict_due)
        side.send_close(*verdict)
        if side.side is Side.CLIENT:
            # A server's end closes first (RFC 6455 section 7.1.1).
            if getattr(side.leg, "half_closes", True):
                side.leg.loseWriteConnection()
            elif self._silence is None:
                self._silence = Silence(self._wheel, side)

    def dropped(self, side: MessageSide) -> None:
        if side.dropped > MOST_DROPPED:
            side.leg.abortConnection()

    # What the gateway asks

    def close(self, ending: Ending, to_client: int, to_server: int) -> None:
        """Send a Close with these codes and the reason of ``ending``; code 0 closes without one."""
        if self.ending is not None:
            return  # it is ending already, within the deadline
        self.begin(ending)
        for side, code in ((self.client, to_client), (self.server, to_server)):
            if code:
                side.send_close(code, ending.reason)
                self._hang_up(side)
            else:
                side.leg.loseConnection()

    def abort(self, ending: Ending) -> None:
        """End it now."""
        self.begin(ending)
        for side in (self.client, self.server):
            side.leg.abortConnection()

    def cut(self, side: MessageSide, ending: Ending) -> None:
        """Give ``side`` up, where no Close would arrive."""
        self.begin(ending)
        side.leg.abortConnection()
        self._tell(side.other)

    # The course of it

    def begin(self, ending: Ending) -> None:
        """The first reason is the reason."""
        if self.ending is None:
            self.ending = ending
            self._deadline = self._wheel.after(self._timeout, self._force)
            self._begun()

    def _tell(self, side: MessageSide) -> None:
        """Close ``side``, since the other one is lost or has failed."""
        if side.said is not None:
            self._echo(side)
        elif self.ending is not None:
            row = self.ending.cause.value
            code = row.to_client if side.side is Side.CLIENT else row.to_server
            if code:
                side.send_close(code, row.text)
            elif not side.shut:
                side.leg.loseConnection()

    def _echo(self, side: MessageSide) -> None:
        """Answer a Close with itself: nobody else will."""
        if side.said is not None:
            side.send_close(*side.said)
            self._hang_up(side)

    def _hang_up(self, side: MessageSide) -> None:
        """After Close both ways the server's end of a WebSocket closes TCP first (RFC 6455 section 7.1.1).

        Towards a client that is us; a server is waited for.
        """
        if side.shut and side.said is not None and (side.side is Side.CLIENT or side.fin):
            side.leg.loseConnection()

    def _force(self) -> None:
        """The closing handshake took too long: who still waits for an answer gets one, then all is cut."""
        self._deadline = None
        sides = [side for side in (self.client, self.server) if not side.gone]
        unanswered = [side for side in sides if (side.said or side.verdict) and not side.shut]
        if unanswered:
            self._deadline = self._wheel.after(LAST_WORD, self._force)
        for side in sides:
            if side in unanswered:
                self._deliver_verdict(side)
                self._echo(side)
            elif side.shut and side.said is not None and not side.leg.queued:
                side.leg.loseConnection()
            else:
                side.leg.abortConnection()

    def _done(self) -> None:
        ending = self.ending
        if ending is None:
            raise AssertionError("a relay ended for no cause")
        self._drop(self._deadline)
        self._drop(self._verdict_due)
        if self._silence is not None:
            self._silence.stop()
        for side in (self.client, self.server):
            side.forget()
        self._over(ending)

    def _drop(self, timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()
