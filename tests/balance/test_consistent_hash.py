"""A key stays with its server, few keys move when servers come and go, and no server is drowned by one key."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.balance.groups import first, firsts, group, name, named, server, weighted, whole
from wsgate.balance.consistent_hash import BOUND
from wsgate.balance.group import Group
from wsgate.config.model import Server

KEYS = [b"key-%d" % number for number in range(3000)]


def homes(servers: list[Server]) -> dict[bytes, str]:
    made = group(*servers, balance="hash client")
    return {key: name(first(made, key=key)) for key in KEYS}


def hashed(letters: str, **options: int) -> list[Server]:
    return [server(letter, **options) for letter in letters]


def test_a_key_has_one_home_whatever_the_order_of_the_servers() -> None:
    assert homes(hashed("abcd")) == homes(hashed("dcba"))


def test_the_home_of_a_key_is_the_same_in_every_version() -> None:
    made = Group(hashed("abcd"), "hash client", Random(1), name="chat")
    # Gateways of different versions beside each other must agree, or keys would wander between servers.
    assert "".join(name(first(made, key=key)) for key in KEYS[:16]) == "abdbdbcccbddccac"


def test_keys_spread_by_weight() -> None:
    shares = Counter(homes([server("a", weight=3), *hashed("bcd")]).values())
    assert shares["a"] == pytest.approx(1500, rel=0.1)
    for letter in "bcd":
        assert shares[letter] == pytest.approx(500, rel=0.15)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_when_a_server_joins_it_takes_its_share_and_no_other_key_moves(count: int) -> None:
    letters = "abcdefgh"[:count]
    before, after = homes(hashed(letters)), homes(hashed(letters + "x"))
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"x"}
    assert len(moved) == pytest.approx(len(KEYS) / (count + 1), rel=0.15)


def test_when_a_server_leaves_only_its_keys_move_and_spread() -> None:
    before, after = homes(hashed("abcd")), homes(hashed("abc"))
    assert all(before[key] == "d" for key in KEYS if before[key] != after[key])
    heirs = Counter(after[key] for key in KEYS if before[key] == "d")
    assert min(heirs.values()) > 0.8 * sum(heirs.values()) / 3


def test_a_server_that_is_set_aside_gets_its_keys_back() -> None:
    made = weighted(1, 1, 1, balance="hash client", fail_timeout=10.0)
    key = next(key for key in KEYS if name(first(made, key=key)) == "b")
    second = whole(made, key=key).split()[1]
    named(made, "b").failed(0.0)
    assert name(first(made, 1.0, key)) == second
    assert name(first(made, 11.0, key)) == "b"


def test_one_hot_key_spills_over_at_the_bound() -> None:
    made = weighted(1, 1, 1, 1, balance="hash client")
    for _ in range(400):
        first(made, key=b"hot").taken()
    loads = sorted(state.conns for state in made.states)
    assert loads[-1] <= BOUND * 100 + 1
    assert loads[-1] >= 100 * BOUND - 5, "the key's home is filled first"


@given(st.lists(st.binary(min_size=1, max_size=3), max_size=60), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_no_server_is_chosen_above_its_bound(keys: list[bytes], weights: list[int]) -> None:
    made = weighted(*weights, balance="hash client")
    for total, key in enumerate(keys):
        state = first(made, key=key)
        assert state.conns < BOUND * (total + 1) * state.server.weight / sum(weights)
        state.taken()


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_it_is_round_robin(key: bytes | None) -> None:
    made = weighted(5, 1, 1, balance="hash cookie sid")
    assert [name(first(made, key=key)) for _ in range(7)] == list("aabacaa")
    assert firsts(made, 7) == "a a b a c a a"
