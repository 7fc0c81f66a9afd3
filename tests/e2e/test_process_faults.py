"""Faults of the machine and of those who steer: ports that run out, and a control socket that is abused."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Serve, StartGateway
from tests.doubles import frames
from tests.doubles.http import read_answer, request
from tests.doubles.raw import Wire
from tests.doubles.scripts import echoes_frames, upgrades
from tests.doubles.steering import obeyed, page, wait_ready
from tests.doubles.waiting import until
from tests.e2e.observed import Observed
from wsgate.control.control_socket import short_path

INI = """
[gateway]
workers = {workers}
[listener web]
bind = 127.0.0.1:{web}
[route home]
path = = /
respond = 200 home
[route echo]
path = /echo
upstream = echo
[route pinged]
path = /pinged
upstream = echo
ping_interval = 200ms
ping_timeout = 300ms
[upstream echo]
servers = {echo} max_fails=1 fail_timeout=1h
keepalive = 0
"""

Observe = Callable[..., Observed]


@pytest.fixture
def observe(start_gateway: StartGateway, serve: Serve) -> Iterator[Observe]:
    """``observe(workers, **options)``: a gateway in front of an echo; what always holds is checked at the end."""
    made: list[Observed] = []

    def begin(workers: int, **options: object) -> Observed:
        server = serve(upgrades(echoes_frames), timeout=30.0)
        gateway = start_gateway(INI, workers=workers, echo=server.address, **options)
        wait_ready(gateway)
        made.append(Observed(gateway))
        return made[-1]

    yield begin
    for observed in made:
        observed.check()


def lives(wire: Wire) -> bool:
    wire.send(frames.text("still here"))
    return frames.read_frame(wire).payload == b"still here"


# No port is left towards servers (row 28)

#: What the kernel says when every port towards an address is taken, to each connect while a file is there.
NO_PORTS = """
import errno, os, socket
_connect_ex = socket.socket.connect_ex
class Exhausted(socket.socket):
    def connect_ex(self, address):
        if os.path.exists({flag!r}):
            with open({flag!r}, "a") as tries:
                tries.write("x")
            return errno.EADDRNOTAVAIL
        return _connect_ex(self, address)
socket.socket = Exhausted
"""


def test_without_ports_requests_are_refused_at_once_and_no_server_is_blamed(observe: Observe, tmp_path: Path) -> None:
    flag = tmp_path / "no-ports"
    (tmp_path / "sitecustomize.py").write_text(NO_PORTS.format(flag=str(flag)))
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"
    observed = observe(1, environment={"PYTHONPATH": path})
    before = observed.connect()
    frames.open_websocket(before, "/echo")
    flag.touch()
    for _ in range(20):
        wire = observed.connect()
        wire.send(frames.upgrade_request("/echo"))
        answer = read_answer(wire)
        assert (answer.status, answer.get("Retry-After")) == (503, "1")
    assert observed.records(wire)[0]["cause"] == "exhausted"
    assert len(flag.read_text()) <= 2 * 20, "a storm of retries"
    assert lives(before), "who was connected goes on"
    flag.unlink()
    after = observed.connect()
    frames.open_websocket(after, "/echo")
    assert lives(after), "the server is asked again at once: it was not counted as failed"


# Code of ours fails (row 51)

#: Whoever is told to fail, does, in the middle of a callback of the event loop.
FAILS = """
import socket
_recv_into = socket.socket.recv_into
class Failing(socket.socket):
    def recv_into(self, buffer):
        count = _recv_into(self, buffer)
        if b"fail now" in bytes(buffer[:count]):
            raise RuntimeError("a fault was asked for")
        return count
socket.socket = Failing
"""


@pytest.mark.parametrize("count", [1, 2])
def test_an_exception_ends_the_connection_that_it_is_about_and_no_other(
    observe: Observe, tmp_path: Path, count: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILS)
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"
    observed = observe(count, environment={"PYTHONPATH": path})
    spared, failing = [observed.connect() for _ in range(6)], [observed.connect() for _ in range(3)]
    for wire in (*spared, *failing):
        frames.open_websocket(wire, "/echo")
    asking = observed.connect(records=0)
    for wire in (*failing, asking):
        wire.send(frames.encode(frames.TEXT, b"fail now", mask=bytes(4)))
        wire.expect_gone()
    observed.tracebacks = 4
    assert all(lives(wire) for wire in spared)
    assert page(observed.gateway) == "home"


# The wall clock is set (row 35)

#: A file says by how many seconds the wall clock is wrong.
STEPS = """
import time
_time = time.time
def wrong():
    with open({offset!r}) as offset:
        return _time() + int(offset.read() or 0)
