"""A client's end on a leg in memory, with what answers its requests under the test's control."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from wsgate.causes import Cause
from wsgate.config.load import parse_config
from wsgate.config.model import Listener
from wsgate.downstream.http_end import HttpEnd
from wsgate.transport.interfaces import Data
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.wire.fields import Fields
from wsgate.wire.framing import Ending, Framing
from wsgate.wire.heads import RequestHead


def listener(**options: object) -> Listener:
    """A listener with these options, the others by default."""
    lines = [f"{name} = {value}" for name, value in options.items()]
    text = "\n".join(["[listener web]", "bind = 127.0.0.1:0", *lines, "[route all]", "respond = 200 x"])
    return parse_config(text, "test", Path("/")).listeners[0]


class Answering:
    """One request: what the end told of it.  The answer is the test's."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.end: HttpEnd = rig.end
        self.head: RequestHead | None = None
        self.body = b""
        self.pieces = 0
        self.trailers: Fields | None = None
        self.refused: tuple[Cause, str] | None = None
        self.failed: Cause | None = None
        self.gone: Cause | None = None
        self.stays = False

    # What the end tells

    def begin(self, end: HttpEnd, head: RequestHead) -> None:
        self.head = head
        self.rig.begun(self)

    def refuse(self, end: HttpEnd, cause: Cause, detail: str) -> None:
        self.refused = (cause, detail)
        self.answer(cause.status, keep=False)

    def request_body(self, data: Data) -> None:
        self.body += bytes(data)
        self.pieces += 1

    def request_end(self, trailers: Fields) -> None:
        self.trailers = trailers
        self.rig.whole(self)

    def request_failed(self, cause: Cause, detail: str) -> None:
        self.failed = cause
        if self.end.answer.begun:
            self.end.abort()
        else:
            self.answer(cause.status, keep=False)

    def client_ended(self) -> bool:
        return self.stays

    def client_gone(self, cause: Cause) -> None:
        self.gone = cause

    # What the test does

    def start(self, status: int = 200, length: int | None = None) -> None:
        """Send the head of the answer; without a length the body is chunked."""
        framing = Framing(Ending.CHUNKED) if length is None else Framing(Ending.LENGTH, length)
        fields = [] if length is None else [(b"Content-Length", b"%d" % length)]
        self.end.answer.head(status, b"", fields, framing)
        self.end.answer.flush()

    def answer(self, status: int = 200, body: bytes = b"", *, keep: bool = True) -> None:
        """Give the whole answer."""
        if not keep:
            self.end.answer.keep = False
        self.start(status, len(body))
        self.end.answer.body(body)
        self.finish()

    def finish(self) -> None:
        self.end.answer.end()
        self.end.finish()

    def take_body(self) -> None:
        self.end.want_body()


def nothing(answering: Answering) -> None:
    """What ``begun`` and ``whole`` do unless a test says otherwise."""


class Rig:
    """The end, its leg and its clock.  ``begun`` is called for each request, ``whole`` when its body is there."""

    def __init__(self, room: int = 1 << 40, *, half_closes: bool = True, **options: object) -> None:
        self.clock: Any = Clock()
        self.wheel = TimerWheel(self.clock)
        self.leg = MemoryLeg(lambda call: self.clock.callLater(0, call), room, half_closes=half_closes)
        self.gone = 0
        self.requests: list[Answering] = []
        self.begun: Callable[[Answering], None] = nothing
        self.whole: Callable[[Answering], None] = nothing
        self.end = HttpEnd(self.leg, listener(**options), self.wheel, self._make, self._count_gone)
        self.end.start()
        self.leg.resumeProducing()

    def _make(self) -> Answering:
        answering = Answering(self)
        self.requests.append(answering)
        return answering

    def _count_gone(self) -> None:
        self.gone += 1

    @property
    def request(self) -> Answering:
        """The latest request."""
        return self.requests[-1]

    def settle(self) -> None:
        """Let what is to happen soon happen."""
        self.clock.advance(0)

    def passes(self, seconds: float) -> None:
        """Let time pass, with the tick by which deadlines may be late."""
        self.clock.pump([TICK / 2] * int((seconds + 2 * TICK) / TICK * 2))

    def heard(self) -> bytes:
        """What the client has been sent since the last look."""
        return self.leg.take_all()
