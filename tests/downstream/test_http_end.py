"""The client's end of HTTP/1: order, bodies on demand, deadlines, and the ends of a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.downstream.end_rig import Answering, Rig
from wsgate.causes import Cause
from wsgate.downstream.backpressure import SEND_TIMEOUT
from wsgate.downstream.http_end import BODY_PACE, FIRST_TIME
from wsgate.downstream.lingering import LINGER_BYTES, LINGER_TIME
from wsgate.transport.interfaces import NOBODY
from wsgate.wire.framing import CHUNKED, NO_BODY, Ending, Framing

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
WAITING_POST = POST[:-2] + b"Expect: 100-continue\r\n\r\n"


def answers_at_once(answering: Answering) -> None:
    answering.answer(200, b"ok")


def takes_body(answering: Answering) -> None:
    answering.take_body()


class Source:
    """What makes the body of an answer."""

    def __init__(self) -> None:
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        raise AssertionError("nobody stops a source")


# Requests


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_requests_in_pieces_of_any_size_are_the_same(size: int) -> None:
    rig = Rig()
    rig.begun = takes_body
    rig.whole = answers_at_once
    data = GET + POST + b"hello" + CHUNKED_POST + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n" + GET
    for start in range(0, len(data), size):
        rig.leg.arrive(data[start : start + size])
    assert [request.head.method for request in rig.requests if request.head] == [b"GET", b"POST", b"POST", b"GET"]
    assert [request.body for request in rig.requests] == [b"", b"hello", b"hello", b""]
    assert [request.trailers for request in rig.requests] == [[], [], [(b"A", b"b")], []]
    assert rig.heard().count(b"HTTP/1.1 200 OK\r\n") == 4


def test_thousands_of_requests_in_one_read_are_answered_without_recursion() -> None:
    rig = Rig(keepalive_requests=10_000)
    rig.begun = answers_at_once
    rig.leg.arrive(GET * 5000)
    assert len(rig.requests) == 5000
    assert rig.heard().count(b"HTTP/1.1 200 OK\r\n") == 5000


def test_the_next_request_waits_for_the_answer_to_the_first() -> None:
    rig = Rig()
    rig.leg.arrive(GET + GET)
    assert len(rig.requests) == 1
    rig.leg.arrive(GET)
    assert rig.leg.paused, "what waits here is bounded by one read"
    rig.request.answer()
    assert len(rig.requests) == 2
    rig.request.answer()
    assert len(rig.requests) == 3
    rig.request.answer()
    assert not rig.leg.paused


def test_a_body_is_read_when_somebody_takes_it() -> None:
    rig = Rig()
    rig.leg.arrive(POST + b"he")
    assert rig.leg.paused
    rig.leg.arrive(b"llo" + GET)
    rig.request.take_body()
    rig.settle()
    assert (rig.request.body, rig.request.trailers) == (b"hello", [])
    rig.request.answer()
    assert len(rig.requests) == 2


def test_tiny_chunks_of_one_read_go_on_as_one() -> None:
    rig = Rig()
    rig.begun = takes_body
    rig.leg.arrive(CHUNKED_POST + b"1\r\nx\r\n" * 1000)
    rig.leg.arrive(b"1\r\ny\r\n" * 1000 + b"0\r\n\r\n")
    assert rig.request.body == b"x" * 1000 + b"y" * 1000
    assert rig.request.pieces == 2


def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_taken() -> None:
    rig = Rig()
    rig.leg.arrive(WAITING_POST)
    assert not rig.heard()
    rig.request.take_body()
    assert rig.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.request.take_body()
    assert not rig.heard()


def test_a_client_that_does_not_wait_is_not_told() -> None:
    rig = Rig()
    rig.leg.arrive(WAITING_POST + b"hello")
    rig.request.take_body()
    assert not rig.heard()
    assert rig.request.body == b"hello"


def test_a_body_that_is_wrong_ends_the_connection() -> None:
    rig = Rig()
    rig.begun = takes_body
    rig.leg.arrive(CHUNKED_POST + b"zz\r\n" + GET)
    assert rig.request.failed is Cause.BAD_REQUEST
    assert b"Connection: close\r\n" in rig.heard()
    assert rig.leg.write_ended
    assert len(rig.requests) == 1


def test_a_body_that_turns_wrong_after_the_answer_began_aborts() -> None:
    rig = Rig()
    rig.begun = takes_body
    rig.leg.arrive(CHUNKED_POST)
    rig.request.start()
    rig.leg.arrive(b"zz\r\n")
    rig.settle()
    assert rig.leg.aborted
    assert rig.gone == 1


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Cause.BAD_REQUEST),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", Cause.VERSION),
        (b"GET /" + b"a" * 20_000, Cause.HEAD_SIZE),
        (b"\x16\x03\x01", Cause.BAD_REQUEST),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(data: bytes, cause: Cause) -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.request.answer()
    rig.heard()
    rig.leg.arrive(data)
    assert rig.request.refused is not None and rig.request.refused[0] is cause
    assert rig.heard().startswith(b"HTTP/1.1 %d " % cause.status)
    assert rig.leg.write_ended


# The end of an exchange


def test_bytes_belong_to_the_request_they_came_for() -> None:
    rig = Rig()
    seen: list[tuple[int, int]] = []

    def counts(answering: Answering) -> None:
        answering.start(200, 2)
        answering.end.answer.body(b"ok")
        seen.append(rig.end.traffic())
        answering.finish()

    rig.begun = takes_body
    rig.whole = counts
    rig.leg.arrive(GET + POST + b"hello" + GET[:10])
    rig.leg.arrive(GET[10:])
    sent = len(rig.heard())
    assert [received for received, _ in seen] == [len(GET), len(POST) + 5, len(GET)]
    assert sum(answered for _, answered in seen) == sent


@pytest.mark.parametrize("rest", [b"", b"hello"])
def test_a_small_body_that_nobody_took_is_dropped(rest: bytes) -> None:
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(POST + rest)
    rig.leg.arrive((b"hello" + GET)[len(rest) :])
    assert len(rig.requests) == 2
    assert b"Connection" not in rig.heard()


def test_a_body_that_nobody_took_has_a_bound() -> None:
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(CHUNKED_POST)
    rig.leg.arrive(b"%x\r\n" % (2 * LINGER_BYTES) + b"x" * LINGER_BYTES)
    assert rig.leg.write_ended
    assert len(rig.requests) == 1


@pytest.mark.parametrize("framing", [Framing(Ending.LENGTH, LINGER_BYTES + 1), Framing(Ending.LENGTH, 5)])
def test_an_answer_says_close_where_the_body_will_not_be_dropped(framing: Framing) -> None:
    rig = Rig()
    rig.leg.arrive(WAITING_POST if framing.length == 5 else POST.replace(b"5", b"%d" % framing.length))
    rig.end.answer_early(framing)
    rig.request.answer()
    assert b"Connection: close\r\n" in rig.heard()
    assert rig.leg.write_ended


@pytest.mark.parametrize("framing", [NO_BODY, CHUNKED, Framing(Ending.LENGTH, LINGER_BYTES)])
def test_an_answer_keeps_the_connection_where_the_body_is_dropped(framing: Framing) -> None:
    rig = Rig()
    rig.leg.arrive(POST)
    rig.end.answer_early(framing)
    rig.request.answer()
    assert b"Connection" not in rig.heard()


def test_what_is_left_of_a_body_has_a_deadline() -> None:
    rig = Rig(body_timeout="5s")
    rig.begun = answers_at_once
    rig.leg.arrive(POST)
    rig.passes(5)
    assert rig.leg.write_ended


def test_a_connection_ends_after_its_number_of_requests() -> None:
    rig = Rig(keepalive_requests=2)
    rig.begun = answers_at_once
    rig.leg.arrive(GET * 3)
    assert len(rig.requests) == 2
    assert rig.heard().count(b"Connection: close\r\n") == 1


def test_a_client_that_wants_the_end_gets_it_at_once() -> None:
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(GET[:-2] + b"Connection: close\r\n\r\n")
    rig.settle()
    assert rig.leg.closed
    assert rig.gone == 1
    assert not len(rig.wheel)


def test_a_client_that_may_be_sending_is_given_time_to_read() -> None:
    """The gateway ends the connection, the client does not know yet: no close with bytes unread."""
    rig = Rig()
    rig.leg.arrive(GET)
    rig.request.answer(keep=False)
    rig.settle()
    assert rig.leg.write_ended and not rig.leg.closed
    rig.leg.arrive(GET * 10)
    assert len(rig.requests) == 1
    rig.passes(LINGER_TIME)
    assert rig.leg.closed
    assert rig.gone == 1
    assert not len(rig.wheel)


def test_a_relay_gets_the_leg_and_what_came_behind_the_request() -> None:
    rig = Rig()
    rig.leg.arrive(GET + b"\x81\x00")
    leg, rest = rig.end.release()
    assert (leg, rest) == (rig.leg, b"\x81\x00")
    assert leg.protocol is NOBODY
    assert not len(rig.wheel)
    rig.leg.reset()
    assert not rig.gone, "whoever has the leg hears of its end"


# Deadlines


def test_a_silent_client_is_closed_without_a_word() -> None:
    rig = Rig(head_timeout="10s")
    rig.passes(9.8)
    assert not rig.leg.closed
    rig.passes(0.2)
    assert rig.leg.closed
    assert not rig.heard() and not rig.requests


def test_a_dripping_head_is_a_408() -> None:
    rig = Rig(head_timeout="10s")
    for byte in GET[:20]:
        rig.leg.arrive(bytes([byte]))
        rig.passes(0.5)
    assert rig.request.refused is not None and rig.request.refused[0] is Cause.HEAD_TIMEOUT
    assert rig.heard().startswith(b"HTTP/1.1 408 ")


def test_the_time_of_a_later_head_begins_with_its_first_byte() -> None:
    rig = Rig(head_timeout="2s", keepalive_timeout="60s")
    rig.begun = answers_at_once
    rig.leg.arrive(GET)
    rig.passes(30)
    rig.leg.arrive(b"G")
    rig.passes(1.8)
    assert rig.request.refused is None
    rig.leg.arrive(b"E")
    rig.passes(0.3)
    assert rig.request.refused is not None and rig.request.refused[0] is Cause.HEAD_TIMEOUT


def test_half_a_head_behind_a_request_has_its_time_too() -> None:
    rig = Rig(head_timeout="2s", keepalive_timeout="60s")
    rig.begun = answers_at_once
    rig.leg.arrive(GET + b"GET /")
    rig.passes(2)
    assert rig.request.refused is not None and rig.request.refused[0] is Cause.HEAD_TIMEOUT


def test_a_connection_without_a_next_request_is_closed() -> None:
    rig = Rig(keepalive_timeout="75s")
    rig.begun = answers_at_once
    rig.leg.arrive(GET)
    rig.passes(74.8)
    assert not rig.leg.closed
    rig.passes(0.3)
    assert rig.leg.closed


def test_no_deadline_of_the_clients_runs_while_a_server_thinks() -> None:
    rig = Rig(head_timeout="1s", body_timeout="1s", keepalive_timeout="1s")
    rig.leg.arrive(GET)
    rig.passes(3600)
    assert not rig.leg.closed
    rig.request.answer()
    assert rig.heard()


def test_a_dripping_body_is_a_408() -> None:
    rig = Rig(body_timeout="4s")
    rig.begun = takes_body
    rig.leg.arrive(POST.replace(b"5", b"100"))
    for _ in range(8):
        rig.leg.arrive(b"x")
        rig.passes(0.5)
    assert rig.request.failed is Cause.BODY_TIMEOUT
    assert rig.heard().startswith(b"HTTP/1.1 408 ")


def test_a_body_that_makes_progress_may_take_its_time() -> None:
    rig = Rig(body_timeout="4s")
    rig.begun = takes_body
    rig.leg.arrive(POST.replace(b"5", b"%d" % (10 * BODY_PACE)))
    for _ in range(9):
        rig.leg.arrive(b"x" * BODY_PACE)
        rig.passes(3.8)
    assert rig.request.failed is None
    rig.leg.arrive(b"x" * BODY_PACE)
    rig.passes(60)
    assert rig.request.failed is None, "the body is whole"


def test_a_body_that_nobody_reads_has_no_deadline() -> None:
    """The leg is paused for the server's sake."""
    rig = Rig(body_timeout="4s")
    rig.begun = takes_body
    rig.leg.arrive(POST)
    rig.leg.pauseProducing()
    rig.passes(20)
    assert rig.request.failed is None
    rig.leg.resumeProducing()
    rig.passes(8.1)
    assert rig.request.failed is Cause.BODY_TIMEOUT


