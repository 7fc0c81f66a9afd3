"""When a certificate is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.acme.schedule import FIRST_WAIT, LONGEST_WAIT, Renewal, renewed

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=90)
chances = st.floats(0, 1)


@given(chances, st.integers(1, 400))
def test_renewal_is_between_two_thirds_and_three_quarters_of_the_lifetime(chance: float, days: int) -> None:
    end = START + timedelta(days=days)
    at = renewed(START, end, chance).renew_at
    assert at is not None
    assert 2 / 3 - 1e-9 <= (at - START) / (end - START) <= 0.75


@pytest.mark.parametrize(("suggested", "followed"), [(40, True), (0, False), (90, False), (-3, False), (200, False)])
def test_a_suggestion_counts_while_the_certificate_is_valid(suggested: int, followed: bool) -> None:
    moment = START + timedelta(days=suggested)
    at = renewed(START, END, 0, suggested=moment).renew_at
    assert (at == moment) is followed
    if not followed:
        assert at == START + timedelta(days=60)


def test_due_without_a_certificate_or_when_the_time_has_come() -> None:
    state = renewed(START, END, 0)
    assert Renewal().due(START, serves=False)
    assert not Renewal().due(START, serves=True), "a certificate that nobody planned for is left alone"
    assert not state.due(START + timedelta(days=59), serves=True)
    assert state.due(START + timedelta(days=60), serves=True)
    assert state.due(START, serves=False)


@given(st.lists(chances, min_size=1, max_size=30))
def test_failures_wait_ever_longer_up_to_a_day_and_keep_the_plan(all_chances: list[float]) -> None:
    state = renewed(START, END, 0)
    for number, chance in enumerate(all_chances):
        state = state.failed(START, "no", chance)
        assert state.retry_at is not None
        wait = state.retry_at - START
        usual = min(LONGEST_WAIT, FIRST_WAIT * 2**number)
        assert usual * 0.75 <= wait <= usual * 1.25
        assert not state.due(state.retry_at - timedelta(seconds=1), serves=False)
        assert state.due(state.retry_at, serves=False)
    assert (state.failures, state.error) == (len(all_chances), "no")
    assert state.renew_at == START + timedelta(days=60)


def test_what_was_written_is_read_and_garbage_counts_as_unknown() -> None:
    state = renewed(START, END, 0).failed(START, "no", 0.5)
    assert Renewal.read(state.facts()) == state
    garbage = {"renew_at": "soon", "retry_at": 7, "failures": "many", "error": None}
    assert Renewal.read(garbage) == Renewal(error="None")
    assert Renewal.read({"renew_at": "2026-01-01T00:00:00"}).renew_at == START
