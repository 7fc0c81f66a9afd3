"""How an upstream's servers take turns, as an operator writes it."""

from __future__ import annotations

import pytest

from wsgate.balance.retry import Trouble
from wsgate.config.balancing import balance, ejection, next_on, queue, resolve, sticky
from wsgate.config.kinds import NEXT_ON
from wsgate.config.model import EjectionRules, Queue, Sticky
from wsgate.config.values import BadValue


@pytest.mark.parametrize("text", ["round_robin", "least_conn", "random_two", "first", "hash client", "hash header X-U"])
def test_an_order_is_kept_as_it_is_usually_written(text: str) -> None:
    assert balance(text) == text
    assert balance(text.replace(" ", "   ")) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("least_con", "expected round_robin, least_conn, "),
        ("hash", "expected hash client"),
        ("hash cookie", "expected hash cookie NAME"),
        ("hash client x", "takes nothing behind it"),
        ("first two", "takes nothing behind it"),
        ("", "expected round_robin"),
    ],
)
def test_a_wrong_order_is_told(text: str, told: str) -> None:
    with pytest.raises(BadValue, match=told):
        balance(text)


def test_troubles_stand_by_blank_or_comma() -> None:
    assert next_on("error timeout") == next_on("error, timeout") == ("error", "timeout")
    assert next_on("off") == ("off",)
    for wrong in ("", "http_200", "off error"):
        with pytest.raises(BadValue, match="expected off or some of"):
            next_on(wrong)


@pytest.mark.parametrize("trouble", Trouble)
def test_the_page_names_every_trouble(trouble: Trouble) -> None:
    assert f"``{trouble}``" in NEXT_ON.doc
    assert next_on(trouble) == (trouble,)


def test_ejection_is_off_or_a_number_and_what_differs_from_the_usual() -> None:
    assert ejection("off") is None
    assert ejection("5") == EjectionRules(strikes=5)
    assert ejection("3 early=2s base=1m longest=1h share=25%") == EjectionRules(3, 2.0, 60.0, 3600.0, 0.25)
    for wrong in ("", "0", "on", "early=5s"):
        with pytest.raises(BadValue, match="expected off, or a number of early ends"):
            ejection(wrong)
    with pytest.raises(BadValue, match="unknown word late="):
        ejection("3 late=2s")


def test_a_queue_is_off_or_a_number_and_a_time() -> None:
    assert queue("off") == Queue() == Queue(0)
    assert queue("100") == Queue(100, 10.0)
    assert queue("7 timeout=500ms") == Queue(7, 0.5)
    for wrong in ("", "on", "0", "timeout=1s"):
        with pytest.raises(BadValue, match="expected off, or how many may wait"):
            queue(wrong)


def test_a_sticky_cookie_has_a_name_and_what_differs_from_the_usual() -> None:
    assert sticky("off") is None
    assert sticky("cookie w") == Sticky("w")
    assert sticky("cookie w max_age=1h path=/chat samesite=none") == Sticky("w", 3600.0, "/chat", "none")
    for wrong in ("", "on", "cookie", "cookie a;b", "wsgate"):
        with pytest.raises(BadValue, match="expected off, or cookie and a name"):
            sticky(wrong)
    with pytest.raises(BadValue, match="path of a cookie"):
        sticky("cookie w path=/;x")


def test_names_are_asked_again_never_by_ttl_or_every_so_often() -> None:
    assert [resolve(text) for text in ("off", "ttl", "30s")] == [0.0, -1.0, 30.0]
    with pytest.raises(BadValue, match="expected a duration"):
        resolve("always")
