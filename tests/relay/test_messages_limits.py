"""What the ``messages`` relay lets nobody do: broken frames, text that is none, sizes, floods and rates."""

from __future__ import annotations

import pytest

from tests.doubles import frames
from tests.relay.message_rig import Rig, limits
from wsgate.causes import Cause, Side
from wsgate.relay.closing import MOST_DROPPED, VERDICT_WAIT
from wsgate.relay.silence import SILENCE

UNMASKED = b""
ZERO = b"\0\0\0\0"

# What is wrong with a frame of either direction; the mask bit and the mask are put in.
BROKEN = {
    "reserved bit": (0xC1, b"\x00", b""),
    "reserved opcode": (0x83, b"\x00", b""),
    "reserved control opcode": (0x8B, b"\x00", b""),
    "control frame in pieces": (0x09, b"\x00", b""),
    "long control frame": (0x89, b"\x7e\x00\x7e", b""),
    "continuation of nothing": (0x80, b"\x00", b""),
    "length in two bytes that fits in one": (0x82, b"\x7e\x00\x7d", b""),
    "length in eight bytes that fits in two": (0x82, b"\x7f" + (65_535).to_bytes(8, "big"), b""),
    "length of 64 bits": (0x82, b"\x7f" + b"\xff" * 8, b""),
    "close of one byte": (0x88, b"\x01", b"\x03"),
    "close code that is never sent": (0x88, b"\x02", b"\x03\xed"),
    "close code of nobody": (0x88, b"\x02", b"\x07\xd0"),
}


def broken(name: str, side: Side) -> bytes:
    first, length, payload = BROKEN[name]
    if side is Side.SERVER:
        return bytes([first]) + length + payload
    return bytes([first, 0x80 | length[0]]) + length[1:] + ZERO + payload


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_closes_with_1002(name: str, side: Side, piece: int) -> None:
    rig = Rig().start()
    offender, other = (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)
    mask = frames.MASK if side is Side.CLIENT else UNMASKED
    stream = frames.text("before", mask) + broken(name, side) + frames.text("after", mask)
    for start in range(0, len(stream), piece):
        offender.leg.arrive(stream[start : start + piece])
    rig.settle()
    cause = Cause.CLIENT_PROTOCOL if side is Side.CLIENT else Cause.SERVER_PROTOCOL
    assert offender.heard_close is not None and offender.heard_close[0] == 1002
    assert other.heard_close == ((1001 if side is Side.CLIENT else 1011), cause.value.text)
    assert other.messages == ["before"]
    rig.server.leg.end()
    rig.client.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by, rig.ending.code) == (cause, side, 1002)
    assert rig.ending.detail


@pytest.mark.parametrize(("side", "mask"), [(Side.CLIENT, UNMASKED), (Side.SERVER, frames.MASK)])
def test_masks_go_from_clients_to_servers_only(side: Side, mask: bytes) -> None:
    """RFC 6455 section 5.1."""
    rig = Rig().start()
    offender, other = (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)
    offender.leg.arrive(frames.text("x", mask))
    rig.settle()
    assert offender.heard_close is not None and offender.heard_close[0] == 1002
    assert other.messages == []


def test_a_new_message_inside_a_message_closes_with_1002() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"a", fin=False) + frames.text("b"))
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
@pytest.mark.parametrize("payload", [b"\xff", b"abc\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"ok\xe2\x82"])
def test_text_that_is_not_utf8_closes_with_1007(payload: bytes, side: Side) -> None:
    rig = Rig().start()
    offender, other = (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)
    mask = frames.MASK if side is Side.CLIENT else UNMASKED
    for byte in frames.encode(frames.TEXT, payload, mask=mask):
        offender.leg.arrive(bytes([byte]))
    rig.settle()
    assert offender.heard_close is not None and offender.heard_close[0] == 1007
    assert other.messages == []
    assert other.heard_close is not None and other.heard_close[0] == (1001 if side is Side.CLIENT else 1011)


def test_text_is_refused_before_its_message_is_complete() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"ab\xff", length=10_000, mask=ZERO))
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1007


def test_a_character_may_be_cut_between_two_frames() -> None:
    rig = Rig().start()
    cut = "☃".encode()
    rig.client.leg.arrive(frames.encode(frames.TEXT, cut[:1], fin=False) + frames.encode(frames.CONTINUATION, cut[1:]))
    rig.settle()
    assert rig.server.messages == ["☃"]


def test_a_close_reason_that_is_not_utf8_closes_with_1007() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(frames.encode(frames.CLOSE, b"\x03\xe8\xff"))
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1007


