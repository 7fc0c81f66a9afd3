"""The scanner of the ``frames`` relay: what passes, what is held back, what is counted, and each violation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.frame_streams import (
    CHOPS,
    RULES,
    Reference,
    any_streams,
    bytewise,
    frame,
    pieces,
    sound_streams,
)
from wsgate.wire.close_codes import FrameError, close_payload
from wsgate.wire.ws_encoding import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Chunk, encode_frame
from wsgate.wire.ws_frames import MAX_HELD, Control, FrameScanner, without
from wsgate.wire.ws_rules import FrameRules


class Seen(NamedTuple):
    """All that one pass of a stream through a scanner shows."""

    forwarded: bytes
    controls: list[tuple[int, bytes]]
    counts: tuple[int, int, int, int, int]
    fault: tuple[int, str] | None
    closed: bool
    at_boundary: bool
    at_message_boundary: bool


def counts(scanner: FrameScanner) -> tuple[int, int, int, int, int]:
    return scanner.frames, scanner.controls, scanner.messages, scanner.texts, scanner.payload_bytes


def observe(rules: FrameRules, chunks: Sequence[Chunk]) -> Seen:
    """Feed ``chunks`` and check on the way what must hold after every scan."""
    scanner = FrameScanner(rules)
    out, controls, fault, received = b"", [], None, 0
    for chunk in chunks:
        received += len(chunk)
        try:
            passed = bytes(scanner.scan(chunk))
        except FrameError as error:
            assert error.code in {1002, 1007, 1008, 1009}
            assert fault in {None, (error.code, error.text)}
            assert fault is None or (error.sound == b"" and not scanner.events)
            passed, fault = error.sound, (error.code, error.text)
        for opcode, payload, start, end in scanner.events:
            mask = passed[start + 2 : start + 6] if rules.masked else None
            assert passed[start:end] == encode_frame(opcode, payload, mask=mask)
            controls.append((opcode, payload))
        out += passed
        assert scanner.held <= MAX_HELD
        assert fault or scanner.closed or len(out) + scanner.held == received
        assert -1 <= scanner.boundary(passed) <= len(passed)
        assert (scanner.boundary(passed) == len(passed)) >= scanner.at_boundary
    return Seen(out, controls, counts(scanner), fault, scanner.closed, scanner.at_boundary, scanner.at_message_boundary)


# ---- any stream, any pieces ------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(sound_streams(), CHOPS)
def test_sound_frames_pass_byte_for_byte_however_they_are_cut(
    sample: tuple[FrameRules, bytes], cuts: list[int]
) -> None:
    rules, stream = sample
    seen = observe(rules, list(pieces(stream, cuts)))
    assert seen.forwarded == stream
    assert seen.fault is None
    assert seen.at_boundary and seen.at_message_boundary
    assert seen == observe(rules, [stream])


@settings(max_examples=500, deadline=None)
@given(any_streams(), CHOPS)
def test_any_stream_in_any_pieces_agrees_with_the_reference(sample: tuple[FrameRules, bytes], cuts: list[int]) -> None:
    rules, stream = sample
    seen, reference = observe(rules, list(pieces(stream, cuts))), Reference(rules, stream)
    assert stream.startswith(seen.forwarded)
    assert reference.least <= len(seen.forwarded) <= reference.most
    assert (seen.fault[0] if seen.fault else None) == reference.fault
    assert seen.controls == reference.controls
    assert seen.closed == reference.closed
    assert seen.counts[:4] == (reference.frames, len(reference.controls), reference.messages, reference.texts)
    if reference.fault != 1007:
        assert seen.counts[4] == reference.payload_bytes
        assert seen._replace(fault=None) == observe(rules, [stream])._replace(fault=None)


@settings(max_examples=300, deadline=None)
@given(RULES, st.binary(max_size=400), CHOPS)
def test_noise_raises_nothing_but_frame_errors(rules: FrameRules, noise: bytes, cuts: list[int]) -> None:
    seen = observe(rules, list(pieces(noise, cuts)))
    assert noise.startswith(seen.forwarded)
    assert (seen.fault[0] if seen.fault else None) == Reference(rules, noise).fault


@settings(max_examples=200, deadline=None)
@given(sound_streams(), CHOPS, st.randoms(use_true_random=False))
def test_taken_out_control_frames_are_all_that_is_missing(
    sample: tuple[FrameRules, bytes], cuts: list[int], chance: object
) -> None:
    rules, stream = sample
    scanner, kept, taken = FrameScanner(rules), b"", 0
    for chunk in pieces(stream, cuts):
        out = scanner.scan(chunk)
        pongs = [control for control in scanner.events if control.opcode == PONG]
        taken += len(pongs)
        kept += without(out, pongs)
    plain, again = FrameScanner(rules), observe(rules, [kept])
    plain.scan(stream)
    assert again.fault is None
    assert all(opcode != PONG for opcode, _ in again.controls)
    assert again.counts[2:] == counts(plain)[2:]
    assert again.counts[1] == scanner.controls - taken


# ---- what the relay sees ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("view", [False, True])
def test_a_chunk_of_whole_frames_is_forwarded_as_the_same_object(masked: bool, size: int, view: bool) -> None:
    scanner = FrameScanner(FrameRules(masked, max_frame=65536, max_message=65536, max_fragments=1))
    wire = frame(masked, BINARY, bytes(size)) * 2
    chunk = memoryview(wire) if view else wire
    assert scanner.scan(chunk) is chunk
    assert counts(scanner) == (2, 0, 2, 0, 2 * size)
    assert scanner.boundary(chunk) == len(chunk)


def test_the_middle_of_a_frame_is_forwarded_as_the_same_object() -> None:
    scanner = FrameScanner(FrameRules(True))
    start, middle, end = frame(True, TEXT, bytes(10))[:9], b"abcd", b"efg"
    assert scanner.scan(start) is start
    assert (scanner.at_boundary, scanner.boundary(start), scanner.payload_bytes) == (False, 0, 3)
    assert scanner.scan(middle) is middle
    assert (scanner.at_boundary, scanner.boundary(middle), scanner.payload_bytes) == (False, -1, 7)
    assert scanner.scan(end) is end
    assert (scanner.at_boundary, scanner.boundary(end), scanner.payload_bytes) == (True, 3, 10)
    assert counts(scanner) == (1, 0, 1, 1, 10)


def test_control_frames_are_events_with_their_place_and_pass_in_the_same_object() -> None:
    scanner = FrameScanner(FrameRules(True))
    data, ping, pong = frame(True, BINARY, b"data"), frame(True, PING, b"one"), frame(True, PONG)
    chunk = data + ping + data + pong
    assert scanner.scan(chunk) is chunk
    one, two = scanner.events
    assert one == Control(PING, b"one", len(data), len(data + ping))
    assert two == Control(PONG, b"", len(data + ping + data), len(chunk))
    assert without(chunk, [one]) == data + data + pong
    assert without(memoryview(chunk), [one, two]) == data + data
    assert without(chunk, []) == chunk
    assert scanner.scan(data) is data
    assert not scanner.events
    assert counts(scanner) == (5, 2, 3, 0, 12)


def test_a_control_frame_may_stand_between_the_frames_of_a_message() -> None:
    chunk = frame(False, TEXT, b"a", fin=False) + frame(False, PING, b"p") + frame(False, CONTINUATION, b"b")
    for chunks in ([chunk], bytewise(chunk)):
        seen = observe(FrameRules(False), chunks)
        assert seen.forwarded == chunk
        assert seen.controls == [(PING, b"p")]
        assert seen.counts == (3, 1, 1, 1, 2)


def test_a_header_is_held_back_until_it_is_whole_and_then_leads_one_piece() -> None:
    scanner = FrameScanner(FrameRules(True))
    wire = frame(True, BINARY, bytes(70000))
    for at in range(13):
        assert bytes(scanner.scan(memoryview(wire)[at : at + 1])) == b""
        assert (scanner.held, scanner.at_boundary) == (at + 1, True)
    assert bytes(scanner.scan(wire[13:14])) == wire[:14]
    assert (scanner.held, scanner.at_boundary, scanner.at_message_boundary) == (0, False, False)
    rest = wire[14:]
    assert scanner.scan(rest) is rest
    assert scanner.at_message_boundary


def test_an_unfinished_control_frame_is_held_back_whole() -> None:
    scanner = FrameScanner(FrameRules(True))
    data, ping = frame(True, BINARY, b"d"), frame(True, PING, bytes(125))
    assert bytes(scanner.scan(data + ping[:-1])) == data
    assert scanner.held == MAX_HELD == len(ping) - 1
    assert (list(scanner.events), scanner.at_boundary) == ([], True)
    assert bytes(scanner.scan(ping[-1:] + data)) == ping + data
    assert scanner.events == [Control(PING, bytes(125), 0, len(ping))]


def test_an_empty_chunk_changes_nothing() -> None:
    scanner = FrameScanner(FrameRules(False))
    assert scanner.scan(b"") == b""
    scanner.scan(frame(False, PING)[:1])
    assert bytes(scanner.scan(b"")) == b""
    assert scanner.held == 1
    scanner.scan(frame(False, PING)[1:] + frame(False, BINARY, b"abc")[:3])
    assert scanner.scan(b"") == b""
    assert (scanner.boundary(b""), scanner.at_boundary) == (-1, False)


def test_the_last_boundary_in_a_chunk_is_where_a_frame_can_be_put_in() -> None:
    scanner = FrameScanner(FrameRules(False))
    whole, part = frame(False, BINARY, b"one"), frame(False, TEXT, b"two", fin=False)[:4]
    chunk = whole + frame(False, PONG, b"old") + part
    out = scanner.scan(chunk)
    place = scanner.boundary(out)
    assert place == len(chunk) - len(part)
    ping = frame(False, PING, b"new")
    put_in = b"".join((out[:place], ping, out[place:]))
    assert without(put_in, scanner.events) == whole + ping + part


def test_boundaries_of_frames_and_of_messages_differ_inside_a_message() -> None:
    scanner = FrameScanner(FrameRules(False))
    scanner.scan(frame(False, BINARY, b"a", fin=False))
    assert (scanner.at_boundary, scanner.at_message_boundary) == (True, False)
    scanner.scan(frame(False, CONTINUATION))
    assert (scanner.at_boundary, scanner.at_message_boundary) == (True, True)


@pytest.mark.parametrize("payload", [b"", close_payload(1000), close_payload(4999, "é" * 61)])
@pytest.mark.parametrize("masked", [True, False])
def test_after_a_close_everything_is_dropped(payload: bytes, masked: bool) -> None:
    data, close = frame(masked, BINARY, b"d"), frame(masked, CLOSE, payload)
    tail = data + b"\xff\xff noise"
    for chunks in ([data + close + tail], bytewise(data + close + tail), [data + close, tail, tail]):
        seen = observe(FrameRules(masked), chunks)
        assert seen.forwarded == data + close
        assert seen.controls == [(CLOSE, payload)]
        assert seen.counts == (2, 1, 1, 0, 1)
        assert (seen.closed, seen.fault) == (True, None)


def test_close_may_come_inside_a_message() -> None:
    stream = frame(False, TEXT, b"a", fin=False) + frame(False, CLOSE)
    seen = observe(FrameRules(False), [stream])
    assert (seen.forwarded, seen.closed, seen.at_boundary) == (stream, True, True)


def test_a_scanner_takes_a_few_hundred_bytes_and_keeps_no_hold_on_a_view() -> None:
    buffer = bytearray(
        frame(True, TEXT, b"text" * 40) + frame(True, PING, b"abc") + frame(True, BINARY, bytes(300))[:99]
    )
    scanner = FrameScanner(FrameRules(True, validate_utf8=True))
    with memoryview(buffer) as view:
        scanner.scan(view)
    buffer.clear()  # BufferError while a view of it is alive
    assert sys.getsizeof(scanner) + sys.getsizeof(scanner.events) < 400
    assert not hasattr(scanner, "__dict__")


# ---- violations ------------------------------------------------------------------------------------------------------


def header(first: int, second: int, rest: bytes = b"") -> bytes:
    return bytes([first, second]) + rest


VIOLATIONS = {
    "reserved data opcode": (False, header(0x83, 0), 1002, "reserved opcode 3"),
    "reserved control opcode": (False, header(0x8B, 0), 1002, "reserved opcode 11"),
    "rsv1 without compression": (False, header(0xC1, 0), 1002, "reserved bit"),
    "rsv2": (False, header(0xA1, 0), 1002, "reserved bit"),
    "rsv3": (True, header(0x91, 0x80), 1002, "reserved bit"),
    "client frame without a mask": (True, header(0x82, 0x05, b"hello"), 1002, "without a mask"),
    "client control frame without a mask": (True, header(0x89, 0x00), 1002, "without a mask"),
    "masked server frame": (False, header(0x82, 0x80, b"abcd"), 1002, "masked frame"),
    "64-bit length": (True, header(0x82, 0xFF, b"\x80" + bytes(7)), 1002, "63 bits"),
    "16-bit length for 125": (False, header(0x82, 126, b"\0\x7d" + bytes(125)), 1002, "shortest form"),
    "masked 16-bit length for 0": (True, header(0x82, 0xFE, b"\0\0abcd"), 1002, "shortest form"),
    "64-bit length for 65535": (False, header(0x82, 127, bytes(6) + b"\xff\xff"), 1002, "shortest form"),
    "control frame in pieces": (False, header(0x09, 0), 1002, "in pieces"),
    "control frame of 126 bytes": (False, header(0x89, 126, b"\0\x7e" + bytes(126)), 1002, "125 bytes"),
    "control frame with a 64-bit length": (True, header(0x8A, 0xFF), 1002, "125 bytes"),
    "continuation of nothing": (False, frame(False, CONTINUATION, b"x"), 1002, "continuation"),
    "last continuation of nothing": (True, frame(True, CONTINUATION, b"x", fin=False), 1002, "continuation"),
    "close of one byte": (True, frame(True, CLOSE, b"\x03"), 1002, "one byte"),
    "close with a forbidden code": (False, frame(False, CLOSE, b"\x03\xed"), 1002, "1005"),
    "close with a reason that is no text": (True, frame(True, CLOSE, b"\x03\xe8\xff"), 1007, "reason"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_named_and_what_came_before_still_passes(name: str) -> None:
    masked, bad, code, text = VIOLATIONS[name]
    before = frame(masked, BINARY, b"before") + frame(masked, PING, b"ping")
    tail = frame(masked, BINARY, b"after")
    for stream in (before + bad, before + bad + tail):
        for chunks in ([stream], bytewise(stream), [before, stream[len(before) :]]):
            seen = observe(FrameRules(masked), chunks)
            assert seen.forwarded == before
            assert seen.controls == [(PING, b"ping")]
            assert seen.at_boundary
            assert seen.fault is not None
            assert seen.fault[0] == code
            assert text in seen.fault[1]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_inside_a_message_is_a_violation_at_a_boundary(opcode: int) -> None:
    stream = frame(True, TEXT, b"a", fin=False)
    for chunks in ([stream + frame(True, opcode)], bytewise(stream + frame(True, opcode))):
        seen = observe(FrameRules(True), chunks)
        assert (seen.forwarded, seen.fault) == (stream, (1002, "new message inside a message"))
        assert (seen.at_boundary, seen.at_message_boundary) == (True, False)


def test_rsv1_is_allowed_on_the_first_frame_of_a_compressed_message_only() -> None:
    rules = FrameRules(True, rsv1=True)
    good = frame(True, TEXT, b"zip", rsv1=True) + frame(True, BINARY, b"z", fin=False, rsv1=True)
    assert observe(rules, [good, frame(True, CONTINUATION, b"ip")]).fault is None
    for bad in (b"\xc0\x80", b"\xc9\x80"):
        assert observe(rules, [good + bad]).fault == (1002, "reserved bit without an extension for it")


@pytest.mark.parametrize(
    ("rules", "good", "bad", "code"),
    [
        (FrameRules(False, max_frame=200), [(BINARY, 200, True)], (BINARY, 201, True), 1009),
        (FrameRules(False, max_frame=20), [(BINARY, 20, True)], (TEXT, 21, True), 1009),
        (FrameRules(False, max_message=20), [(BINARY, 20, True)], (BINARY, 21, True), 1009),
        (FrameRules(False, max_message=20), [(TEXT, 9, False), (0, 11, True), (TEXT, 9, False)], (0, 12, False), 1009),
        (FrameRules(False, max_fragments=1), [(TEXT, 1, True), (TEXT, 1, False)], (0, 1, True), 1008),
        (FrameRules(False, max_fragments=3), [(TEXT, 0, False), (0, 0, False), (0, 0, False)], (0, 0, False), 1008),
        (FrameRules(False, max_frame=70000), [(BINARY, 70000, True)], (BINARY, 70001, True), 1009),
    ],
)
def test_limits_hold_and_are_refused_at_the_header(
    rules: FrameRules, good: list[tuple[int, int, bool]], bad: tuple[int, int, bool], code: int
) -> None:
    before = b"".join(frame(False, opcode, bytes(size), fin) for opcode, size, fin in good)
    over = frame(False, bad[0], bytes(bad[1]), bad[2])
    header_only = over[: len(over) - bad[1]]
    for chunks in ([before + over], [before, header_only], [before, *bytewise(header_only)]):
        seen = observe(rules, chunks)
        assert seen.forwarded == before
        assert seen.fault is not None
        assert seen.fault[0] == code
        assert seen.at_boundary


def test_a_masked_frame_is_too_big_before_its_mask_is_there() -> None:
    scanner = FrameScanner(FrameRules(True, max_message=1 << 20))
    with pytest.raises(FrameError, match="1048577 bytes, 1048576 allowed"):
        scanner.scan(b"\x82\xff" + ((1 << 20) + 1).to_bytes(8, "big"))


def test_a_flood_of_empty_fragments_ends_at_the_cap() -> None:
    stream = frame(True, TEXT, fin=False) + frame(True, CONTINUATION, fin=False) * 20000
    seen = observe(
        FrameRules(True, max_fragments=16384), [stream[at : at + 65536] for at in range(0, len(stream), 65536)]
    )
    assert seen.fault == (1008, "message of more than 16384 frames")
    assert len(seen.forwarded) == 16384 * 6


# ---- frames that carry nothing ---------------------------------------------------------------------------------------


class Purse:
    """A budget of so many frames; ``told`` is what was told of frames that carried something."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.told: list[int] = []
        self.pings = 0

    def spend(self, carried: int) -> None:
        self.told.append(carried)
        if len(self.told) > self.most:
            raise FrameError(1008, "enough")

    def asked(self) -> None:
        self.pings += 1


