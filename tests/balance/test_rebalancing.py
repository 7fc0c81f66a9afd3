"""Connections are taken from who has more than its share, gently, and only while somebody lacks them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import group, named, server
from wsgate.balance.rebalancing import AWAY, PATIENCE, PROOF, Load, Rebalance, serving


def test_only_servers_in_order_take_part() -> None:
    made = group(server("a"), server("b", drain=True), server("c", down=True), server("d", backup=True), server("e"))
    named(made, "e").failed(0.0)
    assert serving(made.states, 5.0) == [named(made, "a")]
    assert serving(made.states, 11.0) == [named(made, "a"), named(made, "e")]


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


def test_one_that_failed_is_tried_with_one_connection_before_more_are_moved() -> None:
    """It may be as dead as before: clients must not be sent away for nothing."""
    found = loads(6, 6, 0)
    found[2] = replace(found[2], unproven=True)
    rebalance = joined(found)
    assert len(rebalance.look(found, 100.0, 1.0)) == 1
    assert rebalance.look(found, 100.0, 2.0) == rebalance.look(found, 100.0, 5.0) == []
    assert len(rebalance.look(found, 100.0, 1.0 + PROOF)) == 1
    well = loads(6, 5, 1)
    assert len(rebalance.look(well, 100.0, 2.0 + PROOF)) == 3


def test_one_that_warms_up_gets_its_share_as_it_grows() -> None:
    found = [*loads(15, 15), Load("c", 0, 0.05, whole=1.0)]
    rebalance = joined(found)
    for step, weight in enumerate((0.05, 0.2, 0.5, 1.0), 1):
        found[2] = replace(found[2], weight=weight)
        givers = rebalance.look(found, 100.0, float(step))
        found = [replace(load, conns=load.conns - givers.count(load.key)) for load in found]
        found[2] = replace(found[2], conns=found[2].conns + len(givers))
        assert found[2].conns == int(30 * weight / (2 + weight))
    assert [load.conns for load in found] == [10, 10, 10]


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
