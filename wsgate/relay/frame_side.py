"""One side of the ``frames`` relay: a leg, the scanner of what comes from it, and what has to be put in towards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from wsgate.causes import Side
from wsgate.relay.keepalive import is_pong_to_us, next_ping
from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.close_codes import FrameError, close_payload, parse_close
from wsgate.wire.ws_encoding import CLOSE, PING, encode_frame
from wsgate.wire.ws_frames import Control, FrameScanner, without

if TYPE_CHECKING:
    from wsgate.relay.frames import Frames

#: Bytes that are read and dropped from a side whose Close is on its way, so that no reset swallows that Close; whoever
#: sends more does not mean to hear it.
MOST_DROPPED = 16 * 1024 * 1024


class FrameSide:
    """The protocol on one leg.

    ``scanner`` walks the frames that come from this leg.  Towards it go the frames of the other side, and those of the
    gateway, which wait in ``_pending`` while the other side is in the middle of one.

    Plain attributes to read: ``said`` is the Close that came from this leg; ``shut``, that one has been sent to it, and
    nothing follows (RFC 6455 section 5.5.1); ``verdict``, the Close that it has earned by a fault and gets shortly;
    ``deaf``, that it is not listened to any more, since it broke a rule; ``ended``, that it will send no more;
    ``in_vain``, that nothing of what it sends is passed on any more: it is deaf, or the other side is shut or gone;
    ``is_asked``, that a ping of the other side waits for its answer.
    """

    __slots__ = (
        "is_asked",
        "_closes",
        "_flow_paused",
        "_pending",
        "_ping",
        "_pinged_at",
        "_taken",
        "_unheard",
        "deaf",
        "dropped",
        "ended",
        "gone",
        "in_vain",
        "leg",
        "other",
        "relay",
        "rtt",
        "said",
        "scanner",
        "shut",
        "side",
        "verdict",
    )

    other: FrameSide

    def __init__(self, relay: Frames, side: Side, leg: Leg, scanner: FrameScanner) -> None:
        self.relay = relay
        self.side = side
        self.leg = leg
        self.scanner = scanner
        self.said: tuple[int, str] | None = None
        self.verdict: tuple[int, str] | None = None
        self.gone = self.shut = self.deaf = self.ended = self.in_vain = False
        self.rtt: float | None = None
        self.dropped = 0
        self._pending: tuple[bytes, ...] = ()
        self._closes = False  # the last of them is a Close; nothing follows it
        self.is_asked = False
        self._ping = b""
        self._pinged_at = 0.0
        self._taken = -1
        self._unheard = 0
        self._flow_paused = False

    def face(self, other: FrameSide) -> None:
        """Be the two sides of one WebSocket from now on, where one of them is new."""
        self.other, other.other = other, self
        self.in_vain = self.deaf or other.shut or other.gone
        other.in_vain = other.deaf or self.shut or self.gone

    # From the leg

    def dataReceived(self, data: Data) -> None:
        if self.in_vain and self._drops(data):
            return
        scanner = self.scanner
        try:
            out = scanner.scan(data)
        except FrameError as error:
            self._pass_on(error.sound)
            if not self.deaf:
                self.relay.violated(self, error)
            return
        other = self.other
        if scanner.events or other._pending:
            self._pass_on(out)
        elif out and not self.in_vain:
            other.leg.write(out)

    def _drops(self, data: Data) -> bool:
        """Bound what comes from a side that speaks in vain; whether it need not be looked at, for the Close in it."""
        self.dropped += len(data)
        if self.dropped > MOST_DROPPED:
            self.leg.abortConnection()
            return True
        return self.deaf

    def _pass_on(self, out: Data) -> None:
        """Forward, with what is to be put in or taken out, and heed what control frames say."""
        other, scanner = self.other, self.scanner
        events = scanner.events
        taken = [control for control in events if self._ends_here(control)]
        if out and not other.shut:
            cut = scanner.boundary(out) if other._pending else -1
            if cut >= 0:
                out = self._with_pending(out, cut)
            if taken:
                out = without(out, taken)
            if out:
                other.leg.write(out)
            if cut >= 0 and other._closes:
                other.close_sent()
        if events:
            last = events[-1]
            # Thousands fit into one read, and would be kept until the next.
            scanner.events = ()
            if last.opcode == CLOSE:
                self._close_came(last)

    def _with_pending(self, out: Data, cut: int) -> Data:
        """``out`` with what waits for the other side put in at ``cut``, the last frame boundary."""
        other = self.other
        pending, other._pending = other._pending, ()
        if other._closes:
            return b"".join((out[:cut], *pending))
        if self.scanner.closed and other.verdict is None:
            # A Close is the last thing in it.
            return out
        return b"".join((out[:cut], *pending, out[cut:]))

    def _ends_here(self, control: Control) -> bool:
        """Heed ``control``; whether it goes no further: a pong to our ping, or a Close instead of which ours goes."""
        other = self.other
        if control.opcode == CLOSE:
            return other.verdict is not None or other._closes
        if control.opcode == PING:
            other.is_asked = True
            other.scanner.asked()
        elif is_pong_to_us(control.payload, self._ping):
            if control.payload == self._ping and self._pinged_at >= 0:
                self.rtt = self.relay.seconds() - self._pinged_at
                self._pinged_at = -1.0
            return True
        else:
            self.is_asked = False
        return False

    def _close_came(self, control: Control) -> None:
        self.said = parse_close(control.payload)
        other = self.other
        if not other.shut and other.verdict is None:
            other.close_sent()
        self.relay.close_said(self)

    def readConnectionLost(self) -> None:
        self.ended = True
        self.relay.ended(self)

    def connectionLost(self, reason: Failure) -> None:
        self.gone = self.other.in_vain = True
        self.forget()
        self.relay.lost(self)

    # Towards the leg

    def put_in(self, frame: bytes) -> bool:
        """Send a frame of the gateway's to this leg, at the next boundary between frames of the other side.

        False where nothing may follow any more.
        """
        if self.shut or self._closes or self.gone:
            return False
        if self.other.scanner.at_boundary:
            self.leg.write(frame)
        else:
            self._pending += (frame,)
        return True

    def send_close(self, code: int, reason: str) -> bool:
        """Send a Close as soon as the other side's frame is complete; False where it will never be."""
        close = self._frame(CLOSE, close_payload(code, reason))
        other = self.other
        if other.scanner.at_boundary:
            self.leg.write(b"".join((*self._pending, close)))
            self.close_sent()
        elif other.gone or other.ended or other.deaf:
            return False
        else:
            self._pending += (close,)
            self._closes = True
        return True

    def close_sent(self) -> None:
        """A Close has been written: whatever the other side still says goes nowhere, and need not be waited with."""
        self.shut = self.other.in_vain = True
        self._pending, self._closes = (), False
        self.leg.unregisterProducer()
        self.other.listen()
        self.relay.hang_up(self)

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        # Frames towards a server are masked (RFC 6455 section 5.1).
        mask = self.relay.random(4) if self.side is Side.SERVER else None
        return encode_frame(opcode, payload, mask=mask)

    def has_moved(self) -> bool:
        """Whether the peer has taken anything since this was asked last.

        A Close that is queued meanwhile weighs more under TLS than it counts, which must not look so.
        """
        before, self._taken = self._taken, self.leg.sent - self.leg.queued
        return self._taken > before

    # Looked at now and then (``wsgate.relay.watch.Watched``)

    def life(self) -> int:
        """Any byte is life, since a peer in the middle of a frame cannot answer; so is a silence of our own making."""
        if self.leg.paused:
            self._unheard += 1
        return self.leg.received + self._unheard

    def may_ping(self) -> bool:
        """Not behind bytes that wait, and not inside a frame of the other side."""
        return not (self.shut or self._closes or self.leg.queued) and self.other.scanner.at_boundary

    def send_ping(self) -> None:
        """Not while a relayed ping waits for its pong, which tells as much: a peer may answer only the latest one
        (RFC 6455 section 5.5.3)."""
        if not self.is_asked:
            self._ping = next_ping(self._ping, self.relay.random)
            self._pinged_at = self.relay.seconds()
            self.put_in(self._frame(PING, self._ping))

    # Flow

    def pauseProducing(self) -> None:
        """The other leg has queued something: read no more once that is above the high water mark, until it is gone."""
        if self.other.leg.queued > self.relay.buffer:
            self._flow_paused = True
            self.leg.pauseProducing()

    def resumeProducing(self) -> None:
        self._flow_paused = False
        self.go_on()

    def stopProducing(self) -> None:
        return

    def go_on(self) -> None:
        """Read from the leg, unless there is a reason not to."""
        if not self._flow_paused:
            self.leg.resumeProducing()

    def listen(self) -> None:
        """Read from the leg, whatever reason there was not to: nothing of it is passed on any more."""
        self._flow_paused = False
        self.go_on()

    def forget(self) -> None:
        """The leg is gone: nothing that still waits of what it sent is needed."""
        return
