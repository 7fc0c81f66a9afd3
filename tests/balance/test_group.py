"""A group gives orders without repeats, keeps its limits, and keeps what it knows across reloads."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import first, firsts, group, name, named, server, weighted, whole
from wsgate.balance.group import Group
from wsgate.balance.places import LocalPlaces
from wsgate.balance.servers import ServerState

METHODS = ["round_robin", "least_conn", "random_two", "hash client", "first"]
methods = pytest.mark.parametrize("method", METHODS)


@methods
@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=8), key=st.binary(max_size=4))
def test_an_order_names_each_eligible_server_once(method: str, weights: list[int], key: bytes) -> None:
    names = whole(weighted(*weights, balance=method), key=key).split()
    assert sorted(names) == list("abcdefgh"[: len(weights)])


@methods
def test_backups_come_behind_all_others_and_only_then(method: str) -> None:
    made = group(server("y", backup=True), server("a"), server("b"), server("z", backup=True), balance=method)
    names = whole(made, key=b"k").split()
    assert sorted(names[:2]) == ["a", "b"]
    assert sorted(names[2:]) == ["y", "z"]


@methods
def test_an_empty_group_and_one_that_is_down_give_an_empty_order(method: str) -> None:
    assert whole(group(balance=method)) == ""
    assert whole(group(server("a", down=True), server("b", down=True), balance=method)) == ""


@methods
@given(st.data())
def test_max_conns_is_never_exceeded(method: str, data: st.DataObject) -> None:
    made = group(
        *(server(letter, max_conns=limit) for letter, limit in zip("abc", (1, 2, 3), strict=True)), balance=method
    )
    held: list[ServerState] = []
    for number in range(30):
        if held and data.draw(st.booleans()):
            held.pop(data.draw(st.integers(0, len(held) - 1))).released()
        state = next(made.order(0.0, b"%d" % number), None)
        if state is None:
            assert len(held) == 6, "an order is empty only when every place is taken"
        else:
            assert state.taken()
            held.append(state)
        assert all(state.conns <= state.server.max_conns for state in made.states)


def test_a_place_taken_by_another_worker_meanwhile_sends_on_to_the_next() -> None:
    board = LocalPlaces()
    ours, theirs = (
        Group([server("a", max_conns=1), server("b")], "first", Random(1), board, name="up") for _ in range(2)
    )
    order = ours.order(0.0)
    named_first = next(order)
    assert first(theirs).taken()
    assert not named_first.taken()
    assert name(next(order)) == "b"


def test_an_order_sees_what_happens_while_it_is_used() -> None:
    made = weighted(1, 1, 1)
    order = made.order(0.0)
    next(order)
    named(made, "b").failed(0.0)
    assert [name(state) for state in order] == ["c"]


def test_a_later_item_is_chosen_by_the_time_it_is_asked_for() -> None:
    made = weighted(1, 1, fail_timeout=10.0)
    named(made, "b").failed(0.0)
    order = made.order(1.0)
    assert name(next(order)) == "a"
    order.now = 11.0
    assert name(next(order)) == "b"
    assert named(made, "b").checked == 11.0


def test_first_fills_one_server_before_the_next() -> None:
    made = group(server("a", max_conns=2), server("b", max_conns=1), server("c"), balance="first")
    names = []
    for _ in range(5):
        state = first(made)
        state.taken()
        names.append(name(state))
    assert names == ["a", "a", "b", "c", "c"]


def test_an_unknown_method_is_refused_and_changes_nothing() -> None:
    made = weighted(1, 1)
    with pytest.raises(ValueError, match="expected one of round_robin, least_conn"):
        made.reconfigure([], "fair")
    assert firsts(made, 2) == "a b"


# Reload


def test_a_reload_keeps_what_is_known_of_servers_that_stay() -> None:
    made = weighted(1, 1)
    a = named(made, "a")
    a.failed(5.0)
    a.taken()
    made.reconfigure([server("a"), server("c")], "least_conn")
    assert named(made, "a") is a
    assert (a.fails, a.conns) == (1, 1)
    assert [name(state) for state in made.states] == ["a", "c"]
    assert whole(made, now=6.0) == "c"


def test_a_reload_may_change_the_options_of_a_server() -> None:
    made = weighted(1, 1)
    a = named(made, "a")
    firsts(made, 1)
    made.reconfigure([server("a", weight=5, max_conns=7), server("b")], "round_robin")
    assert (a.server.max_conns, a.effective, a.current) == (7, 5, 0)
    a.current = 3
    made.reconfigure([server("a", weight=5), server("b")], "round_robin")
    assert a.current == 3, "the same weight goes on where it was"


def test_connections_of_a_removed_server_still_count_when_it_comes_back() -> None:
    made = weighted(1, 1)
    gone = named(made, "b")
    gone.taken()
    made.reconfigure([server("a")], "round_robin")
    assert named(made, "a").alone
    made.reconfigure([server("a"), server("b")], "round_robin")
    assert not named(made, "a").alone
    assert named(made, "b").conns == 1
    gone.released()
    assert named(made, "b").conns == 0


def test_an_order_under_way_ends_with_the_servers_it_began_with() -> None:
    made = weighted(1, 1)
    order = made.order(0.0)
    assert name(next(order)) == "a"
    made.reconfigure([server("c")], "round_robin")
    assert [name(state) for state in order] == ["b"]


def test_an_address_that_is_listed_twice_counts_apart() -> None:
    made = group(server("a", max_conns=1), server("a", max_conns=1), server("a", max_conns=1))
    assert len({state.key for state in made.states}) == 3
    assert whole(made) == "a a a"


def test_two_upstreams_with_one_board_count_apart() -> None:
    board = LocalPlaces()
    one, two = (Group([server("a")], "first", Random(1), board, name=upstream) for upstream in ("one", "two"))
    first(one).taken()
    assert (first(one).conns, first(two).conns) == (1, 0)


# Clients that belong to a server


@methods
def test_a_client_goes_to_the_server_it_belongs_to_and_then_to_the_others(method: str) -> None:
    made = weighted(1, 1, 1, balance=method)
    c = named(made, "c")
    names = [name(state) for state in made.order(0.0, b"k", bound=c)]
    assert names[0] == "c"
    assert sorted(names) == ["a", "b", "c"]


@pytest.mark.parametrize("options", [{"down": True}, {"max_conns": 1}])
def test_a_client_whose_server_cannot_serve_is_given_another(options: dict[str, int]) -> None:
    made = group(server("a", **options), server("b"))
    if "max_conns" in options:
        assert named(made, "a").taken()
    assert [name(state) for state in made.order(0.0, bound=named(made, "a"))] == ["b"]


def test_a_client_whose_server_has_left_the_group_is_given_another() -> None:
    """It may live for days, and its server be gone for days, when it needs another one."""
    made = group(server("a"), server("b"))
    a = named(made, "a")
    made.reconfigure([server("b"), server("c")], "round_robin")
    assert [name(state) for state in made.order(0.0, bound=a)] == ["b", "c"]


def test_an_order_knows_whether_more_can_be_tried() -> None:
    made = weighted(1, 1)
    order = made.order(0.0)
    assert order.has_next()
    assert [name(state) for state in order] == ["a", "b"]
    assert not order.has_next()


def test_whoever_waits_is_told_of_other_servers() -> None:
    made = weighted(1)
    told: list[bool] = []
    made.freed = lambda: told.append(True)
    made.reconfigure([server("a"), server("b")], "round_robin")
    assert told == [True]
