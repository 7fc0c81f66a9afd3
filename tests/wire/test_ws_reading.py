"""Frames of a server are taken apart whatever the pieces they come in, within a bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.close_codes import FrameError
from wsgate.wire.ws_encoding import BINARY, CONTINUATION, PING, TEXT, encode_frame
from wsgate.wire.ws_reading import Frame, FrameReader

FRAMES = [
    Frame(TEXT, False, b"hel"),
    Frame(PING, True, b"12345678"),
    Frame(CONTINUATION, True, b"lo"),
    Frame(BINARY, True, b"x" * 126),
    Frame(BINARY, True, b"y" * 65_536),
    Frame(TEXT, True, b""),
]
STREAM = b"".join(encode_frame(opcode, payload, fin) for opcode, fin, payload in FRAMES)


def read(pieces: list[bytes], most: int = 70_000) -> list[Frame]:
    reader = FrameReader(most)
    return [frame for piece in pieces for frame in reader.feed(piece)]


@pytest.mark.parametrize("size", [1, 2, 3, 1000, len(STREAM)])
def test_frames_come_out_however_the_stream_is_cut(size: int) -> None:
    assert read([STREAM[at : at + size] for at in range(0, len(STREAM), size)]) == FRAMES


def test_what_is_not_complete_waits() -> None:
    assert read([STREAM + b"\x81\x05hel"]) == FRAMES


@given(st.binary(max_size=300))
def test_any_bytes_give_frames_or_a_fault(data: bytes) -> None:
    try:
        assert all(len(frame.payload) <= 1000 for frame in read([data], most=1000))
    except FrameError as error:
        assert error.code in (1002, 1009)


@pytest.mark.parametrize("data", [b"\x81\x85", b"\xc1\x00", b"\x83\x00", b"\x8f\x00"])
def test_what_no_server_sends_is_a_fault(data: bytes) -> None:
    with pytest.raises(FrameError) as fault:
        read([data])
    assert fault.value.code == 1002


def test_a_frame_above_the_bound_is_a_fault_before_it_has_come() -> None:
    with pytest.raises(FrameError) as fault:
        read([b"\x82\x7f" + (1 << 40).to_bytes(8, "big")])
    assert fault.value.code == 1009