# The connection of who broke a rule


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_the_answers_to_what_came_before_a_fault_come_before_its_close(side: Side) -> None:
    rig = Rig().start()
    offender, other = (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)
    other.reads = False
    offender.leg.arrive(broken("reserved bit", side))
    rig.settle()
    assert offender.heard_close is None
    other.text("the answer")
    rig.settle()
    other.reads = True
    rig.settle()
    assert offender.messages == ["the answer"]
    assert offender.heard_close is not None and offender.heard_close[0] == 1002


def test_a_fault_is_answered_in_a_second_whatever_the_other_side_does() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.leg.arrive(broken("reserved bit", Side.CLIENT))
    rig.wait(VERDICT_WAIT - 0.1)
    assert rig.client.heard_close is None
    rig.wait(0.2)
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002


def test_two_that_break_rules_have_nothing_to_wait_for() -> None:
    rig = Rig().start()
    rig.client.reads = rig.server.reads = False
    rig.client.leg.arrive(broken("reserved bit", Side.CLIENT))
    rig.server.leg.arrive(broken("reserved opcode", Side.SERVER))
    rig.client.reads = rig.server.reads = True
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002
    assert rig.server.heard_close is not None


def test_a_client_that_broke_a_rule_and_left_is_not_waited_for() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.leg.arrive(broken("reserved bit", Side.CLIENT))
    rig.client.leg.end()
    rig.settle()
    assert rig.client.leg.closed
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002


def test_a_client_that_broke_a_rule_can_read_its_close_and_is_dropped_with_its_end() -> None:
    """FIN behind the Close; what it still sends is read, so that no reset takes the Close away."""
    rig = Rig().start()
    rig.client.reads = False
    rig.client.leg.arrive(frames.text("x", UNMASKED))
    rig.settle()
    assert rig.client.leg.write_ended and not rig.client.leg.closed
    rig.client.leg.arrive(b"more" * 1000)
    rig.client.leg.end()
    rig.settle()
    assert rig.client.leg.closed and not rig.client.leg.aborted


def test_a_client_that_floods_on_is_cut_off() -> None:
    rig = Rig().start()
    rig.client.reads = False
    rig.client.leg.arrive(frames.text("x", UNMASKED))
    for _ in range(MOST_DROPPED // (64 * 1024) + 1):
        rig.client.leg.arrive(bytes(64 * 1024))
    rig.settle()
    assert rig.client.leg.aborted


def test_a_leg_that_cannot_be_half_closed_is_closed() -> None:
    """Under TLS 1.2 there is no end of one direction: it is closed when the client is silent, so that what it had under
    way does not turn its Close into a reset."""
    rig = Rig(half_closes=False).start()
    rig.client.leg.arrive(frames.text("x", UNMASKED))
    for _ in range(3):
        rig.wait(0.8 * SILENCE)
        rig.client.leg.arrive(bytes(100))
    assert not rig.client.leg.closed
    rig.wait(2 * SILENCE + 0.1)
    assert rig.client.leg.closed and not rig.client.leg.aborted
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1002


def test_a_client_that_is_lost_while_its_silence_is_awaited_leaves_nothing_behind() -> None:
    rig = Rig(half_closes=False).start()
    rig.client.leg.arrive(frames.text("x", UNMASKED))
    rig.settle()
    rig.client.leg.reset()
    rig.server.leg.reset()
    assert rig.cause is Cause.CLIENT_PROTOCOL and not len(rig.wheel)


def test_a_server_that_broke_a_rule_is_waited_for_and_cut_off_at_the_deadline() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    rig.server.reads = False
    rig.server.leg.arrive(frames.text("x"))
    rig.wait(1.9)
    assert not rig.server.leg.closed
    rig.wait(0.3)
    assert rig.server.leg.aborted
    assert rig.cause is Cause.SERVER_PROTOCOL


# Sizes


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
def test_a_message_of_the_greatest_size_passes_and_a_longer_one_closes_with_1009(side: Side) -> None:
    rig = Rig(limits(max_message=1000)).start()
    offender, other = (rig.client, rig.server) if side is Side.CLIENT else (rig.server, rig.client)
    mask = frames.MASK if side is Side.CLIENT else UNMASKED
    offender.binary(b"x" * 1000)
    rig.settle()
    offender.leg.arrive(frames.encode(frames.BINARY, b"y" * 600, fin=False, mask=mask))
    rig.settle()
    assert other.messages == [b"x" * 1000]
    # The header is enough: nothing of what is too much is taken.
    offender.leg.arrive(frames.encode(frames.CONTINUATION, b"", length=401, mask=mask))
    rig.settle()
    cause = Cause.CLIENT_TOO_BIG if side is Side.CLIENT else Cause.SERVER_TOO_BIG
    assert offender.heard_close is not None and offender.heard_close[0] == 1009
    assert other.heard_close == ((1001 if side is Side.CLIENT else 1011), cause.value.text)
    rig.client.leg.end()
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is cause


def test_a_frame_above_its_own_limit_closes_with_1009() -> None:
    rig = Rig(limits(max_frame=100, max_message=1000)).start()
    rig.client.binary(b"x" * 100)
    rig.client.binary(b"x" * 101)
    rig.settle()
    assert rig.server.messages == [b"x" * 100]
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1009


def test_a_flood_of_empty_fragments_closes_with_1008_and_keeps_nothing() -> None:
    rig = Rig(limits(max_fragments=100)).start()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"", fin=False, mask=ZERO))
    rig.client.leg.arrive(frames.encode(frames.CONTINUATION, b"", fin=False, mask=ZERO) * 1_000)
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1008
    assert rig.relay.traffic().frames_in <= 101
    rig.client.leg.end()
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LIMIT


