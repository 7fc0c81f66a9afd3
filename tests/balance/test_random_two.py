"""Two drawn by weight, the less loaded chosen: fair without counting exactly."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.balance.groups import first, firsts, group, name, named, server, weighted


@pytest.mark.parametrize("seed", range(5))
def test_connections_that_stay_open_are_never_far_from_even(seed: int) -> None:
    made = group(*(server(letter) for letter in "abcdefgh"), balance="random_two", seed=seed)
    for _ in range(1000):
        first(made).taken()
    # 125 each; with one random choice the spread would be about 11 (a standard deviation).
    assert max(state.conns for state in made.states) <= 125 + 4
    assert min(state.conns for state in made.states) >= 125 - 8


def test_with_two_servers_the_less_loaded_is_always_chosen() -> None:
    made = weighted(1, 1, balance="random_two")
    named(made, "a").taken()
    assert firsts(made, 20) == "b " * 19 + "b"


def test_load_is_measured_by_weight() -> None:
    made = weighted(4, 1, balance="random_two")
    for _ in range(100):
        first(made).taken()
    assert 78 <= named(made, "a").conns <= 82


def test_idle_servers_are_drawn_by_weight() -> None:
    turns = Counter(firsts(weighted(8, 1, 1, balance="random_two"), 1000).split())
    assert turns["a"] > 700
    assert min(turns["b"], turns["c"]) > 50


def test_a_server_alone_needs_no_second() -> None:
    assert name(first(weighted(3, balance="random_two"))) == "a"
