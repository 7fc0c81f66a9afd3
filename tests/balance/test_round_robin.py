"""Smooth weighted round robin gives what nginx gives."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import first, firsts, name, named, weighted, whole


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ((5, 1, 1), "a a b a c a a"),
        ((1, 1, 1), "a b c a b c"),
        ((3, 1), "a a b a a a b a"),
        ((1, 2), "b a b b a b"),
        ((4,), "a a a"),
    ],
)
def test_weights_are_spread_smoothly(weights: tuple[int, ...], turns: str) -> None:
    assert firsts(weighted(*weights), len(turns.split())) == turns


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_a_full_round_gives_each_its_exact_share(weights: list[int], rounds: int) -> None:
    group = weighted(*weights)
    turns = Counter(firsts(group, rounds * sum(weights)).split())
    assert turns == {letter: rounds * weight for letter, weight in zip("abcdef", weights, strict=False)}
    assert {state.current for state in group.states} == {0}, "and the next round is the same"


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_no_server_is_ever_a_whole_turn_away_from_its_share(weights: list[int]) -> None:
    group = weighted(*weights)
    total, turns = sum(weights), Counter[str]()
    for turn in range(1, 2 * total):
        turns[name(first(group))] += 1
        for letter, weight in zip("abcdef", weights, strict=False):
            assert abs(turns[letter] - turn * weight / total) < len(weights)


def test_the_next_of_an_order_is_the_next_turn_among_the_others() -> None:
    assert whole(weighted(5, 1, 1)) == "a b c"
    assert whole(weighted(1, 5, 1)) == "b a c"


def test_a_failure_lowers_the_weight_which_comes_back_turn_by_turn() -> None:
    group = weighted(4, 4, max_fails=2)
    state = named(group, "a")
    state.failed(0.0)
    assert state.effective == 2
    assert firsts(group, 1) == "b"
    assert state.effective == 3
    firsts(group, 1)
    firsts(group, 1)
    assert state.effective == 4


def test_a_weight_never_sinks_below_nothing() -> None:
    group = weighted(3, 3, max_fails=1)
    state = named(group, "a")
    for _ in range(3):
        state.failed(0.0)
    assert state.effective == 0
    group = weighted(3, 3, max_fails=5)
    named(group, "a").failed(0.0)
    assert named(group, "a").effective == 3, "nginx divides whole numbers: 3/5 is nothing"
