"""How many control frames and empty fragments a peer may send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.relay.message_rig import limits
from wsgate.relay.flood import Flood
from wsgate.wire.close_codes import FrameError


def flood(clock: Clock, rate: float = 200, burst: float = 5000) -> Flood:
    made = Flood.of(limits(control_rate=rate, control_burst=burst), clock.seconds)
    assert made is not None
    return made


def spend(budget: Flood, most: int, carried: int = 0) -> int:
    """How many of ``most`` frames in a row the budget has left."""
    for count in range(most):
        try:
            budget.spend(carried)
        except FrameError as error:
            assert error.code == 1008
            return count
    return most


def test_without_a_rate_there_is_none() -> None:
    assert Flood.of(limits(control_rate=0, control_burst=9), Clock().seconds) is None


def test_a_burst_may_come_at_once_and_no_more() -> None:
    clock = Clock()
    clock.advance(86_400)
    assert spend(flood(clock, burst=30), 100) == 30


def test_time_brings_back_what_the_rate_says_up_to_a_burst() -> None:
    clock = Clock()
    budget = flood(clock, rate=10, burst=30)
    assert spend(budget, 30) == 30
    clock.advance(1)
    assert spend(budget, 100) == 10
    clock.advance(3600)
    assert spend(budget, 100) == 30


def test_a_hundred_pings_a_second_never_end_it_and_neither_do_those_of_a_long_gap() -> None:
    """40 s is what keep-alive puts up with by default: 4000 pings wait then, and come at once."""
    clock = Clock()
    budget = flood(clock)
    for _ in range(6000):
        clock.advance(0.01)
        budget.spend(0)
    clock.advance(40)
    assert spend(budget, 4000) == 4000
    for _ in range(6000):
        clock.advance(0.01)
        budget.spend(0)


def test_a_control_frame_for_each_message_is_never_too_much() -> None:
    clock = Clock()
    budget = flood(clock, rate=1, burst=2)
    for carried in range(1, 10_000):
        budget.spend(carried)


def test_messages_bring_back_no_more_than_a_burst() -> None:
    clock = Clock()
    budget = flood(clock, rate=1, burst=5)
    assert spend(budget, 3) == 3
    assert spend(budget, 100, carried=10_000) == 5


def test_the_answer_to_a_ping_is_free() -> None:
    clock = Clock()
    budget = flood(clock, rate=1, burst=2)
    for _ in range(1000):
        budget.asked()
        budget.spend(0)
    assert spend(budget, 100) == 2


def test_answers_that_never_came_are_kept_up_to_a_burst() -> None:
    clock = Clock()
    budget = flood(clock, rate=1, burst=5)
    for _ in range(1000):
        budget.asked()
    clock.advance(100)
    assert spend(budget, 100) == 10


TAKES = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=60)


@settings(max_examples=100)
@given(
    st.floats(0.1, 1000), st.integers(1, 100), st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=60)
)
def test_over_any_time_no_more_pass_than_the_burst_and_the_rate(
    rate: float, burst: int, takes: list[tuple[float, int]]
) -> None:
    clock = Clock()
    budget = flood(clock, rate, burst)
    passed = 0
    for pause, count in takes:
        clock.advance(pause)
        done = spend(budget, count)
        passed += done
        assert passed <= burst + rate * clock.seconds() + 1e-6
        if done < count:
            break


@pytest.mark.parametrize("count", [1, 512])
def test_who_keeps_to_the_rate_is_never_stopped(count: int) -> None:
    clock = Clock()
    budget = flood(clock, rate=64, burst=count)
    for _ in range(20):
        clock.advance(count / 64)
        assert spend(budget, count) == count