@settings(max_examples=200, deadline=None)
@given(sound_streams(), CHOPS, st.integers(0, 4))
def test_the_same_frames_are_charged_however_a_stream_is_cut(
    sample: tuple[FrameRules, bytes], cuts: list[int], most: int
) -> None:
    rules, stream = sample

    def charge(chunks: Sequence[Chunk]) -> tuple[list[int], bytes, str, int]:
        purse, out = Purse(most), b""
        scanner = FrameScanner(replace(rules, new_budget=lambda: purse))
        for chunk in chunks:
            try:
                out += bytes(scanner.scan(chunk))
            except FrameError as error:
                return purse.told, out + error.sound, error.text, scanner.empties
        return purse.told, out, "", scanner.empties

    whole = charge([stream])
    assert whole == charge(list(pieces(stream, cuts))) == charge(bytewise(stream))
    told, passed, fault, _ = whole
    assert stream.startswith(passed) and (passed == stream) == (not fault) == (len(told) <= most)


def test_pings_pongs_and_empty_fragments_are_charged_and_nothing_else() -> None:
    purse = Purse(99)
    scanner = FrameScanner(FrameRules(True, new_budget=lambda: purse))
    scanner.scan(frame(True, TEXT) + frame(True, TEXT, b"x") + frame(True, BINARY, bytes(200)))
    scanner.scan(frame(True, PING, b"p") + frame(True, PONG) + frame(True, TEXT, b"x", fin=False))
    scanner.scan(frame(True, CONTINUATION, fin=False) * 3 + frame(True, CONTINUATION))
    assert purse.told == [3, 3, 4, 4, 4]
    scanner.scan(frame(True, CLOSE))
    assert len(purse.told) == 5 and scanner.empties == 3


