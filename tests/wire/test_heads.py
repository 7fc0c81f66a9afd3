"""What a whole head says: the corpus of good and bad ones, and the agreement with llhttp's own reading."""

from __future__ import annotations

import re

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.http_feeding import attributes, corpus
from wsgate.causes import Cause
from wsgate.wire.fields import Fields, HeadError
from wsgate.wire.framing import CHUNKED, NO_BODY, Ending
from wsgate.wire.heads import Index, ResponseHead, parse_request, parse_response

REQUESTS = list(corpus("requests.txt"))
ANSWERS = list(corpus("answers.txt"))


def parse_answer(head: bytes, max_fields: int) -> ResponseHead:
    return parse_response(head, max_fields, b"GET")


@pytest.mark.parametrize(
    ("parse", "expected", "raw"),
    [
        pytest.param(parse, expected, raw, id=name)
        for parse, cases in ((parse_request, REQUESTS), (parse_answer, ANSWERS))
        for name, expected, raw in cases
    ],
)
def test_corpus(parse: object, expected: str, raw: bytes) -> None:
    """Each head of the corpus is read as it says, or refused with the cause it names."""
    assert callable(parse)
    if expected.startswith("ok"):
        assert attributes(parse(raw, 100), re.findall(r"(\w+)=", expected)) == expected
    else:
        with pytest.raises(HeadError) as refusal:
            parse(raw, 100)
        assert refusal.value.cause.label == expected


def test_corpus_names_are_unique() -> None:
    for cases in (REQUESTS, ANSWERS):
        names = [name for name, _, _ in cases]
        assert len(names) == len(set(names)) > 30


def test_fields_keep_spelling_and_order() -> None:
    head = parse_request(b"GET / HTTP/1.1\r\nhOST: a\r\nX-b: 2\r\nX-A: 1\r\nx-B:3 \r\n\r\n", 4)
    assert head.fields == [(b"hOST", b"a"), (b"X-b", b"2"), (b"X-A", b"1"), (b"x-B", b"3")]
    assert head.get(b"X-B") == b"2"
    assert head.get(b"host") == b"a"
    assert head.get(b"none") is None
    assert head.get_all(b"X-B") == [b"2", b"3"]
    assert head.get_all(b"HOST") == [b"a"]
    assert head.get_all(b"none") == []


def test_get_all_gives_a_list_of_its_own() -> None:
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 2\r\n\r\n", 9)
    head.get_all(b"a").clear()
    assert head.get_all(b"a") == [b"1", b"2"]


def test_a_field_three_times() -> None:
    index = Index([(b"A", b"1"), (b"b", b"x"), (b"a", b"2"), (b"A", b"3")])
    assert index.all(b"a") == [b"1", b"2", b"3"]
    assert index.first == {b"a": b"1", b"b": b"x"}


@pytest.mark.parametrize(("limit", "refused"), [(3, False), (2, True)])
def test_too_many_fields(limit: int, refused: bool) -> None:
    """One field more than allowed is 431 for a request and a bad answer from a server."""
    fields = b"Host: a\r\nContent-Length: 0\r\nC: 3\r\n\r\n"
    request, answer = b"GET / HTTP/1.1\r\n" + fields, b"HTTP/1.1 200 OK\r\n" + fields
    if refused:
        with pytest.raises(HeadError, match="too many fields") as error:
            parse_request(request, limit)
        assert error.value.cause is Cause.HEAD_SIZE
        with pytest.raises(HeadError, match="too many fields") as error:
            parse_response(answer, limit, b"GET")
        assert error.value.cause is Cause.BAD_ANSWER
    else:
        assert len(parse_request(request, limit).fields) == len(parse_response(answer, limit, b"GET").fields) == 3


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
def test_answers_to_head_have_no_body(framing: bytes) -> None:
    """llhttp cannot know that a request was HEAD; the connection stays usable."""
    head = parse_response(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", 9, b"HEAD")
    assert head.framing is NO_BODY
    assert head.keep_alive


def test_answers_to_other_methods_have_a_body() -> None:
    head = parse_response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 9, b"POST")
    assert head.framing is CHUNKED


# Laws

_names = st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"X"])
_values = st.sampled_from(
    [b"a", b"5", b"chunked", b"gzip, chunked", b"upgrade", b"websocket", b"close", b"", b" ", b"a\xff", b"\t5 "]
)
_seps = st.sampled_from([b": "] * 9 + [b":", b" : ", b":\t", b"", b"\r\n "])
_ends = st.sampled_from([b"\r\n"] * 19 + [b"\n", b"\r", b"\r\n\r\n"])
_lines = st.lists(st.builds(lambda *part: b"".join(part), _names, _seps, _values, _ends), max_size=6).map(b"".join)
_starts = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\nHost: a\r\n", b"GET http://a/ HTTP/1.0\r\n", b"HTTP/1.1 200 OK\r\n"]
)
_bytes = st.binary(max_size=40)
_heads = st.builds(
    lambda start, lines, noise, at, whole: (start + lines)[:at] + noise + (start + lines)[at:] + whole,
    _starts,
    _lines,
    st.just(b"") | _bytes,
    st.integers(0, 200),
    st.sampled_from([b"\r\n", b"\r\n", b""]),
)


class _Heard:
    """A second reading of a head, by llhttp alone."""

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


@given(_heads)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
def test_request_laws(raw: bytes) -> None:
    """No input escapes as another error, and what is accepted llhttp accepts with the same fields."""
    try:
        head = parse_request(raw, 5)
    except HeadError as error:
        assert 400 <= error.cause.status < 600
        return
    heard = _Heard()
    parser = httptools.HttpRequestParser(heard)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade as upgrade:
        assert upgrade.args == (len(raw),)
    assert head.fields == [(name, value.strip(b" \t")) for name, value in heard.fields]
    assert head.minor == 0 or head.host
    assert len(head.get_all(b"host")) <= 1
    assert head.framing.ending in {Ending.NONE, Ending.LENGTH, Ending.CHUNKED}
    for name, value in head.fields:
        assert not set(name + value) & set(b"\r\n\0")


@given(_heads, st.sampled_from([b"GET", b"HEAD"]))
@example(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", b"GET")
def test_answer_laws(raw: bytes, method: bytes) -> None:
    """Every fault of an answer is a bad answer, and what is accepted llhttp accepts with the same fields."""
    try:
        head = parse_response(raw, 5, method)
    except HeadError as error:
        assert error.cause is Cause.BAD_ANSWER
        return
    heard = _Heard()
    try:
        httptools.HttpResponseParser(heard).feed_data(raw)
    except httptools.HttpParserUpgrade as upgrade:
        assert upgrade.args == (len(raw),)
    assert head.fields == [(name, value.strip(b" \t")) for name, value in heard.fields]
    assert head.keep_alive <= (head.framing.ending is not Ending.CLOSE)
