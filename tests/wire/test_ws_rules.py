"""The rules of a direction, each with the Close code that names its breach."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgate.wire.close_codes import FrameError
from wsgate.wire.ws_rules import FrameRules

DATA = {0x00, 0x01, 0x02, 0x80, 0x81, 0x82}
CONTROL = {0x88, 0x89, 0x8A}


def refused(check: Callable[[], None]) -> FrameError:
    with pytest.raises(FrameError) as caught:
        check()
    return caught.value


def legal(rules: FrameRules, fragments: int) -> set[int]:
    found = set()
    for first in range(256):
        try:
            rules.check_first(first, fragments)
        except FrameError as error:
            assert error.code == 1002
        else:
            found.add(first)
    return found


def test_of_all_first_bytes_exactly_the_defined_ones_are_legal() -> None:
    assert legal(FrameRules(True), 0) == DATA - {0x00, 0x80} | CONTROL
    assert legal(FrameRules(True), 1) == {0x00, 0x80} | CONTROL


def test_compression_allows_rsv1_on_the_first_frame_of_a_data_message_only() -> None:
    assert legal(FrameRules(False, rsv1=True), 0) == {0x01, 0x02, 0x81, 0x82, 0x41, 0x42, 0xC1, 0xC2} | CONTROL
    assert legal(FrameRules(False, rsv1=True), 2) == {0x00, 0x80} | CONTROL


@pytest.mark.parametrize(
    ("first", "fragments", "text"),
    [
        (0x83, 0, "reserved opcode 3"),
        (0x8F, 0, "reserved opcode 15"),
        (0xC1, 0, "reserved bit"),
        (0xA2, 0, "reserved bit"),
        (0x92, 0, "reserved bit"),
        (0xC9, 0, "reserved bit"),
        (0x09, 0, "control frame in pieces"),
        (0x81, 1, "new message inside a message"),
        (0x80, 0, "continuation of no message"),
    ],
)
def test_a_wrong_first_byte_is_named(first: int, fragments: int, text: str) -> None:
    error = refused(lambda: FrameRules(False).check_first(first, fragments))
    assert error.code == 1002
    assert text in error.text


def test_masks_belong_to_frames_from_clients_only() -> None:
    for masked, text in ((True, "from a client without a mask"), (False, "masked frame from a server")):
        rules = FrameRules(masked)
        rules.check_second((0xFF if masked else 0x7F) ^ rules.mask_bit, False)
        error = refused(
            lambda rules=rules: rules.check_second((0x00 if rules.masked else 0x80) ^ rules.mask_bit, False)
        )
        assert (error.code, text in error.text) == (1002, True)


def test_a_control_frame_has_at_most_125_bytes() -> None:
    rules = FrameRules(False)
    rules.check_second(125, True)
    rules.check_second(127, False)
    assert refused(lambda: rules.check_second(126, True)).code == 1002


@pytest.mark.parametrize(
    ("length", "wide", "text"),
    [
        (126, 2, ""),
        (65535, 2, ""),
        (65536, 8, ""),
        ((1 << 63) - 1, 8, ""),
        (125, 2, "shortest form"),
        (0, 2, "shortest form"),
        (65535, 8, "shortest form"),
        (1 << 63, 8, "63 bits"),
        ((1 << 64) - 1, 8, "63 bits"),
    ],
)
def test_a_long_length_is_in_its_shortest_form_and_of_63_bits(length: int, wide: int, text: str) -> None:
    rules = FrameRules(True)
    if not text:
        rules.check_long(length, wide)
    else:
        error = refused(lambda: rules.check_long(length, wide))
        assert (error.code, text in error.text) == (1002, True)


def test_limits_are_reached_but_not_passed() -> None:
    rules = FrameRules(True, max_frame=10, max_message=15, max_fragments=3)
    rules.check_size(10, 5, 2)
    assert refused(lambda: rules.check_size(11, 0, 0)).code == 1009
    assert refused(lambda: rules.check_size(10, 6, 1)).code == 1009
    assert refused(lambda: rules.check_size(0, 15, 3)).code == 1008


def test_zero_is_no_limit() -> None:
    FrameRules(True).check_size((1 << 63) - 1, 0, 1 << 40)


def test_rules_made_of_the_same_options_are_equal_and_can_be_shared() -> None:
    assert FrameRules(True, max_frame=5) == FrameRules(True, max_frame=5) != FrameRules(False, max_frame=5)
    assert len({FrameRules(True, rsv1=True), FrameRules(True, rsv1=True), FrameRules(True)}) == 2
