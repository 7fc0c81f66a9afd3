"""The first messages of a client are kept whole, however its stream is cut, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.ws_encoding import BINARY, CONTINUATION, PING, TEXT, encode_frame
from wsgate.wire.ws_first import FirstMessages

KEY = b"\x01\x02\x03\x04"
HELLO = encode_frame(TEXT, b"hello", mask=KEY)
PINGED = encode_frame(PING, b"now", mask=KEY)
HALF, OTHER_HALF = encode_frame(TEXT, b"in ", False, KEY), encode_frame(CONTINUATION, b"two", mask=KEY)
LONG, LONGER = encode_frame(BINARY, b"x" * 300, mask=KEY), encode_frame(BINARY, b"y" * 70_000, mask=KEY)
STREAM = HELLO + PINGED + HALF + PINGED + OTHER_HALF + LONG + LONGER


@pytest.mark.parametrize("size", [1, 5, 1000, len(STREAM)])
@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, b""),
        (1, HELLO),
        (2, HELLO + HALF + OTHER_HALF),
        (3, HELLO + HALF + OTHER_HALF + LONG),
        (9, HELLO + HALF + OTHER_HALF + LONG + LONGER),
    ],
)
def test_so_many_messages_are_kept_without_control_frames(count: int, kept: bytes, size: int) -> None:
    first = FirstMessages(count, 1_000_000)
    for at in range(0, len(STREAM), size):
        first.feed(STREAM[at : at + size])
    assert first.messages == kept
    assert first.wants_more is (count == 9)


def test_a_message_that_is_not_complete_is_kept_by_its_frames() -> None:
    first = FirstMessages(2, 1000)
    first.feed(HELLO + HALF + OTHER_HALF[:4])
    assert first.messages == HELLO + HALF
    assert first.wants_more


@pytest.mark.parametrize("size", [1, 100_000])
def test_more_than_may_be_kept_is_not_kept_at_all(size: int) -> None:
    first = FirstMessages(9, 400)
    for at in range(0, len(STREAM), size):
        first.feed(STREAM[at : at + size])
    assert first.overflowed
    assert not first.wants_more
    assert first.messages == b""


@pytest.mark.parametrize("size", [1, len(LONG)])
def test_the_last_message_that_counts_may_be_too_much_as_well(size: int) -> None:
    first = FirstMessages(1, len(LONG) - 1)
    for at in range(0, len(LONG), size):
        first.feed(LONG[at : at + size])
    assert first.overflowed
    assert first.messages == b""


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 5))
def test_what_is_kept_is_the_beginning_of_what_was_said(payloads: list[bytes], count: int) -> None:
    frames = [encode_frame(BINARY, payload, mask=KEY) for payload in payloads]
    first = FirstMessages(count, 10_000)
    first.feed(b"".join(frames))
    assert first.messages == b"".join(frames[:count])