# Flow


def test_a_source_is_paused_while_the_client_does_not_keep_up() -> None:
    rig = Rig(room=100)
    source = Source()
    rig.leg.arrive(GET)
    rig.end.feed_from(source)
    rig.request.start()
    rig.end.answer.body(b"x" * 1000)
    assert source.paused
    rig.leg.take(500)
    assert source.paused
    rig.heard()
    assert not source.paused


def test_a_source_that_comes_while_bytes_wait_is_paused_at_once() -> None:
    rig = Rig(room=10)
    rig.leg.arrive(GET + GET)
    rig.request.answer(200, b"x" * 100)
    source = Source()
    rig.end.feed_from(source)
    assert source.paused


def test_a_client_that_asks_and_never_reads_is_read_no_further() -> None:
    rig = Rig(room=100, keepalive_requests=10_000)
    rig.begun = answers_at_once
    for _ in range(50):
        rig.leg.arrive(GET * 10)
    assert rig.leg.paused
    assert len(rig.requests) == 3, "what fits, and one answer that waits"
    rig.leg.take(10)
    assert len(rig.requests) == 3
    heard = b""
    while piece := rig.heard():
        heard += piece
        rig.settle()
    assert len(rig.requests) == 500
    assert heard.count(b"HTTP/1.1 200 OK") == 499, "and one whose beginning had been taken"


