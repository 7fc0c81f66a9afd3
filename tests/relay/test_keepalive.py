"""When a peer is pinged and when it is given up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgate.relay.keepalive import LOOKS, PING_SIZE, Act, KeepAlive, is_pong_to_us, look_every, next_ping


def test_a_silent_peer_is_pinged_once_and_then_dead() -> None:
    alive = KeepAlive(20, 10, 100.0)
    assert alive.look(119.9, 0) is Act.WAIT
    assert alive.look(120, 0) is Act.PING
    assert alive.look(129.9, 0) is Act.WAIT
    assert alive.look(130, 0) is Act.DEAD


def test_any_life_is_an_answer() -> None:
    alive = KeepAlive(20, 10, 0.0)
    assert alive.look(20, 0) is Act.PING
    assert alive.look(29, 1) is Act.WAIT
    assert alive.look(48, 1) is Act.WAIT
    assert alive.look(49, 1) is Act.PING
    assert alive.look(59, 1) is Act.DEAD


def test_a_peer_that_talks_is_never_pinged() -> None:
    alive = KeepAlive(20, 10, 0.0)
    assert all(alive.look(second, second) is Act.WAIT for second in range(1, 1000))


def test_a_ping_that_cannot_be_sent_waits_and_counts_for_nothing() -> None:
    alive = KeepAlive(20, 10, 0.0)
    assert alive.look(20, 0, blocked=True) is Act.WAIT
    assert alive.look(500, 0, blocked=True) is Act.WAIT
    assert alive.look(501, 0) is Act.PING
    assert alive.look(510, 0) is Act.WAIT
    assert alive.look(511, 0, blocked=True) is Act.DEAD


def test_an_interval_of_nought_never_pings() -> None:
    alive = KeepAlive(0, 10, 0.0)
    assert alive.look(1e9, 0) is Act.WAIT


def test_a_timeout_of_nought_pings_once_and_waits_for_ever() -> None:
    alive = KeepAlive(20, 0, 0.0)
    assert alive.look(20, 0) is Act.PING
    assert alive.look(1e9, 0) is Act.WAIT


@settings(max_examples=100)
@given(
    st.floats(0.1, 100),
    st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 50), st.integers(0, 1), st.booleans()), max_size=50),
)
def test_nobody_is_dead_without_a_ping_and_a_timeout_of_silence(
    interval: float, timeout: float, looks: list[tuple[float, int, bool]]
) -> None:
    alive = KeepAlive(interval, timeout, 0.0)
    now, frames, seen, pinged = 0.0, 0, 0.0, -1.0
    for pause, more, blocked in looks:
        now += pause
        frames += more
        act = alive.look(now, frames, blocked)
        if more:
            seen, pinged = now, -1.0
        if act is Act.PING:
            assert now - seen >= interval and not blocked and pinged < 0
            pinged = now
        if act is Act.DEAD:
            assert pinged >= 0 and now - pinged >= timeout
            return


@pytest.mark.parametrize(
    ("times", "delay"),
    [((20, 20, 0, 60), 20 / LOOKS), ((0, 0, 8), 8 / LOOKS), ((0, 0), 0), ((), 0), ((0.4, 9), 0.4 / LOOKS)],
)
def test_the_shortest_time_says_how_often_to_look(times: tuple[float, ...], delay: float) -> None:
    assert look_every(*times) == delay


def test_a_pong_to_any_of_our_pings_is_known_as_such() -> None:
    counter = itertools.count(1)

    def random(size: int) -> bytes:
        return next(counter).to_bytes(size, "big")

    first = next_ping(b"", random)
    second = next_ping(first, random)
    assert first != second and len(first) == len(second) == PING_SIZE
    assert is_pong_to_us(second, second) and is_pong_to_us(first, second)
    assert not is_pong_to_us(second[:-1], second)
    assert not is_pong_to_us(bytes(PING_SIZE), second)
    assert not is_pong_to_us(first, b"")