def test_a_ping_that_was_passed_on_is_told_to_the_budget_of_who_is_asked() -> None:
    purse = Purse(99)
    scanner = FrameScanner(FrameRules(False, new_budget=lambda: purse))
    scanner.asked()
    scanner.scan(frame(False, PONG))
    assert (purse.pings, purse.told) == (1, [0])
    FrameScanner(FrameRules(False)).asked()


def test_a_scanner_asks_for_its_budget_once_and_only_when_it_needs_one() -> None:
    made: list[Purse] = []

    def new() -> Purse:
        made.append(Purse(9))
        return made[-1]

    scanner = FrameScanner(FrameRules(False, new_budget=new))
    scanner.scan(frame(False, TEXT, b"x") + frame(False, TEXT, b"x", fin=False))
    assert not made
    scanner.scan(frame(False, PING) * 3)
    assert len(made) == 1 and len(made[0].told) == 3


def test_what_is_left_of_a_frame_is_told() -> None:
    scanner = FrameScanner(FrameRules(True))
    scanner.scan(frame(True, BINARY, bytes(10))[:9])
    assert scanner.left == 7
    scanner.scan(bytes(7) + frame(True, BINARY, bytes(3))[:4])
    assert scanner.left == 0


# ---- text ------------------------------------------------------------------------------------------------------------

