"""The ``frames`` relay where the client's WebSocket outlives its server: it is held while another server is found.

A server may be replaced only where no message is half passed on, in either direction.  What the client begins to say
after the loss is kept and goes to the new server, once; what it said before was passed on once, and may have been lost
with the old one.
"""

from __future__ import annotations

from wsgate.causes import Cause, Side
from wsgate.relay.allowance import Allowance
from wsgate.relay.frame_side import FrameSide
from wsgate.relay.frames import Frames, rules_of
from wsgate.relay.interfaces import Ending, Redial, Traffic, WebSocketLegs
from wsgate.relay.loss import has_left, is_leaving
from wsgate.relay.parked import Kept, ParkedSide
from wsgate.relay.parting import Parting
from wsgate.relay.rated_side import RatedSide
from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.close_codes import parse_close
from wsgate.wire.ws_encoding import CLOSE, PING, PONG, encode_frame
from wsgate.wire.ws_frames import Control, FrameScanner


class _KeptSide(FrameSide):
    """The client's side: it notes the first messages, and its pings are answered while there is no server."""

    __slots__ = ()

    relay: HoldingFrames

    def dataReceived(self, data: Data) -> None:
        if not self.relay.awaits_news():
            self._hear(data)
            return
        at = 0
        while at < len(data) and not (self.relay.is_late or self.scanner.at_message_boundary):
            size = max(1, self.scanner.left)
            self._hear(data[at : at + size])
            at += size
        if at < len(data):
            self.relay.keep_back(data[at:])

    def _hear(self, data: Data) -> None:
        if not self.deaf:
            self.relay.kept.note(data)
        super().dataReceived(data)

    def _ends_here(self, control: Control) -> bool:
        if control.opcode == PING:
            self.relay.kept.last_ping = control.payload
        if self.relay.kept.is_held and control.opcode == PING:
            if self.leg.queued <= self.relay.buffer:  # who reads no pongs may go without
                self.leg.write(encode_frame(PONG, control.payload))
            return True
        return super()._ends_here(control) or self.relay.kept.is_held and control.opcode == PONG


class _KeptRatedSide(RatedSide, _KeptSide):
    __slots__ = ()


class _LeavingSide(FrameSide):
    """A server's side: a Close that only says that the server goes is not for the client."""

    __slots__ = ()

    relay: HoldingFrames

    def _ends_here(self, control: Control) -> bool:
        return self._leaves(control) or super()._ends_here(control)

    def _close_came(self, control: Control) -> None:
        if self._leaves(control):
            self.leg.write(self._frame(CLOSE, control.payload))
            self.relay.hold()
        else:
            super()._close_came(control)

    def _leaves(self, control: Control) -> bool:
        return control.opcode == CLOSE and is_leaving(parse_close(control.payload)[0]) and self.relay.may_hold()


class HoldingFrames(Frames):
    """A ``Frames`` whose server can be replaced."""

    __slots__ = ("_before", "_late", "kept")

    def __init__(self, legs: WebSocketLegs, redial: Redial) -> None:
        self.kept = Kept(redial)
        self._late = b""  # said after the server had gone, before that was heard
        self._before = Traffic()
        super().__init__(legs)

    def _client_side(self, leg: Leg, scanner: FrameScanner) -> FrameSide:
        allowance = Allowance.of(self._limits, self._wheel.seconds())
        if allowance is None:
            return _KeptSide(self, Side.CLIENT, leg, scanner)
        return _KeptRatedSide(self, Side.CLIENT, leg, scanner, allowance)

    def _server_side(self, leg: Leg, scanner: FrameScanner) -> FrameSide:
        return _LeavingSide(self, Side.SERVER, leg, scanner)

    # The loss

    def may_hold(self) -> bool:
        """Whether the client can go on with another server: no message is half passed on, and it has not left."""
        client = self._client
        if self._ending is not None or self.kept.is_held or not self.kept.is_whole:
            return False
        if client.gone or client.ended or client.shut or client.deaf or client.said is not None:
            return False
        return client.scanner.at_message_boundary and self._server.scanner.at_message_boundary

    def awaits_news(self) -> bool:
        """Whether the server has left, which has not been heard: what the client begins to say now is for the next one.

        Without this, what a client says in the same turn in which the server is lost would go to the lost one.
        """
        return not self.kept.is_held and self._ending is None and (self.is_late or has_left(self._server.leg))

    @property
    def is_late(self) -> bool:
        """Whether something of the client waits for the news of the server's end."""
        return bool(self._late)

    def keep_back(self, data: Data) -> None:
        """Let ``data`` of the client, and all that follows it, wait for that news."""
        self._late += data
        self._client.leg.pauseProducing()

    def ended(self, side: FrameSide) -> None:
        if side is self._server and side.said is None and not side.deaf and self.may_hold():
            self.hold()
        else:
            super().ended(side)

    def lost(self, side: FrameSide) -> None:
        if side is self._server and self.may_hold():
            self.hold()
        else:
            super().lost(side)

    def _judged(self, cause: Cause) -> None:
        if cause.value.side is Side.SERVER and self.may_hold():
            self.hold()
            self._watch.start(self._client, self._server, self.random)
        else:
            super()._judged(cause)

    def hold(self) -> None:
        """Keep what the client says, and look for another server."""
        client, lost = self._client, self._server
        self._before.frames_out += lost.scanner.frames
        self._before.messages_out += lost.scanner.messages
        client.leg.unregisterProducer()
        lost.leg.unregisterProducer()
        if not lost.gone:
            Parting(lost.leg, self._wheel, self._limits.close_timeout).begin(ended=lost.ended)
        if lost.is_asked:
            client.leg.write(encode_frame(PONG, self.kept.last_ping))
        client.is_asked = False
        parked = self.kept.park(client.leg.pauseProducing)
        self._join(ParkedSide(self, Side.SERVER, parked, self._scanner()))
        client.resumeProducing()
        late, self._late = self._late, b""
        if late:
            client.dataReceived(late)
        if self.kept.is_held:
            self.kept.search(self)

    def _scanner(self) -> FrameScanner:
        return FrameScanner(rules_of(self._limits, False, False, self._wheel.seconds))

    def _join(self, side: FrameSide) -> None:
        """Make ``side`` the server's."""
        side.leg.protocol = side
        side.face(self._client)
        self._server = side
        self._watch.replace_server(side)

    # The return

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        """Go on with the server on ``leg``, which is paused: it hears what is replayed, and what was said meanwhile."""
        if not self.kept.is_held or side is not Side.SERVER:
            return False
        server, client = self._server_side(leg, self._scanner()), self._client
        self._join(server)
        leg.registerProducer(client, True)
        client.leg.registerProducer(server, True)
        kept = self.kept.take()
        if kept:
            leg.write(kept)
        if not leg.queued:
            client.resumeProducing()
        if initial:
            server.dataReceived(initial)
        server.go_on()
        return True

    def give_up(self, cause: Cause, detail: str) -> None:
        """No server was found in time."""
        self._begin(Ending(cause, Side.SERVER, detail=detail))
        self._tell(self._client, cause)

    def _begin(self, ending: Ending) -> Ending:
        ending = super()._begin(ending)
        if self._late:
            self._late = b""
            self._client.leg.resumeProducing()
        self.kept.stop(self._wheel)
        return ending

    def traffic(self) -> Traffic:
        traffic = super().traffic()
        traffic.kept += self.kept.size + len(self._late)
        traffic.frames_out += self._before.frames_out
        traffic.messages_out += self._before.messages_out
        return traffic
