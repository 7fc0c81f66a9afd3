"""The ``messages`` relay: WebSocket ends on each leg, and whole messages pass between both.

So compression can differ from leg to leg, text is checked, and hooks see what is said.  Pings, Pongs and Close are
passed on as they are, so that both peers deal with each other as if they were connected.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.causes import Cause, Side
from wsgate.config.model import RelayLimits, Route
from wsgate.relay.allowance import Allowance
from wsgate.relay.autobahn_legs import TowardsClient, TowardsServer, factories
from wsgate.relay.closing import Closing
from wsgate.relay.interfaces import Ending, Opening, Traffic, WebSocketLegs
from wsgate.relay.message_hooks import Facts, MessageHook, load_message_hook
from wsgate.relay.message_side import Hold, MessageSide
from wsgate.relay.parting import Parting
from wsgate.relay.watch import Watch
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import TimerWheel
from wsgate.wire.ws_encoding import CLOSE

_log = Logger("wsgate.relay")


def prepare(route: Route) -> None:
    """Load what the first WebSocket of ``route`` would otherwise wait for.  Raises HookError."""
    factories()
    if route.on_message:
        load_message_hook(route.on_message)


class Messages:
    """Relay messages between two legs; see ``wsgate.relay.interfaces.Relay``.

    Raises HookError where the route's hook cannot be loaded.
    """

    __slots__ = (
        "_client",
        "_compress",
        "_limits",
        "_opening",
        "_server",
        "_watch",
        "_wheel",
        "buffer",
        "closing",
        "facts",
        "hook",
        "random",
    )

    def __init__(self, legs: WebSocketLegs, route: Route) -> None:
        self.hook: MessageHook | None = load_message_hook(route.on_message) if route.on_message else None
        self.facts = Facts.of(legs.opening)
        self.random = legs.random
        self.buffer = legs.limits.buffer
        self._compress = route.compression == "client"
        self._limits: RelayLimits = legs.limits
        self._opening: Opening = legs.opening
        self._wheel: TimerWheel = legs.wheel
        self._client = self._client_side(legs.client)
        self._server = self._server_side(legs.server)
        self._watch = Watch(legs.wheel, legs.limits, self._data, self._watched)
        self.closing = Closing(
            self._client, self._server, legs.wheel, legs.limits.close_timeout, self._begun, legs.over
        )

    def _client_side(self, leg: Leg) -> MessageSide:
        return MessageSide(self, Side.CLIENT, leg, factories().towards_client())

    def _server_side(self, leg: Leg) -> MessageSide:
        return MessageSide(self, Side.SERVER, leg, factories().towards_server())

    def start(self, from_client: bytes = b"", from_server: bytes = b"") -> None:
        """Answer the client, then listen to both; what came behind the handshakes comes first."""
        client, server = self._client, self._server
        client.allowance = Allowance.of(self._limits, self._wheel.seconds())
        self._join(client, server)
        self._feed(client, server)
        self._watch.start(client, server, self.random)
        for side in (client, server):
            self._seat(side)
        self._take_over(server)
        self._answer(client)
        for side, data in ((client, from_client), (server, from_server)):
            if data and not side.gone:
                side.talk.dataReceived(data)
        for side in (client, server):
            side.release(Hold.NOT_STARTED)

    def _answer(self, side: MessageSide) -> None:
        opening = self._opening
        if isinstance(side.talk, TowardsClient):
            side.talk.answer(opening.upgrade, opening.agreed, opening.fields, compress=self._compress)

    def _take_over(self, side: MessageSide) -> None:
        if isinstance(side.talk, TowardsServer):
            side.talk.take_over(self._opening.upgrade)

    def _seat(self, side: MessageSide) -> None:
        side.talk.sit_on(side.leg, side, self._limits, self.random, self._wheel.seconds)

    def _join(self, client: MessageSide, server: MessageSide) -> None:
        client.other, server.other = server, client
        client.talk.towards, server.talk.towards = server.talk, client.talk

    def _feed(self, client: MessageSide, server: MessageSide) -> None:
        """From now on each leg says to the other side when it takes no more."""
        client.leg.registerProducer(server, True)
        server.leg.registerProducer(client, True)

    def seconds(self) -> float:
        return self._wheel.seconds()

    # What the sides tell

    def count(self, side: MessageSide, allowance: Allowance, size: int) -> None:
        """Something of ``size`` bytes came; Pings, Pongs and empty fragments count as messages."""
        now = self._wheel.seconds()
        wait = allowance.take(1, size, now)
        if wait <= 0:
            return
        if self._limits.limit_action == "wait":
            side.hold_for(wait, self._wheel)
        else:
            side.violated(1008, "too much in too little time")

    def hook_failed(self, failure: Failure) -> None:
        _log.failure("a message hook of route {route} failed", failure, route=self.facts.route)
        self.close(Cause.INTERNAL)

    # What the gateway asks

    def close(self, cause: Cause, reason: str = "") -> None:
        row = cause.value
        ending = Ending(cause, row.side, row.to_client or None, reason or row.text)
        self.closing.close(ending, row.to_client, row.to_server)

    def abort(self, cause: Cause) -> None:
        self.closing.abort(Ending(cause, cause.value.side))

    def at_boundary(self) -> bool:
        return all(side.at_boundary for side in (self._client, self._server))

    def inject(self, side: Side, frame: bytes) -> bool:
        """Frames are sent whole here, so that any moment is a boundary.  Not for Close: that is what ``close`` does."""
        target = self._client if side is Side.CLIENT else self._server
        if target.shut or target.gone or frame[0] & 0x0F == CLOSE:
            return False
        target.leg.write(frame)
        target.talk.frames_sent += 1
        return True

    def replace_leg(self, side: Side, leg: Leg, initial: bytes) -> bool:
        """Another server goes on where the old one was, which gets a Close; a client cannot be replaced."""
        if side is Side.CLIENT or not self.at_boundary():
            return False
        old, client = self._server, self._client
        new = self._server_side(leg)
        self._server = self.closing.server = new
        old.leg.unregisterProducer()
        row = Cause.DRAINED.value
        old.talk.send_close(row.to_server, row.text)
        Parting(old.leg, self._wheel, self._limits.close_timeout).begin()
        self._join(client, new)
        self._feed(client, new)
        self._watch.replace_server(new)
        self._seat(new)
        self._take_over(new)
        if initial:
            new.talk.dataReceived(initial)
        new.release(Hold.NOT_STARTED)
        return True

    def traffic(self) -> Traffic:
        talk, leg = self._client.talk, self._client.leg
        return Traffic(
            bytes_in=leg.received,
            bytes_out=leg.sent,
            kept=leg.queued + talk.kept + self._server.leg.queued + self._server.talk.kept,
            frames_in=talk.frames,
            frames_out=talk.frames_sent,
            messages_in=talk.messages,
            messages_out=talk.messages_sent,
            rtt_client=self._client.rtt,
            rtt_server=self._server.rtt,
        )

    def _data(self) -> int:
        """Changes with every data frame, and while a long one comes; pings are no activity."""
        client, server = self._client.talk, self._server.talk
        frames = client.frames - client.controls + server.frames - server.controls
        return frames + client.begun + server.begun

    def _begun(self) -> None:
        """It ends."""
        self._watch.stop()

    def _watched(self, cause: Cause) -> None:
        if cause in {Cause.IDLE, Cause.MAX_AGE}:
            self.close(cause)
        else:
            side = self._client if cause in {Cause.CLIENT_DEAD, Cause.CLIENT_STUCK} else self._server
            self.closing.cut(side, Ending(cause, side.side))
