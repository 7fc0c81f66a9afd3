"""Places of processes: filled, emptied, and filled again after a crash, each in its own time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from wsgate.control.backoff import YOUNG
from wsgate.control.hand import APPS, CONTROL, State
from wsgate.control.staff import AGAIN, Staff


class Process:
    """A hand without a process."""

    def __init__(self, number: int, clock: Clock) -> None:
        self.number = number
        self.pid = 100 + number
        self.name = f"worker {number}"
        self.since = clock.seconds()
        self.state = State.SERVING
        self.started = False
        self.linked = True
        self.how = "ended with 1"
        self.ended: Deferred[Any] = Deferred()
        self.link = self
        self.orders: list[str] = []

    def ask(self, order: str) -> Deferred[Any]:
        self.orders.append(order)
        return succeed(True)

    def kill(self) -> None:
        self.end()

    def end(self) -> None:
        self.linked = False
        self.ended.callback(self)


class World:
    def __init__(self, workers: int = 2, others: tuple[int, ...] = (CONTROL,)) -> None:
        self.clock = Clock()
        self.full = False
        self.forked: list[int] = []
        self.ended: list[int] = []
        self.staff = Staff(self.clock, self._begin, lambda hand: self.ended.append(hand.number))
        self.staff.want(workers, others)

    def _begin(self, number: int) -> Any:
        if self.full:
            raise BlockingIOError("no more processes")
        self.forked.append(number)
        return Process(number, self.clock)

    def process(self, number: int) -> Any:
        return next(hand for hand in self.staff.everyone if hand.number == number)

    @property
    def serving(self) -> list[int]:
        return sorted(hand.number for hand in self.staff.everyone if hand.state is State.SERVING)

    def crash(self, number: int, times: int) -> None:
        """Let the processes of a place end at their start, so often."""
        for _ in range(times):
            self.clock.advance(0)
            self.process(number).end()


def test_every_place_is_filled_once() -> None:
    world = World()
    world.staff.want(2, {CONTROL})
    assert sorted(world.forked) == [CONTROL, 1, 2]
    world.staff.want(3, {CONTROL, APPS})
    assert sorted(world.forked) == [APPS, CONTROL, 1, 2, 3]
    assert [hand.number for hand in world.staff.workers] == [1, 2, 3]
    assert APPS not in {hand.number for hand in world.staff.followers}


def test_it_has_begun_when_all_do_their_work() -> None:
    world = World()
    for number in (1, CONTROL):
        world.process(number).started = True
    assert not world.staff.begun
    world.process(2).started = True
    assert world.staff.begun


def test_a_control_process_that_crashes_keeps_no_gateway_from_being_ready() -> None:
    world = World(1)
    world.process(1).started = True
    assert not world.staff.begun
    world.process(CONTROL).end()
    assert world.staff.begun


def test_who_ends_unasked_has_a_successor_at_once() -> None:
    world = World()
    world.clock.advance(YOUNG)
    world.process(2).end()
    world.clock.advance(0)
    assert world.serving == [CONTROL, 1, 2] and world.staff.backoff.total == 1


def test_another_death_or_a_reload_does_not_hasten_a_place_that_waits() -> None:
    world = World(3)
    world.clock.advance(YOUNG)
    world.crash(1, 3)
    assert world.serving == [CONTROL, 2, 3]
    world.process(2).end()
    world.clock.advance(0)
    world.staff.hold()
    world.staff.want(3, {CONTROL})
    world.staff.go_on()
    assert world.serving == [CONTROL, 2, 3], "place 1 still waits"
    world.clock.advance(30)
    assert world.serving == [CONTROL, 1, 2, 3]


def test_nobody_is_forked_during_a_reload() -> None:
    world = World()
    world.clock.advance(YOUNG)
    world.staff.hold()
    world.process(1).end()
    world.clock.advance(0)
    assert world.serving == [CONTROL, 2]
    world.staff.go_on()
    assert world.serving == [CONTROL, 1, 2]


def test_of_too_many_those_that_wait_go_first_and_the_last_retires() -> None:
    world = World(3)
    world.clock.advance(YOUNG)
    world.crash(3, 3)
    world.staff.want(2, {CONTROL})
    world.clock.advance(60)
    assert world.serving == [CONTROL, 1, 2] and world.process(2).orders == []
    world.staff.want(1, {CONTROL})
    assert world.process(2).orders == ["retire"] and world.process(2).state is State.RETIRED
    world.process(2).end()
    world.clock.advance(60)
    assert world.serving == [CONTROL, 1]


def test_who_is_drained_has_a_successor_before_it_has_ended() -> None:
    world = World()
    old = world.process(1)
    world.staff.replace(old)
    assert world.serving == [CONTROL, 2, 3] and old.linked
    world.clock.advance(YOUNG)
    old.end()
    world.clock.advance(60)
    assert world.serving == [CONTROL, 2, 3]


def test_where_the_system_has_no_room_it_is_tried_again() -> None:
    world = World()
    world.clock.advance(YOUNG)
    world.full = True
    world.process(1).end()
    world.clock.advance(0)
    world.clock.advance(AGAIN)
    assert world.serving == [CONTROL, 2]
    world.full = False
    world.clock.advance(AGAIN)
    assert world.serving == [CONTROL, 1, 2]


def test_demo_servers_that_are_wanted_no_more_do_not_come_back() -> None:
    world = World(1, (CONTROL, APPS))
    world.crash(APPS, 2)
    world.staff.want(1, {CONTROL})
    world.clock.advance(60)
    assert world.serving == [CONTROL, 1]


def test_at_the_end_nobody_is_replaced() -> None:
    world = World()
    world.crash(1, 2)
    world.staff.stop()
    world.staff.kill(CONTROL)
    world.process(2).end()
    world.clock.advance(60)
    assert world.staff.empty and not world.staff.everyone
