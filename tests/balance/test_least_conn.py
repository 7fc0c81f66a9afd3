"""Fewest connections for the weight, with round robin among equals, as nginx has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import first, firsts, name, named, weighted


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ((1, 1, 1), "a b c a c a b b a"),
        ((3, 1), "a a b a a b a a a a b a a"),
        ((5, 1, 1), "a a b c a a a a c a b a a a a"),
    ],
)
def test_connections_that_stay_open_go_where_nginx_sends_them(weights: tuple[int, ...], turns: str) -> None:
    """What nginx 1.22.1 does, asked with real connections, of which the first is closed before the second."""
    group = weighted(*weights, balance="least_conn")
    state = first(group)
    state.taken()
    state.released()
    names = [name(state)]
    for _ in range(len(turns.split()) - 1):
        state = first(group)
        assert state.taken()
        names.append(name(state))
    assert " ".join(names) == turns


def test_equals_take_turns_by_smooth_round_robin() -> None:
    assert firsts(weighted(5, 1, 1, balance="least_conn"), 7) == "a a b a c a a"


def test_only_equals_take_turns() -> None:
    group = weighted(1, 1, 1, balance="least_conn")
    named(group, "a").taken()
    assert firsts(group, 4) == "b c b c"
    assert named(group, "a").current == 0, "who is not among them does not move on"


def test_the_emptiest_is_chosen_at_once() -> None:
    group = weighted(1, 1, 1, balance="least_conn")
    for letter in "abb":
        named(group, letter).taken()
    assert firsts(group, 3) == "c c c"


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=6).flatmap(
        lambda weights: st.tuples(
            st.just(weights), st.lists(st.integers(0, 20), min_size=len(weights), max_size=len(weights))
        )
    )
)
def test_nobody_has_less_for_its_weight_than_the_chosen(case: tuple[list[int], list[int]]) -> None:
    weights, conns = case
    group = weighted(*weights, balance="least_conn")
    for state, count in zip(group.states, conns, strict=True):
        for _ in range(count):
            state.taken()
    best = first(group)
    assert all(best.conns * state.server.weight <= state.conns * best.server.weight for state in group.states)
