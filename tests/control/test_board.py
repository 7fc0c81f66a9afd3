"""Counts that several processes share."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgate.control.board import ROWS, SLOTS, Board, BoardError, ClientPlaces, SharedPlaces

SEED = bytes(16)


def places(board: Board, slots: dict[str, int]) -> SharedPlaces:
    return SharedPlaces(board, board.take_row(), slots)


def test_each_worker_sees_what_all_count() -> None:
    board = Board(SEED)
    one, two = places(board, {"a": 0}), places(board, {"a": 0})
    assert one.take("a", 0) and two.take("a", 0)
    assert one.count("a") == two.count("a") == 2
    one.give_back("a")
    assert two.count("a") == 1


def test_the_last_place_is_given_once() -> None:
    board = Board(SEED)
    one, two = places(board, {"a": 3}), places(board, {"a": 3})
    assert one.take("a", 2) and two.take("a", 2)
    assert not one.take("a", 2) and not two.take("a", 2)
    assert one.count("a") == 2
    two.give_back("a")
    assert one.take("a", 2)


def test_a_place_is_given_back_by_who_took_it() -> None:
    board = Board(SEED)
    one, two = places(board, {"a": 0}), places(board, {"a": 0})
    assert one.take("a", 0)
    with pytest.raises(AssertionError, match="twice"):
        two.give_back("a")


def test_the_least_number_of_all_workers_is_known() -> None:
    board = Board(SEED)
    one, two = places(board, {"a": 0}), places(board, {"a": 0})
    assert one.least("a") == 0
    one.note("a", 9)
    two.note("a", 4)
    assert one.least("a") == two.least("a") == 4
    two.note("a", 0)
    assert two.least("a") == 9
    board.give_row_back(0)
    assert two.least("a") == 0
    assert one.least("unknown") == 0


def test_what_a_dead_worker_counted_is_gone() -> None:
    board = Board(SEED)
    one, two = places(board, {"a": 0, "b": 1}), places(board, {"a": 0, "b": 1})
    for key in "ab":
        assert one.take(key, 0) and two.take(key, 0)
    board.give_row_back(0)
    assert two.count("a") == two.count("b") == 1
    assert board.take_row() == 0, "a row is given out again"


def test_rows_end() -> None:
    board = Board(SEED)
    for _ in range(ROWS):
        board.take_row()
    with pytest.raises(BoardError):
        board.take_row()


def test_a_slot_stays_while_something_is_counted_there() -> None:
    board = Board(SEED)
    slots = board.assign(["a", "b"], {})
    one = places(board, slots)
    assert one.take("a", 0)
    after = board.assign(["b", "c"], slots)
    assert after["a"] == slots["a"] and after["b"] == slots["b"] and after["c"] not in slots.values()
    one.give_back("a")
    assert "a" not in board.assign(["b", "c"], after)


def test_slots_end() -> None:
    with pytest.raises(BoardError):
        Board(SEED).assign(map(str, range(SLOTS + 1)), {})


def test_a_key_without_a_slot_is_counted_by_the_worker_alone() -> None:
    board = Board(SEED)
    one, two = places(board, {}), places(board, {})
    assert one.take("a", 1) and not one.take("a", 1)
    assert two.count("a") == 0
    one.give_back("a")
    assert one.count("a") == 0


def test_another_process_writes_the_same_board() -> None:
    board = Board(SEED)
    here, there = places(board, {"a": 0}), places(board, {"a": 0})
    pid = os.fork()
    if not pid:
        there.take("a", 0)
        os._exit(0)
    os.waitpid(pid, 0)
    assert here.count("a") == 1


@pytest.mark.parametrize("limit", [1, 3])
def test_processes_that_take_at_once_are_never_above_the_limit(limit: int) -> None:
    """Each child takes and gives back as fast as it can and looks at the count while it has a place."""
    board = Board(SEED)
    children = []
    for _ in range(4):
        mine = places(board, {"a": 0})
        pid = os.fork()
        if not pid:
            over = False
            for _ in range(3000):
                if mine.take("a", limit):
                    # Others may be between adding and giving back: those that hold one are never more.
                    over |= _held(board) > limit
                    mark = mine._row
                    board.cells[_HELD + mark] = 1
                    over |= _held(board) > limit
                    board.cells[_HELD + mark] = 0
                    mine.give_back("a")
            os._exit(over)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0] * 4


_HELD = (1 + 7) * ROWS  # a counter that nothing else uses


def _held(board: Board) -> int:
    return sum(board.cells[_HELD : _HELD + 8])


@given(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"]), max_size=30))
def test_clients_are_never_counted_too_low(addresses: list[str]) -> None:
    board = Board(SEED)
    one, two = ClientPlaces(board, board.take_row()), ClientPlaces(board, board.take_row())
    for number, address in enumerate(addresses):
        assert (one, two)[number % 2].take(address, 0)
    for address in set(addresses):
        assert one.count(address) == addresses.count(address)


def test_a_client_has_a_limit_and_others_do_not_mind() -> None:
    board = Board(SEED)
    one, two = ClientPlaces(board, board.take_row()), ClientPlaces(board, board.take_row())
    assert one.take("10.0.0.1", 2) and two.take("10.0.0.1", 2)
    assert not one.take("10.0.0.1", 2)
    assert one.take("10.0.0.2", 2)
    two.give_back("10.0.0.1")
    assert one.take("10.0.0.1", 2)
