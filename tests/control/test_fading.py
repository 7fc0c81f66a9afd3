"""Members that answers leave out stay for a while, and not for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsgate.control.fading import Fading


def test_who_is_missing_for_the_time_is_gone() -> None:
    fading = Fading()
    assert fading.stay(("a", "b"), ("b",), 0.0, 30.0) == ("a", "b")
    assert fading
    assert fading.stay(("a", "b"), ("b",), 29.0, 30.0) == ("a", "b")
    assert fading.stay(("a", "b"), ("b",), 30.0, 30.0) == ("b",)
    assert not fading


def test_who_comes_back_is_not_counted_as_missing_before() -> None:
    fading = Fading()
    for now in range(0, 300, 10):
        found = ("a",) if now % 20 else ("b",)
        assert fading.stay(("a", "b"), found, float(now), 15.0) == ("a", "b")


@given(st.lists(st.sets(st.sampled_from("abcd")), max_size=30))
def test_who_is_in_the_answer_is_always_there_and_nobody_is_invented(answers: list[set[str]]) -> None:
    fading = Fading()
    known: tuple[str, ...] = ()
    for now, answer in enumerate(answers):
        stay = fading.stay(known, tuple(answer), float(now), 3.0)
        assert set(stay) <= set(known)
        assert set(known) & answer <= set(stay)
        known = (*stay, *sorted(answer - set(known)))
        assert set(known) <= set().union(*answers[max(0, now - 3) : now + 1])
