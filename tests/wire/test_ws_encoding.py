"""Masks and whole frames, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.wire.ws_encoding import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, apply_mask, encode_frame

KEY = b"\x37\xfa\x21\x3d"


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (encode_frame(TEXT, b"Hello"), "810548656c6c6f"),
        (encode_frame(TEXT, b"Hello", mask=KEY), "818537fa213d7f9f4d5158"),
        (encode_frame(TEXT, b"Hel", fin=False), "010348656c"),
        (encode_frame(CONTINUATION, b"lo"), "80026c6f"),
        (encode_frame(PING, b"Hello"), "890548656c6c6f"),
        (encode_frame(PONG, b"Hello", mask=KEY), "8a8537fa213d7f9f4d5158"),
        (encode_frame(CLOSE), "8800"),
        (encode_frame(BINARY, b"\0", rsv1=True), "c20100"),
    ],
)
def test_the_frames_of_rfc_6455_section_5_7_come_out_byte_for_byte(frame: bytes, wire: str) -> None:
    assert frame.hex() == wire


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_a_length_is_written_in_its_shortest_form(size: int, head: str) -> None:
    payload = bytes(size)
    assert encode_frame(BINARY, payload).hex() == head + payload.hex()
    masked = encode_frame(BINARY, payload, mask=b"\0\0\0\0")
    assert masked[1] == bytes.fromhex(head)[1] | 0x80
    assert masked[2:] == bytes.fromhex(head)[2:] + b"\0\0\0\0" + payload


@pytest.mark.parametrize("opcode", [3, 7, 11, 15, 16, -1])
def test_a_reserved_opcode_is_refused(opcode: int) -> None:
    with pytest.raises(ValueError, match="reserved opcode"):
        encode_frame(opcode)


def test_a_control_frame_is_whole_plain_and_short() -> None:
    assert len(encode_frame(PING, bytes(125))) == 127
    for wrong in (
        lambda: encode_frame(PING, bytes(126)),
        lambda: encode_frame(PONG, fin=False),
        lambda: encode_frame(CLOSE, rsv1=True),
    ):
        with pytest.raises(ValueError, match="a control frame is whole"):
            wrong()


@pytest.mark.parametrize("mask", [b"", b"abc", b"abcde"])
def test_a_mask_has_four_bytes(mask: bytes) -> None:
    with pytest.raises(ValueError, match="four bytes"):
        encode_frame(BINARY, b"x", mask=mask)


@given(payload=st.binary(max_size=600), key=st.binary(min_size=4, max_size=4))
def test_masking_is_the_exclusive_or_of_section_5_3_and_its_own_inverse(payload: bytes, key: bytes) -> None:
    masked = apply_mask(payload, key)
    assert masked == bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    assert apply_mask(memoryview(masked), key) == payload
