"""The client's end of HTTP/1: requests in order, one exchange at a time.

An exchange is given the head of a request and answers through an ``AnswerWriter``; it knows nothing of keep-alive or
pipelining.  A client that has sent its next request early is not read from until it is that request's turn, so at most
one read waits here.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure

from wsgate.causes import Cause
from wsgate.config.model import Listener
from wsgate.downstream.backpressure import Backpressure
from wsgate.downstream.http_answer import AnswerWriter
from wsgate.downstream.lingering import LINGER_BYTES, Lingering
from wsgate.downstream.serving import Serving
from wsgate.transport.deadline import Deadline
from wsgate.transport.interfaces import NOBODY, Data, Leg, Producer
from wsgate.transport.wheel import TimerWheel
from wsgate.wire.fields import HeadError
from wsgate.wire.framing import Framing
from wsgate.wire.heads import RequestHead
from wsgate.wire.http_body import BodyReader, body_reader
from wsgate.wire.http_head import RequestReader

#: Bytes of a request body that must arrive within each body_timeout: a slow upload goes on, a drip does not.
BODY_PACE = 64 * 1024

#: Seconds for the first request of a connection, or the rest of a head, when the listener closes.
FIRST_TIME = 1.0


class Phase(Enum):
    """Where the connection stands."""

    HEAD = "head"  # between requests, or within a head
    EXCHANGE = "exchange"
    DISCARD = "discard"  # answered; the rest of the request's body is read and dropped, then comes the next request
    CLOSING = "closing"  # nothing more is read
    LEFT = "left"  # the leg is gone or belongs to a relay


class HttpEnd:
    """HTTP/1 on a client's leg.  ``gone()`` is called once, when the leg is gone and was not released to a relay."""

    __slots__ = (
        "_begun_in",
        "_begun_out",
        "_body",
        "_deadline",
        "_ended",
        "_flow",
        "_gone",
        "_limits",
        "_looping",
        "_make",
        "_more_expected",
        "_phase",
        "_reader",
        "_requests",
        "_rest",
        "_seen",
        "_serving",
        "_stopping",
        "_wants_continue",
        "_wheel",
        "answer",
        "leg",
    )

    def __init__(
        self, leg: Leg, limits: Listener, wheel: TimerWheel, make: Callable[[], Serving], gone: Callable[[], None]
    ) -> None:
        self.leg = leg
        self.answer = AnswerWriter(leg)
        self._limits = limits
        self._wheel = wheel
        self._make = make
        self._gone = gone
        self._flow = Backpressure(leg, wheel, self.give_up)
        self._reader = RequestReader(limits.max_head, limits.max_fields)
        self._phase = Phase.HEAD
        self._serving: Serving | None = None
        self._body: BodyReader | None = None
        self._deadline = Deadline(wheel)
        self._rest = b""
        self._requests = 0
        self._seen = 0
        self._begun_in = self._begun_out = 0
        self._looping = self._wants_continue = self._stopping = self._ended = False
        # Whether the client may be sending more when the answer ends.
        self._more_expected = True

    def start(self) -> None:
        """Take the leg over.  The first head has its deadline from now on."""
        self.leg.protocol = self
        self._flow.start()
        self._deadline.set(self._limits.head_timeout, self._head_too_late)

    # Requests

    def dataReceived(self, data: Data) -> None:
        if self._phase is Phase.HEAD:
            self._read_head(data)
        elif self._phase is Phase.EXCHANGE:
            self._read_body(data)
        elif self._phase is Phase.DISCARD and self._body is not None:
            self._drop_body(self._body, data)

    def _read_head(self, data: Data) -> None:
        reader = self._reader
        begun = reader.held and reader.begun
        try:
            head = reader.feed(data)
        except HeadError as error:
            self._refuse(error.cause, str(error))
            return
        if head is not None:
            self._begin(head)
        elif self._requests and not begun and reader.begun:
            self._deadline.set(self._limits.head_timeout, self._head_too_late)

    def _begin(self, head: RequestHead) -> None:
        self._deadline.rest()
        self._flow.source = None
        self._requests += 1
        self._phase = Phase.EXCHANGE
        goes_on = not self._stopping and self._requests < self._limits.keepalive_requests
        self.answer.begin(head, goes_on and head.keep_alive)
        self._more_expected = head.keep_alive
        self._wants_continue = head.expects_continue
        self._rest = self._reader.take_rest() if self._reader.held else b""
        body = self._body = body_reader(head.framing)
        serving = self._serving = self._make()
        if not body.done:
            # The body is asked for once somebody takes it.
            self.leg.pauseProducing()
        serving.begin(self, head)
        if body.done and self._serving is serving:
            serving.request_end([])

    def want_body(self) -> None:
        """The exchange takes the request's body now: let it come, and say so to a client that waits to hear it."""
        body = self._body
        if body is None or body.done:
            return
        if self._wants_continue and not self._rest:
            self.answer.go_on()
        self._wants_continue = False
        self._seen = self.leg.received
        self._deadline.set(self._limits.body_timeout, self._body_too_late)
        rest, self._rest = self._rest, b""
        self.leg.resumeProducing()
        if rest:
            self._read_body(rest)

    def answer_early(self, framing: Framing) -> None:
        """The answer to a request with ``framing`` does not wait for its body: see what becomes of the connection.

        It is kept where the rest of the body is small and comes for certain.  A client that asked whether to send it
        may leave it out now, so that what follows could be either (RFC 9110 section 10.1.1).
        """
        if self._wants_continue or framing.length > LINGER_BYTES:
            self.answer.keep = False

    def _read_body(self, data: Data) -> None:
        body, serving = self._body, self._serving
        if body is None or serving is None or body.done:
            # The next request, before its turn.
            self._rest += bytes(data)
            self.leg.pauseProducing()
            return
        try:
            pieces = body.feed(data)
        except HeadError as error:
            self._body_failed(error.cause, str(error))
            return
        if pieces:
            # Chunks of one read go on as one: a body of tiny chunks must not cost a system call for each.
            serving.request_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if self._serving is not serving:
                return
        if body.done:
            self._deadline.drop()
            self._rest = bytes(body.rest)
            serving.request_end(body.trailers)

    def _body_failed(self, cause: Cause, detail: str) -> None:
        self._deadline.drop()
        self.answer.keep = False
        if self._serving is not None:
            self._serving.request_failed(cause, detail)

    def _refuse(self, cause: Cause, detail: str) -> None:
        """Answer something that is not a request, and close."""
        self._deadline.drop()
        self._flow.feed_from(None)
        self._phase = Phase.EXCHANGE
        self.answer.begin(None, False)
        self._more_expected = True
        self._serving = self._make()
        self._serving.refuse(self, cause, detail)

    # The end of an exchange

    def traffic(self) -> tuple[int, int]:
        """Bytes received and sent since the end of the exchange before, without those that belong to the next."""
        return self.leg.received - len(self._rest) - self._begun_in, self.leg.sent - self._begun_out

    @property
    def carried_before(self) -> tuple[int, int]:
        """The same up to the end of the exchange before."""
        return self._begun_in, self._begun_out

    def finish(self) -> None:
        """The answer is complete: go on to the next request, or close."""
        self._serving = None
        self._flow.source = None
        self._deadline.rest()
        body = self._body
        whole = body is not None and body.done
        if self.answer.keep and not self._stopping and body is not None:
            self._next() if whole else self._discard(body)
        elif self._rest or not whole or self._more_expected:
            self._linger()
        else:
            self.close()

    def _next(self) -> None:
        """Wait for the next request, and before that for the client to take what it has been answered."""
        self._body = None
        self._phase = Phase.HEAD
        self._begun_in, self._begun_out = self.leg.received - len(self._rest), self.leg.sent
        if self.leg.queued:
            # Requests make answers as any source does: a client that only asks and never reads is read no further.
            self._flow.feed_from(self)
        else:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        self._deadline.drop()
        self.leg.pauseProducing()

    def resumeProducing(self) -> None:
        if self._reader.held and self._reader.begun:
            self._deadline.set(self._limits.head_timeout, self._head_too_late)
        else:
            self._deadline.set(self._limits.keepalive_timeout, self.close)
        if self._rest or self._ended or self.leg.paused:
            self._go_on()

    def stopProducing(self) -> None:
        return

    def _go_on(self) -> None:
        """Serve what was sent ahead, then read again.  A loop, since answers may be given at once: no recursion."""
        if self._looping:
            return
        self._looping = True
        while self._phase is Phase.HEAD and self._rest and not self.leg.queued:
            rest, self._rest = self._rest, b""
            self._read_head(rest)
        self._looping = False
        if self._phase is not Phase.HEAD or self._rest:
            return
        if self._ended:
            self.close()
        elif not self.leg.queued:
            self.leg.resumeProducing()

    def _discard(self, body: BodyReader) -> None:
        """The answer did not need the rest of the request's body: drop it and keep the connection."""
        self._phase = Phase.DISCARD
        rest, self._rest = self._rest, b""
        self._seen = self.leg.received - len(rest)
        self._deadline.set(self._limits.body_timeout, self._linger)
        self.leg.resumeProducing()
        if rest:
            self._drop_body(body, rest)

    def _drop_body(self, body: BodyReader, data: Data) -> None:
        try:
            body.feed(data)
        except HeadError:
            self._linger()
            return
        if body.done:
            self._rest = bytes(body.rest)
            self.close() if self._stopping else self._next()
        elif self.leg.received - self._seen > LINGER_BYTES:
            self._linger()

    def release(self) -> tuple[Leg, bytes]:
        """Give the leg and the bytes behind the request to a relay; this end is done."""
        rest, self._rest = self._rest, b""
        self._leave()
        self.leg.protocol = NOBODY
        return self.leg, rest

    def _linger(self) -> None:
        """Close although the client may be sending."""
        self._deadline.drop()
        self._phase = Phase.LEFT
        Lingering(self.leg, self._wheel, self._lingered).start()

    def _lingered(self) -> None:
        self._flow.stop()
        self._gone()

    def close(self) -> None:
        """Close after what is queued, for as long as the client takes it."""
        self._deadline.drop()
        self._phase = Phase.CLOSING
        self.leg.loseConnection()

    def stop(self, *, gently: bool = False) -> None:
        """Close when the exchange that is going on is over, or ``gently`` the next one; idle connections at once.

        One that has just been accepted has a moment for its first request: its client was told that it is connected.
        """
        self._stopping = True
        if self._phase is Phase.HEAD:
            if not self._requests or self._reader.begun:
                self._deadline.set(FIRST_TIME, self.close)
            elif not gently:
                self.close()
        elif not self.answer.begun:
            self.answer.keep = False

    def abort(self) -> None:
        """Close at once, so that the client does not take the answer for complete."""
        self._serving = None
        self._deadline.drop()
        self.leg.abortConnection()

    def readConnectionLost(self) -> None:
        if self._phase is not Phase.EXCHANGE:
            self.close()
            return
        body, serving = self._body, self._serving
        if body is not None and body.done and serving is not None and serving.client_ended():
            self._ended = True
        else:
            leave = self.abort if self.answer.begun else self.close
            self._tell_gone(Cause.CLIENT_CLOSED)
            leave()

    def connectionLost(self, reason: Failure) -> None:
        if reason.type is not ConnectionAborted:
            self._tell_gone(Cause.CLIENT_LOST)
        else:
            # Cut from our side in the middle of an exchange: at the end of a drain, or after a fault of our own.
            self._tell_gone(Cause.STOPPING if self._stopping else Cause.INTERNAL)
        if self._phase is not Phase.LEFT:
            self._leave()
            self._gone()

    def _tell_gone(self, cause: Cause) -> None:
        serving, self._serving = self._serving, None
        self._flow.feed_from(None)
        if serving is not None:
            serving.client_gone(cause)

    def _leave(self) -> None:
        self._phase = Phase.LEFT
        self._serving = self._body = None
        self._deadline.drop()
        self._flow.stop()

    def feed_from(self, source: Producer | None) -> None:
        """``source`` makes the body of the answer: it is paused while the client does not keep up."""
        self._flow.feed_from(source)

    # Deadlines

    def give_up(self, cause: Cause = Cause.CLIENT_STUCK) -> None:
        """Close at once, in the middle of an answer."""
        self._tell_gone(cause)
        self.abort()

    def _head_too_late(self) -> None:
        if self._reader.begun:
            self._refuse(Cause.HEAD_TIMEOUT, f"no whole head within {self._limits.head_timeout:g} s")
        else:
            self.close()

    def _body_too_late(self) -> None:
        received = self.leg.received
        if received - self._seen >= BODY_PACE or self.leg.paused:
            self._seen = received
            self._deadline.set(self._limits.body_timeout, self._body_too_late)
        else:
            detail = f"{received - self._seen} bytes of the body within {self._limits.body_timeout:g} s"
            self._body_failed(Cause.BODY_TIMEOUT, detail)
