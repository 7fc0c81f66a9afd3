"""Splicing: bytes go from one socket to another inside the kernel, and never to anybody else."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.doubles import processes
from tests.transport.leg_ends import FAMILIES, HUBS, Ground, Peer
from tests.transport.tls_ends import Listening
from wsgate.transport import pipes
from wsgate.transport.pipes import LITTLE, POOL_SIZE, PipePool, Splice
from wsgate.transport.tcp import TcpLeg

MiB = 1 << 20


@pytest.fixture(params=sorted(HUBS))
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    ground = Ground(request.param)
    yield ground
    ground.close()


@pytest.fixture
def pool() -> Iterator[PipePool]:
    pool = PipePool()
    yield pool
    pool.close()


class Spliced:
    """A source that is spliced to a target, with the peers of both."""

    def __init__(self, ground: Ground, pool: PipePool, family: str = "tcp") -> None:
        self.ground = ground
        self.source, self.sender, self.heard = ground.listening(family)
        self.target, self.receiver, self.target_heard = ground.listening(family)
        Splice(pool, self.source, self.target).start()

    def pass_all(self, data: bytes) -> None:
        """Send ``data`` and wait until it has arrived."""
        left, end = memoryview(data), len(self.receiver.heard) + len(data)

        def arrived() -> bool:
            nonlocal left
            left = left[self.sender.send(left) :] if left else left
            self.receiver.receive()
            return len(self.receiver.heard) >= end or bool(self.heard.data)

        self.ground.until(arrived)


def pipe_descriptors() -> int:
    return sum(name.startswith("pipe:") for name in processes.descriptors(os.getpid()))


# The pool


def test_a_pipe_that_came_back_empty_is_lent_again(pool: PipePool) -> None:
    ends = pool.borrow()
    pool.give_back(ends, empty=True)
    assert pool.borrow() == ends
    pool.give_back(ends, empty=True)


def test_a_pipe_with_bytes_in_it_is_closed(pool: PipePool) -> None:
    before = pipe_descriptors()
    ends = pool.borrow()
    pool.give_back(ends, empty=False)
    assert pipe_descriptors() == before
    with pytest.raises(OSError):
        os.fstat(ends[0])


def test_a_pipe_never_blocks_and_is_not_inherited(pool: PipePool) -> None:
    for end in (ends := pool.borrow()):
        assert not os.get_blocking(end) and not os.get_inheritable(end)
    pool.give_back(ends, empty=True)


def test_no_more_pipes_are_kept_than_the_pool_holds(pool: PipePool) -> None:
    before = pipe_descriptors()
    lent = [pool.borrow() for _ in range(POOL_SIZE + 5)]
    for ends in lent:
        pool.give_back(ends, empty=True)
    assert pipe_descriptors() == before + 2 * POOL_SIZE
    pool.close()
    assert pipe_descriptors() == before


def test_a_kernel_that_allows_no_larger_pipes_is_fine(pool: PipePool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("fcntl.fcntl", refuse)
    pool.give_back(pool.borrow(), empty=True)


# Moving bytes


@pytest.mark.parametrize("family", FAMILIES)
def test_bulk_passes_without_being_seen(ground: Ground, pool: PipePool, family: str) -> None:
    spliced = Spliced(ground, pool, family)
    data = random.Random(1).randbytes(4 * MiB)
    spliced.pass_all(data)
    assert sha256(spliced.receiver.heard).digest() == sha256(data).digest()
    assert not spliced.heard.data
    assert spliced.source.received == spliced.target.sent == len(data)


def test_what_is_said_in_little_pieces_is_read_again(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    spliced.pass_all(b"little")
    spliced.pass_all(b"more")
    assert bytes(spliced.receiver.heard) == b"little" and bytes(spliced.heard.data) == b"more"


def test_no_pipe_is_held_between_two_pieces(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    spliced.pass_all(bytes(2 * LITTLE))
    assert len(pool._idle) == 1


def test_a_target_that_takes_nothing_pauses_the_source(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    total = 0
    while not spliced.source.paused:
        total += spliced.sender.fill()
        ground.turn(1)
    received = spliced.source.received
    spliced.sender.fill()
    ground.turn(5)
    assert spliced.source.received == received
    ground.until(lambda: spliced.receiver.receive() is not None and len(spliced.receiver.heard) >= total)
    assert not spliced.source.paused


def test_an_end_comes_behind_the_last_byte(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    while not spliced.source.paused:
        spliced.sender.fill()
        ground.turn(1)
    total = spliced.sender.sock
    total.shutdown(socket.SHUT_WR)
    ground.turn(5)
    assert not spliced.heard.read_ended
    ground.until(lambda: spliced.receiver.receive() is not None and spliced.heard.read_ended)
    ground.turn()
    spliced.receiver.receive()
    assert len(spliced.receiver.heard) == spliced.source.received == spliced.target.sent


@pytest.mark.parametrize("end", ["loseConnection", "loseWriteConnection"])
def test_a_leg_ends_behind_what_waits_for_it_in_a_pipe(ground: Ground, pool: PipePool, end: str) -> None:
    spliced = Spliced(ground, pool)
    while not spliced.source.paused:
        spliced.sender.fill()
        ground.turn(1)
    getattr(spliced.target, end)()
    ground.turn(5)
    assert not spliced.target.closed
    received = spliced.source.received
    spliced.source.loseConnection()
    ground.until(lambda: spliced.receiver.receive() is not None and spliced.receiver.end)
    assert spliced.receiver.end == "fin" and len(spliced.receiver.heard) == received
    if end == "loseConnection":
        ground.until(lambda: spliced.target_heard.lost)
        assert spliced.target_heard.why == "ConnectionDone"


def test_without_a_descriptor_for_a_pipe_bytes_are_read(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.pipe2", refuse)
    spliced = Spliced(ground, PipePool())
    spliced.pass_all(b"by hand")
    assert bytes(spliced.heard.data) == b"by hand"


def test_where_splicing_is_refused_bytes_are_read(
    ground: Ground, pool: PipePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, flags: int) -> int:
        raise OSError(22, "Invalid argument")

    spliced = Spliced(ground, pool)
    monkeypatch.setattr("os.splice", refuse)
    spliced.pass_all(b"by hand")
    assert bytes(spliced.heard.data) == b"by hand" and not spliced.heard.lost


# Losses


def test_a_source_that_is_reset_is_lost(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    spliced.sender.reset()
    ground.until(lambda: spliced.heard.lost)
    assert spliced.heard.why == "ConnectionLost"


def test_a_pipe_with_bytes_for_somebody_gone_is_not_lent_again(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    before = pipe_descriptors()
    while not spliced.source.paused:
        spliced.sender.fill()
        ground.turn(1)
    assert pipe_descriptors() == before + 2
    spliced.target.abortConnection()
    assert pipe_descriptors() == before and not pool._idle


def test_what_a_source_left_in_a_pipe_reaches_its_target(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    before = pipe_descriptors()
    while not spliced.source.paused:
        spliced.sender.fill()
        ground.turn(1)
    received = spliced.source.received
    spliced.source.abortConnection()
    ground.until(lambda: spliced.receiver.receive() is not None and len(spliced.receiver.heard) == received)
    assert pipe_descriptors() == before + 2 and len(pool._idle) == 1


def test_a_target_that_is_reset_is_lost_and_the_pipe_closed(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    before = pipe_descriptors()
    while not spliced.source.paused:
        spliced.sender.fill()
        ground.turn(1)
    spliced.receiver.reset()
    ground.until(lambda: spliced.target_heard.lost)
    assert spliced.target_heard.why == "ConnectionLost"
    assert pipe_descriptors() == before and not pool._idle


def test_a_target_that_went_before_the_first_byte_costs_no_pipe(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    before = pipe_descriptors()
    spliced.target.abortConnection()
    spliced.sender.send(bytes(2 * LITTLE))
    ground.turn(5)
    spliced.sender.send(bytes(2 * LITTLE))
    ground.turn(5)
    assert pipe_descriptors() == before and not pool._idle


@pytest.mark.parametrize("seed", range(6))
def test_bytes_never_reach_another_client(ground: Ground, seed: int) -> None:
    """Many relays share a pool, and end at any moment: each client hears a beginning of its own server's stream."""
    chance = random.Random(seed)
    pool = PipePool()
    relays: list[tuple[int, TcpLeg, Peer, TcpLeg, Peer]] = []
    endings: list[tuple[int, Peer]] = []
    for turn in range(400):
        if len(relays) < 6:
            source, sender, _ = ground.listening(buffers=4096 * chance.randrange(1, 16))
            target, receiver, _ = ground.listening(buffers=4096 * chance.randrange(1, 16))
            Splice(pool, source, target).start()
            relays.append((turn % 251, source, sender, target, receiver))
        mark, source, sender, target, receiver = relay = chance.choice(relays)
        act = chance.random()
        if act < 0.6:
            sender.send(bytes([mark]) * chance.randrange(LITTLE, 200_000))
        elif act < 0.85:
            receiver.receive(chance.randrange(1, 100_000))
        else:
            chance.choice([sender.close, receiver.reset, source.abortConnection, target.abortConnection])()
            for leg in (source, target):
                leg.loseConnection()
            relays.remove(relay)
            endings.append((mark, receiver))
        ground.turn(1)
    for mark, *_, receiver in relays:
        endings.append((mark, receiver))
    passed = 0
    for mark, receiver in endings:
        if receiver.sock.fileno() >= 0:
            receiver.receive(1 << 24)
        assert receiver.heard.count(mark) == len(receiver.heard), "bytes of somebody else"
        passed += len(receiver.heard)
    assert passed > MiB
    pool.close()


def test_a_protocol_hears_the_rest_after_splicing(ground: Ground, pool: PipePool) -> None:
    spliced = Spliced(ground, pool)
    spliced.pass_all(bytes(2 * LITTLE))
    spliced.pass_all(b"x")
    spliced.sender.half_close()
    ground.until(lambda: spliced.heard.read_ended)
    assert isinstance(spliced.heard, Listening) and not spliced.heard.lost


def test_it_is_there_on_linux() -> None:
    assert pipes.AVAILABLE
