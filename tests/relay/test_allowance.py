"""What a peer may send in a time."""

from __future__ import annotations

from tests.relay.message_rig import limits
from wsgate.relay.allowance import PIECE, Allowance


def test_without_rates_there_is_none() -> None:
    assert Allowance.of(limits(), 0.0) is None


def test_messages_and_bytes_are_counted_apart_and_the_longer_wait_holds() -> None:
    bounds = limits(messages_per_second=10, messages_burst=2, bytes_per_second=100, bytes_burst=100)
    allowance = Allowance.of(bounds, 0.0)
    assert allowance is not None
    assert allowance.take(2, 50, 0.0) == 0
    assert allowance.take(1, 0, 0.0) == 0.1
    assert allowance.take(0, 100, 0.0) == 0.5


def test_one_of_both_may_be_unlimited() -> None:
    by_messages = Allowance.of(limits(messages_per_second=1, messages_burst=1), 0.0)
    by_bytes = Allowance.of(limits(bytes_per_second=1, bytes_burst=1), 0.0)
    assert by_messages is not None and by_bytes is not None
    assert by_messages.take(1, 10**9, 0.0) == 0
    assert by_bytes.take(10**9, 1, 0.0) == 0
    assert by_messages.take(1, 0, 0.0) == by_bytes.take(0, 1, 0.0) == 1


def room(now: float, left: int, **rates: float) -> int:
    allowance = Allowance.of(limits(**rates), 0.0)
    assert allowance is not None
    allowance.take(int(rates.get("messages_burst", 0)), int(rates.get("bytes_burst", 0)), 0.0)
    return allowance.room(now, left)


def test_as_much_is_looked_at_as_can_be_too_much_by_one_message() -> None:
    assert room(0.0, 0, messages_per_second=10, messages_burst=5) == 6
    assert room(0.4, 0, messages_per_second=10, messages_burst=5) == 24
    assert room(0.4, 1000, messages_per_second=10, messages_burst=5) == 1000


def test_bytes_are_looked_at_in_pieces() -> None:
    assert room(0.0, 10**6, bytes_per_second=1000, bytes_burst=1000) == PIECE
    assert room(0.5, 0, bytes_per_second=1000, bytes_burst=1000) == 500
    assert room(0.5, 0, messages_per_second=10, messages_burst=5, bytes_per_second=1000, bytes_burst=1000) == 30