def test_no_deadline_of_the_next_request_runs_while_the_client_takes_its_answers() -> None:
    rig = Rig(room=10, keepalive_timeout="5s", head_timeout="5s")
    rig.begun = answers_at_once
    rig.leg.arrive(GET + GET[:5])
    for _ in range(3):
        rig.passes(SEND_TIMEOUT - 1)
        rig.leg.take(1)
    assert not rig.leg.closed
    rig.heard()
    rig.passes(4)
    assert rig.request.refused is None
    rig.passes(1.1)
    assert rig.request.refused is not None and rig.request.refused[0] is Cause.HEAD_TIMEOUT


def test_a_client_that_only_reads_gets_all_it_asked_for() -> None:
    """Also where it reads slowly and has closed its direction."""
    rig = Rig(room=10)
    rig.begun = answers_at_once
    rig.leg.arrive(GET * 3)
    rig.leg.end()
    heard = b""
    while piece := rig.leg.take(7):
        heard += piece
        rig.settle()
    assert heard.count(b"HTTP/1.1 200 OK") == 3
    assert rig.leg.closed


def test_a_client_that_takes_nothing_is_given_up() -> None:
    rig = Rig(room=10)
    rig.leg.arrive(GET)
    rig.request.start()
    rig.passes(SEND_TIMEOUT - 0.3)
    assert rig.request.gone is None
    rig.passes(0.3)
    assert rig.request.gone is Cause.CLIENT_STUCK
    assert rig.leg.aborted
    assert rig.gone == 1


