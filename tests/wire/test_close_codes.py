"""Which codes and reasons a Close frame may carry, and what they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.close_codes import (
    MAX_REASON,
    NO_CODE,
    FrameError,
    close_name,
    close_payload,
    is_sendable,
    parse_close,
)

SENDABLE = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]
FORBIDDEN = sorted(set(range(65536)) - set(SENDABLE))


def test_exactly_the_codes_of_the_registry_may_be_sent() -> None:
    assert [code for code in range(70000) if is_sendable(code)] == SENDABLE
    assert not is_sendable(-1)


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_a_code_that_must_not_be_sent_is_a_protocol_error(code: int) -> None:
    with pytest.raises(FrameError, match=f"Close code {code} must not be sent") as caught:
        parse_close(code.to_bytes(2, "big") + b"why")
    assert (caught.value.code, caught.value.sound) == (1002, b"")


def test_every_forbidden_code_is_refused_both_ways() -> None:
    for code in FORBIDDEN:
        with pytest.raises(FrameError):
            parse_close(code.to_bytes(2, "big"))
        if code != NO_CODE:
            with pytest.raises(ValueError, match="must not be sent"):
                close_payload(code)


def test_an_empty_payload_means_no_code_both_ways() -> None:
    assert parse_close(b"") == (NO_CODE, "")
    assert close_payload(NO_CODE, "nowhere to put it") == b""


def test_a_payload_of_one_byte_is_a_protocol_error() -> None:
    with pytest.raises(FrameError, match="one byte") as caught:
        parse_close(b"\x03")
    assert caught.value.code == 1002


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"ok\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_a_reason_that_is_not_utf8_is_an_invalid_payload(reason: bytes) -> None:
    with pytest.raises(FrameError, match="not UTF-8") as caught:
        parse_close(b"\x03\xe8" + reason)
    assert caught.value.code == 1007


def test_a_code_and_its_reason_are_read() -> None:
    assert parse_close(b"\x03\xe9bye \xe2\x82\xac") == (1001, "bye €")
    assert parse_close(b"\x13\x87") == (4999, "")


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 122 + "é", "x" * 122),
        ("x" * 121 + "é", "x" * 121 + "é"),
        ("€" * 42, "€" * 41),
        ("😀" * 31, "😀" * 30),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_reason_is_cut_between_two_characters(reason: str, sent: str) -> None:
    payload = close_payload(1001, reason)
    assert len(payload) <= 125
    assert parse_close(payload) == (1001, sent)


@given(code=st.sampled_from(SENDABLE), reason=st.text())
def test_what_was_built_is_read_back(code: int, reason: str) -> None:
    payload = close_payload(code, reason)
    read_code, read_reason = parse_close(payload)
    assert read_code == code
    encoded = reason.encode("utf-8", "replace")
    assert encoded.startswith(read_reason.encode())
    assert len(encoded) - len(read_reason.encode()) < 4 or len(payload) > 125 - 4


@given(st.binary(max_size=MAX_REASON + 2))
def test_no_payload_raises_anything_else_and_a_valid_one_is_built_again(payload: bytes) -> None:
    try:
        code, reason = parse_close(payload)
    except FrameError as error:
        assert error.code in {1002, 1007}
        assert str(error) == error.text != ""
    else:
        assert close_payload(code, reason) == payload


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (1000, "normal closure"),
        (1006, "abnormal closure"),
        (1012, "service restart"),
        (1014, "bad gateway"),
        (3000, "unauthorized"),
        (3001, "registered code"),
        (4000, "private code"),
        (1016, "unknown code"),
        (-1, "unknown code"),
        (70000, "unknown code"),
    ],
)
def test_every_number_has_words_for_the_log(code: int, name: str) -> None:
    assert close_name(code) == name
