"""Orders while another program takes over: what it would not know of is refused, and allowed again if it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from wsgate.control.commander import Commander, OrderError
from wsgate.control.notify import Notify
from wsgate.control.scopes import Scope
from wsgate.control.succession import SuccessionError
from wsgate.control.supervisor import Supervisor

HOME = {"kind": "route", "name": "home"}


class Obeying:
    """A supervisor that does as it is told; ``done`` is what it did."""

    def __init__(self, directory: Path) -> None:
        self.config = SimpleNamespace(gateway=SimpleNamespace(state_dir=directory, watch=0))
        self.done: list[object] = []

    def drain(self, scope: Scope) -> Deferred[int]:
        self.done.append(scope)
        return succeed(0)

    def undrain(self, scope: Scope) -> Deferred[None]:
        self.done.append(scope)
        return succeed(None)

    def reload(self) -> Deferred[dict[str, Any]]:
        self.done.append("reload")
        return succeed({"ok": True})

    def stop(self, *, delay: bool) -> None:
        self.done.append("stop")


class World:
    def __init__(self, directory: Path) -> None:
        self.supervisor = Obeying(directory)
        self.successor: Deferred[int] = Deferred()
        supervisor = cast(Supervisor, self.supervisor)
        self.commander = Commander(supervisor, Clock(), Notify({}, 1), lambda: self.successor)

    def answer(self, order: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        self.commander.obey(order, facts or {}).addCallback(answers.append)
        return answers[0] if answers else {}


@pytest.mark.parametrize("order", ["drain", "undrain", "reload"])
def test_what_a_successor_would_not_know_of_is_refused_until_it_has_failed(tmp_path: Path, order: str) -> None:
    world = World(tmp_path)
    facts = {} if order == "reload" else HOME
    assert world.answer("upgrade") == {}, "it is under way"
    with pytest.raises(OrderError, match="upgrade is under way"):
        world.answer(order, facts)
    assert world.supervisor.done == []
    world.successor.errback(SuccessionError("it ended with 1"))
    assert world.answer(order, facts)["ok"]
    assert len(world.supervisor.done) == 1


def test_signals_are_told_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answer("upgrade")
    reports: list[dict[str, Any]] = []
    world.commander.reload().addCallback(reports.append)
    assert not reports[0]["ok"] and "upgrade is under way" in reports[0]["error"]
    assert world.answer("upgrade") == {"ok": False, "error": "an upgrade is under way already"}
    with pytest.raises(OrderError):
        world.answer("drain", HOME)
    world.successor.callback(7)
    assert world.supervisor.done == ["stop"]
