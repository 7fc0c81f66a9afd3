"""When the gateway asks for certificates, and what it does with what the program says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from wsgate.acme.places import AcmePlaces
from wsgate.acme.schedule import Renewal
from wsgate.config.load import parse_config
from wsgate.config.model import Config
from wsgate.control.acme import BROKEN, FIRST, LOOK, AcmeKeeper

NOW = datetime(2026, 6, 1, tzinfo=UTC)
INI = """
[listener web]
bind = 127.0.0.1:1
[listener secure]
bind = 127.0.0.1:2
tls = site
[tls site]
certificate = {certificate}
names = site.example
[route r]
respond = 204
"""


class Reactor(Clock):
    """A clock that keeps what was to be run."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []
        self.signals: list[str] = []

    def spawnProcess(self, protocol: Any, program: str, arguments: list[str], env: dict[str, str]) -> Reactor:
        assert arguments[1:5] == ["-m", "wsgate", "acme", "--config"]
        self.runs.append(protocol)
        return self

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)


class World:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.reactor = Reactor()
        self.reloads = 0
        self.ok = True
        self.keeper = AcmeKeeper(self.reactor, lambda: NOW, lambda: config, self.reload)
        self.keeper.start()

    def reload(self) -> Deferred[dict[str, Any]]:
        self.reloads += 1
        return succeed({"ok": self.ok})

    def says(self, output: bytes, *, waits: bool = True) -> None:
        """The program notes when to try again, unless it could not even run, and ends."""
        if waits:
            places = AcmePlaces(self.config.gateway.state_dir)
            places.make()
            places.write_json(places.state("site"), Renewal().failed(NOW, "x", 0.5).facts())
        run = self.reactor.runs[-1]
        run.outReceived(output)
        run.processEnded(Failure(ProcessDone(0)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(parse_config(INI.format(certificate="acme"), "x.ini", tmp_path))


def test_it_asks_once_listeners_answer_and_reloads_with_the_certificate(world: World) -> None:
    assert world.reactor.runs == []
    world.reactor.advance(FIRST)
    assert len(world.reactor.runs) == 1
    world.reactor.advance(LOOK)
    assert len(world.reactor.runs) == 1, "one at a time"
    world.says(b"renewed site\n")
    assert world.reloads == 1
    world.reactor.advance(LOOK)
    assert world.reloads == 1


def test_a_refused_reload_is_tried_again(world: World) -> None:
    world.reactor.advance(FIRST)
    world.ok = False
    world.says(b"renewed site\n")
    world.reactor.advance(LOOK)
    assert world.reloads == 2
    world.ok = True
    world.reactor.advance(LOOK)
    world.reactor.advance(LOOK)
    assert world.reloads == 3


def test_a_failure_reloads_nothing_and_waits_as_the_program_noted(world: World) -> None:
    world.reactor.advance(FIRST)
    world.says(b"failed site: no\n")
    world.reactor.pump([LOOK] * 10)
    assert (world.reloads, len(world.reactor.runs)) == (0, 1)


def test_a_program_that_cannot_run_is_not_run_every_minute(world: World) -> None:
    world.reactor.advance(FIRST)
    world.says(b"Error: no module named acme\n", waits=False)
    world.reactor.pump([LOOK] * int(BROKEN / LOOK - 1))
    assert len(world.reactor.runs) == 1
    world.reactor.pump([LOOK] * 2)
    assert len(world.reactor.runs) == 2


def test_without_such_a_section_nothing_runs(tmp_path: Path) -> None:
    other = World(parse_config(INI.format(certificate="self-signed"), "x.ini", tmp_path))
    other.reactor.pump([LOOK] * 5)
    assert other.reactor.runs == []


def test_a_stopped_gateway_ends_the_program_and_reloads_no_more(world: World) -> None:
    world.reactor.advance(FIRST)
    world.keeper.stop()
    assert world.reactor.signals == ["TERM"]
    world.says(b"renewed site\n")
    assert world.reloads == 0
    assert world.reactor.getDelayedCalls() == []
