"""The ``messages`` relay: messages, Pings and Pongs pass between two peers that each speak with the gateway."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode

from tests.doubles import frames
from tests.relay.message_rig import Rig, limits
from wsgate.causes import Cause, Side

UNMASKED = b""


def test_messages_pass_both_ways_with_their_type() -> None:
    rig = Rig().start()
    rig.client.text("grüße")
    rig.client.binary(b"\xff\x00")
    rig.server.text("")
    rig.server.binary(b"x" * 70_000)
    rig.settle()
    assert rig.server.messages == ["grüße", b"\xff\x00"]
    assert rig.client.messages == ["", b"x" * 70_000]
    assert not rig.endings


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1023, 1024, 65_535, 65_536, 300_000])
def test_a_message_of_any_size_passes_both_ways(size: int) -> None:
    """The sizes where the length of a frame is written otherwise, and where masks are made otherwise."""
    rig = Rig().start()
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    rig.client.binary(message)
    rig.server.binary(message)
    rig.settle()
    assert rig.server.messages == rig.client.messages == [message]


def test_a_message_in_fragments_passes_whole_and_controls_between_them_pass_before_it() -> None:
    rig = Rig().start()
    client = rig.client.leg
    client.arrive(frames.encode(frames.TEXT, b"one ", fin=False))
    client.arrive(frames.encode(frames.PING, b"?"))
    client.arrive(frames.encode(frames.CONTINUATION, b"", fin=False))
    client.arrive(frames.encode(frames.CONTINUATION, b"message", fin=True))
    rig.settle()
    assert [(frame.opcode, bytes(frame.data)) for frame in rig.server.frames] == [
        (Opcode.PING, b"?"),
        (Opcode.TEXT, b"one message"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_messages_pass_however_the_stream_is_cut(size: int) -> None:
    rig = Rig().start()
    sent: list[str | bytes] = ["é" * 50, b"\x00" * 5000, "", "end"]
    for peer, mask in ((rig.client, frames.MASK), (rig.server, UNMASKED)):
        stream = b"".join(
            frames.encode(
                frames.TEXT if isinstance(message, str) else frames.BINARY,
                message.encode() if isinstance(message, str) else message,
                mask=mask,
            )
            for message in sent
        )
        for start in range(0, len(stream), size):
            peer.leg.arrive(stream[start : start + size])
    rig.settle()
    assert rig.server.messages == sent
    assert rig.client.messages == sent


def test_a_buffer_full_of_short_frames_passes_in_order() -> None:
    rig = Rig().start()
    sent = [str(number) for number in range(20_000)]
    rig.client.leg.arrive(b"".join(map(frames.text, sent)))
    rig.settle()
    assert rig.server.messages == sent


def test_frames_towards_the_server_have_masks_of_their_own() -> None:
    """RFC 6455 section 5.3: a key for each frame."""
    rig = Rig().start()
    rig.server.reads = False
    rig.client.text("same")
    rig.client.text("same")
    rig.settle()
    stream = rig.server.leg.take()
    assert len(stream) == 20
    first, second = stream[:10], stream[10:]
    assert first[:2] == second[:2] == b"\x81\x84"
    assert first[2:6] != second[2:6]


# The handshake


def test_the_client_is_answered_with_the_servers_fields_as_they_are() -> None:
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=\xc3\xa9\xff"), (b"X-Served-By", b"seven")]
    rig = Rig(subprotocol="chat.v1", fields=cookies).start()
    lines = rig.client.head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert [line for line in lines if line.startswith((b"Set-", b"X-"))] == [b"%b: %b" % field for field in cookies]
    names = [line.split(b":")[0].lower() for line in lines[1:]]
    handshake = [b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol"]
    assert sorted(names) == sorted([*handshake, b"set-cookie", b"set-cookie", b"x-served-by"])
    client = rig.client.protocol
    assert client.handshake_exc is None and client.subprotocol == "chat.v1"


def test_bytes_behind_the_handshakes_are_not_lost() -> None:
    rig = Rig().start(frames.text("early client"), frames.text("early server", UNMASKED))
    assert rig.server.messages == ["early client"]
    assert rig.client.messages == ["early server"]


def test_what_came_in_part_with_a_handshake_goes_on() -> None:
    whole = frames.text("a message in two pieces")
    rig = Rig().start(whole[:9])
    rig.client.leg.arrive(whole[9:])
    rig.settle()
    assert rig.server.messages == ["a message in two pieces"]


# Pings and Pongs


def test_pings_and_pongs_pass_from_peer_to_peer() -> None:
    rig = Rig().start()
    rig.client.protocol.send_ping(b"from the client")
    rig.server.protocol.send_ping(b"from the server")
    rig.settle()
    assert rig.server.controls(Opcode.PING) == [b"from the client"]
    assert rig.client.controls(Opcode.PONG) == [b"from the client"]
    assert rig.client.controls(Opcode.PING) == [b"from the server"]
    assert rig.server.controls(Opcode.PONG) == [b"from the server"]


def test_a_ping_is_answered_by_nobody_but_the_other_peer() -> None:
    rig = Rig().start()
    rig.server.reads = False
    rig.client.protocol.send_ping(b"x")
    rig.settle()
    assert rig.client.controls(Opcode.PONG) == []


def test_a_pong_that_nobody_asked_for_passes() -> None:
    """RFC 6455 section 5.5.3: a unidirectional heartbeat."""
    rig = Rig().start()
    rig.server.leg.arrive(frames.encode(frames.PONG, b"beat", mask=UNMASKED))
    rig.settle()
    assert rig.client.controls(Opcode.PONG) == [b"beat"]


# What the rest of the gateway asks


def test_traffic_counts_frames_and_messages_of_the_clients_side() -> None:
    rig = Rig().start()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"a", fin=False) + frames.encode(frames.CONTINUATION, b"b"))
    rig.client.protocol.send_ping(b"")
    rig.server.text("c")
    rig.settle()
    traffic = rig.relay.traffic()
    assert (traffic.messages_in, traffic.messages_out) == (1, 1)
    assert (traffic.frames_in, traffic.frames_out) == (3, 2)
    assert traffic.bytes_in == rig.client.leg.received
    assert traffic.bytes_out == rig.client.leg.sent


def test_a_frame_can_be_put_in_but_no_close() -> None:
    rig = Rig().start()
    assert rig.relay.inject(Side.CLIENT, frames.encode(frames.PING, b"put in", mask=UNMASKED))
    assert not rig.relay.inject(Side.CLIENT, frames.close(1000, mask=UNMASKED))
    rig.settle()
    assert rig.client.controls(Opcode.PING) == [b"put in"]
    rig.relay.abort(Cause.KICKED)
    rig.settle()
    assert not rig.relay.inject(Side.CLIENT, frames.encode(frames.PING, b"", mask=UNMASKED))


def test_a_boundary_is_between_two_messages() -> None:
    rig = Rig().start()
    assert rig.relay.at_boundary()
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"half", fin=False))
    assert not rig.relay.at_boundary()
    rig.client.leg.arrive(frames.encode(frames.CONTINUATION, b""))
    assert rig.relay.at_boundary()
    rig.server.leg.arrive(b"\x81")
    assert not rig.relay.at_boundary()


def test_another_server_goes_on_where_the_old_one_was() -> None:
    rig = Rig().start()
    rig.client.text("to the first")
    rig.settle()
    first, second = rig.server, Rig().server
    second.leg = type(second.leg)(rig._soon)
    assert rig.relay.replace_leg(Side.SERVER, second.leg, frames.text("hello from the second", UNMASKED))
    rig.server = second
    rig.client.text("to the second")
    rig.settle()
    first.move()
    assert first.messages == ["to the first"]
    assert first.heard_close == (1001, "drained")
    assert second.messages == ["to the second"]
    assert rig.client.messages == ["hello from the second"]
    first.move()
    rig.settle()
    assert first.leg.closed and not first.leg.aborted
    assert not rig.endings
    rig.client.close(1000)
    rig.settle()
    assert second.heard_close == (1000, "")


def test_a_leg_is_replaced_at_a_boundary_only_and_a_client_never() -> None:
    rig = Rig().start()
    other = Rig().server.leg
    assert not rig.relay.replace_leg(Side.CLIENT, other, b"")
    rig.server.leg.arrive(frames.encode(frames.TEXT, b"half", fin=False, mask=UNMASKED))
    assert not rig.relay.replace_leg(Side.SERVER, other, b"")


def test_the_old_server_is_cut_off_where_it_does_not_close() -> None:
    rig = Rig(limits(close_timeout=2)).start()
    first = rig.server
    rig.server = Rig().server
    rig.server.leg = type(first.leg)(rig._soon)
    assert rig.relay.replace_leg(Side.SERVER, rig.server.leg, b"")
    rig.wait(2.1)
    assert first.leg.aborted
    assert not rig.endings


def test_what_is_kept_for_either_side_is_counted() -> None:
    """Messages that are not complete, what is held back, and what a peer does not take."""
    rig = Rig(limits(messages_per_second=1, messages_burst=1, limit_action="wait"), room=300).start()
    assert rig.relay.traffic().kept == 0
    rig.server.leg.arrive(frames.encode(frames.TEXT, bytes(5_000), mask=b"")[:-1])
    assert rig.relay.traffic().kept == 4_999
    rig.client.reads = False
    rig.server.leg.arrive(bytes(1))
    assert rig.relay.traffic().kept == rig.client.leg.queued > 4_500
    rig.client.leg.arrive(frames.encode(frames.TEXT, b"first") * 3)
    assert rig.relay.traffic().kept - rig.client.leg.queued == 11, "the third: the second was one too many already"


def test_nothing_of_its_handshake_stays_with_an_open_websocket() -> None:
    """autobahn would keep both heads and 60 attributes more, of 3 kB on each leg."""
    rig = Rig(compression="client", offers_deflate=True, subprotocol="chat").start()
    rig.client.text("hello")
    rig.server.text("hello")
    rig.settle()
    assert rig.server.messages == rig.client.messages == ["hello"]
    for side in (rig.relay._client, rig.relay._server):
        kept = vars(side.talk)
        assert len(kept) < 40
        assert not [name for name in kept if name.startswith(("http_", "websocket_", "utf8", "was"))]
