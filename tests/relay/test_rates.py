"""A bucket of tokens that fills at a steady rate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgate.relay.rates import Bucket


def test_a_burst_is_free_and_what_is_beyond_is_paid_for_in_time() -> None:
    bucket = Bucket(10, 5, 0.0)
    assert bucket.take(5, 0.0) == 0
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.0) == pytest.approx(0.2)
    assert bucket.take(1, 0.3) == pytest.approx(0)


def test_it_never_holds_more_than_a_burst() -> None:
    bucket = Bucket(10, 5, 0.0)
    assert bucket.take(5, 3600.0) == 0
    assert bucket.take(1, 3600.0) == pytest.approx(0.1)


def test_more_than_a_burst_at_once_is_owed() -> None:
    bucket = Bucket(10, 5, 0.0)
    assert bucket.take(105, 0.0) == pytest.approx(10)
    assert bucket.take(0, 5.0) == pytest.approx(5)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_a_rate_and_its_burst_are_above_nought(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Bucket(rate, burst, 0.0)


TAKES = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=60)


@settings(max_examples=200)
@given(st.floats(0.1, 1000), st.floats(1, 100), TAKES)
def test_who_waits_as_told_gets_no_more_than_the_burst_and_the_rate(
    rate: float, burst: float, takes: list[tuple[float, int]]
) -> None:
    """Up to any moment, and counted from any: what was taken before a wait is paid for when it is over."""
    bucket, now, taken = Bucket(rate, burst, 0.0), 0.0, 0
    for pause, amount in takes:
        now += pause
        taken += amount
        now += bucket.take(amount, now)
        assert taken <= burst + rate * now + 1e-6 * max(1, taken)


@settings(max_examples=100)
@given(st.floats(0.1, 1000), st.floats(1, 100), TAKES)
def test_who_keeps_to_the_rate_never_waits(rate: float, burst: float, takes: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(rate, burst, 0.0), 0.0
    for pause, amount in takes:
        now += pause + amount / rate
        assert bucket.take(min(amount, burst), now) <= 1e-6


def test_what_is_left_can_be_taken_without_owing() -> None:
    bucket = Bucket(10, 20, 0.0)
    assert bucket.left(0.0) == 20
    assert bucket.take(15, 0.0) == 0 and bucket.left(0.0) == 5
    assert bucket.left(0.2) == 7 and bucket.take(7, 0.2) == 0 and bucket.take(1, 0.2) > 0
