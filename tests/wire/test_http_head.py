"""Heads found in a stream: however it is cut, bounded, with what comes behind them kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.http_feeding import Reader, bytewise, corpus, cut, cuts, outcome
from wsgate.causes import Cause
from wsgate.wire.framing import Data
from wsgate.wire.http_head import HeadError, RequestHead, RequestReader, ResponseReader

HEAD = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n"
TAIL = b"GET /hidden HTTP/1.1\r\n\r\n\x81\x00\n"


def requests(max_head: int = 4096, max_fields: int = 100) -> Callable[[], Reader]:
    return lambda: RequestReader(max_head, max_fields)


def answers(max_head: int = 4096, method: bytes = b"GET") -> Callable[[], Reader]:
    return lambda: ResponseReader(max_head, 100, method)


CASES = [
    pytest.param(make, raw, id=name)
    for make, file in ((requests(), "requests.txt"), (answers(), "answers.txt"))
    for name, _, raw in corpus(file)
]


@pytest.mark.parametrize(("make", "raw"), CASES)
def test_every_way_of_feeding_is_the_same(make: Callable[[], Reader], raw: bytes) -> None:
    """Whole, byte by byte, and with bytes behind: the same head or the same cause, and nothing behind it is lost."""
    whole, rest = outcome(make, [raw])
    assert outcome(make, bytewise(raw)) == (whole, rest)
    for chunks in ([raw + TAIL], [raw, TAIL], bytewise(raw + TAIL)):
        again, behind = outcome(make, chunks)
        assert again == whole
        assert behind == (TAIL if rest is not None else None)


@given(st.sampled_from([(case.values[0], case.values[1]) for case in CASES]), cuts, st.binary(max_size=9))
def test_any_split_is_the_same(case: tuple[Callable[[], Reader], bytes], places: list[int], tail: bytes) -> None:
    make, raw = case
    assert outcome(make, cut(raw + tail, places)) == outcome(make, [raw + tail])


_noise = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"GET", b" ", b"/", b"HTTP/1.1", b"A: b", b"\x16", HEAD]))


@given(_noise.map(b"".join) | st.binary(max_size=80), cuts, st.integers(4, 60))
def test_any_split_of_anything_is_the_same(stream: bytes, places: list[int], limit: int) -> None:
    """With a small limit too: a refusal does not depend on how the bytes came, and nothing but HeadError escapes."""
    for make in (requests(limit), answers(limit)):
        assert outcome(make, cut(stream, places)) == outcome(make, [stream])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer(kind: Callable[[bytearray], Data]) -> None:
    """What is fed may be a view that is gone after the call."""
    reader = RequestReader(100, 9)
    store = bytearray(HEAD + b"tail")
    heads = []
    for at in range(0, len(HEAD), 16):
        piece = kind(store[at : at + 16])
        heads.append(reader.feed(piece))
        store[at : at + 16] = b"-" * 16
    assert heads[:-1] == [None] * (len(heads) - 1)
    assert heads[-1] is not None
    assert heads[-1].target == b"/a"
    assert reader.take_rest() == b"tail"


def test_pipelined_requests_come_one_by_one() -> None:
    reader = RequestReader(100, 9)
    first = reader.feed(HEAD + NEXT + HEAD[:5])
    second = reader.feed(b"")
    assert first is not None
    assert second is not None
    assert (first.target, second.target) == (b"/a", b"/b")
    assert reader.feed(b"") is None
    third = reader.feed(HEAD[5:])
    assert third is not None
    assert third.target == b"/a"
    assert reader.take_rest() == b""


def test_a_rest_given_back_is_read_in_front_of_more() -> None:
    reader = RequestReader(100, 9)
    assert reader.feed(HEAD + b"hello" + NEXT[:3]) is not None
    rest = reader.take_rest()
    assert rest == b"hello" + NEXT[:3]
    assert not reader.begun
    assert reader.feed(rest[5:]) is None
    head = reader.feed(NEXT[3:])
    assert head is not None
    assert head.target == b"/b"


def test_interim_answers_are_given_like_others() -> None:
    reader = ResponseReader(200, 9, b"GET")
    stream = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody"
    seen = []
    for chunk in [stream, b"", b""]:
        head = reader.feed(chunk)
        assert head is not None
        seen.append(head.status)
    assert seen == [100, 103, 200]
    assert reader.take_rest() == b"body"


def test_begun_tells_a_slow_head_from_silence() -> None:
    """408 is for a head that has begun; a silent connection is closed without an answer."""
    reader = RequestReader(100, 9)
    assert not reader.begun
    assert reader.feed(b"") is None
    assert not reader.begun
    for byte in (b"\r", b"\n"):
        assert reader.feed(byte) is None
        assert not reader.begun
    assert reader.feed(b"G") is None
    assert reader.begun
    assert reader.feed(HEAD[1:]) is not None
    assert not reader.begun
    assert reader.feed(HEAD + NEXT) is not None
    assert reader.begun


@pytest.mark.parametrize(("lines", "refused"), [(1, False), (4, False), (5, True)])
def test_a_few_empty_lines_may_stand_before_a_request(lines: int, refused: bool) -> None:
    """RFC 9112 section 2.2; they do not count as part of the head."""
    stream = b"\r\n" * lines + HEAD
    for chunks in ([stream], bytewise(stream)):
        result = outcome(requests(len(HEAD)), chunks)
        if refused:
            assert result[0] is Cause.BAD_REQUEST
        else:
            assert isinstance(result[0], RequestHead)


def test_empty_lines_are_counted_for_each_request() -> None:
    reader = RequestReader(100, 9)
    for _ in range(3):
        assert reader.feed(b"\r\n\r\n\r\n" + HEAD) is not None


def test_empty_lines_before_an_answer_are_refused() -> None:
    assert outcome(answers(), [b"\r\n"])[0] is Cause.BAD_ANSWER


@pytest.mark.parametrize("size", [64, 1024, 16384])
def test_a_head_of_the_limit_passes_and_one_byte_more_does_not(size: int) -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    head = start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"
    assert len(head) == size
    for chunks in ([head], bytewise(head)):
        assert isinstance(outcome(requests(size), chunks)[0], RequestHead)
        assert outcome(requests(size - 1), chunks)[0] is Cause.HEAD_SIZE


def test_too_big_an_answer_is_a_bad_answer() -> None:
    assert outcome(answers(64), [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 64])[0] is Cause.BAD_ANSWER


@pytest.mark.parametrize(
    "start",
    [b"\x16\x03\x01", b"\x16", b"\n", b" GET", b"\rG", b"\x00", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nA: b\n"],
    ids=repr,
)
def test_what_cannot_become_a_request_is_refused_at_once(start: bytes) -> None:
    """TLS on this port, line ends of the wrong kind: no waiting for the deadline."""
    for chunks in ([start], bytewise(start)):
        assert outcome(requests(), chunks)[0] is Cause.BAD_REQUEST


@pytest.mark.parametrize(
    "start", [b"SSH-2.0-x\r\n", b"HTTP/2", b"HTX", b"\x15", b"H\n", b"HTTP/1.1 200 OK\n"], ids=repr
)
def test_what_cannot_become_an_answer_is_refused_at_once(start: bytes) -> None:
    for chunks in ([start], bytewise(start)):
        assert outcome(answers(), chunks)[0] is Cause.BAD_ANSWER


@pytest.mark.parametrize("start", [b"", b"H", b"HT", b"HTT", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/1.1 2"])
def test_the_start_of_an_answer_is_waited_for(start: bytes) -> None:
    assert outcome(answers(), [start]) == (None, b"")


def test_memory_is_bounded_by_the_limit_and_one_read() -> None:
    """A head that never ends is refused once the limit is full, whatever comes in one read."""
    reader = RequestReader(1000, 9)
    assert reader.feed(b"GET / HTTP/1.1\r\nX: ") is None
    fed = 19
    with pytest.raises(HeadError) as refusal:
        while fed < 5000:
            reader.feed(b"x" * 100)
            fed += 100
    assert refusal.value.cause is Cause.HEAD_SIZE
    assert len(reader.take_rest()) <= 1100
