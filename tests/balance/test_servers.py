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


def test_connections_are_counted_up_to_max_conns() -> None:
    state = ServerState("k", server("a", max_conns=2), LocalPlaces())
    assert [state.taken(), state.taken(), state.taken()] == [True, True, False]
    assert state.conns == 2
    state.released()
    assert state.conns == 1
    assert state.taken()


def test_a_state_shows_what_matters() -> None:
    assert repr(ServerState("up/a:1", server("a"), LocalPlaces())) == "<ServerState up/a:1 conns=0 fails=0>"
