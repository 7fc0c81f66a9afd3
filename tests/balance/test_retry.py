"""An attempt goes on to the next server as nginx's proxy_next_upstream has it, and within a budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.balance.retry import Attempts, RetryBudget, RetryRules, Trouble, parse_retry, trouble_of, trouble_of_status
from wsgate.causes import Cause, Side

ALL = frozenset(Trouble)


def attempts(rules: RetryRules | None = None, burst: float = 100.0) -> Attempts:
    return Attempts(rules or RetryRules(), RetryBudget(0.0, burst=burst), 0.0)


def test_errors_and_time_outs_go_on_by_default_and_nothing_else_does() -> None:
    went_on = {trouble for trouble in Trouble if attempts().goes_on(trouble, 0.0)}
    assert went_on == {Trouble.ERROR, Trouble.TIMEOUT}


@pytest.mark.parametrize("trouble", Trouble)
def test_only_what_is_listed_goes_on(trouble: Trouble) -> None:
    assert attempts(RetryRules(on=frozenset({trouble}))).goes_on(trouble, 0.0)
    assert not attempts(RetryRules(on=ALL - {trouble})).goes_on(trouble, 0.0)


@pytest.mark.parametrize("listed", [frozenset(), ALL])
def test_errors_time_outs_and_invalid_answers_always_count_as_failures(listed: frozenset[Trouble]) -> None:
    rules = RetryRules(on=listed)
    assert all(rules.is_failure(trouble) for trouble in (Trouble.ERROR, Trouble.TIMEOUT, Trouble.INVALID_HEADER))
    assert not any(rules.is_failure(trouble) for trouble in (Trouble.HTTP_403, Trouble.HTTP_404))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_counts_as_a_failure_only_if_it_is_listed(status: int) -> None:
    trouble = trouble_of_status(status)
    assert trouble is not None
    assert not RetryRules().is_failure(trouble)
    assert RetryRules(on=frozenset({trouble})).is_failure(trouble)


def test_nothing_goes_on_once_the_client_was_sent_something() -> None:
    assert not attempts().goes_on(Trouble.ERROR, 0.0, method=b"GET", request_sent=True, answer_sent=True)


def test_nothing_goes_on_once_a_body_is_gone() -> None:
    assert not attempts().goes_on(Trouble.ERROR, 0.0, method=b"PUT", request_sent=True, is_body_gone=True)


@pytest.mark.parametrize("method", [b"POST", b"LOCK", b"PATCH", b"BREW"])
def test_what_must_not_happen_twice_is_not_sent_twice(method: bytes) -> None:
    assert attempts().goes_on(Trouble.ERROR, 0.0, method=method), "nothing of it was sent"
    assert not attempts().goes_on(Trouble.ERROR, 0.0, method=method, request_sent=True)
    brave = RetryRules(non_idempotent=True)
    assert attempts(brave).goes_on(Trouble.ERROR, 0.0, method=method, request_sent=True)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b""])
def test_what_may_happen_twice_goes_on_though_it_was_sent(method: bytes) -> None:
    assert attempts().goes_on(Trouble.TIMEOUT, 0.0, method=method, request_sent=True)


def test_tries_are_counted_and_limited() -> None:
    made = attempts(RetryRules(tries=3))
    assert [made.goes_on(Trouble.ERROR, 0.0) for _ in range(4)] == [True, True, False, False]
    assert made.tries == 3


def test_no_limit_of_tries_is_none() -> None:
    made = attempts()
    assert all(made.goes_on(Trouble.ERROR, 0.0) for _ in range(50))


def test_after_the_time_nothing_goes_on() -> None:
    made = attempts(RetryRules(timeout=2.0))
    assert made.goes_on(Trouble.ERROR, 1.99)
    assert not made.goes_on(Trouble.ERROR, 2.0)


def test_a_stale_idle_connection_costs_no_try_but_only_once() -> None:
    made = attempts(RetryRules(tries=1))
    assert made.goes_on(Trouble.ERROR, 0.0, reused=True)
    assert not made.goes_on(Trouble.ERROR, 0.0, reused=True)
    assert not attempts(RetryRules(tries=1)).goes_on(Trouble.TIMEOUT, 0.0, reused=True)


def test_a_dying_group_is_spared_by_the_budget() -> None:
    budget = RetryBudget(0.0, share=0.2, per_second=0.0, burst=10.0)
    retries = 0
    for _ in range(1000):
        made = Attempts(RetryRules(), budget, 0.0)
        while made.goes_on(Trouble.ERROR, 0.0) and made.tries < 5:
            retries += 1
        retries += made.tries == 5
    assert 200 <= retries <= 210


def test_what_is_refused_for_another_reason_costs_no_budget() -> None:
    budget = RetryBudget(0.0, share=0.0, per_second=0.0, burst=1.0)
    made = Attempts(RetryRules(), budget, 0.0)
    assert not made.goes_on(Trouble.HTTP_500, 0.0)
    assert made.goes_on(Trouble.ERROR, 0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_a_budget_never_gives_more_than_it_has(steps: list[tuple[float, bool]]) -> None:
    now, firsts, given_out = 50.0, 0, 0
    budget = RetryBudget(now, share=0.2, per_second=3.0, burst=7.0)
    for wait, is_first in steps:
        now += wait
        if is_first:
            firsts += 1
            budget.first_attempt()
        else:
            given_out += budget.take(now)
    assert given_out <= 7.0 + 0.2 * firsts + 3.0 * (now - 50.0) + 1e-6


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    budget = RetryBudget(100.0, per_second=1.0, burst=1.0)
    assert budget.take(100.0)
    assert not budget.take(0.0)
    assert not budget.take(0.5)


def test_causes_that_are_a_servers_fault_are_troubles_and_no_others() -> None:
    assert trouble_of(Cause.CONNECT_TIMEOUT) is Trouble.TIMEOUT
    assert trouble_of(Cause.BAD_ANSWER) is Trouble.INVALID_HEADER
    assert trouble_of(Cause.SERVER_LOST) is Trouble.ERROR
    assert {cause.value.side for cause in Cause if trouble_of(cause) is not None} == {Side.SERVER}
    assert trouble_of_status(200) is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("off", (frozenset(), False)),
        ("", (frozenset(), False)),
        ("error timeout", (frozenset({Trouble.ERROR, Trouble.TIMEOUT}), False)),
        ("error http_503 non_idempotent", (frozenset({Trouble.ERROR, Trouble.HTTP_503}), True)),
    ],
)
def test_the_option_is_read(text: str, parsed: tuple[frozenset[Trouble], bool]) -> None:
    assert parse_retry(text.split()) == parsed


@pytest.mark.parametrize("text", ["http_200", "error off", "Error"])
def test_an_unknown_word_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected off or some of error, timeout, .*non_idempotent, not"):
        parse_retry(text.split())
