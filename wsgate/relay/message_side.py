"""One side of the ``messages`` relay: a leg, autobahn on it, and the reasons for not listening to it now."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from wsgate.causes import Cause, Side
from wsgate.relay.allowance import Allowance
from wsgate.relay.interfaces import Ending
from wsgate.relay.keepalive import is_pong_to_us, next_ping
from wsgate.relay.message_hooks import Close, Waiting, ask
from wsgate.relay.talk import Talk
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import Timer, TimerWheel
from wsgate.wire.ws_encoding import PING, PONG

if TYPE_CHECKING:
    from wsgate.relay.messages import Messages


class Hold(IntFlag):
    """Why a side is not listened to: neither is its leg read, nor what has been read taken apart."""

    NOT_STARTED = 1
    FLOW = 2  # the other side takes what it is sent too slowly
    RATE = 4  # the peer is ahead of its rate
    HOOK = 8  # a hook has not answered yet
    NEWS = 16  # the other side has left, and its last words have not been heard


class MessageSide:
    """What a peer says goes to the ``other`` side, one after the other.

    ``shut``: a Close has been sent to this peer, nothing may follow it.  ``said``: the Close that came from it, after
    which nothing is heard.  ``failed``: it broke a rule, and ``verdict`` is the Close that it gets for it shortly.
    ``fin``: it will send no more.  ``gone``: the leg is lost.  ``asked``: pings of the other side that it has not
    answered.
    """

    __slots__ = (
        "_blind",
        "_held",
        "_ping",
        "_pinged_at",
        "_timer",
        "_told_over",
        "_waiting",
        "allowance",
        "asked",
        "dropped",
        "failed",
        "fin",
        "gone",
        "leg",
        "other",
        "relay",
        "rtt",
        "said",
        "shut",
        "side",
        "talk",
        "verdict",
    )

    other: MessageSide

    def __init__(self, relay: Messages, side: Side, leg: Leg, talk: Talk) -> None:
        self.relay = relay
        self.side = side
        self.leg = leg
        self.talk = talk
        self.allowance: Allowance | None = None
        self.shut = self.failed = self.fin = self.gone = False
        self.said: tuple[int, str] | None = None
        self.verdict: tuple[int, str] | None = None
        self.dropped = 0  # bytes that came when nothing was passed on any more
        self.rtt: float | None = None
        self._held = Hold.NOT_STARTED
        self._waiting: Waiting | None = None
        self._timer: Timer | None = None
        self._told_over = False
        self._blind = 0
        self._ping = b""
        self._pinged_at = 0.0
        self.asked = 0
        talk.held = True

    # What the peer says

    def message(self, payload: bytes, binary: bool) -> None:
        if self.allowance is not None:
            self.relay.count(self, self.allowance, len(payload))
        hook = self.relay.hook
        if hook is None or self._passes_nothing:
            self.pass_on(payload, binary)
        else:
            self._waiting = ask(hook, self.relay.facts, self.side, payload, binary, self)
            if self._waiting is not None:
                self.hold(Hold.HOOK)

    @property
    def _passes_nothing(self) -> bool:
        """Whether the other peer gets nothing more from this one."""
        return self.other.shut or self.other.gone or self.failed

    def pass_on(self, payload: bytes, binary: bool) -> None:
        if self._passes_nothing:
            self.ignored(len(payload))
        else:
            self.other.talk.send(payload, binary)

    def ping(self, payload: bytes) -> None:
        self._pass_control(PING, payload)
        self.other.asked += 1
        self.other.talk.asked()

    def pong(self, payload: bytes) -> None:
        if is_pong_to_us(payload, self._ping):
            if payload == self._ping and self._pinged_at >= 0:
                self.rtt = self.relay.seconds() - self._pinged_at
                self._pinged_at = -1.0
        else:
            self.asked = 0
            self._pass_control(PONG, payload)

    def empty(self) -> None:
        if self.allowance is not None:
            self.relay.count(self, self.allowance, 0)

    def _pass_control(self, opcode: int, payload: bytes) -> None:
        if self.allowance is not None:
            self.relay.count(self, self.allowance, len(payload))
        if self._passes_nothing:
            self.ignored(len(payload))
        else:
            self.other.talk.sendFrame(opcode, payload)

    def close(self, code: int, reason: str) -> None:
        self.said = (code, reason)
        self.relay.closing.close_said(self, code, reason)

    def violated(self, code: int, text: str) -> None:
        self.relay.closing.violated(self, code, text)

    def ignored(self, size: int) -> None:
        self.dropped += size
        self.relay.closing.dropped(self)

    def input_over(self) -> None:
        self.fin = True
        self._tell_over()

    def lost(self, reason: Failure) -> None:
        self.gone = self.fin = True
        self.other.hear_out()
        if self._held & Hold.RATE:
            # What is left of a read may be minutes of its rate, for which the other side would be kept.
            self.talk.deaf = True
            self._rate_kept()
        self._tell_over()
        self.relay.closing.leg_lost(self)

    def _tell_over(self) -> None:
        """All that came has been taken: say that nothing more will."""
        if self.fin and not self._held and not self._told_over:
            self._told_over = True
            self.relay.closing.input_over(self)

    # What a hook answers

    def hook_passed(self, payload: bytes, binary: bool) -> None:
        self.pass_on(payload, binary)
        self._answered()

    def hook_dropped(self) -> None:
        self._answered()

    def hook_closed(self, close: Close) -> None:
        ending = Ending(Cause.POLICY, Side.GATEWAY, close.code, close.reason)
        self.relay.closing.close(ending, close.code, close.code)
        self._answered()

    def hook_failed(self, failure: Failure) -> None:
        self.relay.hook_failed(failure)
        self._answered()

    def _answered(self) -> None:
        self._waiting = None
        self.release(Hold.HOOK)

    # Listening or not

    def hold(self, why: Hold) -> None:
        self._held |= why
        self.talk.held = True
        self.leg.pauseProducing()

    def release(self, why: Hold) -> None:
        """Listen again, unless there is another reason not to: first to what has been read already."""
        if not self._held & why:
            return
        self._held &= ~why
        if self._held:
            return
        self._blind += 1
        self.talk.held = False
        self.talk.listen()
        if self._held:
            return
        if not self.gone:
            self.leg.resumeProducing()
        self._tell_over()

    def hold_for(self, seconds: float, wheel: TimerWheel) -> None:
        """Do not listen for so long: the peer is ahead of its rate."""
        self.hold(Hold.RATE)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = wheel.after(seconds, self._rate_kept)

    def _rate_kept(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.release(Hold.RATE)

    def hear_out(self) -> None:
        """What this peer says can no longer be passed on: read it, so that its Close and its end are noticed."""
        self._stop_waiting()
        self.allowance = None
        self.release(Hold.FLOW | Hold.RATE | Hold.HOOK | Hold.NEWS)

    def _stop_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self) -> None:
        """The relay is over."""
        self._told_over = self.talk.deaf = True
        self._stop_waiting()

    @property
    def at_boundary(self) -> bool:
        """Whether what came ends between two messages, and the next thing may be one."""
        return not (self._held or self.shut or self.fin or self.said) and self.talk.at_boundary

    def pauseProducing(self) -> None:
        """The other leg has bytes waiting."""
        if self.other.leg.queued > self.relay.buffer and not self.other.shut:
            self.hold(Hold.FLOW)

    def resumeProducing(self) -> None:
        """The other leg has none any more."""
        self.release(Hold.FLOW)

    def stopProducing(self) -> None:
        """The other leg is gone; ``lost`` says so too."""

    # Towards the peer

    def send_close(self, code: int, reason: str) -> None:
        """Send a Close, the last frame that this peer gets."""
        if not (self.shut or self.gone):
            self.shut = True
            self.talk.send_close(code, reason)
            self.other.hear_out()

    def send_ping(self) -> None:
        """Ask for a sign of life.

        A relayed ping that waits for its pong asks as well: a peer may answer only the latest (RFC 6455 section
        5.5.3), and would leave ours out, or the other side's.
        """
        if not self.asked:
            self._ping = next_ping(self._ping, self.relay.random)
            self._pinged_at = self.relay.seconds()
            self.talk.sendFrame(PING, self._ping)

    def may_ping(self) -> bool:
        return not (self.shut or self.gone or self.failed or self._held & Hold.NOT_STARTED)

    def life(self) -> int:
        """Any byte is life, since a peer in the middle of a frame cannot answer."""
        if self._held or self.leg.queued:
            # It may have said something that was not read, or be busy reading what the ping is queued behind.
            self._blind += 1
        return self.leg.received + self._blind
