"""Failures put a server aside, one probe brings it back, and its connections are counted."""

from __future__ import annotations

import pytest

from tests.balance.groups import first, firsts, group, name, named, server, weighted, whole
from wsgate.balance.places import LocalPlaces
from wsgate.balance.servers import ServerState


def test_max_fails_put_a_server_aside_for_fail_timeout() -> None:
    made = weighted(1, 1, max_fails=2, fail_timeout=10.0)
    a = named(made, "a")
    a.failed(100.0)
    assert a.is_eligible(100.0)
    a.failed(101.0)
    assert firsts(made, 4, now=111.0) == "b b b b", "the time itself still counts"
    assert a.is_eligible(111.001)


def test_after_the_time_exactly_one_probe_gets_through() -> None:
    made = weighted(1, 1, fail_timeout=10.0)
    a = named(made, "a")
    a.failed(0.0)
    assert [name(first(made, 11.0)) for _ in range(6)].count("a") == 1
    assert [name(first(made, 20.0)) for _ in range(6)].count("a") == 0, "the probe has not come back yet"
    a.failed(20.5)
    assert [name(first(made, 30.0)) for _ in range(6)].count("a") == 0
    assert [name(first(made, 31.0)) for _ in range(6)].count("a") == 1


def test_a_probe_that_goes_well_ends_it() -> None:
    made = weighted(1, 1, fail_timeout=10.0)
    a = named(made, "a")
    a.failed(0.0)
    assert "a" in firsts(made, 2, now=11.0)
    a.succeeded(11.5)
    assert a.fails == 0
    assert sorted(firsts(made, 10, now=11.5).split()) == ["a"] * 5 + ["b"] * 5


def test_a_success_that_began_before_the_failure_forgives_nothing() -> None:
    made = weighted(1, 1, max_fails=2)
    a = named(made, "a")
    a.failed(1.0)
    a.succeeded(1.1)
    assert a.fails == 1


def test_max_fails_0_never_puts_aside() -> None:
    made = weighted(1, 1, max_fails=0)
    a = named(made, "a")
    for _ in range(10):
        a.failed(0.0)
    assert a.is_eligible(0.0)
    assert a.effective == 1


def test_the_only_server_of_a_group_is_never_put_aside() -> None:
    made = weighted(1)
    a = named(made, "a")
    for moment in range(10):
        a.failed(float(moment))
    assert whole(made, now=10.0) == "a"
    assert a.fails == 0


def test_one_server_with_a_backup_is_not_the_only_one() -> None:
    made = group(server("a"), server("z", backup=True))
    named(made, "a").failed(0.0)
    assert whole(made, now=1.0) == "z"


@pytest.mark.parametrize("options", [{"down": True}, {"max_conns": 1}])
def test_down_and_full_servers_are_not_eligible(options: dict[str, int]) -> None:
    made = group(server("a", **options), server("b"))
    if "max_conns" in options:
        assert named(made, "a").taken()
    assert whole(made) == "b"


def test_a_draining_server_gets_nothing_new() -> None:
    made = weighted(1, 1)
    named(made, "a").draining = True
    assert whole(made) == "b"


def test_who_is_bound_to_a_server_may_go_there_again_unless_the_operator_drains_it() -> None:
    configured = ServerState("k", server("a", drain=True), LocalPlaces())
    assert configured.may_keep(0.0) and not configured.is_eligible(0.0)
    drained = ServerState("k", server("a"), LocalPlaces())
    drained.draining = True
    assert not drained.may_keep(0.0)


def test_connections_are_counted_up_to_max_conns() -> None:
    state = ServerState("k", server("a", max_conns=2), LocalPlaces())
    assert [state.taken(), state.taken(), state.taken()] == [True, True, False]
    assert state.conns == 2
    state.released()
    assert state.conns == 1
    assert state.taken()


def test_a_state_shows_what_matters() -> None:
    assert repr(ServerState("up/a:1", server("a"), LocalPlaces())) == "<ServerState up/a:1 conns=0 fails=0>"


# Slow start, probes, drain


def test_a_server_that_comes_back_gets_its_share_little_by_little() -> None:
    made = weighted(10, 10, slow_start=100.0, fail_timeout=10.0)
    a = named(made, "a")
    a.failed(0.0)
    while first(made, 11.0) is not a:
        pass
    a.succeeded(11.0)
    shares = []
    for moment in (12.0, 61.0, 111.0):
        for state in made.states:
            state.current, state.effective = 0, 10
        shares.append(firsts(made, 200, now=moment).count("a"))
    assert shares[0] <= 12
    assert 60 <= shares[1] <= 70, "half of its weight against the whole of the other's"
    assert shares[2] == 100
    assert a.weight == 10


def test_no_slow_start_at_the_start_and_none_for_the_only_server() -> None:
    made = weighted(4, 4, slow_start=60.0)
    assert firsts(made, 8, now=0.0).count("a") == 4
    lonely = weighted(4, slow_start=60.0)
    named(lonely, "a").probed(False, 0.0)
    named(lonely, "a").probed(True, 1.0)
    first(lonely, 1.0)
    assert named(lonely, "a").weight == 4


def test_a_warming_server_gets_connections_by_what_its_weight_is_now() -> None:
    made = weighted(10, 10, balance="least_conn", slow_start=100.0)
    a, b = named(made, "a"), named(made, "b")
    for _ in range(100):
        b.taken()
    a.probed(False, 0.0)
    a.probed(True, 0.0)
    for _ in range(200):
        first(made, 10.0).taken()
    assert a.conns <= 0.11 * b.conns + 1, "a tenth of the weight, a tenth of the connections"


def test_probes_take_a_server_out_and_bring_it_back_forgiven() -> None:
    made = weighted(1, 1)
    a = named(made, "a")
    a.failed(0.0)
    a.probed(False, 1.0)
    assert whole(made, now=50.0) == "b", "no time brings back what probes have taken out"
    a.probed(True, 51.0)
    assert a.fails == 0
    assert "a" in whole(made, now=51.0)


def test_probes_take_out_even_the_only_server() -> None:
    made = weighted(1)
    named(made, "a").probed(False, 0.0)
    assert whole(made) == ""


def test_drain_by_configuration_keeps_those_that_are_bound() -> None:
    made = group(server("a", drain=True), server("b"))
    a = named(made, "a")
    assert whole(made) == "b"
    assert [name(state) for state in made.order(0.0, bound=a)] == ["a", "b"]


def test_whoever_waits_is_told_of_a_free_place() -> None:
    made = weighted(1, max_conns=1)
    told: list[bool] = []
    made.freed = lambda: told.append(True)
    a = named(made, "a")
    assert a.taken()
    assert made.is_full(0.0)
    a.released()
    assert told == [True]
    assert not made.is_full(0.0)


def test_servers_that_are_out_of_order_make_no_group_full() -> None:
    made = weighted(1, 1, max_conns=1)
    for state in made.states:
        state.taken()
    named(made, "a").failed(0.0)
    assert made.is_full(0.0)
    named(made, "b").probed(False, 0.0)
    assert not made.is_full(0.0)
