"""What a process does as its memory gets short, on a clock and a memory that the test sets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from wsgate.admission.memory import LEAST, Pressure
from wsgate.causes import Cause
from wsgate.config.model import Mode
from wsgate.control.pressure import LOOK, SCORE, MemoryPressure, group_limit, resident, volunteer
from wsgate.registry import Registry
from wsgate.relay.interfaces import Traffic
from wsgate.transport.wheel import TimerWheel


class _Relay:
    """Keeps so many bytes; notes how it is ended."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.ends: list[str] = []

    def traffic(self) -> Traffic:
        return Traffic(kept=self.kept)

    def close(self, cause: Cause, reason: str = "") -> None:
        assert cause is Cause.MEMORY
        self.ends.append("closed")

    def abort(self, cause: Cause) -> None:
        assert cause is Cause.MEMORY
        self.ends.append("aborted")
        self.kept = 0


class _Answering:
    """A connection of HTTP with so many bytes that its client does not read."""

    def __init__(self, unread: int) -> None:
        self.unread = unread
        self.aborted = False

    def abort(self, cause: Cause) -> None:
        assert cause is Cause.MEMORY
        self.aborted = True


class _Doors:
    barred: frozenset[Mode] = frozenset()

    def bar(self, modes: frozenset[Mode]) -> None:
        self.barred = modes


class _Process:
    """One with ``max_memory`` 1900, which it shares with another one, as it does 100 bytes: 1000 are its limit."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.used = 100
        self.gateway = SimpleNamespace(max_memory=1900)
        self.registry = Registry()
        self.runtime: Any = SimpleNamespace(
            plan=SimpleNamespace(config=SimpleNamespace(gateway=self.gateway)),
            wheel=TimerWheel(self.clock),  # type: ignore[arg-type]
            live=self.registry,
            short_of_memory=False,
        )
        self.doors: Any = _Doors()
        self.memory = MemoryPressure(self.runtime, self.doors, lambda: 2, used=lambda: self.used, group=0)
        self.memory.follow()

    def relay(self, kept: int) -> _Relay:
        relay: Any = _Relay(kept)
        self.registry.enter(listener="l", route="r", upstream="u", server="s", client="c", since=0.0, relay=relay)
        found: _Relay = relay
        return found

    def answering(self, unread: int) -> _Answering:
        found: Any = _Answering(unread)
        self.registry.connections.add(found)
        answering: _Answering = found
        return answering

    def look(self, used: int) -> None:
        self.used = used
        self.clock.advance(LOOK + 0.1)


@pytest.fixture
def process() -> _Process:
    return _Process()


def test_near_the_limit_requests_are_refused_and_layer_4_waits(process: _Process) -> None:
    process.look(949)
    assert not process.runtime.short_of_memory and not process.doors.barred
    process.look(950)
    assert process.runtime.short_of_memory and process.doors.barred == {Mode.TCP}
    assert process.memory.facts() == {"used": 950, "limit": 1000, "state": "refusing", "closed": 0}
    process.look(899)
    assert not process.runtime.short_of_memory and not process.doors.barred


def test_above_it_nobody_is_accepted_and_who_keeps_most_is_closed(process: _Process) -> None:
    relays = [process.relay(kept) for kept in (LEAST, 50_000, LEAST - 1, 60_000, 0)]
    answers = [process.answering(unread) for unread in (0, 55_000, LEAST - 1)]
    process.look(10**9)
    assert process.doors.barred == set(Mode)
    assert [relay.ends for relay in relays] == [["closed"], ["closed"], [], ["closed"], []]
    assert [one.aborted for one in answers] == [False, True, False]
    assert process.memory.facts()["closed"] == 4


def test_no_more_are_closed_than_is_needed(process: _Process) -> None:
    relays = [process.relay(kept) for kept in (50_000, 60_000)]
    process.look(1000)
    assert [relay.ends for relay in relays] == [[], ["closed"]]


def test_who_has_not_gone_at_the_next_look_is_cut_off(process: _Process) -> None:
    stuck, next_one = process.relay(60_000), process.relay(50_000)
    process.look(1000)
    process.look(1000)
    assert stuck.ends == ["closed", "aborted"]
    assert next_one.ends == [], "what the first one kept is enough"


def test_who_has_taken_all_meanwhile_is_left_to_its_close(process: _Process) -> None:
    reads = process.relay(60_000)
    process.look(1000)
    reads.kept = 0
    process.look(1000)
    assert reads.ends == ["closed"]


def test_each_state_is_told_once_until_it_is_over(process: _Process) -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        for used in (960, 1010, 960, 940, 1010, 940, 1010, 800, 820, 960):
            process.look(used)
    finally:
        globalLogPublisher.removeObserver(events.append)
    told = [event["words"].partition(",")[0] for event in events if "words" in event]
    assert told == ["memory is short", "memory is too short", "memory is enough again", "memory is short"]


def test_a_reload_changes_the_limit_and_takes_it_away(process: _Process) -> None:
    process.look(990)
    process.gateway.max_memory = 3900
    process.memory.follow()
    process.look(990)
    assert process.memory.state is Pressure.NONE and process.memory.limit == 2000
    process.gateway.max_memory = 200
    process.memory.follow()
    process.look(990)
    assert process.memory.state is Pressure.SHEDDING
    process.gateway.max_memory = 0
    process.memory.follow()
    process.look(990)
    assert process.memory.state is Pressure.NONE and not process.doors.barred
    assert not process.clock.getDelayedCalls(), "without a limit nobody looks"
    process.gateway.max_memory = 200
    process.memory.follow()
    assert process.memory.state is Pressure.SHEDDING


def test_the_memory_of_a_process_is_found() -> None:
    assert 1 << 20 < resident() < 1 << 40


def test_the_least_limit_of_a_control_group_and_those_above_it_counts(tmp_path: Path) -> None:
    own, group = tmp_path / "own", tmp_path / "groups" / "system" / "wsgate.service"
    group.mkdir(parents=True)
    own.write_text("4:memory:/old\n0::/system/wsgate.service\n")
    assert group_limit(tmp_path / "groups", own) == 0
    (group / "memory.max").write_text("max\n")
    assert group_limit(tmp_path / "groups", own) == 0
    (group.parent / "memory.max").write_text("8000000\n")
    assert group_limit(tmp_path / "groups", own) == 8_000_000
    (group / "memory.max").write_text("3000000\n")
    assert group_limit(tmp_path / "groups", own) == 3_000_000


@pytest.mark.parametrize("text", [None, "4:memory:/old\n", ""])
def test_without_such_a_group_there_is_no_limit(tmp_path: Path, text: str | None) -> None:
    own = tmp_path / "own"
    if text is not None:
        own.write_text(text)
    assert group_limit(tmp_path, own) == 0


def test_a_worker_is_ended_before_its_parent(tmp_path: Path) -> None:
    score = tmp_path / "score"
    for before, after in ((0, SCORE), (-500, SCORE - 500), (950, 1000)):
        score.write_text(f"{before}\n")
        volunteer(score)
        assert int(score.read_text()) == after
    volunteer(tmp_path / "none" / "score")
    assert not (tmp_path / "none").exists()
