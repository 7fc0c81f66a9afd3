from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from twisted.internet.task import Clock

from tests.apps.visitors import FakeVisitor
from wsgate.apps.catalog import KINDS


def test_the_five_kinds_are_there() -> None:
    assert set(KINDS) == {"echo", "chat", "ticker", "progress", "board"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_makes_an_application_that_sees_a_visitor_come_and_go(kind: str) -> None:
    clock = Clock()
    app = KINDS[kind](clock, Random(1))
    assert app.subprotocols == (("*",) if kind == "echo" else (f"wsgate.{kind}",))
    visitor = FakeVisitor()
    app.opened(visitor)
    app.closed(visitor)
    assert clock.getDelayedCalls() == []


def test_the_applications_need_neither_twisted_nor_autobahn() -> None:
    """The configuration can ask for the names of the kinds without loading a network stack."""
    code = "import sys, wsgate.apps.catalog; print({'twisted', 'autobahn'} & {m.split('.')[0] for m in sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"
