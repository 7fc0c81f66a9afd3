"""Connections are taken from who has more than its share, gently, and only while somebody lacks them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import group, named, server
from wsgate.balance.rebalancing import AWAY, PATIENCE, Load, Rebalance, serving


def test_only_servers_of_which_nothing_bad_is_known_take_part() -> None:
    made = group(server("a"), server("b", drain=True), server("c", down=True), server("d", backup=True), server("e"))
    named(made, "e").failed(0.0)
    assert serving(made.states, 100.0) == [named(made, "a")]


def loads(*counts: int, **options: float) -> list[Load]:
    """Servers a, b, c ... with so many connections."""
    return [Load(name, count, options.get(name, 1.0)) for name, count in zip("abcdef", counts, strict=False)]


def joined(known: list[Load], now: float = 0.0, rate: float = 100.0) -> Rebalance:
    """All but the last were there before it came."""
    rebalance = Rebalance()
    assert rebalance.look(known[:-1], rate, now) == []
    assert rebalance.look(known, rate, now) == []
    return rebalance


def test_nobody_gives_where_nobody_came() -> None:
    rebalance = Rebalance()
    for now in range(5):
        assert rebalance.look(loads(10, 0), 5.0, float(now)) == []


def test_the_fullest_give_to_who_came_until_it_has_its_share() -> None:
    found = loads(10, 14, 0)
    assert joined(found).look(found, 100.0, 1.0) == ["b", "b", "b", "b", "a", "b", "a", "b"]


def test_no_more_a_second_than_wanted_and_none_in_advance() -> None:
    found = loads(30, 30, 0)
    rebalance = joined(found, now=0.0, rate=4.0)
    assert len(rebalance.look(found, 4.0, 500.0)) == 4, "what was not used is not saved up"
    assert rebalance.look(found, 4.0, 500.1) == []
    assert len(rebalance.look(found, 4.0, 500.5)) == 2
    slow = joined(found, rate=0.25)
    assert [len(slow.look(found, 0.25, 2.0 * step)) for step in range(1, 8)] == [0, 1, 0, 1, 0, 1, 0]


def test_those_that_leave_are_not_counted_twice_and_those_that_left_are_waited_for() -> None:
    found = loads(6, 6, 0)
    rebalance = joined(found)
    assert sorted(rebalance.look(found, 100.0, 1.0)) == ["a", "a", "b", "b"]
    leaving = [replace(load, leaving=2) if load.conns else load for load in found]
    assert rebalance.look(leaving, 100.0, 2.0) == []
    assert rebalance.look(loads(4, 4, 0), 100.0, 3.0) == [], "they will come"
    assert rebalance.look(loads(4, 4, 0), 100.0, 2.5 + AWAY) != [], "they did not come"
    assert rebalance.look(loads(4, 4, 4), 100.0, 4.0 + AWAY) == []


def test_nobody_gives_for_less_than_a_whole_connection() -> None:
    found = loads(2, 1, 1)
    assert joined(found).look(found, 100.0, 1.0) == []


def test_shares_go_by_weight_and_a_full_server_has_enough() -> None:
    found = loads(9, 0, a=2)
    assert joined(found).look(found, 100.0, 1.0) == ["a"] * 3
    full = [found[0], replace(found[1], is_full=True)]
    assert joined(full).look(full, 100.0, 1.0) == []


def test_one_that_comes_back_gets_its_share_too() -> None:
    found = loads(6, 6, 0)
    rebalance = joined(found)
    rebalance.look(found[:2], 100.0, 1.0)
    assert rebalance.look(found, 100.0, 2.0) == []
    assert len(rebalance.look(found, 100.0, 3.0)) == 4


def test_one_that_was_away_between_two_looks_is_noticed() -> None:
    found = loads(6, 6, 0)
    rebalance = Rebalance()
    assert rebalance.look(found, 100.0, 1.0) == rebalance.look(found, 100.0, 2.0) == []
    found[2] = replace(found[2], since=2.5)
    assert rebalance.look(found, 100.0, 3.0) == []
    assert len(rebalance.look(found, 100.0, 4.0)) == 4


def test_patience_comes_to_an_end() -> None:
    found = loads(6, 0)
    rebalance = joined(found)
    assert rebalance.look(found, 1.0, 1.0)
    assert rebalance.look(found, 1.0, 2.0 + PATIENCE) == []


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6), st.lists(st.integers(1, 5), min_size=6, max_size=6))
def test_moving_comes_to_an_end_and_is_fair(counts: list[int], weights: list[int]) -> None:
    found = [
        replace(load, weight=float(weight)) for load, weight in zip(loads(*counts), weights[: len(counts)], strict=True)
    ]
    rebalance, newcomer = joined(found), found[-1].key
    before = found[-1].conns
    for step in range(1, sum(counts) + 2):
        givers = rebalance.look(found, 1.0, float(step))
        found = [
            replace(
                load,
                conns=load.conns - givers.count(load.key) + (len(givers) if load.key == newcomer else 0),
            )
            for load in found
        ]
    assert rebalance.look(found, 1.0, float(step + 1)) == []
    now = found[-1].conns
    share = sum(counts) * found[-1].weight / sum(load.weight for load in found)
    assert now >= before
    if now > before:
        # Each of the others may keep a part of a connection above its share.
        assert now <= share < now + len(found)