def test_a_client_that_takes_a_little_is_not() -> None:
    rig = Rig(room=10)
    rig.leg.arrive(GET)
    rig.request.start(200, 1000)
    rig.end.answer.body(b"x" * 1000)
    for _ in range(10):
        rig.passes(SEND_TIMEOUT - 1)
        rig.leg.take(5)
    assert rig.request.gone is None


def test_the_last_bytes_have_a_deadline_too() -> None:
    rig = Rig(room=10)
    rig.begun = answers_at_once
    rig.leg.arrive(GET[:-2] + b"Connection: close\r\n\r\n")
    rig.passes(SEND_TIMEOUT)
    assert rig.leg.aborted
    assert rig.gone == 1


# The client leaves


def test_a_client_that_closes_while_it_is_answered_has_left() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.leg.end()
    rig.settle()
    assert rig.request.gone is Cause.CLIENT_CLOSED
    assert rig.leg.closed and not rig.leg.aborted
    assert rig.gone == 1


def test_an_answer_that_is_given_up_is_aborted() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.request.start()
    rig.leg.end()
    assert rig.request.gone is Cause.CLIENT_CLOSED
    assert rig.leg.aborted


def test_an_answer_that_stays_goes_to_the_client_that_only_reads() -> None:
    """With the requests that were sent before the end; then the connection closes."""
    rig = Rig()
    rig.leg.arrive(GET + GET)
    for n in range(2):
        rig.request.stays = True
        if not n:
            rig.leg.end()
        rig.request.answer()
    rig.settle()
    assert rig.heard().count(b"HTTP/1.1 200 OK\r\n") == 2
    assert rig.leg.closed
    assert not len(rig.wheel)


def test_a_client_that_closes_in_its_body_has_left() -> None:
    rig = Rig()
    rig.begun = takes_body
    rig.leg.arrive(POST + b"he")
    rig.request.stays = True
    rig.leg.end()
    assert rig.request.gone is Cause.CLIENT_CLOSED


@pytest.mark.parametrize("data", [b"", GET[:10]])
def test_a_client_that_closes_between_requests_is_closed(data: bytes) -> None:
    rig = Rig()
    rig.leg.arrive(data)
    rig.leg.end()
    rig.settle()
    assert rig.leg.closed
    assert rig.gone == 1
    assert not rig.requests


