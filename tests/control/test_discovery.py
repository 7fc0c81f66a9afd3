"""Names are asked again when their answer has grown old, and only a better answer changes anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from wsgate.config.load import parse_config
from wsgate.control.discovery import AGAIN, HOLD, Discovery
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

    def __init__(self, resolve: str, *known: str, more: str = "") -> None:
        self.clock = Clock()
        config = parse_config(more + INI.format(resolve=resolve), "test", Path("/"))
        self.material = Material(config, {}, {}, {"app.test:9000": known} if known else {})
        self.answer: Found | None = None
        self.asked = self.system = 0
        self.published: list[tuple[str, ...]] = []
        self.discovery = Discovery(self.clock, lambda: self.material, self._publish)
        self.discovery.names = lambda: self  # type: ignore[method-assign, assignment, return-value]
        self.discovery.follow()

    def system_addresses(self, name: str) -> Deferred[Found]:
        self.system += 1
        return self.addresses(name)

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
    assert world.published == [("10.0.0.1", "10.0.0.2", "10.0.0.3")], "who is left out is not gone at once"
    for _ in range(10):
        world.clock.advance(10)
    assert world.published[1:] == [("10.0.0.2", "10.0.0.3")]
    assert world.asked == 12


def test_answers_that_differ_each_time_change_nothing() -> None:
    """Row 24 of the faults: connections to servers that are there must not be drained."""
    world = World("1s", "10.0.0.1", "10.0.0.2")
    for number in range(30):
        world.answer = Found((f"10.0.0.{1 + number % 2}",), 1.0)
        world.clock.advance(1 if number else 0)
    assert (world.asked, world.published) == (30, [])


def test_an_address_that_is_left_out_of_a_long_answer_is_asked_for_soon() -> None:
    world = World("1h", "10.0.0.1", "10.0.0.2")
    world.answer = Found(("10.0.0.1",), 1.0)
    world.clock.advance(0)
    world.clock.advance(HOLD)
    assert (world.asked, world.published) == (2, [("10.0.0.1",)])
    world.clock.advance(HOLD)
    assert world.asked == 2


@pytest.mark.parametrize(("resolve", "again"), [("1h", AGAIN), ("1s", 1), ("ttl", AGAIN)])
def test_no_answer_keeps_what_was_known_and_is_asked_for_again(resolve: str, again: float) -> None:
    world = World(resolve, "10.0.0.1")
    world.clock.advance(0)
    world.clock.advance(again)
    assert (world.asked, world.published) == (2, [])
    world.answer = Found(("10.0.0.1", "10.0.0.9"), 1.0)
    world.clock.advance(again)
    assert world.published == [("10.0.0.1", "10.0.0.9")]


def test_where_nothing_is_known_the_first_failure_is_told_once() -> None:
    """Whoever waits for the first answer then waits no longer."""
    world = World("1s")
    for _ in range(5):
        world.clock.advance(1)
    assert world.published == [()]
    world.answer = Found(("10.0.0.9",), 1.0)
    world.clock.advance(1)
    assert world.published == [(), ("10.0.0.9",)]


@pytest.mark.parametrize(
    ("resolve", "more", "system"),
    [("1s", "", 1), ("ttl", "", 0), ("1s", "[gateway]\nresolver = 127.0.0.53:53\n", 0)],
)
def test_the_system_is_asked_where_nothing_else_is_wanted(resolve: str, more: str, system: int) -> None:
    world = World(resolve, more=more)
    world.clock.advance(0)
    assert (world.asked, world.system) == (1, system)


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
