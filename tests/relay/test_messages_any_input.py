"""Whatever peers send, and however it is cut: the ``messages`` relay raises nothing, and comes to an end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles import frames
from tests.relay.message_rig import Rig, limits

OPCODES = [frames.CONTINUATION, frames.TEXT, frames.BINARY, frames.CLOSE, frames.PING, frames.PONG]


@st.composite
def streams(draw: st.DrawFn, mask: bytes) -> bytes:
    """Mostly frames, some of them wrong, some bytes of no meaning."""
    pieces = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 9)) == 0:
            pieces.append(draw(st.binary(max_size=20)))
            continue
        payload = draw(st.one_of(st.binary(max_size=200), st.text(max_size=40).map(str.encode)))
        opcode = draw(st.sampled_from(OPCODES))
        rsv = draw(st.sampled_from([0, 0, 0, 4]))
        pieces.append(frames.encode(opcode, payload, fin=draw(st.booleans()), rsv=rsv, mask=mask))
    return b"".join(pieces)


@settings(deadline=None, max_examples=80)
@given(streams(frames.MASK), streams(b""), st.integers(1, 300), st.booleans())
def test_any_input_ends_in_good_order(from_client: bytes, from_server: bytes, size: int, deflate: bool) -> None:
    rig = Rig(
        limits(max_message=300, max_fragments=5, close_timeout=1),
        compression="client" if deflate else "off",
        offers_deflate=deflate,
    ).start()
    for start in range(0, max(len(from_client), len(from_server)), size):
        for peer, stream in ((rig.client, from_client), (rig.server, from_server)):
            if not peer.leg.closed:
                peer.leg.arrive(stream[start : start + size])
    rig.client.leg.end()
    rig.server.leg.end()
    rig.wait(3)
    assert len(rig.endings) == 1
    assert rig.client.leg.closed and rig.server.leg.closed
    assert len(rig.wheel) == 0


@settings(deadline=None, max_examples=40)
@given(streams(frames.MASK), st.integers(1, 50))
def test_what_the_server_gets_does_not_depend_on_the_cuts(stream: bytes, size: int) -> None:
    heard = []
    for step in (len(stream) or 1, size):
        rig = Rig(limits(max_message=300, max_fragments=5)).start()
        rig.server.reads = False
        for start in range(0, len(stream), step):
            rig.client.leg.arrive(stream[start : start + step])
        heard.append(rig.server.leg.take_all())
    assert heard[0] == heard[1]
