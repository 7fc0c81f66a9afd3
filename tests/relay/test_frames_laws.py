"""What holds in the ``frames`` relay whatever both peers do, and in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame
from tests.relay.frame_rig import CONTROLS, Peer, Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side

MARK = b"of the peer: "  # in what peers say, so that what the gateway puts in can be told from it


class Speaker:
    """Says frames in an order that is allowed, as one stream that is sent in any pieces."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.said: list[Frame] = []
        self.waiting = bytearray()
        self.inside = False
        self.closed = False

    def frame(self, opcode: int, payload: bytes, fin: bool) -> None:
        if self.closed:
            return
        if opcode == CLOSE:
            payload, fin, self.closed = b"\x0f\xa0" + payload[:40].hex().encode(), True, True
        elif opcode in CONTROLS:
            payload, fin = MARK + payload[:40], True
        else:
            opcode = CONTINUATION if self.inside else opcode
            self.inside = not fin
        self.said.append(Frame(opcode, payload, fin, 0, self.peer.side is Side.CLIENT))
        self.waiting += self.peer.encode(opcode, payload, fin=fin)

    def send(self, count: int) -> None:
        data = bytes(self.waiting[:count])
        del self.waiting[:count]
        if data:
            self.peer.leg.arrive(data)


SIDES = st.sampled_from([Side.CLIENT, Side.SERVER])
FRAMES = st.tuples(
    st.just("frame"),
    SIDES,
    st.sampled_from([TEXT, BINARY, BINARY, PING, PONG, CLOSE]),
    st.binary(max_size=400),
    st.booleans(),
)
SENDS = st.tuples(st.just("send"), SIDES, st.integers(1, 600))
PEACE = st.one_of(
    FRAMES,
    SENDS,
    SENDS,
    st.tuples(st.just("take"), SIDES, st.integers(1, 500)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("wait"), st.floats(0.05, 3)),
)
TROUBLE = st.one_of(
    PEACE,
    st.tuples(st.sampled_from(["fin", "reset", "garbage"]), SIDES),
    st.tuples(st.just("close"), st.sampled_from([Cause.STOPPING, Cause.MAX_AGE])),
    st.tuples(st.just("abort")),
)
BOUNDS = st.sampled_from(
    [
        limits(close_timeout=2),
        limits(close_timeout=2, ping_interval=1, ping_timeout=60),
        limits(close_timeout=2, max_message=900, max_fragments=3),
        limits(close_timeout=2, messages_per_second=2, messages_burst=2, limit_action="wait"),
        limits(close_timeout=2, messages_per_second=5, messages_burst=3, bytes_per_second=99, bytes_burst=300),
        limits(close_timeout=2, control_rate=1, control_burst=2),
        limits(close_timeout=2, bytes_per_second=100, bytes_burst=200, limit_action="close"),
        limits(close_timeout=2, idle_timeout=4, ping_interval=3, ping_timeout=2, slow_consumer_timeout=3),
    ]
)


def play(rig: Rig, script: list[Any]) -> dict[Side, Speaker]:
    speakers = {peer.side: Speaker(peer) for peer in (rig.client, rig.server)}
    for name, *rest in script:
        if name == "frame":
            speakers[rest[0]].frame(*rest[1:])
        elif name == "send":
            speakers[rest[0]].send(rest[1])
        elif name == "take":
            speakers[rest[0]].peer.listen(rest[1])
        elif name == "settle":
            rig.settle()
        elif name == "wait":
            rig.wait(rest[0])
        elif name == "fin":
            speakers[rest[0]].peer.leg.end()
        elif name == "reset":
            speakers[rest[0]].peer.leg.reset()
        elif name == "garbage":
            speakers[rest[0]].waiting += b"\xff" * 20
        elif name == "close":
            rig.relay.close(rest[0])
        else:
            rig.relay.abort(Cause.KICKED)
    return speakers


def check_heard(listener: Peer, speaker: Speaker) -> None:
    """What was heard is a beginning of what was said, with what the gateway put in between frames."""
    theirs = [
        frame._replace(masked=False)
        for frame in listener.heard
        if frame.opcode not in CONTROLS or frame.opcode != CLOSE and frame.payload.startswith(MARK)
    ]
    said = [frame._replace(masked=False) for frame in speaker.said if frame.opcode != CLOSE]
    assert theirs == said[: len(theirs)]
    closes = listener.payloads(CLOSE)
    assert len(closes) <= 1
    if listener.leg.closed and not listener.leg.aborted and listener.close_heard:
        assert not listener.rest


@settings(max_examples=250, deadline=None)
@given(bounds=BOUNDS, room=st.sampled_from([300, 1 << 40]), halves=st.booleans(), script=st.lists(TROUBLE, max_size=40))
def test_it_always_ends_and_nobody_hears_what_was_not_said(
    bounds: Any, room: int, halves: bool, script: list[Any]
) -> None:
    rig = Rig(bounds, room=room, half_closes=halves).start()
    rig.client.reads = rig.server.reads = room > 300
    speakers = play(rig, script)
    for peer in (rig.client, rig.server):
        peer.leg.reset()
    rig.settle()
    assert rig.ending.cause
    check_heard(rig.client, speakers[Side.SERVER])
    check_heard(rig.server, speakers[Side.CLIENT])
    traffic = rig.relay.traffic()
    assert traffic.messages_in <= traffic.frames_in and traffic.messages_out <= traffic.frames_out


@settings(max_examples=100, deadline=None)
@given(room=st.sampled_from([300, 1 << 40]), halves=st.booleans(), script=st.lists(TROUBLE, max_size=25))
def test_an_end_that_has_begun_is_over_within_the_closing_time_and_a_second_look(
    room: int, halves: bool, script: list[Any]
) -> None:
    """Without any help of the peers, who only read: twice the time where bytes were still moving."""
    rig = Rig(limits(close_timeout=2), room=room, half_closes=halves).start()
    play(rig, script)
    rig.relay.close(Cause.STOPPING)
    rig.wait(4.5)
    assert rig.ending.cause


@settings(max_examples=200, deadline=None)
@given(room=st.sampled_from([300, 1 << 40]), script=st.lists(PEACE, max_size=60))
def test_any_interleaving_delivers_the_same_frames(room: int, script: list[Any]) -> None:
    rig = Rig(limits(close_timeout=1000, ping_interval=1, ping_timeout=1000), room=room).start()
    rig.client.reads = rig.server.reads = room > 300
    speakers = play(rig, script)
    for speaker in speakers.values():
        speaker.send(1 << 30)
    rig.client.reads = rig.server.reads = True
    for _ in range(200):
        rig.settle()
    for listener, speaker in ((rig.client, speakers[Side.SERVER]), (rig.server, speakers[Side.CLIENT])):
        check_heard(listener, speaker)
        heard = [frame.payload for frame in listener.heard if frame.opcode not in (PING, PONG)]
        assert heard == [frame.payload for frame in speaker.said if frame.opcode not in (PING, PONG)]