# Rates


def test_a_client_above_its_rate_of_messages_closes_with_1008() -> None:
    rig = Rig(limits(messages_per_second=2, messages_burst=3)).start()
    for number in range(5):
        rig.client.text(str(number))
    rig.settle()
    assert rig.server.messages == ["0", "1", "2"]
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1008
    rig.client.leg.end()
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LIMIT


def test_a_client_that_keeps_to_its_rate_goes_on() -> None:
    rig = Rig(limits(messages_per_second=2, messages_burst=3)).start()
    for number in range(20):
        rig.client.text(str(number))
        rig.wait(0.55)
    assert len(rig.server.messages) == 20


def test_pings_count_as_messages() -> None:
    rig = Rig(limits(messages_per_second=2, messages_burst=3)).start()
    for _ in range(4):
        rig.client.leg.arrive(frames.encode(frames.PING, b""))
    rig.settle()
    assert rig.client.heard_close is not None and rig.client.heard_close[0] == 1008


def test_a_client_above_its_rate_waits_where_the_action_is_wait() -> None:
    rig = Rig(limits(messages_per_second=2, messages_burst=3, limit_action="wait")).start()
    for number in range(10):
        rig.client.text(str(number))
    rig.settle()
    assert len(rig.server.messages) == 4
    assert rig.client.leg.paused
    rig.wait(1.15)
    assert len(rig.server.messages) == 6
    rig.wait(3)
    assert rig.server.messages == [str(number) for number in range(10)]
    assert not rig.endings


def test_bytes_are_counted_as_well() -> None:
    rig = Rig(limits(bytes_per_second=1000, bytes_burst=1000, limit_action="wait")).start()
    rig.client.binary(b"x" * 2000)
    rig.client.text("next")
    rig.settle()
    assert rig.server.messages == [b"x" * 2000]
    rig.wait(0.9)
    assert len(rig.server.messages) == 1
    rig.wait(0.2)
    assert rig.server.messages[1:] == ["next"]


def test_the_rates_are_the_clients() -> None:
    rig = Rig(limits(messages_per_second=1, messages_burst=1)).start()
    for number in range(50):
        rig.server.text(str(number))
    rig.settle()
    assert len(rig.client.messages) == 50


def test_a_client_that_waits_is_heard_again_when_all_ends() -> None:
    """Its Close must be noticed, or the end would wait for the deadline."""
    rig = Rig(limits(messages_per_second=1, messages_burst=1, limit_action="wait")).start()
    for number in range(50):
        rig.client.text(str(number))
    rig.settle()
    assert rig.client.leg.paused
    rig.relay.close(Cause.STOPPING)
    rig.settle()
    assert rig.client.leg.closed and not rig.client.leg.aborted


def test_a_client_that_is_lost_while_it_waits_ends_the_websocket_at_once() -> None:
    """What was read of it would last for minutes at its rate; the server's side is not kept for that."""
    rig = Rig(limits(messages_per_second=1, messages_burst=1, limit_action="wait")).start()
    rig.client.leg.arrive(frames.text("x") * 500)
    rig.settle()
    assert rig.client.leg.paused
    rig.client.leg.reset()
    rig.settle()
    assert rig.server.messages == ["x", "x"]
    assert rig.server.heard_close == (1001, Cause.CLIENT_LOST.value.text)
    rig.wait(10)
    assert rig.cause is Cause.CLIENT_LOST and rig.server.messages == ["x", "x"]
