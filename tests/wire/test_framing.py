"""Where a body ends, from the two fields that say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.causes import Cause
from wsgate.wire.fields import HeadError
from wsgate.wire.framing import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    Ending,
    Framing,
    request_framing,
    response_framing,
)

LENGTHS = [
    ([b"0"], NO_BODY),
    ([b"5"], Framing(Ending.LENGTH, 5)),
    ([b"007"], Framing(Ending.LENGTH, 7)),
    ([b"999999999999999999"], Framing(Ending.LENGTH, 999999999999999999)),
    ([], None),
]


@pytest.mark.parametrize(("lengths", "framing"), LENGTHS)
def test_lengths(lengths: list[bytes], framing: Framing | None) -> None:
    """Without any field a request has no body, and an answer goes on until the connection ends."""
    assert request_framing(lengths, [], 1) == (framing or NO_BODY)
    assert response_framing(lengths, [], 1, 200, b"GET") == (framing or UNTIL_CLOSE)
    assert response_framing(lengths, [], 0, 200, b"GET") == (framing or UNTIL_CLOSE)


@pytest.mark.parametrize("length", [b"", b"+5", b"-5", b"0x5", b"5 ", b" 5", b"5,5", b"5.0", b"1_0", b"1e3", b"9" * 19])
def test_lengths_that_are_refused(length: bytes) -> None:
    """Also of answers without a body: their fields go on to the client."""
    with pytest.raises(HeadError) as refusal:
        request_framing([length], [], 1)
    assert refusal.value.cause is Cause.BAD_REQUEST
    for status in (200, 204, 304):
        with pytest.raises(HeadError) as refusal:
            response_framing([length], [], 1, status, b"HEAD")
        assert refusal.value.cause is Cause.BAD_ANSWER


def test_chunked() -> None:
    assert request_framing([], [b"chunked"], 1) is CHUNKED
    assert request_framing([], [b"CHUNKED"], 1) is CHUNKED
    assert response_framing([], [b"chunked"], 1, 200, b"GET") is CHUNKED


@pytest.mark.parametrize(
    ("lengths", "codings", "minor", "cause"),
    [
        ([b"5"], [b"chunked"], 1, Cause.BAD_REQUEST),
        ([], [b"chunked"], 0, Cause.BAD_REQUEST),
        ([b"5", b"5"], [], 1, Cause.BAD_REQUEST),
        ([], [b""], 1, Cause.BAD_REQUEST),
        ([], [b"chunked", b"chunked"], 1, Cause.BAD_REQUEST),
        ([], [b"chunked,"], 1, Cause.BAD_REQUEST),
        ([], [b"chunked, gzip"], 1, Cause.BAD_REQUEST),
        ([], [b"gzip;x, chunked"], 1, Cause.BAD_REQUEST),
        ([], [b"chun ked"], 1, Cause.BAD_REQUEST),
        ([], [b"gzip"], 1, Cause.NOT_IMPLEMENTED),
        ([], [b"gzip, chunked"], 1, Cause.NOT_IMPLEMENTED),
        ([], [b"gzip", b"chunked"], 1, Cause.NOT_IMPLEMENTED),
        ([], [b"identity"], 1, Cause.NOT_IMPLEMENTED),
    ],
)
def test_combinations_that_are_refused(lengths: list[bytes], codings: list[bytes], minor: int, cause: Cause) -> None:
    with pytest.raises(HeadError) as refusal:
        request_framing(lengths, codings, minor)
    assert refusal.value.cause is cause
    with pytest.raises(HeadError) as refusal:
        response_framing(lengths, codings, minor, 304, b"GET")
    assert refusal.value.cause is Cause.BAD_ANSWER


@pytest.mark.parametrize(
    ("status", "method"), [(100, b"GET"), (101, b"GET"), (204, b"GET"), (304, b"GET"), (200, b"HEAD"), (500, b"HEAD")]
)
@pytest.mark.parametrize(("lengths", "codings"), [([b"5"], []), ([], [b"chunked"]), ([], [])])
def test_answers_without_a_body(status: int, method: bytes, lengths: list[bytes], codings: list[bytes]) -> None:
    assert response_framing(lengths, codings, 1, status, method) is NO_BODY


@given(st.lists(st.binary(max_size=8), max_size=3), st.lists(st.binary(max_size=12), max_size=3), st.integers(0, 1))
def test_only_one_field_decides(lengths: list[bytes], codings: list[bytes], minor: int) -> None:
    """Law: a body is accepted only from exactly one field with exactly one meaning."""
    try:
        framing = request_framing(lengths, codings, minor)
    except HeadError as error:
        assert error.cause in {Cause.BAD_REQUEST, Cause.NOT_IMPLEMENTED}
        return
    if framing.ending is not Ending.NONE:
        assert len(lengths) + len(codings) == 1
        assert framing.ending is Ending.CHUNKED or framing.length == int(lengths[0])
