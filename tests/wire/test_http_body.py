"""Bodies: where they end whatever the cuts, chunks to the letter, and never more lenient than llhttp."""

from __future__ import annotations

from typing import NamedTuple

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.http_feeding import bytewise, cut, cuts
from wsgate.causes import Cause
from wsgate.wire.fields import Fields, HeadError
from wsgate.wire.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, Ending, Framing
from wsgate.wire.http_body import (
    CHUNK_END,
    LAST_CHUNK,
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyError,
    BodyReader,
    chunk_head,
    last_chunk,
)

TAIL = b"GET / HTTP/1.1\r\n\r\n0\r\n\r\n"


class Seen(NamedTuple):
    """What came out of a body."""

    data: bytes
    done: bool
    rest: bytes
    trailers: Fields
    failed: bool


def observe(framing: Framing, chunks: list[bytes]) -> Seen:
    reader = BodyReader(framing)
    data = b""
    try:
        for chunk in chunks:
            pieces = reader.feed(chunk)
            assert all(len(piece) for piece in pieces)
            data += b"".join(pieces)
    except BodyError as error:
        assert error.cause is Cause.BAD_REQUEST
        assert str(error)
        return Seen(b"", False, b"", [], True)
    return Seen(data, reader.done, reader.rest, reader.trailers, False)


def everyway(framing: Framing, stream: bytes) -> Seen:
    """What comes out, the same whole, byte by byte, and with bytes behind."""
    seen = observe(framing, [stream])
    assert observe(framing, bytewise(stream)) == seen
    if seen.done:
        for chunks in ([stream + TAIL], [stream, TAIL], bytewise(stream + TAIL)):
            assert observe(framing, chunks) == seen._replace(rest=seen.rest + TAIL)
    return seen


# Without chunks


def test_no_body() -> None:
    """It is done before anything is fed, and everything is rest."""
    assert BodyReader(NO_BODY).done
    assert observe(NO_BODY, [b"ab", b"", b"c"]) == Seen(b"", True, b"abc", [], False)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_length(size: int) -> None:
    body = b"0123456"[:size]
    assert everyway(Framing(Ending.LENGTH, size), body) == Seen(body, True, b"", [], False)
    assert everyway(Framing(Ending.LENGTH, size), body[:-1]) == Seen(body[:-1], False, b"", [], False)


def test_until_close() -> None:
    stream = b"abc" + TAIL
    for chunks in ([stream], bytewise(stream), [stream, b""]):
        assert observe(UNTIL_CLOSE, chunks) == Seen(stream, False, b"", [], False)


def test_an_end_of_the_stream_is_clean_only_where_the_body_is_whole() -> None:
    reader = BodyReader(UNTIL_CLOSE)
    reader.feed(b"a")
    assert reader.body_eof()
    assert reader.done
    for framing, stream in ((Framing(Ending.LENGTH, 2), b"ab"), (CHUNKED, b"1\r\na\r\n0\r\n\r\n")):
        reader = BodyReader(framing)
        for byte in bytewise(stream):
            assert not reader.body_eof()
            reader.feed(byte)
        assert reader.body_eof()
    assert BodyReader(NO_BODY).body_eof()


def test_data_is_not_copied() -> None:
    """What comes out are slices of what was fed."""
    stream = bytearray(b"3\r\nabc\r\n2\r\nde\r\n")
    pieces = BodyReader(CHUNKED).feed(memoryview(stream))
    counted = BodyReader(Framing(Ending.LENGTH, 2)).feed(memoryview(stream))
    stream[3:6] = b"XYZ"
    stream[0:1] = b"9"
    assert [bytes(piece) for piece in pieces] == [b"XYZ", b"de"]
    assert [bytes(piece) for piece in counted] == [b"9\r"]


# Chunks