def test_a_reset_is_told_once() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.leg.reset()
    assert rig.request.gone is Cause.CLIENT_LOST
    assert rig.gone == 1
    assert not len(rig.wheel)


def test_a_fault_of_ours_is_no_fault_of_the_client() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.leg.abortConnection()
    rig.settle()
    assert rig.request.gone is Cause.INTERNAL
    assert rig.gone == 1


# The gateway stops


def test_an_exchange_that_outlasts_the_drain_is_cut_by_the_gateway() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.end.stop()
    rig.leg.abortConnection()
    rig.settle()
    assert rig.request.gone is Cause.STOPPING


def test_a_connection_that_waits_is_closed_when_the_gateway_stops() -> None:
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(GET)
    rig.end.stop()
    rig.settle()
    assert rig.leg.closed


@pytest.mark.parametrize("begun", [b"", GET[:5]])
def test_a_connection_that_has_just_come_has_a_moment_when_the_gateway_stops(begun: bytes) -> None:
    """Its client knows only that it is connected: the first request is answered, and is the last."""
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(begun)
    rig.end.stop()
    rig.passes(FIRST_TIME / 2)
    rig.leg.arrive(GET[len(begun) :])
    assert b"Connection: close\r\n" in rig.heard()
    rig.passes(LINGER_TIME)
    assert rig.leg.closed


def test_the_moment_has_an_end() -> None:
    rig = Rig()
    rig.end.stop()
    rig.passes(FIRST_TIME)
    assert rig.leg.closed


def test_a_gentle_stop_leaves_idle_clients_their_next_request() -> None:
    """A client may be sending it just now; it is told that it is the last."""
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(GET)
    rig.heard()
    rig.end.stop(gently=True)
    rig.passes(5)
    assert not rig.leg.closed
    rig.leg.arrive(GET)
    assert b"Connection: close\r\n" in rig.heard()


def test_an_exchange_finishes_when_the_gateway_stops() -> None:
    rig = Rig()
    rig.leg.arrive(GET + GET)
    rig.end.stop()
    rig.request.answer()
    assert len(rig.requests) == 1
    assert b"Connection: close\r\n" in rig.heard()
    rig.passes(LINGER_TIME)
    assert rig.leg.closed


def test_an_answer_that_promised_to_go_on_ends_after_all_when_the_gateway_stops() -> None:
    rig = Rig()
    rig.leg.arrive(GET)
    rig.request.start()
    rig.end.stop()
    rig.request.finish()
    rig.passes(LINGER_TIME)
    assert rig.leg.closed


def test_a_body_that_is_dropped_ends_the_connection_when_the_gateway_stops() -> None:
    rig = Rig()
    rig.begun = answers_at_once
    rig.leg.arrive(POST)
    rig.end.stop()
    rig.leg.arrive(b"hello" + GET)
    rig.settle()
    assert len(rig.requests) == 1
    assert rig.leg.closed


# A law

_BODIES = st.one_of(st.none(), st.binary(max_size=40))


def _request(body: bytes | None, chunked: bool, taken: bool) -> bytes:
    head = b"POST /%b HTTP/1.1\r\nHost: a\r\n" % (b"take" if taken else b"skip")
    if body is None:
        return head + b"\r\n"
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[n : n + 7]), body[n : n + 7]) for n in range(0, len(body), 7))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _outcome(pieces: list[bytes]) -> tuple[bytes, list[bytes], int]:
    """What a client gets that sends these pieces: each answer repeats the body where it is taken."""
    rig = Rig()

    def begin(answering: Answering) -> None:
        if answering.head is not None and answering.head.target == b"/take":
            answering.take_body()
        else:
            answering.answer(200, b"skipped")

    def whole(answering: Answering) -> None:
        if answering.head is not None and answering.head.target == b"/take":
            answering.answer(200, answering.body)

    rig.begun, rig.whole = begin, whole
    for piece in pieces:
        rig.leg.arrive(piece)
        rig.settle()
    return rig.heard(), [request.body for request in rig.requests], rig.gone


@given(st.lists(st.tuples(_BODIES, st.booleans(), st.booleans()), max_size=6), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(
    requests: list[tuple[bytes | None, bool, bool]], data: st.DataObject
) -> None:
    stream = b"".join(_request(*request) for request in requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    heard, bodies, gone = _outcome(pieces)
    assert (heard, bodies, gone) == _outcome([stream])
    assert bodies == [(body or b"") if taken else b"" for body, _, taken in requests]
    assert heard.count(b"HTTP/1.1 200 OK\r\n") == len(requests)
