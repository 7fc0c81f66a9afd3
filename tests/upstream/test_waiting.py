"""Waiting for a place: who waits in which worker, in which order they are called, and how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from wsgate.balance.places import LocalPlaces, Notes
from wsgate.config.model import Queue
from wsgate.control.board import Board, SharedPlaces
from wsgate.transport.wheel import TICK, TimerWheel
from wsgate.upstream.waiting import SLACK, Waiting, WaitingRoom, waiting_keys


class World:
    """Servers with ``free`` places, and workers with rooms in front of them."""

    def __init__(self, *places: Notes) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.later: list[Callable[[], None]] = []
        self.free = 0
        self.served: list[str] = []
        self.late: list[str] = []
        wheel = TimerWheel(self.clock)  # type: ignore[arg-type]
        self.rooms = [WaitingRoom(self, wheel, one, "servers") for one in places]  # type: ignore[arg-type]

    def soon(self, call: Callable[[], None]) -> None:
        self.later.append(call)

    def turn(self) -> None:
        later, self.later = self.later, []
        for call in later:
            call()

    def comes(self, name: str, worker: int = 0, most: int = 10, timeout: float = 5.0) -> Client | None:
        client = Client(self, name)
        client.waiting = self.rooms[worker].enter(client, Queue(most, timeout))
        return client if client.waiting is not None else None

    def frees(self, count: int = 1, worker: int | None = None) -> None:
        """Places become free, in a worker that knows it, or in none that does."""
        self.free += count
        if worker is not None:
            for _ in range(count):
                self.rooms[worker].freed()
            self.turn()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.clock.advance(TICK)


class Client:
    """One that takes a place if there is one, and waits again if there is none."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.waiting: Waiting | None = None

    def place_free(self) -> None:
        assert self.waiting is not None
        if self.world.free:
            self.world.free -= 1
            self.world.served.append(self.name)
            self.waiting.stop()
        else:
            self.waiting.again()

    def waited_too_long(self, timeout: float) -> None:
        self.world.late.append(self.name)


def two_workers() -> World:
    board = Board(bytes(16))
    slots = {key: slot for slot, key in enumerate(waiting_keys("servers"))}
    return World(*(SharedPlaces(board, board.take_row(), slots) for _ in range(2)))


def test_each_free_place_is_taken_by_the_next() -> None:
    world = World(LocalPlaces())
    for name in "abcd":
        world.comes(name)
    world.frees(2, worker=0)
    assert world.served == ["a", "b"]
    assert len(world.rooms[0]) == 2
    world.frees(5, worker=0)
    assert (world.served, world.free) == (["a", "b", "c", "d"], 3)
    assert len(world.rooms[0]) == 0


def test_who_waits_too_long_is_told_and_gone() -> None:
    world = World(LocalPlaces())
    world.comes("a", timeout=1.0)
    world.wait(0.5)
    world.comes("b", timeout=1.0)
    world.wait(0.6)
    assert world.late == ["a"]
    world.frees(worker=0)
    assert world.served == ["b"]
    world.wait(2)
    assert (world.late, len(world.rooms[0])) == (["a"], 0)


def test_places_that_another_worker_frees_are_all_found_at_the_next_look() -> None:
    world = two_workers()
    for name in "abc":
        world.comes(name, worker=1)
    world.frees(3)
    world.wait(0.1)
    assert world.served == ["a", "b", "c"]


def test_no_more_than_the_queue_takes_wait_in_all_workers_together() -> None:
    world = two_workers()
    clients = [world.comes(str(number), worker=number % 2, most=3) for number in range(5)]
    assert [client is not None for client in clients] == [True, True, True, False, False]
    first = clients[0]
    assert first is not None and first.waiting is not None
    first.waiting.stop()
    assert world.comes("another", worker=1, most=3)


def test_who_came_earlier_to_another_worker_is_served_before() -> None:
    """A worker with many clients must not keep every place for its own while those of another one wait."""
    world = two_workers()
    world.comes("early", worker=1)
    world.wait(SLACK + 0.1)
    world.comes("late", worker=0)
    world.frees(worker=0)
    assert world.served == []
    world.wait(0.1)
    assert world.served == ["early"]
    world.frees(worker=0)
    assert world.served == ["early", "late"]


def test_who_came_at_about_the_same_time_is_served_where_the_place_is() -> None:
    world = two_workers()
    world.comes("there", worker=1)
    world.wait(SLACK / 2)
    world.comes("here", worker=0)
    world.frees(worker=0)
    assert world.served == ["here"]


@pytest.mark.parametrize("way", ["leaves", "is stuck"])
def test_a_worker_that_serves_nobody_keeps_nobody_from_serving(way: str) -> None:
    board = Board(bytes(16))
    slots = {key: slot for slot, key in enumerate(waiting_keys("servers"))}
    places = [SharedPlaces(board, board.take_row(), slots) for _ in range(2)]
    world = World(places[0])
    places[1].note(waiting_keys("servers")[1], 100_000)
    world.wait(1)
    world.comes("a", timeout=2.0)
    world.frees(worker=0)
    assert world.served == []
    if way == "leaves":
        board.give_row_back(1)
        world.wait(0.1)
    else:
        world.wait(1.5)
    assert world.served == ["a"]
