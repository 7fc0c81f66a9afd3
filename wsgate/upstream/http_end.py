"""The server's end of HTTP/1: one request out, its answer in."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from twisted.python.failure import Failure

from wsgate.causes import Cause
from wsgate.transport.deadline import Deadline
from wsgate.transport.interfaces import NOBODY, Data, Leg
from wsgate.transport.wheel import TimerWheel
from wsgate.wire.fields import Fields, HeadError
from wsgate.wire.framing import Ending as BodyEnding
from wsgate.wire.framing import Framing
from wsgate.wire.heads import ResponseHead
from wsgate.wire.http_body import LAST_CHUNK, BodyReader, chunk_head, last_chunk
from wsgate.wire.http_head import ResponseReader

#: Bounds of an answer's head (bytes, fields): an upstream is trusted with more than a client, but not with our memory.
MAX_HEAD = 64 * 1024
MAX_FIELDS = 256


class Asking(Protocol):
    """Who asked the server."""

    def informed(self, head: ResponseHead) -> None:
        """A 1xx answer, other than 101."""

    def answered(self, head: ResponseHead) -> None:
        """The head of the final answer, or of a 101."""

    def answer_body(self, data: Data) -> None: ...

    def answer_pause(self) -> None:
        """What was read has been passed on; more may take a while."""

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        """The answer is complete; ``reusable`` connections may carry another request."""

    def server_failed(self, cause: Cause, detail: str) -> None:
        """There will be no more answer: lost, late or wrong."""


class Phase(Enum):
    """Where the answer stands."""

    HEAD = "head"
    BODY = "body"
    OVER = "over"


class ServerEnd:
    """One request on a server's leg.

    ``timeout`` bounds, in seconds, each wait for something of the answer, and for a server to take some of the request.
    """

    __slots__ = (
        "_asking",
        "_body",
        "_chunked",
        "_deadline",
        "_head",
        "_phase",
        "_reader",
        "_received",
        "_request_sent",
        "_seen",
        "_timeout",
        "leg",
    )

    def __init__(self, leg: Leg, wheel: TimerWheel, method: bytes, timeout: float, asking: Asking) -> None:
        self.leg = leg
        self._timeout = timeout
        self._asking = asking
        self._reader = ResponseReader(MAX_HEAD, MAX_FIELDS, method)
        self._phase = Phase.HEAD
        self._head: ResponseHead | None = None
        self._body: BodyReader | None = None
        self._chunked = False
        self._request_sent = False
        self._received = leg.received
        self._seen = (0, 0)
        self._deadline = Deadline(wheel)

    # The request

    def ask(self, head: bytes, framing: Framing) -> None:
        """Send the head of the request and listen; the body follows by ``body`` and ``end``."""
        self._chunked = framing.ending is BodyEnding.CHUNKED
        self._request_sent = framing.ending is BodyEnding.NONE
        self.leg.protocol = self
        self.leg.write(head)
        self._arm()
        self.leg.resumeProducing()

    def body(self, data: Data) -> None:
        if self._chunked:
            self.leg.write(b"".join((chunk_head(len(data)), data, b"\r\n")))
        else:
            self.leg.write(data)

    def end(self, trailers: Fields) -> None:
        """The request is complete."""
        if self._chunked:
            self.leg.write(last_chunk(trailers) if trailers else LAST_CHUNK)
        self._request_sent = True

    @property
    def silent(self) -> bool:
        """Whether nothing at all has come as an answer."""
        return self.leg.received == self._received

    # The answer

    def dataReceived(self, data: Data) -> None:
        if self._phase is Phase.HEAD:
            self._read_heads(data)
        else:
            self._read_body(data)
        if self._phase is Phase.BODY:
            self._asking.answer_pause()

    def _read_heads(self, data: Data) -> None:
        while self._phase is Phase.HEAD:
            try:
                head = self._reader.feed(data)
            except HeadError as error:
                self._fail(Cause.BAD_ANSWER, str(error))
                return
            if head is None:
                return
            if head.status >= 200 or head.status == 101:
                self._read_answer(head)
            else:
                self._asking.informed(head)
            data = b""

    def _read_answer(self, head: ResponseHead) -> None:
        self._head = head
        self._phase = Phase.BODY
        body = self._body = BodyReader(head.framing, Cause.BAD_ANSWER)
        self._asking.answered(head)
        if self._phase is not Phase.BODY:
            return
        rest = self._reader.take_rest()
        if rest or body.done:
            self._read_body(rest)

    def _read_body(self, data: Data) -> None:
        body = self._body
        if body is None or self._phase is Phase.OVER:
            return
        try:
            pieces = body.feed(data)
        except HeadError as error:
            self._fail(Cause.BAD_ANSWER, str(error))
            return
        if pieces:
            # Chunks of one read go on as one: an answer of tiny chunks must not cost a system call for each.
            self._asking.answer_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        # A client that went away meanwhile has ended this end too.
        if body.done and self._still_reading():
            self._complete(body)

    def _still_reading(self) -> bool:
        return self._phase is Phase.BODY

    def _complete(self, body: BodyReader) -> None:
        head = self._head
        self._stop()
        whole = self._request_sent and not self.leg.queued
        reusable = whole and head is not None and head.keep_alive and not body.rest
        if not reusable:
            self.drop()
        self._asking.answer_end(body.trailers, reusable)

    def release(self) -> tuple[Leg, bytes]:
        """After a 101: give the leg and the bytes behind the head to a relay."""
        self._stop()
        self.leg.protocol = NOBODY
        return self.leg, self._reader.take_rest()

    def drop(self) -> None:
        """Nothing more is wanted of the server."""
        self._stop()
        self.leg.protocol = NOBODY
        self.leg.unregisterProducer()
        self.leg.abortConnection()

    def readConnectionLost(self) -> None:
        body = self._body
        if self._phase is Phase.BODY and body is not None and body.body_eof():
            self._stop()
            self.drop()
            self._asking.answer_end([], False)
        elif self._phase is not Phase.OVER:
            self._fail(Cause.SERVER_LOST, "the server closed before its answer was complete")

    def connectionLost(self, reason: Failure) -> None:
        if self._phase is not Phase.OVER:
            self._fail(Cause.SERVER_LOST, "the server's connection was lost before its answer was complete")

    def _fail(self, cause: Cause, detail: str) -> None:
        if self._phase is not Phase.OVER:
            self.drop()
            self._asking.server_failed(cause, detail)

    # Deadline

    def _arm(self) -> None:
        self._seen = self._moved()
        self._deadline.set(self._timeout, self._look)

    def _moved(self) -> tuple[int, int]:
        """Bytes that came from the server, and that it (or its kernel) took."""
        return self.leg.received, self.leg.sent - self.leg.queued

    def _look(self) -> None:
        # A leg that is paused waits for the client, as does a request whose body is still on its way.
        if self._moved() != self._seen or self.leg.paused or not (self._request_sent or self.leg.queued):
            self._arm()
        elif self.leg.queued:
            self._fail(Cause.SERVER_STUCK, f"nothing of the request taken within {self._timeout:g} s")
        else:
            self._fail(Cause.ANSWER_TIMEOUT, f"no answer within {self._timeout:g} s")

    def _stop(self) -> None:
        self._phase = Phase.OVER
        self._deadline.drop()
