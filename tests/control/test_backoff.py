"""A place whose processes crash at their start is filled ever later."""

from __future__ import annotations

from wsgate.control.backoff import LAST, YOUNG, Backoff


def test_the_first_crash_costs_nothing_and_each_further_one_twice_the_last() -> None:
    backoff = Backoff()
    delays = [backoff.ended(1, 0.0) for _ in range(12)]
    assert delays[0] == 0 and all(later == 2 * sooner for sooner, later in zip(delays[1:7], delays[2:8], strict=True))
    assert delays[-1] == LAST and backoff.crashes(1) == 12


def test_each_place_has_its_own_count_and_a_long_life_clears_it() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.ended(1, 0.0)
    assert backoff.ended(2, 0.0) == 0
    assert backoff.ended(1, YOUNG) == 0 and backoff.crashes(1) == 0
    assert backoff.ended(1, 0.0) == 0
    assert backoff.total == 8
