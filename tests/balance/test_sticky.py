"""A cookie binds to one server, tells nothing of it, and cannot be made without the key."""

from __future__ import annotations

import pytest

from tests.balance.groups import named, weighted
from wsgate.balance.sticky import Bindings, set_cookie
from wsgate.config.model import Sticky

KEY = bytes(range(32))


def test_each_server_has_a_mark_of_its_own_that_leads_back_to_it() -> None:
    made, bindings = weighted(1, 1, 1), Bindings(KEY)
    marks = [bindings.mark(state) for state in made.states]
    assert len(set(marks)) == 3
    assert [Bindings(KEY).find(made.states, [mark]) for mark in marks] == list(made.states)


def test_a_mark_tells_nothing_and_needs_the_key() -> None:
    made = weighted(1)
    a = named(made, "a")
    mark = Bindings(KEY).mark(a)
    assert a.key.encode() not in mark
    assert Bindings(bytes(32)).find(made.states, [mark]) is None


@pytest.mark.parametrize("value", [b"", b"a", b"a:1", b"\xff" * 24, b"x" * 5000])
def test_what_is_no_mark_binds_to_nothing(value: bytes) -> None:
    assert Bindings(KEY).find(weighted(1, 1).states, [value]) is None


def test_the_first_right_one_of_several_cookies_counts() -> None:
    made, bindings = weighted(1, 1), Bindings(KEY)
    a, b = made.states
    assert bindings.find(made.states, [b"old", bindings.mark(b), bindings.mark(a)]) is b


def test_marks_of_servers_that_are_gone_are_forgotten() -> None:
    bindings = Bindings(KEY)
    for number in range(300):
        state = weighted(1).states[0]
        state.key = str(number)
        bindings.find([state], [b"x"])
    assert len(bindings._marks) < 100


@pytest.mark.parametrize(
    ("options", "secure", "field"),
    [
        (Sticky("w"), False, b"w=v; Path=/; HttpOnly; SameSite=Lax"),
        (Sticky("w", 60.0, "/chat", "none"), True, b"w=v; Path=/chat; HttpOnly; Max-Age=60; Secure; SameSite=None"),
    ],
)
def test_the_cookie_is_as_careful_as_the_connection(options: Sticky, secure: bool, field: bytes) -> None:
    assert set_cookie(options, b"v", secure) == field
