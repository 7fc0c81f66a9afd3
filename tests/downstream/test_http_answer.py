"""One answer on the wire: framing for either version, HEAD, trailers, and one write where one will do."""

from __future__ import annotations

import pytest

from tests.doubles.legs import MemoryLeg
from wsgate.downstream.http_answer import AnswerWriter
from wsgate.wire.fields import Fields
from wsgate.wire.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, Ending, Framing
from wsgate.wire.http_head import parse_request

LENGTH = Framing(Ending.LENGTH, 5)
FIVE: Fields = [(b"Content-Length", b"5")]


class CountingLeg(MemoryLeg):
    """Counts the writes, each of which is a system call on a real leg."""

    writes = 0

    def write(self, data: bytes | memoryview) -> None:
        self.writes += 1
        super().write(data)


def writer(method: str = "GET", version: str = "1.1", *, keep: bool = True) -> tuple[AnswerWriter, CountingLeg]:
    leg = CountingLeg(lambda call: None)
    head = parse_request(f"{method} / HTTP/{version}\r\nHost: a\r\n\r\n".encode(), 100)
    answer = AnswerWriter(leg)
    answer.begin(head, keep)
    return answer, leg


def test_head_and_body_go_out_in_one_write() -> None:
    answer, leg = writer()
    answer.head(200, b"", FIVE, LENGTH)
    assert not leg.take()
    answer.body(b"hello")
    answer.end()
    assert leg.writes == 1
    assert leg.take() == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_head_that_still_waits_can_be_taken_back() -> None:
    answer, leg = writer()
    answer.head(200, b"", [], CHUNKED)
    assert answer.withdraw()
    assert not answer.begun
    answer.head(502, b"", FIVE, LENGTH)
    answer.body(b"hello")
    answer.end()
    assert leg.take() == b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello"
    assert not answer.withdraw()
    assert answer.begun


def test_the_reason_of_a_server_is_kept() -> None:
    answer, leg = writer()
    answer.head(299, b"Fine", [], NO_BODY)
    answer.end()
    assert leg.take().startswith(b"HTTP/1.1 299 Fine\r\n")


@pytest.mark.parametrize("framing", [CHUNKED, UNTIL_CLOSE])
def test_a_body_of_unknown_length_is_chunked(framing: Framing) -> None:
    answer, leg = writer()
    answer.head(200, b"", [], framing)
    answer.flush()
    assert leg.take() == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer.body(memoryview(b"hello"))
    answer.body(b"")
    answer.end([(b"A", b"b")])
    assert leg.take() == b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    assert answer.keep


@pytest.mark.parametrize("framing", [CHUNKED, UNTIL_CLOSE])
def test_to_http_1_0_the_end_of_the_stream_is_the_end(framing: Framing) -> None:
    answer, leg = writer(version="1.0")
    answer.head(200, b"", [], framing)
    answer.body(b"hello")
    answer.end([(b"A", b"b")])
    assert leg.take() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    assert not answer.keep


@pytest.mark.parametrize("framing", [NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE])
def test_an_answer_to_head_is_a_head(framing: Framing) -> None:
    answer, leg = writer("HEAD")
    answer.head(200, b"", FIVE, framing)
    answer.body(b"hello")
    answer.end([(b"A", b"b")])
    assert leg.take() == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert answer.keep


def test_a_204_has_no_length() -> None:
    answer, leg = writer()
    answer.head(204, b"", FIVE, NO_BODY)
    answer.end()
    assert leg.take() == b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("version", "keep", "said"),
    [("1.1", True, b""), ("1.1", False, b"close"), ("1.0", True, b"keep-alive"), ("1.0", False, b"close")],
)
def test_connection_is_said_where_it_is_not_understood(version: str, keep: bool, said: bytes) -> None:
    answer, leg = writer(version=version, keep=keep)
    answer.head(200, b"", FIVE, LENGTH)
    answer.end()
    assert (b"Connection: %b\r\n" % said if said else b"\r\n\r\n") in leg.take()


def test_who_says_upgrade_says_so_in_connection() -> None:
    answer, leg = writer(keep=False)
    answer.head(426, b"", [(b"Upgrade", b"websocket")], NO_BODY)
    answer.end()
    assert b"Connection: close, Upgrade\r\n" in leg.take()


def test_interim_answers_go_out_at_once_and_only_to_http_1_1() -> None:
    answer, leg = writer()
    answer.informational(103, b"Early Hints", [(b"Link", b"x"), (b"Content-Length", b"5")])
    assert leg.take() == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    old, leg = writer(version="1.0")
    old.informational(103, b"Early Hints", [])
    assert not leg.writes
