"""Keep-alive, idleness, age, slow peers and rates in the ``frames`` relay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.relay.frame_rig import Peer, Rig
from tests.relay.message_rig import limits
from wsgate.causes import Cause, Side

BOTH = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])
DEAD = {Side.CLIENT: Cause.CLIENT_DEAD, Side.SERVER: Cause.SERVER_DEAD}
STUCK = {Side.CLIENT: Cause.CLIENT_STUCK, Side.SERVER: Cause.SERVER_STUCK}
PINGS = limits(ping_interval=8, ping_timeout=4)


def keep_talking(rig: Rig, peer: Peer, seconds: int) -> None:
    for _ in range(seconds):
        peer.text("alive")
        rig.wait(1)


# Pings of our own


@BOTH
def test_a_silent_peer_is_pinged_and_its_pong_is_taken_out(side: Side) -> None:
    rig = Rig(PINGS).start()
    silent, other = rig.peers(side)
    keep_talking(rig, other, 11)
    (ping,) = silent.payloads(PING)
    assert len(ping) == 8
    silent.leg.arrive(silent.encode(TEXT, b"a") + silent.encode(PONG, ping) + silent.encode(TEXT, b"b"))
    rig.settle()
    assert [frame.opcode for frame in other.heard] == [TEXT, TEXT]
    assert not other.payloads(PING, PONG)


@BOTH
def test_the_round_trip_is_measured(side: Side) -> None:
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    while not peer.payloads(PING):
        rig.wait(0.05)
        other.text("alive")
    rig.wait(0.25)
    peer.say(PONG, peer.payloads(PING)[0])
    rig.settle()
    traffic = rig.relay.traffic()
    rtts = (traffic.rtt_client, traffic.rtt_server)
    assert rtts[side is Side.SERVER] == pytest.approx(0.25, abs=0.01) and rtts[side is Side.CLIENT] is None


@BOTH
def test_a_pong_that_is_no_answer_to_us_passes(side: Side) -> None:
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    while not peer.payloads(PING):
        rig.wait(0.1)
        other.text("alive")
    ping = peer.payloads(PING)[0]
    peer.say(PONG, b"something else")
    peer.say(PONG, ping)
    peer.say(PONG, ping)
    rig.settle()
    assert other.payloads(PONG) == [b"something else"]


@BOTH
def test_a_late_pong_to_an_older_ping_of_ours_ends_here(side: Side) -> None:
    """A peer that says something in between is pinged anew, and may answer both pings then."""
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    for count in (1, 2):
        while len(peer.payloads(PING)) < count:
            rig.wait(0.1)
            other.text("alive")
        peer.text("not yet")
    for ping in peer.payloads(PING):
        peer.say(PONG, ping)
    rig.settle()
    assert other.payloads(PONG) == []


@BOTH
def test_a_peer_that_answers_nothing_is_dead(side: Side) -> None:
    rig = Rig(PINGS).start()
    dead, other = rig.peers(side)
    keep_talking(rig, other, 11)
    assert not dead.leg.aborted
    keep_talking(rig, other, 4)
    assert dead.leg.aborted
    row = DEAD[side].value
    assert other.close_heard == (row.to_server if side is Side.CLIENT else row.to_client, row.text)
    other.leg.end()
    rig.settle()
    assert (rig.cause, rig.ending.closed_by) == (DEAD[side], side)


@BOTH
def test_a_long_frame_on_its_way_is_life(side: Side) -> None:
    """A peer cannot answer a ping inside a frame of its own."""
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, bytes(1000))
    for start in range(0, len(frame), 20):
        peer.leg.arrive(frame[start : start + 20])
        while other.payloads(PING):
            other.say(PONG, other.heard.pop().payload)
        rig.wait(1)
        # The other one hears the frame, and nothing can be put into it.
        other.text("alive")
    assert not rig.endings and not peer.leg.aborted and not other.leg.aborted


@BOTH
def test_a_peer_is_not_pinged_inside_a_frame_nor_taken_for_dead(side: Side) -> None:
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    frame = other.encode(BINARY, bytes(40))
    for at in range(len(frame) - 1):
        other.leg.arrive(frame[at : at + 1])
        rig.wait(1)
    assert peer.raw == frame[:-1]
    assert not peer.leg.aborted
    other.leg.arrive(frame[-1:])
    rig.wait(4)
    assert peer.payloads(PING)


@BOTH
def test_a_frame_that_stalls_is_a_dead_peer_and_nothing_is_put_into_it(side: Side) -> None:
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    frame = peer.encode(BINARY, bytes(40))
    peer.leg.arrive(frame[:-1])
    keep_talking(rig, other, 20)
    assert other.raw == frame[:-1] and other.leg.aborted
    assert rig.cause is DEAD[side]


@BOTH
def test_our_ping_waits_while_a_relayed_one_is_unanswered(side: Side) -> None:
    """A peer may answer the latest ping only; the relayed one tells as much."""
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    other.say(PING, b"theirs")
    keep_talking(rig, other, 11)
    assert peer.payloads(PING) == [b"theirs"]
    peer.say(PONG, b"theirs")
    keep_talking(rig, other, 11)
    assert len(peer.payloads(PING)) == 2 and other.payloads(PONG) == [b"theirs"]


@BOTH
def test_a_pong_to_us_answers_no_relayed_ping(side: Side) -> None:
    rig = Rig(PINGS).start()
    peer, other = rig.peers(side)
    while not peer.payloads(PING):
        rig.wait(0.1)
        other.text("alive")
    other.say(PING, b"theirs")
    peer.say(PONG, peer.payloads(PING)[0])
    keep_talking(rig, other, 11)
    assert len(peer.payloads(PING)) == 2  # ours, and theirs, which is still waited for


@BOTH
def test_a_peer_that_does_not_answer_a_relayed_ping_is_dead(side: Side) -> None:
    rig = Rig(PINGS).start()
    dead, other = rig.peers(side)
    other.say(PING, b"theirs")
    keep_talking(rig, other, 16)
    assert dead.leg.aborted and dead.payloads(PING) == [b"theirs"]


@BOTH
def test_a_peer_that_is_not_read_from_is_not_taken_for_dead(side: Side) -> None:
    """The other one takes nothing, so that this one is paused: its silence is of our making."""
    rig = Rig(limits(ping_interval=8, ping_timeout=4, slow_consumer_timeout=40), room=1000).start()
    peer, stuck = rig.peers(side)
    stuck.reads = False
    peer.say(BINARY, bytes(5000))
    for _ in range(39):
        stuck.text("alive")
        rig.wait(1)
    assert peer.leg.paused and not peer.leg.aborted and not stuck.leg.aborted
    for _ in range(8):
        stuck.text("alive")
        rig.wait(1)
    assert stuck.leg.aborted
    peer.leg.end()
    rig.settle()
    assert rig.cause is STUCK[stuck.side]


def test_no_ping_is_sent_behind_bytes_that_wait() -> None:
    rig = Rig(limits(ping_interval=8, ping_timeout=4), room=1000).start()
    rig.client.reads = False
    rig.server.say(BINARY, bytes(5000))
    rig.settle()
    sent = rig.client.leg.sent
    for _ in range(20):
        rig.wait(1)
    assert rig.client.leg.sent == sent and not rig.client.leg.aborted


def test_without_an_interval_nobody_is_pinged() -> None:
    rig = Rig().start()
    rig.wait(100)
    assert not rig.client.heard and not rig.server.heard and len(rig.wheel) == 0


# Idleness and age


def test_an_idle_websocket_is_closed_and_pings_are_no_activity() -> None:
    rig = Rig(limits(idle_timeout=10)).start()
    for _ in range(14):
        rig.client.say(PING)
        rig.server.say(PONG)
        rig.wait(1)
    assert rig.client.close_heard == rig.server.close_heard == (1001, "idle for too long")
    rig.client.leg.reset()
    rig.server.leg.reset()
    assert rig.cause is Cause.IDLE


@BOTH
def test_data_in_either_direction_is_activity(side: Side) -> None:
    rig = Rig(limits(idle_timeout=10)).start()
    peer, other = rig.peers(side)
    keep_talking(rig, peer, 30)
    assert other.close_heard is None
    rig.wait(13)
    assert other.close_heard is not None


def test_a_long_frame_on_its_way_is_activity_until_it_stalls() -> None:
    rig = Rig(limits(idle_timeout=10)).start()
    frame = rig.client.encode(BINARY, bytes(26))
    for at in range(len(frame) - 1):
        rig.client.leg.arrive(frame[at : at + 1])
        rig.wait(1)
    assert rig.client.close_heard is None
    rig.wait(13)
    assert rig.client.close_heard is not None


def test_a_websocket_of_great_age_is_closed_a_little_later_by_chance() -> None:
    rig = Rig(limits(max_age=100, max_age_jitter=0.5), random=lambda size: b"\x80" + bytes(size - 1)).start()
    keep_talking(rig, rig.client, 124)
    assert rig.client.close_heard is None
    rig.wait(1.2)
    assert rig.client.close_heard == (1012, "the connection reached its age")
    assert rig.server.close_heard == (1001, "the connection reached its age")


# Slow peers


@BOTH
def test_a_peer_that_takes_nothing_is_closed(side: Side) -> None:
    rig = Rig(limits(slow_consumer_timeout=8), room=1000).start()
    peer, stuck = rig.peers(side)
    stuck.reads = False
    peer.say(BINARY, bytes(5000))
    rig.wait(7.9)
    assert not stuck.leg.aborted
    rig.wait(2.6)
    assert stuck.leg.aborted
    row = STUCK[stuck.side].value
    assert peer.close_heard == (row.to_server if stuck.side is Side.CLIENT else row.to_client, row.text)


@BOTH
def test_a_peer_that_takes_a_little_now_and_then_is_not_closed(side: Side) -> None:
    rig = Rig(limits(slow_consumer_timeout=8), room=1000).start()
    peer, slow = rig.peers(side)
    slow.reads = False
    peer.say(BINARY, bytes(20_000))
    for _ in range(60):
        rig.wait(1)
        slow.listen(100)
    assert not slow.leg.aborted


@pytest.mark.parametrize(
    ("bounds", "cause"),
    [
        ({"slow_consumer_timeout": 10}, Cause.CLIENT_STUCK),
        ({"idle_timeout": 10}, Cause.IDLE),
        ({"ping_interval": 4, "ping_timeout": 4, "slow_consumer_timeout": 10}, Cause.CLIENT_STUCK),
    ],
)
def test_two_peers_of_which_none_reads_are_closed(bounds: dict[str, Any], cause: Cause) -> None:
    """Row 11 of the faults: both are held back, and progress is what counts."""
    rig = Rig(limits(close_timeout=2, **bounds), room=1000).start()
    for peer in (rig.client, rig.server):
        peer.reads = False
    for peer in (rig.client, rig.server):
        peer.say(BINARY, bytes(5000))
    rig.settle()
    assert rig.client.leg.paused and rig.server.leg.paused
    rig.wait(9)
    assert not rig.client.leg.closed and not rig.server.leg.closed
    rig.wait(10)
    assert rig.cause is cause


@BOTH
def test_a_reset_is_noticed_while_paused(side: Side) -> None:
    rig = Rig(room=1000).start()
    peer, stuck = rig.peers(side)
    stuck.reads = False
    peer.say(BINARY, bytes(5000))
    rig.settle()
    assert peer.leg.paused
    peer.leg.reset()
    rig.settle()
    stuck.listen()
    rig.settle()
    assert stuck.close_heard is not None


# Rates


def test_a_client_above_its_rate_is_closed_where_the_route_says_so() -> None:
    rig = Rig(limits(messages_per_second=10, messages_burst=5, limit_action="close")).start()
    for number in range(7):
        rig.client.text(str(number))
    rig.wait(2)
    assert rig.server.texts == ["0", "1", "2", "3", "4", "5"]
    assert rig.client.close_heard == (1008, "too much in too little time")
    assert rig.server.close_heard == (1001, "the client passed a limit")
    rig.client.leg.end()
    rig.server.leg.end()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LIMIT


@pytest.mark.parametrize("control", [False, True])
def test_a_client_above_its_rate_waits_where_the_route_says_so(control: bool) -> None:
    rig = Rig(limits(messages_per_second=10, messages_burst=5, limit_action="wait")).start()
    for _ in range(50):
        rig.client.say(PING if control else TEXT, bytes(120))
    times = []
    while len(rig.server.heard) < 50:
        rig.wait(0.1)
        times.append((rig.clock.seconds(), len(rig.server.heard)))
        assert times[-1][0] < 10
    assert all(count <= 5 + 10 * now + 1 for now, count in times)
    assert 4 < times[-1][0] < 5.2
    assert not rig.endings and not rig.client.heard


@pytest.mark.parametrize("size", [0, 1, 200, 70_000])
@pytest.mark.parametrize("burst", [1, 5, 40])
def test_a_burst_in_one_read_is_exceeded_by_one_message_at_most(size: int, burst: int) -> None:
    rig = Rig(limits(messages_per_second=0.01, messages_burst=burst, limit_action="close")).start()
    rig.client.leg.arrive(rig.client.encode(BINARY, bytes(size)) * 100)
    rig.settle()
    assert len(rig.server.payloads(BINARY)) == burst + 1
    assert rig.server.close_heard is not None


def test_empty_fragments_count_as_messages() -> None:
    rig = Rig(limits(messages_per_second=0.01, messages_burst=5, limit_action="close")).start()
    rig.client.leg.arrive(rig.client.encode(TEXT, b"x", fin=False) + rig.client.encode(CONTINUATION, fin=False) * 100)
    rig.settle()
    assert rig.relay.traffic().frames_in == 7
    assert rig.server.close_heard is not None


def test_bytes_have_a_rate_of_their_own() -> None:
    rig = Rig(limits(bytes_per_second=1000, bytes_burst=1000, limit_action="wait")).start()
    for _ in range(10):
        rig.client.say(BINARY, bytes(500))
    rig.wait(2.4)
    assert 3000 < len(rig.server.data) <= 3500
    rig.wait(3)
    assert len(rig.server.data) == 5000


def test_a_server_has_no_rate() -> None:
    rig = Rig(limits(messages_per_second=1, messages_burst=1, limit_action="close")).start()
    for _ in range(100):
        rig.server.text("x")
    rig.settle()
    assert len(rig.client.texts) == 100


def test_a_client_that_waits_for_its_rate_is_not_dead() -> None:
    bounds = limits(
        messages_per_second=0.1, messages_burst=1, limit_action="wait", ping_interval=4, ping_timeout=2, max_age=0
    )
    rig = Rig(bounds).start()
    for _ in range(4):
        rig.client.text("x")
    for _ in range(28):
        rig.server.text("alive")
        rig.wait(1)
    assert not rig.client.leg.aborted and 3 <= len(rig.server.texts) <= 4


def test_an_end_does_not_wait_for_a_rate() -> None:
    rig = Rig(limits(messages_per_second=0.01, messages_burst=1, limit_action="wait")).start()
    rig.client.text("x")
    rig.client.text("y")
    rig.client.close()
    rig.settle()
    assert rig.client.leg.paused
    rig.relay.close(Cause.STOPPING)
    rig.wait(0.1)
    rig.server.close(1001)
    rig.server.leg.end()
    rig.settle()
    assert rig.client.leg.closed and rig.cause is Cause.STOPPING


def test_a_hold_ends_with_the_leg() -> None:
    rig = Rig(limits(messages_per_second=0.01, messages_burst=1, limit_action="wait")).start()
    rig.client.text("x")
    rig.client.text("y")
    rig.client.leg.reset()
    rig.server.leg.reset()
    rig.settle()
    assert rig.cause is Cause.CLIENT_LOST


def test_a_close_is_never_one_too_many() -> None:
    rig = Rig(limits(messages_per_second=1, messages_burst=1, limit_action="close")).start()
    rig.client.leg.arrive(rig.client.encode(TEXT, b"x") + rig.client.encode(CLOSE, b"\x03\xe8"))
    rig.settle()
    rig.server.close()
    rig.settle()
    assert rig.client.close_heard == (1000, "")
