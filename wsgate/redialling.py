"""Finding another server for a WebSocket whose server was lost, and opening it as it was opened before."""

from __future__ import annotations

from typing import NamedTuple

from wsgate.balance.servers import ServerState
from wsgate.causes import Cause, Side
from wsgate.config.model import Route
from wsgate.relay.interfaces import Held
from wsgate.runtime import Runtime
from wsgate.transport.interfaces import Data, Leg
from wsgate.transport.wheel import Timer
from wsgate.upstream.dialing import Dialling, Wanted
from wsgate.upstream.http_end import ServerEnd
from wsgate.upstream.members import UpstreamMembers
from wsgate.websocket import Session
from wsgate.wire.fields import Fields, HeadError
from wsgate.wire.framing import NO_BODY
from wsgate.wire.heads import ResponseHead
from wsgate.wire.ws_handshake import Agreed, Upgrade, check_answer

#: Seconds between two rounds through the servers: the first, and the longest. Each is half as long again.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

#: Seconds for which a server must have kept the client for the next loss to count as a new one, if the hold lasts so
#: long.  One that opens WebSockets only to close them, being too busy or about to stop, is asked no faster for it.
SETTLED = 5.0


class Handshake(NamedTuple):
    """How the WebSocket was opened: the whole request, what it offered, and what was agreed on."""

    request: bytes
    offer: Upgrade
    agreed: Agreed


class Redialling:
    """Goes round the servers until one opens the WebSocket again, for ``hold_timeout`` seconds."""

    __slots__ = (
        "_deadline",
        "_dialling",
        "_end",
        "_found",
        "_handshake",
        "_members",
        "_pause",
        "_relay",
        "_runtime",
        "_session",
        "_state",
        "_timeout",
        "_timer",
        "_until",
        "_wanted",
        "_why",
        "buffer",
        "replay",
    )

    def __init__(
        self,
        runtime: Runtime,
        members: UpstreamMembers,
        session: Session,
        route: Route,
        wanted: Wanted,
        handshake: Handshake,
    ) -> None:
        self.buffer = route.hold_buffer
        self.replay = route.replay
        self._timeout = route.hold_timeout
        self._runtime = runtime
        self._members = members
        self._session = session
        self._wanted = wanted
        self._handshake = handshake
        self._relay: Held | None = None
        self._dialling: Dialling | None = None
        self._end: ServerEnd | None = None
        self._state: ServerState | None = None
        self._deadline: Timer | None = None
        self._timer: Timer | None = None
        self._pause = FIRST_PAUSE
        self._until = 0.0  # when it is too late
        self._found: float | None = None  # when a server was found last
        self._why = ""

    # What the relay asks

    def begin(self, relay: Held) -> None:
        wheel = self._runtime.wheel
        now = wheel.seconds()
        self._relay = relay
        self._session.left()
        is_new = self._found is None or now - self._found >= min(SETTLED, self._timeout)
        if is_new:
            self._pause = FIRST_PAUSE
            self._until = now + self._timeout
            self._why = ""
        self._deadline = wheel.after(max(0.0, self._until - now), self._too_late)
        if is_new:
            self._round()
        else:
            self._round_later()

    def stop(self) -> None:
        self._relay = None
        for timer in (self._deadline, self._timer):
            if timer is not None:
                timer.cancel()
        self._deadline = self._timer = None
        dialling, self._dialling = self._dialling, None
        if dialling is not None:
            dialling.cancel()
            dialling.close()
        end, self._end = self._end, None
        if end is not None:
            end.drop()
        self._release()

    def _too_late(self) -> None:
        relay, why = self._relay, self._why
        self.stop()
        if relay is not None:
            relay.give_up(Cause.HELD_TOO_LONG, why)

    # One round

    def _round(self) -> None:
        self._timer = None
        self._dialling = Dialling(self._runtime.dialer, self._members, self, self._wanted)
        self._dialling.next()

    def _round_later(self) -> None:
        """Again after a pause, which grows and differs, so that not all clients come at once."""
        chance = 0.5 + int.from_bytes(self._runtime.random(2), "big") / 65_536
        self._timer = self._runtime.wheel.after(self._pause * chance, self._round)
        self._pause = min(LONGEST_PAUSE, self._pause * 1.5)

    def dial_failed(self, cause: Cause, detail: str) -> None:
        """Nobody yet."""
        self._why = detail
        self._dialling = None
        if self._relay is not None:
            self._round_later()

    def connected(self, leg: Leg, state: ServerState, reused: bool) -> None:
        wheel, options = self._runtime.wheel, self._members.options
        self._state = state
        self._timer = wheel.after(options.handshake_timeout, self._handshake_late)
        self._end = ServerEnd(leg, wheel, b"GET", options.response_timeout, self)
        self._end.ask(self._handshake.request, NO_BODY)

    def _handshake_late(self) -> None:
        self._timer = None
        if self._end is not None:
            self._end.drop()
        self.server_failed(Cause.ANSWER_TIMEOUT, "no answer to the handshake in time")

    # What the server answers

    def informed(self, head: ResponseHead) -> None:
        """Interim answers of a handshake mean nothing."""

    def answered(self, head: ResponseHead) -> None:
        end, state, relay = self._end, self._state, self._relay
        if end is None or state is None or relay is None:
            raise AssertionError("an answer that nobody asked for")
        try:
            agreed = check_answer(head, self._handshake.offer)
        except HeadError as error:
            self._refused(str(error) if head.status == 101 else f"answered {head.status}")
            return
        if agreed != self._handshake.agreed:
            self._refused("another subprotocol than before")
            return
        self._found = self._runtime.wheel.seconds()
        state.succeeded(self._found)
        self._why = f"{state.server}: closed again at once"
        self._end = self._state = None
        leg, rest = end.release()
        self._session.moved(state)
        self.stop()
        relay.replace_leg(Side.SERVER, leg, rest)

    def _refused(self, why: str) -> None:
        if self._end is not None:
            self._end.drop()
        self.server_failed(Cause.BAD_ANSWER, why)

    def answer_body(self, data: Data) -> None:
        """Only a 101 is taken, which has no body."""

    def answer_pause(self) -> None:
        """Only a 101 is taken, which has no body."""

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        """Only a 101 is taken, which has no body."""

    def server_failed(self, cause: Cause, detail: str) -> None:
        self._end = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        state, dialling = self._state, self._dialling
        if state is not None:
            state.failed(self._runtime.wheel.seconds())
            detail = f"{state.server}: {detail}"
        self._release()
        if dialling is not None:
            dialling.go_on(cause, detail)

    def _release(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            state.released()
