"""The ``messages`` relay where the client's WebSocket outlives its server; see ``wsgate.relay.holding``.

Both legs stand between two messages at any moment, since only whole ones are passed on: what a lost server had said by
half is dropped, and what the client is in the middle of saying goes to the next server.  What had come from the lost
server, and waits for the client to read or for a hook, is passed on first; then the next server is looked for.
"""

from __future__ import annotations

from twisted.python.failure import Failure

from wsgate.causes import Cause, Side
from wsgate.config.model import Route
from wsgate.relay.autobahn_legs import factories
from wsgate.relay.interfaces import Ending, Redial, Traffic, WebSocketLegs
from wsgate.relay.loss import has_left, is_leaving
from wsgate.relay.message_side import Hold, MessageSide
from wsgate.relay.messages import Messages
from wsgate.relay.parked import Kept, ParkedLeg
from wsgate.relay.parting import Parting
from wsgate.transport.interfaces import Data, Leg
from wsgate.wire.ws_encoding import BINARY, PONG, TEXT, encode_frame


class _KeptSide(MessageSide):
    """The client's side: what it said first is noted, and its pings are answered while there is no server."""

    __slots__ = ()

    relay: HoldingMessages

    def pass_on(self, payload: bytes, binary: bool) -> None:
        if not self._passes_nothing:
            self.relay.note(payload, binary)
        super().pass_on(payload, binary)

    def ping(self, payload: bytes) -> None:
        kept = self.relay.kept
        kept.last_ping = payload
        if not kept.is_held:
            super().ping(payload)
        elif not self.shut and self.leg.queued <= self.relay.buffer:  # who reads no pongs may go without
            self.talk.sendFrame(PONG, payload)

    def _pass_control(self, opcode: int, payload: bytes) -> None:
        if not (self.relay.kept.is_held and opcode == PONG):
            super()._pass_control(opcode, payload)


class _LeavingSide(MessageSide):
    """A server's side, which may be lost before all is passed on that came from it."""

    __slots__ = ()

    relay: HoldingMessages

    def close(self, code: int, reason: str) -> None:
        if is_leaving(code) and (self.relay.may_hold() or self.relay.is_leaving(self)):
            self.talk.send_close(code, reason)
            self.relay.lose(self)
        else:
            super().close(code, reason)

    def input_over(self) -> None:
        if self.relay.may_hold():
            self.fin = True
            self.relay.lose(self)
        else:
            super().input_over()

    def lost(self, reason: Failure) -> None:
        if self.relay.may_hold():
            self.gone = True
            self.relay.lose(self)
        else:
            super().lost(reason)

    def _tell_over(self) -> None:
        if not self.relay.is_leaving(self):
            super()._tell_over()
        elif not (self._held or self._told_over):
            self._told_over = True
            self.relay.search()


class _Door:
    """The protocol of the client's leg: asks first whether the server is still there."""

    __slots__ = ("_relay", "_side")

    def __init__(self, relay: HoldingMessages, side: MessageSide) -> None:
        self._relay = relay
        self._side = side

    def dataReceived(self, data: Data) -> None:
        if self._relay.awaits_news():
            self._side.hold(Hold.NEWS)
        self._side.talk.dataReceived(data)

    def readConnectionLost(self) -> None:
        self._side.talk.readConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        self._side.talk.connectionLost(reason)


