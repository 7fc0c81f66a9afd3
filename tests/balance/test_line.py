"""Who waits for a place is called in the order of coming, and no more wait than may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgate.balance.line import Line


def test_first_come_first_served() -> None:
    line, called = Line(), list[str]()
    for name in "abc":
        assert line.join(lambda name=name: called.append(name), 3)  # type: ignore[misc]
    assert [line.call() for _ in range(4)] == [True, True, True, False]
    assert called == ["a", "b", "c"]


def test_a_full_line_takes_nobody_but_those_that_come_back() -> None:
    line, called = Line(), list[str]()
    assert line.join(lambda: called.append("a"), 1)
    assert not line.join(lambda: called.append("b"), 1)
    line.come_back(lambda: called.append("back"))
    line.call()
    assert called == ["back"]
    assert len(line) == 1


def test_a_line_of_none_takes_nobody() -> None:
    assert not Line().join(lambda: None, 0)


def test_who_leaves_is_not_called() -> None:
    line, called = Line(), list[str]()

    def leaver() -> None:
        called.append("leaver")

    line.join(leaver, 2)
    line.join(lambda: called.append("b"), 2)
    line.leave(leaver)
    line.leave(leaver)
    assert line.call()
    assert called == ["b"]


@given(st.lists(st.booleans(), max_size=60))
def test_no_more_than_the_most_ever_wait(joins: list[bool]) -> None:
    line = Line()
    for join in joins:
        if join:
            line.join(lambda: None, 5)
        else:
            line.call()
        assert len(line) <= 5
