"""What an order may name."""

from __future__ import annotations

from typing import Any, cast

import pytest

from wsgate.control.scopes import Scope, ScopeError, Selection
from wsgate.registry import Live

LIVE = Live(3, "web", "chat", "pool", "127.0.0.1:9000", "192.0.2.1", 0.0, cast(Any, None))


@pytest.mark.parametrize(
    ("facts", "covers"),
    [
        ({}, True),
        ({"kind": "gateway"}, True),
        ({"kind": "listener", "name": "web"}, True),
        ({"kind": "listener", "name": "other"}, False),
        ({"kind": "route", "name": "chat"}, True),
        ({"kind": "route", "name": "other"}, False),
        ({"kind": "upstream", "name": "pool"}, True),
        ({"kind": "upstream", "name": "other"}, False),
        ({"kind": "server", "name": "pool", "server": "127.0.0.1:9000"}, True),
        ({"kind": "server", "name": "pool", "server": "127.0.0.1:9001"}, False),
        ({"kind": "server", "name": "other", "server": "127.0.0.1:9000"}, False),
    ],
)
def test_a_scope_covers_its_connections(facts: dict[str, str], covers: bool) -> None:
    assert Scope.of(facts).covers(LIVE) is covers


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "nothing"},
        {"kind": "route"},
        {"kind": "gateway", "name": "x"},
        {"kind": "server", "name": "pool"},
        {"kind": "route", "name": "chat", "server": "127.0.0.1:9000"},
    ],
)
def test_half_a_scope_is_refused(facts: dict[str, str]) -> None:
    with pytest.raises(ScopeError):
        Scope.of(facts)


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        ({"id": "1.3"}, True),
        ({"id": "2.3"}, False),
        ({"client": "192.0.2.1", "route": "chat"}, True),
        ({"client": "192.0.2.1", "route": "other"}, False),
        ({"server": "127.0.0.1:9000"}, True),
    ],
)
def test_all_that_is_given_must_hold(facts: dict[str, str], chosen: bool) -> None:
    assert Selection.of(facts).chooses(LIVE, "1.3") is chosen


def test_nobody_is_not_everybody() -> None:
    with pytest.raises(ScopeError, match="say whom"):
        Selection.of({"route": ""})