class HoldingMessages(Messages):
    """A ``Messages`` whose server can be replaced.

    ``kept`` is what is kept of the client; ``_leaving`` the side of a lost server from which not all has been passed
    on.
    """

    __slots__ = ("_leaving", "kept")

    def __init__(self, legs: WebSocketLegs, route: Route, redial: Redial) -> None:
        self.kept = Kept(redial)
        self._leaving: MessageSide | None = None
        super().__init__(legs, route)

    def _client_side(self, leg: Leg) -> MessageSide:
        return _KeptSide(self, Side.CLIENT, leg, factories().towards_client())

    def _server_side(self, leg: Leg) -> MessageSide:
        return _LeavingSide(self, Side.SERVER, leg, factories().towards_server())

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        super().start(from_client, from_server)
        self._client.leg.protocol = _Door(self, self._client)

    def note(self, payload: bytes, binary: bool) -> None:
        """A message goes to a server."""
        if self.kept.wants_more:
            self.kept.note(encode_frame(BINARY if binary else TEXT, payload, mask=self.random(4)))

    # The loss

    def may_hold(self) -> bool:
        """Whether the client can go on with another server: there is none already, and it has not left."""
        client = self._client
        if self.closing.ending is not None or self.kept.is_held or not self.kept.is_whole:
            return False
        return not (client.gone or client.fin or client.shut or client.failed or client.said)

    def is_leaving(self, side: MessageSide) -> bool:
        """Whether ``side`` is a lost server's, and not yet done with."""
        return side is self._leaving

    def awaits_news(self) -> bool:
        """Whether the server has left, which has not been heard: what the client says now is for the next one."""
        return self.closing.ending is None and not self.kept.is_held and has_left(self._server.leg)

    def lose(self, lost: MessageSide) -> None:
        """Keep from now on what the client says; ``lost`` is heard out."""
        if self.is_leaving(lost):
            return
        client = self._client
        leg = self.kept.park(lambda: client.hold(Hold.FLOW))
        lost.leg.unregisterProducer()
        if not lost.gone:
            Parting(lost.leg, self._wheel, self._limits.close_timeout).begin(ended=lost.fin)
        lost.fin = True
        if lost.asked:
            client.talk.sendFrame(PONG, self.kept.last_ping)
        client.asked = 0
        self._leaving = lost
        self._park(leg)
        client.release(Hold.FLOW | Hold.NEWS)
        lost._tell_over()

    def _park(self, leg: ParkedLeg) -> None:
        """Put a side that is not started in the lost one's place."""
        server = self._server_side(leg)
        self._server = self.closing.server = server
        self._join(self._client, server)
        self._watch.replace_server(server)
        self._seat(server)
        self._take_over(server)

    def search(self) -> None:
        """All that came from the lost server has been passed on."""
        self._leaving = None
        self._client.leg.unregisterProducer()
        self.kept.search(self)

    def _watched(self, cause: Cause) -> None:
        if cause.value.side is Side.SERVER and self.may_hold():
            self.lose(self._server)
            self._watch.start(self._client, self._server, self.random)
        else:
            super()._watched(cause)

    def inject(self, side: Side, frame: bytes) -> bool:
        return not (side is Side.SERVER and self.kept.is_held) and super().inject(side, frame)

    def traffic(self) -> Traffic:
        traffic = super().traffic()
        traffic.kept += self.kept.size
        return traffic

    # The return

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        """Go on with the server on ``leg``, which is paused: it hears what is replayed, and what was said meanwhile."""
        if not self.kept.is_held:
            return super().replace_leg(side, leg, initial)
        if side is not Side.SERVER:
            return False
        server, client = self._server, self._client
        server.leg = leg
        server.talk.move_to(leg)
        self._watch.replace_server(server)
        self._feed(client, server)
        kept = self.kept.take()
        if kept:
            leg.write(kept)
        if not leg.queued:
            client.release(Hold.FLOW)
        if initial:
            server.talk.dataReceived(initial)
        server.release(Hold.NOT_STARTED)
        return True

    def give_up(self, cause: Cause, detail: str) -> None:
        """No server was found in time."""
        self.closing.cut(self._server, Ending(cause, Side.SERVER, detail=detail))

    def _begun(self) -> None:
        super()._begun()
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.forget()
        if self.kept.is_held:
            server = self._server
            self._wheel.after(0, lambda: server.release(Hold.NOT_STARTED))
        self.kept.stop(self._wheel)
