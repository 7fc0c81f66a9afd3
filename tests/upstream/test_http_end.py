"""The server's end of HTTP/1: where an answer ends, what may be used again, and how long it is waited for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.doubles.legs import MemoryLeg
from wsgate.causes import Cause
from wsgate.transport.interfaces import NOBODY, Data
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.upstream.http_end import MAX_HEAD, ServerEnd
from wsgate.wire.fields import Fields
from wsgate.wire.framing import CHUNKED, NO_BODY, Ending, Framing
from wsgate.wire.heads import ResponseHead

TIMEOUT = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Asker:
    """Who asked: it notes what it is told, in order."""

    def __init__(self, method: bytes = b"GET", room: int = 1 << 40) -> None:
        self.clock: Any = Clock()
        self.wheel = TimerWheel(self.clock)
        self.leg = MemoryLeg(lambda call: self.clock.callLater(0, call), room)
        self.end = ServerEnd(self.leg, self.wheel, method, TIMEOUT, self)
        self.interim: list[int] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.pieces = 0
        self.pauses = 0
        self.over: tuple[Fields, bool] | None = None
        self.failed: tuple[Cause, str] | None = None

    def informed(self, head: ResponseHead) -> None:
        self.interim.append(head.status)

    def answered(self, head: ResponseHead) -> None:
        assert self.head is None
        self.head = head

    def answer_body(self, data: Data) -> None:
        self.body += bytes(data)
        self.pieces += 1

    def answer_pause(self) -> None:
        self.pauses += 1

    def answer_end(self, trailers: Fields, reusable: bool) -> None:
        assert self.over is None and self.failed is None
        self.over = (trailers, reusable)

    def server_failed(self, cause: Cause, detail: str) -> None:
        assert self.over is None and self.failed is None
        self.failed = (cause, detail)

    # What the test does

    def ask(self, framing: Framing = NO_BODY) -> Asker:
        self.end.ask(REQUEST, framing)
        return self

    def passes(self, seconds: float) -> None:
        self.clock.pump([TICK] * int((seconds + 2 * TICK) / TICK))

    @property
    def dropped(self) -> bool:
        """Whether the connection was cut, and nothing is left that waits for it."""
        return self.leg.aborted and self.leg.protocol is NOBODY and not len(self.wheel)


# The answer


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("data", "body", "trailers"),
    [
        (OK, b"hello", []),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", []),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
            b"hello",
            [(b"A", b"b")],
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", []),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", []),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, b"hello", []),
    ],
)
def test_an_answer_in_pieces_of_any_size(data: bytes, body: bytes, trailers: Fields, size: int) -> None:
    asker = Asker().ask()
    assert asker.leg.take() == REQUEST
    for start in range(0, len(data), size):
        assert asker.over is None
        asker.leg.arrive(data[start : start + size])
    assert asker.body == body
    assert asker.over == (trailers, True)
    assert not asker.leg.aborted
    assert not len(asker.wheel)
    assert asker.interim == ([103, 100] if b"103" in data else [])


@pytest.mark.parametrize("size", [1, 1000])
def test_what_comes_behind_an_answer_spoils_the_connection(size: int) -> None:
    """With the answer in one read, the leg is dropped; later, whoever keeps the leg drops it."""
    asker = Asker().ask()
    data = OK + b"HTTP/1.1 200 OK\r\n"
    for start in range(0, len(data), size):
        asker.leg.arrive(data[start : start + size])
    assert asker.over == ([], size == 1)
    assert asker.body == b"hello"
    assert asker.leg.aborted is (size != 1)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_the_server_ends_is_dropped(data: bytes) -> None:
    asker = Asker().ask()
    asker.leg.arrive(data)
    assert asker.over == ([], False)
    assert asker.dropped


def test_an_answer_to_head_ends_at_its_head() -> None:
    asker = Asker(b"HEAD").ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert asker.over == ([], True)


def test_an_answer_without_a_length_ends_with_the_stream() -> None:
    asker = Asker().ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert asker.over is None
    asker.leg.end()
    assert (asker.body, asker.over) == (b"hello", ([], False))
    assert asker.dropped


def test_each_read_is_passed_on_before_the_next() -> None:
    asker = Asker().ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert asker.pauses == 1
    asker.leg.arrive(b"he")
    assert asker.pauses == 2


def test_tiny_chunks_of_one_read_go_on_as_one() -> None:
    asker = Asker().ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000)
    asker.leg.arrive(b"1\r\ny\r\n" * 1000 + b"0\r\n\r\n")
    assert asker.body == b"x" * 1000 + b"y" * 1000
    assert asker.pieces == 2


def test_a_101_is_for_the_asker_to_judge() -> None:
    asker = Asker().ask()
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    released: list[object] = []

    def answered(head: ResponseHead) -> None:
        assert head.status == 101
        released.append(asker.end.release())

    asker.answered = answered  # type: ignore[method-assign]
    asker.leg.arrive(data + b"\x81\x02hi")
    assert released == [(asker.leg, b"\x81\x02hi")]
    assert asker.leg.protocol is NOBODY
    assert not len(asker.wheel)
    assert asker.over is None


def test_an_asker_that_drops_the_server_hears_no_more() -> None:
    asker = Asker().ask()
    asker.answered = lambda head: asker.end.drop()  # type: ignore[method-assign]
    asker.leg.arrive(OK)
    assert (asker.body, asker.over, asker.failed) == (b"", None, None)
    assert asker.dropped


# Faults


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
def test_an_answer_that_is_wrong_is_told_once(data: bytes) -> None:
    asker = Asker().ask()
    asker.leg.arrive(data)
    asker.leg.arrive(OK)
    asker.clock.advance(0)
    assert asker.failed is not None and asker.failed[0] is Cause.BAD_ANSWER
    assert asker.dropped


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", b"HTTP/1.1 100 Continue\r\n\r\n", OK[:-1]])
@pytest.mark.parametrize("way", ["end", "reset"])
def test_a_server_that_leaves_before_its_answer_is_whole_is_lost(data: bytes, way: str) -> None:
    asker = Asker().ask()
    asker.leg.arrive(data)
    getattr(asker.leg, way)()
    assert asker.failed is not None and asker.failed[0] is Cause.SERVER_LOST
    assert asker.end.silent is (data == b"")
    assert not len(asker.wheel)


def test_a_stream_that_is_reset_is_not_complete() -> None:
    asker = Asker().ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\n\r\nhello")
    asker.leg.reset()
    assert asker.over is None
    assert asker.failed is not None and asker.failed[0] is Cause.SERVER_LOST


def test_silence_is_counted_from_the_request() -> None:
    """On a connection that was used before."""
    asker = Asker()
    asker.leg.received = 1000
    asker.end = ServerEnd(asker.leg, asker.wheel, b"GET", TIMEOUT, asker)
    assert asker.ask().end.silent
    asker.leg.arrive(b"H")
    assert not asker.end.silent


# The request


def test_a_body_with_a_length_goes_out_as_it_is() -> None:
    asker = Asker(b"POST").ask(Framing(Ending.LENGTH, 5))
    asker.end.body(b"he")
    asker.end.body(memoryview(b"llo"))
    asker.end.end([])
    assert asker.leg.take() == REQUEST + b"hello"


def test_a_chunked_body_keeps_its_trailers() -> None:
    asker = Asker(b"POST").ask(CHUNKED)
    asker.end.body(b"hello")
    asker.end.end([(b"A", b"b")])
    assert asker.leg.take() == REQUEST + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("sent", [False, True])
def test_an_early_answer_leaves_a_connection_only_where_the_request_was_sent(sent: bool) -> None:
    asker = Asker(b"POST").ask(Framing(Ending.LENGTH, 5))
    asker.end.body(b"hello" if sent else b"he")
    if sent:
        asker.end.end([])
    asker.leg.arrive(OK)
    assert asker.over == ([], sent)
    assert asker.leg.aborted is not sent


def test_an_early_answer_spoils_a_connection_on_which_the_request_still_waits() -> None:
    asker = Asker(b"POST", room=10).ask(Framing(Ending.LENGTH, 100))
    asker.end.body(b"x" * 100)
    asker.end.end([])
    asker.leg.arrive(OK)
    assert asker.over == ([], False)


# Deadlines


def test_a_server_has_its_time_for_an_answer() -> None:
    asker = Asker().ask()
    asker.passes(TIMEOUT - 0.3)
    assert asker.failed is None
    asker.passes(0.3)
    assert asker.failed is not None and asker.failed[0] is Cause.ANSWER_TIMEOUT
    assert asker.dropped


def test_the_time_is_between_two_pieces() -> None:
    asker = Asker().ask()
    asker.leg.arrive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    for _ in range(4):
        asker.passes(TIMEOUT - 1)
        asker.leg.arrive(b"x")
    assert asker.failed is None
    asker.passes(2 * TIMEOUT)
    assert asker.failed is not None and asker.failed[0] is Cause.ANSWER_TIMEOUT


def test_a_server_that_is_not_read_has_no_deadline() -> None:
    asker = Asker().ask()
    asker.leg.pauseProducing()
    asker.passes(10 * TIMEOUT)
    assert asker.failed is None
    asker.leg.resumeProducing()
    asker.passes(2 * TIMEOUT)
    assert asker.failed is not None


def test_a_server_that_waits_for_the_request_has_no_deadline() -> None:
    asker = Asker(b"POST").ask(Framing(Ending.LENGTH, 5))
    asker.passes(10 * TIMEOUT)
    assert asker.failed is None
    asker.end.body(b"hello")
    asker.end.end([])
    asker.passes(2 * TIMEOUT)
    assert asker.failed is not None and asker.failed[0] is Cause.ANSWER_TIMEOUT


def test_a_server_that_takes_nothing_of_a_request_is_given_up() -> None:
    asker = Asker(b"POST", room=100).ask(Framing(Ending.LENGTH, 1000))
    asker.end.body(b"x" * 500)
    for _ in range(5):
        asker.passes(TIMEOUT - 1)
        asker.leg.take(10)
    assert asker.failed is None
    asker.passes(2 * TIMEOUT)
    assert asker.failed is not None and asker.failed[0] is Cause.SERVER_STUCK
    assert asker.dropped
