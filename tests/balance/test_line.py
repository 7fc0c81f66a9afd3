"""Who waits for a place is called in the order of coming."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgate.balance.line import Line, lets_pass


class One:
    """Somebody who waits, and does something when it is his turn."""

    def __init__(self, then: Callable[[], None], since: float = 0.0) -> None:
        self.since = since
        self.turn = then


def test_first_come_first_served() -> None:
    line, called = Line(), list[str]()
    for name in "abc":
        line.join(One(lambda name=name: called.append(name)))  # type: ignore[misc]
    assert [line.call() for _ in range(4)] == [True, True, True, False]
    assert called == ["a", "b", "c"]


def test_who_finds_the_place_taken_is_the_first_again_and_nobody_else_is_called() -> None:
    line, called = Line(), list[str]()
    early = One(lambda: line.come_back(early))
    line.join(early)
    line.join(One(lambda: called.append("late")))
    assert not line.call()
    assert (line.first, len(line), called) == (early, 2, [])


def test_who_leaves_is_not_called() -> None:
    line, called = Line(), list[str]()
    leaver = One(lambda: called.append("leaver"))
    line.join(leaver)
    line.join(One(lambda: called.append("b")))
    line.leave(leaver)
    line.leave(leaver)
    assert line.call()
    assert called == ["b"]


def test_a_line_of_none_has_no_first() -> None:
    assert Line().first is None


@pytest.mark.parametrize(
    ("own", "oldest", "now", "passes"),
    [
        (5.0, 5.0, 6.0, False),  # the first of all
        (5.0, 4.9, 6.0, False),  # about as early
        (5.0, 3.0, 6.0, True),
        (5.0, 3.0, 13.1, False),  # longer than anybody waits
    ],
)
def test_who_came_much_earlier_to_another_worker_is_let_pass(
    own: float, oldest: float, now: float, passes: bool
) -> None:
    assert lets_pass(own, oldest, now, patience=10.0, slack=0.25) is passes