time.time = wrong
"""


def test_a_step_of_the_clock_ends_nobody_and_delays_no_deadline(observe: Observe, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(STEPS.format(offset=str(offset)))
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"
    observed = observe(1, environment={"PYTHONPATH": path})
    alive, mute = [observed.connect() for _ in range(4)], observed.connect(timeout=30.0)
    for wire in alive:
        frames.open_websocket(wire, "/echo")
    told = []
    for step in ("3600", "-3600"):
        new = tmp_path / "new"
        new.write_text(step)
        new.rename(offset)
        assert all(lives(wire) for wire in alive)
        asking = observed.connect()
        asking.send(request("GET", "/"))
        assert read_answer(asking).status == 200
        told.append(datetime.fromisoformat(observed.records(asking)[0]["time"]))
    frames.open_websocket(mute, "/pinged")
    mute.expect_gone()
    assert observed.records(mute)[0]["cause"] == "client_dead"
    assert all(lives(wire) for wire in alive)
    assert told[1] - told[0] < timedelta(hours=-1), "records have the time of the wall"


# The control socket is flooded (row 54)


@pytest.fixture
def askers() -> Iterator[Callable[[Observed], socket.socket]]:
    """Opens connections to the control socket that never read."""
    with ExitStack() as stack:

        def begin(observed: Observed) -> socket.socket:
            asker = stack.enter_context(socket.socket(socket.AF_UNIX))
            with short_path(observed.gateway.directory / "state") as path:
                asker.connect(path)
            asker.setblocking(False)
            return asker

        yield begin


ORDERS = b"".join(json.dumps({"order": "status", "connections": True, "id": n}).encode() + b"\n" for n in range(500))


@pytest.mark.parametrize("count", [1, 2])
def test_a_flood_of_orders_that_nobody_reads_touches_no_connection(
    observe: Observe, askers: Callable[[Observed], socket.socket], count: int
) -> None:
    observed = observe(count)
    spared = [observed.connect() for _ in range(8)]
    for wire in spared:
        frames.open_websocket(wire, "/echo")
    before = observed.rss()
    flooding = [askers(observed) for _ in range(24)]
    left = dict.fromkeys(flooding, ORDERS * 20)

    def all_full() -> bool:
        """Send until nobody is read from any more, and talk to the others meanwhile."""
        assert all(lives(wire) for wire in spared)
        sent = 0
        for asker in flooding:
            try:
                number = asker.send(left[asker])
            except BlockingIOError:
                continue
            left[asker] = left[asker][number:]
            sent += number
        return not sent

    until(all_full, "a gateway that reads no more orders", timeout=60.0)
    assert all(left.values())
    assert obeyed(observed.gateway, "status")["ok"], "another client is answered"
    assert page(observed.gateway) == "home"
    assert observed.rss() - before < 24 << 20
    for asker in flooding:
        asker.close()
    assert all(lives(wire) for wire in spared)


def test_more_askers_than_there_is_room_for_are_turned_away(
    observe: Observe, askers: Callable[[Observed], socket.socket]
) -> None:
    observed = observe(1)
    wire = observed.connect(records=2)
    many = [askers(observed) for _ in range(60)]

    def turned_away() -> int:
        return sum(_is_gone(asker) for asker in many)

    until(lambda: turned_away() == 60 - 32, "askers above the limit that are turned away")
    for _ in range(2):
        wire.send(request("GET", "/"))
        assert read_answer(wire).status == 200
    for asker in many:
        asker.close()
    assert until(lambda: obeyed(observed.gateway, "status"), "an answer")["ok"]


def _is_gone(asker: socket.socket) -> bool:
    try:
        return asker.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