@pytest.mark.parametrize(
    ("stream", "data", "trailers"),
    [
        (b"0\r\n\r\n", b"", []),
        (b"000\r\n\r\n", b"", []),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", []),
        (b"1\r\na\r\nA\r\n0123456789\r\n00b\r\nhello world\r\n0\r\n\r\n", b"a0123456789hello world", []),
        (b"0000000000000001\r\na\r\n0\r\n\r\n", b"a", []),
        (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello", []),
        (b'5;a=b;c="d \\" \t;e"\r\nhello\r\n0\r\n\r\n', b"hello", []),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", []),
        (b"0\r\nX-Sum: 5\r\nx-e:\r\nY:\t a b \t\r\n\r\n", b"", [(b"X-Sum", b"5"), (b"x-e", b""), (b"Y", b"a b")]),
        (
            b"1\r\na\r\n0\r\nSet-Cookie: a\r\nX-Forwarded-For: b\r\nTE: c\r\nSec-WebSocket-Key: d\r\nZ: 1\r\n\r\n",
            b"a",
            [(b"Z", b"1")],
        ),
    ],
)
def test_chunks(stream: bytes, data: bytes, trailers: Fields) -> None:
    """Extensions are dropped, and trailers that would change what a head said."""
    assert everyway(CHUNKED, stream) == Seen(data, True, b"", trailers, False)


@pytest.mark.parametrize(
    "stream",
    [
        *(
            b"\r\n",
            b"x\r\n",
            b"+5\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"5\t\r\n",
            b"5.0\r\n",
            b"1_0\r\n",
        ),
        *(b"00000000000000005\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"5\n", b"5\r\r\n", b"5\n\r\n", b"g\r\n", b"5;\r\n"),
        *(
            b"5;a b\r\n",
            b"5;a=\r\n",
            b"5 ;a\r\n",
            b"5; a\r\n",
            b"5;a\nb\r\n",
            b'5;a="b\r\n',
            b"5;a=b\0\r\n",
            b"5;\x80\r\n",
        ),
        *(b"1\r\nab\r\n", b"1\r\na\n", b"1\r\na\r\r", b"1\r\na\nx", b"1\r\na0\r\n\r\n", b"0\r\n\n", b"0\r\n\r\r"),
        *(b"0\r\nA\r\n", b"0\r\n: b\r\n", b"0\r\nA : b\r\n", b"0\r\n A: b\r\n", b"0\r\nA: b\n", b"0\r\nA: \0\r\n"),
        *(b"0\r\nA: b\r\n c\r\n", b"0\r\nA: b\rc\r\n", b"0\r\nContent-Length: 5\r\n", b"0\r\nHost: a\r\n"),
        *(b"0\r\ntransfer-encoding: chunked\r\n", b"0\r\nConnection: close\r\n", b"0\r\nUpgrade: websocket\r\n"),
    ],
    ids=repr,
)
def test_chunks_that_are_refused(stream: bytes) -> None:
    for start in (b"", b"3\r\nabc\r\n"):
        assert everyway(CHUNKED, start + stream + b"\r\n\r\n").failed


def test_the_cause_of_a_bad_answer() -> None:
    reader = BodyReader(CHUNKED, Cause.BAD_ANSWER)
    with pytest.raises(HeadError) as refusal:
        reader.feed(b"x\r\n")
    assert refusal.value.cause is Cause.BAD_ANSWER


def test_a_chunk_of_the_largest_size() -> None:
    """A size of 64 bits is only a number: nothing is reserved for it."""
    seen = everyway(CHUNKED, b"ffffffffffffffff\r\nabc")
    assert seen == Seen(b"abc", False, b"", [], False)


def test_extensions_are_bounded() -> None:
    line = b"1;" + b"a" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    assert len(line) == MAX_CHUNK_LINE
    assert everyway(CHUNKED, line + b"x\r\n0\r\n\r\n").done
    assert everyway(CHUNKED, b"1;a" + line[2:] + b"x\r\n0\r\n\r\n").failed
    assert everyway(CHUNKED, b"1;" + b"a" * MAX_CHUNK_LINE).failed


@pytest.mark.parametrize(
    "name",
    [
        *(b"X_Forwarded_For", b"X_Real_IP", b"x_forwarded-proto", b"X-Client-Cert-Subject", b"X_Client_Cert_Subject"),
        *(b"Proxy-Authorization", b"X.Real.IP", b"Sec_WebSocket_Key"),
    ],
)
def test_a_request_claims_nothing_in_trailers_that_its_head_could_not(name: bytes) -> None:
    """Servers that put trailers among the fields, or read "_" as "-", must not believe a client there either."""
    assert everyway(CHUNKED, b"0\r\n%b: 1\r\nX-Sum: 5\r\n\r\n" % name).trailers == [(b"X-Sum", b"5")]


def test_names_of_an_answers_trailers_are_the_servers_own_business() -> None:
    reader = BodyReader(CHUNKED, Cause.BAD_ANSWER)
    reader.feed(b"0\r\nx_sum: 5\r\n\r\n")
    assert reader.trailers == [(b"x_sum", b"5")]


def test_trailers_are_bounded_together() -> None:
    line = b"A: " + b"x" * 123 + b"\r\n"
    fitting = (MAX_TRAILERS - 2) // len(line)
    assert everyway(CHUNKED, b"0\r\n" + line * fitting + b"\r\n").done
    assert everyway(CHUNKED, b"0\r\n" + line * (fitting + 1) + b"\r\n").failed
    assert everyway(CHUNKED, b"0\r\n" + line * (fitting + 2)).failed


def test_what_is_held_is_bounded() -> None:
    reader = BodyReader(CHUNKED)
    with pytest.raises(BodyError):
        for _ in range(MAX_CHUNK_LINE + 1):
            reader.feed(b"0")


# Writing


def test_writing_chunks() -> None:
    assert chunk_head(1) == b"1\r\n"
    assert chunk_head(65536) == b"10000\r\n"
    assert last_chunk([]) == LAST_CHUNK
    assert last_chunk([(b"A", b"b")]) == b"0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_chunk_would_end_the_body(size: int) -> None:
    with pytest.raises(ValueError, match="would end the body"):
        chunk_head(size)


def test_a_trailer_cannot_break_out() -> None:
    with pytest.raises(HeadError) as refusal:
        last_chunk([(b"A", b"b\r\n\r\nHTTP/1.1 200 OK")])
    assert refusal.value.cause is Cause.INTERNAL


# Laws

_extension = st.sampled_from([b"", b"", b"", b";a", b";a=b", b';a="b c";d'])
_pieces = st.lists(st.tuples(st.binary(min_size=1, max_size=20), _extension), max_size=5)
_trailers = st.lists(st.tuples(st.sampled_from([b"X-A", b"y"]), st.sampled_from([b"", b"1", b"a b"])), max_size=2)


def encoded(pieces: list[tuple[bytes, bytes]], trailers: Fields) -> bytes:
    body = b"".join(chunk_head(len(data))[:-2] + extension + b"\r\n" + data + CHUNK_END for data, extension in pieces)
    return body + last_chunk(trailers)


class _Heard:
    """llhttp's reading of a chunked request."""

    def __init__(self) -> None:
        self.data = b""
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.data += data

    def on_message_complete(self) -> None:
        self.complete = True


def heard(stream: bytes) -> _Heard:
    """HttpParserError if llhttp refuses ``stream`` as a chunked body."""
    protocol = _Heard()
    parser = httptools.HttpRequestParser(protocol)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.feed_data(stream)
    return protocol


@given(_pieces, _trailers, cuts, st.binary(max_size=9))
def test_what_is_written_reads_back(
    pieces: list[tuple[bytes, bytes]], trailers: Fields, places: list[int], tail: bytes
) -> None:
    """Law: for any cuts, decoding gives what was encoded, what is behind stays, and llhttp reads the same."""
    stream = encoded(pieces, trailers)
    data = b"".join(data for data, _ in pieces)
    assert observe(CHUNKED, cut(stream + tail, places)) == Seen(data, True, tail, trailers, False)
    other = heard(stream)
    assert (other.data, other.complete) == (data, True)


_noise = st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b";", b"0", b"5", b"\0", b"Content-Length: 1\r\n", b"A: b\r\n"])


@given(_pieces, _trailers, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), _noise), max_size=3), cuts)
@example([], [], [(3, 0, b"A: b\r\n")], [])
@example([(b"a", b"")], [], [(3, 1, b"")], [])
def test_never_more_lenient_than_llhttp(
    pieces: list[tuple[bytes, bytes]], trailers: Fields, edits: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    """Law: whatever body passes here, llhttp finds whole at the same place and with the same data."""
    stream = encoded(pieces, trailers)
    for at, removed, added in edits:
        stream = stream[:at] + added + stream[at + removed :]
    seen = observe(CHUNKED, [stream])
    assert observe(CHUNKED, cut(stream, places)) == seen
    if seen.done:
        other = heard(stream[: len(stream) - len(seen.rest)])
        assert (other.data, other.complete) == (seen.data, True)


@given(st.binary(max_size=60), cuts)
def test_nothing_but_its_own_error_escapes(stream: bytes, places: list[int]) -> None:
    for framing in (CHUNKED, Framing(Ending.LENGTH, 20), UNTIL_CLOSE, NO_BODY):
        assert observe(framing, cut(stream, places)) == observe(framing, [stream])
