"""Connections are taken from who has more than its share, and only while somebody lacks them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import group, named, server, weighted
from wsgate.balance.rebalancing import giver, has_enough, serving, share
from wsgate.balance.servers import ServerState


def loaded(counts: dict[str, int], **weights: int) -> list[ServerState]:
    made = group(*(server(name, weight=weights.get(name, 1)) for name in counts))
    for name, count in counts.items():
        for _ in range(count):
            named(made, name).taken()
    return list(made.states)


def test_the_fullest_gives_to_who_lacks() -> None:
    a, b, c = states = loaded({"a": 10, "b": 14, "c": 0})
    assert giver(states, [c]) is b
    assert giver(states, []) is None
    assert giver(states, [a]) is None, "it has its share"


def test_nobody_gives_for_less_than_a_whole_connection() -> None:
    *_, c = states = loaded({"a": 2, "b": 1, "c": 1})
    assert giver(states, [c]) is None


def test_shares_go_by_weight_and_a_full_server_has_enough() -> None:
    a, b = states = loaded({"a": 9, "b": 0}, a=2, b=1)
    assert (share(a, states), share(b, states)) == (6.0, 3.0)
    limited = group(server("a"), server("b", max_conns=1))
    for name in "aaaab":
        named(limited, name).taken()
    assert has_enough(named(limited, "b"), limited.states)


def test_only_servers_of_which_nothing_bad_is_known_take_part() -> None:
    made = group(server("a"), server("b", drain=True), server("c", down=True), server("d", backup=True), server("e"))
    named(made, "e").failed(0.0)
    assert serving(made.states, 100.0) == [named(made, "a")]


def test_a_server_that_warms_up_has_a_smaller_share() -> None:
    made = weighted(1, 1, slow_start=100.0)
    a, b = made.states
    for _ in range(100):
        b.taken()
    a.probed(False, 0.0)
    a.probed(True, 0.0)
    a.warm_up(50.0)
    assert 33 <= share(a, made.states) <= 34


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6), st.lists(st.integers(1, 5), min_size=6, max_size=6))
def test_moving_one_by_one_comes_to_an_end_and_is_fair(counts: list[int], weights: list[int]) -> None:
    names = "abcdef"[: len(counts)]
    states = loaded(dict(zip(names, counts, strict=True)), **dict(zip(names, weights, strict=False)))
    newcomer = states[-1]
    before = newcomer.conns
    for _ in range(sum(counts) + 1):
        state = giver(states, [newcomer])
        if state is None:
            break
        state.released()
        newcomer.taken()
    else:
        raise AssertionError("it never ends")
    assert newcomer.conns >= before
    if newcomer.conns > before:
        # Each of the others may keep a part of a connection above its share.
        assert newcomer.conns <= share(newcomer, states) < newcomer.conns + len(states)
