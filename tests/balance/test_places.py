"""Places never go above their limit, and cost nothing when all are given back."""

from __future__ import annotations

import pytest

from wsgate.balance.places import LocalPlaces


def test_a_limit_holds_and_none_is_no_limit() -> None:
    places = LocalPlaces()
    assert [places.take("a", 2) for _ in range(4)] == [True, True, False, False]
    assert [places.take("b", 0) for _ in range(4)] == [True] * 4
    assert (places.count("a"), places.count("b"), places.count("c")) == (2, 4, 0)


def test_a_place_given_back_is_free_again() -> None:
    places = LocalPlaces()
    places.take("a", 1)
    places.give_back("a")
    assert places.count("a") == 0
    assert places.take("a", 1)


def test_a_place_given_back_twice_is_a_fault() -> None:
    places = LocalPlaces()
    places.take("a", 1)
    places.give_back("a")
    with pytest.raises(AssertionError, match="a place of a was given back twice"):
        places.give_back("a")


def test_a_number_can_be_left_and_taken_away() -> None:
    places = LocalPlaces()
    assert places.least("a") == 0
    places.note("a", 7)
    assert (places.least("a"), places.least("b")) == (7, 0)
    places.note("a", 0)
    assert places.least("a") == 0
