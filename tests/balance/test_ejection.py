"""A server that drops WebSockets early is left out for a while, but never so many that the others drown."""

from __future__ import annotations

import pytest

from tests.balance.groups import first, firsts, named, weighted, whole
from wsgate.balance.ejection import ended, is_trouble
from wsgate.balance.group import Group
from wsgate.balance.servers import ServerState
from wsgate.config.model import EjectionRules

RULES = EjectionRules(strikes=3, early=5.0, base=30.0, longest=100.0, share=0.5)


def drop(group: Group, state: ServerState, now: float, times: int = 1, age: float = 1.0) -> list[bool]:
    return [ended(RULES, group.states, state, now, age, by_server=True) for _ in range(times)]


def test_early_drops_in_a_row_eject_for_the_base_time() -> None:
    group = weighted(1, 1)
    a = named(group, "a")
    assert drop(group, a, 100.0, 3) == [False, False, True]
    assert firsts(group, 3, now=129.9) == "b b b"
    assert "a" in firsts(group, 2, now=130.0)


def test_a_good_connection_in_between_wipes_the_slate() -> None:
    group = weighted(1, 1)
    a = named(group, "a")
    drop(group, a, 100.0, 2)
    assert not ended(RULES, group.states, a, 100.0, age=60.0, by_server=True)
    assert drop(group, a, 100.0, 3) == [False, False, True]


def test_what_the_client_ended_early_says_nothing() -> None:
    group = weighted(1, 1)
    a = named(group, "a")
    drop(group, a, 100.0, 2)
    assert not ended(RULES, group.states, a, 100.0, age=1.0, by_server=False)
    assert drop(group, a, 100.0) == [True]


def test_connections_from_before_an_ejection_do_not_count_again() -> None:
    group = weighted(1, 1)
    a = named(group, "a")
    drop(group, a, 100.0, 3)
    assert drop(group, a, 131.0, 10, age=4.0) == [False] * 10
    assert not ended(RULES, group.states, a, 131.0, age=500.0, by_server=False)
    assert (a.strikes, a.ejections) == (0, 1)


def test_each_ejection_in_a_row_is_longer_up_to_the_longest() -> None:
    group = weighted(1, 1)
    a = named(group, "a")
    now, lengths = 100.0, []
    for _ in range(5):
        assert drop(group, a, now, 3)[-1]
        lengths.append(a.ejected_until - now)
        now = a.ejected_until + 2.0
    assert lengths == [30.0, 60.0, 90.0, 100.0, 100.0]
    ended(RULES, group.states, a, now + 10.0, age=10.0, by_server=False)
    drop(group, a, now + 20.0, 3)
    assert a.ejected_until - (now + 20.0) == 30.0


@pytest.mark.parametrize(("count", "out"), [(1, 0), (2, 1), (3, 1), (4, 2), (8, 4)])
def test_no_more_than_the_share_of_a_group_is_out_at_once(count: int, out: int) -> None:
    group = weighted(*[1] * count)
    ejected = [drop(group, state, 100.0, 20) for state in group.states]
    assert sum(any(results) for results in ejected) == out
    assert len(set(firsts(group, 30, now=101.0).split())) == count - out


def test_an_ejected_server_is_better_than_none() -> None:
    group = weighted(1, 1)
    drop(group, named(group, "a"), 100.0, 3)
    assert whole(group, now=101.0) == "b a"
    named(group, "b").failed(101.0)
    assert whole(group, now=101.0) == "a"
    assert first(group, now=101.0) is named(group, "a")


@pytest.mark.parametrize("code", [None, 1006, 1011, 1014, 1015])
def test_a_lost_connection_and_an_internal_error_are_trouble(code: int | None) -> None:
    assert is_trouble(code)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1012, 1013, 3000, 4401])
def test_a_close_for_a_reason_is_none(code: int) -> None:
    assert not is_trouble(code)
