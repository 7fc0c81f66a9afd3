"""Names are asked again when their answer has grown old, and only a better answer changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from wsgate.config.load import parse_config
from wsgate.control.discovery import AGAIN, Discovery
from wsgate.control.material import Material
from wsgate.control.names import Found, NoAnswer

INI = """
[listener raw]
bind = 127.0.0.1:0
mode = tcp
upstream = servers

[upstream servers]
servers = app.test:9000
resolve = {resolve}
"""


class World:
    """A discovery on a clock of its own, with answers that the test gives."""

    def __init__(self, resolve: str, *known: str) -> None:
        self.clock = Clock()
        config = parse_config(INI.format(resolve=resolve), "test", Path("/"))
        self.material = Material(config, {}, {}, {"app.test:9000": known})
        self.answer: Found | None = None
        self.asked = 0
        self.published: list[tuple[str, ...]] = []
        self.discovery = Discovery(self.clock, lambda: self.material, self._publish)
        self.discovery.names = lambda: self  # type: ignore[method-assign, assignment, return-value]
        self.discovery.follow()

    def addresses(self, name: str) -> Deferred[Found]:
        assert name == "app.test"
        self.asked += 1
        return succeed(self.answer) if self.answer is not None else fail(NoAnswer("no addresses"))

    def _publish(self, resolved: Any, found: Any) -> None:
        self.published.append(resolved["app.test:9000"])
        self.material.resolved["app.test:9000"] = resolved["app.test:9000"]  # type: ignore[index]


def test_only_another_set_of_addresses_is_news_and_those_that_stay_keep_their_places() -> None:
    world = World("10s", "10.0.0.1", "10.0.0.2")
    world.answer = Found(("10.0.0.2", "10.0.0.1"), 60.0)
    world.clock.advance(0)
    assert (world.asked, world.published) == (1, [])
    world.answer = Found(("10.0.0.3", "10.0.0.2"), 60.0)
    world.clock.advance(10)
    assert world.published == [("10.0.0.2", "10.0.0.3")]
    for _ in range(10):
        world.clock.advance(10)
    assert (world.asked, len(world.published)) == (12, 1)


def test_no_answer_keeps_what_was_known_and_is_asked_for_again() -> None:
    world = World("1h", "10.0.0.1")
    world.clock.advance(0)
    world.clock.advance(AGAIN)
    assert (world.asked, world.published) == (2, [])
    world.answer = Found(("10.0.0.9",), 1.0)
    world.clock.advance(AGAIN)
    assert world.published == [("10.0.0.9",)]


@pytest.mark.parametrize(("ttl", "pause"), [(0.0, 5), (60.0, 60), (10_000_000.0, 3600)])
def test_a_ttl_is_heeded_within_bounds(ttl: float, pause: int) -> None:
    world = World("ttl", "10.0.0.1")
    world.answer = Found(("10.0.0.1",), ttl)
    world.clock.advance(0)
    world.clock.advance(pause - 0.5)
    assert world.asked == 1
    world.clock.advance(0.5)
    assert world.asked == 2


def test_nothing_is_asked_when_it_is_off_or_stopped() -> None:
    assert not World("off", "10.0.0.1").clock.getDelayedCalls()
    world = World("1s", "10.0.0.1")
    world.discovery.stop()
    world.clock.advance(100)
    assert world.asked == 0
