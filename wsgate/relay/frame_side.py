"""One side of the ``frames`` relay: a leg, the scanner of what comes from it, and what has to be put in towards it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wsgate.causes import Side
from wsgate.relay.keepalive import Act, KeepAlive
from wsgate.relay.rates import Bucket
from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.close_codes import FrameError, close_payload
from wsgate.wire.ws_encoding import CLOSE, PING, PONG, encode_frame
from wsgate.wire.ws_frames import Control, FrameScanner, without

if TYPE_CHECKING:
    from wsgate.relay.frames import Frames

#: Bytes of our pings, which tell them from those of the peers.
PING_SIZE = 8


class FrameSide:
    """The protocol on one leg.

    ``scanner`` walks the frames that come from this leg.  Towards it go the frames of the other side, and those of the
    gateway, which wait in ``_pending`` while the other side is in the middle of one.  ``shut`` is set once a Close has
    been sent to this leg: nothing may follow it (RFC 6455 section 5.5.1).
    """

    __slots__ = (
        "_close",
        "_counted",
        "_flow_paused",
        "_pending",
        "_ping",
        "_pinged_at",
        "_rate_paused",
        "_taken",
        "_taken_since",
        "_unanswered",
        "alive",
        "buckets",
        "deaf",
        "gone",
        "leg",
        "other",
        "relay",
        "rtt",
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
        self.alive: KeepAlive | None = None
        self.buckets: tuple[Bucket | None, Bucket | None] | None = None
        self.gone = False
        self.shut = False
        self.verdict: tuple[int, str] | None = None  # the Close that this leg has earned, and gets shortly
        self.deaf = False  # what comes from this leg is no longer listened to
        self.rtt: float | None = None
        self._pending: list[bytes] = []
        self._close = b""  # a Close that waits for a boundary; nothing follows it
        self._counted = (0, 0)
        self._taken = 0
        self._taken_since = 0.0
        self._ping = b""
        self._pinged_at = 0.0
        self._unanswered = 0  # pings of the other side that this peer has not answered
        self._flow_paused = self._rate_paused = False

    # From the leg

    def dataReceived(self, data: Data) -> None:
        if self.deaf:
            return
        scanner = self.scanner
        try:
            out = scanner.scan(data)
        except FrameError as error:
            self._pass_on(error.sound)
            self.deaf = True
            self.relay.violated(self, error)
            return
        other = self.other
        if scanner.events or other._pending or other._close or other.shut or self.buckets is not None:
            self._pass_on(out)
        elif out:
            other.leg.write(out)

    def _pass_on(self, out: Data) -> None:
        """Forward, with what is to be put in or taken out, and heed what control frames say."""
        other, scanner = self.other, self.scanner
        if not other.shut and out:
            out = self._with_pending(out)
            taken = [control for control in scanner.events if self._ends_here(control)]
            out = without(out, taken) if taken else out
            if out:
                other.leg.write(out)
        for control in scanner.events:
            if control.opcode == CLOSE:
                self.relay.close_passed(self, control.payload)
            elif control.opcode == PING:
                other._unanswered += 1
            else:
                self._unanswered = 0
        if self.buckets is not None:
            self.relay.heed_rates(self)

    def _with_pending(self, out: Data) -> Data:
        """Put what waits for ``other`` in at the last frame boundary of ``out``."""
        other = self.other
        cut = self.scanner.boundary(out) if other._pending or other._close else -1
        if cut < 0:
            return out
        pending, other._pending = b"".join(other._pending), []
        if other._close:
            other.shut = True
            return b"".join((out[:cut], pending, other._close))
        return b"".join((out[:cut], pending, out[cut:]))

    def _ends_here(self, control: Control) -> bool:
        """A pong to a ping of ours, or a Close towards a side that is about to get one of its own."""
        if control.opcode == CLOSE:
            return self.other.verdict is not None
        return control.opcode == PONG and self._answers_us(control)

    def _answers_us(self, control: Control) -> bool:
        if not self._ping or control.payload != self._ping:
            return False
        self._ping = b""
        self.rtt = self.relay.seconds() - self._pinged_at
        return True

    def readConnectionLost(self) -> None:
        if not self.gone:
            self.relay.ended(self)

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        self._pending = []
        self.relay.lost(self, orderly=reason.type is ConnectionDone)

    # Towards the leg

    def put_in(self, frame: bytes) -> None:
        """Send a frame of the gateway's to this leg, at the next boundary between frames of the other side."""
        if self.shut or self.gone:
            return
        if self.other.scanner.at_boundary:
            self.leg.write(frame)
        else:
            self._pending.append(frame)

    def send_close(self, code: int, reason: str) -> bool:
        """Send a Close; False where that cannot be, because the other side's last frame is not complete."""
        if self.shut or self.gone:
            return True
        if not self.other.scanner.at_boundary:
            return False
        for frame in self._pending:
            self.leg.write(frame)
        self._pending = []
        self.leg.write(self._frame(CLOSE, close_payload(code, reason)))
        self.shut = True
        return True

    def close_at_boundary(self, code: int, reason: str) -> None:
        """Send a Close as soon as the other side's frame is complete."""
        self._close = self._frame(CLOSE, close_payload(code, reason))

    def send_ping(self) -> None:
        self._ping = self.relay.random(PING_SIZE)
        self._pinged_at = self.relay.seconds()
        self.put_in(self._frame(PING, self._ping))

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        # Frames towards a server are masked (RFC 6455 section 5.1).
        mask = self.relay.random(4) if self.side is Side.SERVER else None
        return encode_frame(opcode, payload, mask=mask)

    # Looked at now and then

    def look_alive(self, now: float) -> Act:
        """Ping the peer when it has been silent; DEAD when it answered nothing.

        Not while a relayed ping waits for its pong: a peer may answer only the latest (RFC 6455 section 5.5.3).
        """
        if self.alive is None:
            return Act.WAIT
        act = self.alive.look(now, self.scanner.frames, blocked=bool(self._unanswered) or self.shut)
        if act is Act.PING:
            self.send_ping()
        return act

    def is_stuck(self, now: float, timeout: float) -> bool:
        """Whether bytes wait for this peer and it has taken none for ``timeout`` seconds."""
        taken = self.leg.sent - self.leg.queued
        if not self.leg.queued or taken != self._taken:
            self._taken = taken
            self._taken_since = now
            return False
        return now - self._taken_since >= timeout

    def over_rate(self, now: float) -> float:
        """Seconds by which this peer is ahead of its rates; 0 when it keeps to them."""
        if self.buckets is None:
            return 0.0
        count = self.scanner.messages + self.scanner.controls
        size = self.scanner.payload_bytes
        before_count, before_size = self._counted
        self._counted = (count, size)
        by_messages, by_bytes = self.buckets
        waits = [0.0]
        if by_messages is not None:
            waits.append(by_messages.take(count - before_count, now))
        if by_bytes is not None:
            waits.append(by_bytes.take(size - before_size, now))
        return max(waits)

    # Flow: two reasons to read no more from this leg

    def pauseProducing(self) -> None:
        self._flow_paused = True
        self.leg.pauseProducing()

    def resumeProducing(self) -> None:
        self._flow_paused = False
        if not self._rate_paused:
            self.leg.resumeProducing()

    def stopProducing(self) -> None:
        return

    def hold(self, seconds: float, after: Callable[[float, Callable[[], None]], object]) -> None:
        """Read no more for ``seconds``: the peer is ahead of its rate."""
        self._rate_paused = True
        self.leg.pauseProducing()
        after(seconds, self._release)

    def _release(self) -> None:
        self._rate_paused = False
        if not self._flow_paused and not self.gone:
            self.leg.resumeProducing()