CHECKED = FrameRules(True, rsv1=True, validate_utf8=True)


@given(text=st.text(min_size=1, max_size=40), cuts=st.lists(st.integers(0, 200), max_size=5), chops=CHOPS)
def test_text_may_be_cut_anywhere_into_frames_and_chunks(text: str, cuts: list[int], chops: list[int]) -> None:
    parts = list(pieces(text.encode(), cuts))
    stream = b"".join(
        frame(True, CONTINUATION if number else TEXT, bytes(part), number == len(parts) - 1)
        for number, part in enumerate(parts)
    )
    seen = observe(CHECKED, list(pieces(stream, chops)))
    assert (seen.forwarded, seen.fault, seen.counts[3]) == (stream, None, 1)


@pytest.mark.parametrize(
    "bad",
    [b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82"],
)
@pytest.mark.parametrize("masked", [True, False])
def test_text_that_is_not_utf8_is_an_invalid_payload(bad: bytes, masked: bool) -> None:
    rules = FrameRules(masked, validate_utf8=True)
    before = frame(masked, TEXT, "grün".encode())
    stream = before + frame(masked, TEXT, b"start \xe2\x82\xac" + bad)
    seen = observe(rules, [stream])
    assert (seen.forwarded, seen.fault, seen.at_boundary) == (before, (1007, "text is not UTF-8"), True)
    slow = observe(rules, bytewise(stream))
    assert slow.fault == seen.fault
    assert not slow.at_boundary
    assert stream.startswith(slow.forwarded)


@pytest.mark.parametrize("start", [b"\xff", b"\xed\xa0\x80", b"\xf4\x90", b"\xe0\x9f", b"\xf0\x8f", b"\xc1", b"a\x80"])
def test_bad_text_is_refused_at_its_first_wrong_byte(start: bytes) -> None:
    head = frame(False, TEXT, bytes(50))[:2]
    seen = observe(FrameRules(False, validate_utf8=True), bytewise(head + start))
    assert seen.fault == (1007, "text is not UTF-8")
    assert seen.forwarded == head + start[:-1]


def test_a_character_left_unfinished_at_the_end_of_a_message_is_refused() -> None:
    stream = frame(True, TEXT, b"\xe2", fin=False) + frame(True, CONTINUATION, b"\x82", fin=False)
    assert observe(CHECKED, [stream]).fault is None
    seen = observe(CHECKED, [stream + frame(True, CONTINUATION)])
    assert (seen.fault, seen.forwarded) == ((1007, "text is not UTF-8"), stream)


def test_only_text_that_is_not_compressed_is_checked() -> None:
    noise = b"\xff\xfe"
    stream = frame(True, TEXT, b"checked") + frame(True, BINARY, noise) + frame(True, TEXT, noise, rsv1=True)
    stream += frame(True, TEXT, noise, fin=False, rsv1=True) + frame(True, CONTINUATION, noise)
    for chunks in ([stream], bytewise(stream)):
        assert observe(CHECKED, chunks).fault is None
    assert observe(FrameRules(True), [frame(True, TEXT, noise)]).fault is None
