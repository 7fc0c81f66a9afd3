"""A side of the ``frames`` relay whose peer may send so much in a time and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgate.causes import Side
from wsgate.relay.allowance import Allowance
from wsgate.relay.frame_side import FrameSide
from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import Timer
from wsgate.wire.ws_frames import FrameScanner

if TYPE_CHECKING:
    from wsgate.relay.frames import Frames


class RatedSide(FrameSide):
    """Counts what comes from its leg against ``allowance``; control frames and empty fragments count as messages.

    One read may hold ten thousand messages: it is passed on piece by piece, so that no burst is exceeded by more than
    one message.

    A peer that is ahead of its rates is held: what was read of it and not passed on waits in ``_rest``, one read at
    most, and nothing more is read.
    """

    __slots__ = ("_allowance", "_counted", "_hold", "_rest")

    def __init__(self, relay: Frames, side: Side, leg: Leg, scanner: FrameScanner, allowance: Allowance) -> None:
        super().__init__(relay, side, leg, scanner)
        self._allowance: Allowance | None = allowance
        self._counted = (0, 0)
        self._hold: Timer | None = None
        self._rest = b""

    def dataReceived(self, data: Data) -> None:
        if self._hold is not None:
            self._rest += data
            return
        at = 0
        while (allowance := self._allowance) is not None and at < len(data):
            size = allowance.room(self.relay.seconds(), self.scanner.left)
            super().dataReceived(data[at : at + size])
            at += size
            wait = self._owed(allowance)
            if wait > 0 and self.said is None and not self.deaf and not self.relay.over_rate(self):
                self._rest = bytes(data[at:])
                self._wait(wait)
                return
        if at < len(data):
            super().dataReceived(data[at:])

    def _owed(self, allowance: Allowance) -> float:
        """Seconds by which the peer is ahead of its rates."""
        scanner = self.scanner
        messages, size = scanner.messages + scanner.controls + scanner.empties, scanner.payload_bytes
        before_messages, before_size = self._counted
        self._counted = (messages, size)
        return allowance.take(messages - before_messages, size - before_size, self.relay.seconds())

    def _wait(self, seconds: float) -> None:
        self._let_go()
        self.leg.pauseProducing()
        self._hold = self.relay.after(seconds, self._go_on)

    def _go_on(self) -> None:
        self._hold = None
        rest, self._rest = self._rest, b""
        if rest:
            self.dataReceived(rest)
        self.go_on()

    def _let_go(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None

    def go_on(self) -> None:
        if self._hold is None:
            super().go_on()

    def listen(self) -> None:
        """The end does not wait for rates."""
        self._allowance = None
        if self._hold is not None:
            self._wait(0)
        super().listen()

    def forget(self) -> None:
        self._let_go()
        self._rest = b""
