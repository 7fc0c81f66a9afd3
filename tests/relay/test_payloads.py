"""Masks and text of the ``messages`` relay, in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgate.relay.payloads import LONG, TextCheck, masked, masker_for
from wsgate.wire.ws_encoding import apply_mask

KEYS = st.binary(min_size=4, max_size=4)
LENGTHS = st.sampled_from([0, 1, 3, 4, 5, 125, LONG - 1, LONG, LONG + 1, 5000])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


@given(KEYS, LENGTHS, st.lists(st.integers(min_value=0), max_size=6))
def test_a_mask_goes_off_in_pieces_as_it_goes_on_in_one(key: bytes, length: int, places: list[int]) -> None:
    payload = bytes(number * 7 & 0xFF for number in range(length))
    under = masked(payload, key)
    assert under == apply_mask(payload, key)
    masker = masker_for(key, length)
    assert b"".join(masker.process(piece) for piece in cut(under, places)) == payload
    assert masker.pointer() == length


@given(st.text(), st.lists(st.integers(min_value=0), max_size=6))
def test_text_is_text_however_it_is_cut(text: str, places: list[int]) -> None:
    check = TextCheck()
    assert all(check.goes_on(piece) for piece in cut(text.encode(), places))
    assert check.complete


@given(st.binary(), st.lists(st.integers(min_value=0), max_size=6))
def test_what_is_no_text_is_none_however_it_is_cut(data: bytes, places: list[int]) -> None:
    try:
        data.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    check = TextCheck()
    assert (all(check.goes_on(piece) for piece in cut(data, places)) and check.complete) is is_text


def test_a_fault_is_found_before_the_message_is_complete() -> None:
    """As the conformance suite asks."""
    for sound, fault in (
        (b"\xf4", b"\x90"),
        (b"\xed\xa0", b"\x80"),
        (b"\xe0", b"\x9f"),
        (b"", b"\xc0"),
        (b"", b"\xf8"),
    ):
        check = TextCheck()
        assert check.goes_on(sound)
        assert not check.goes_on(fault)
