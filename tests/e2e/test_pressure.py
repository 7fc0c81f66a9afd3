"""Row 50: memory gets short.  New work is refused, who keeps most is closed, and all others go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve, StartGateway
from tests.doubles import frames
from tests.doubles.gateway import Gateway
from tests.doubles.http import read_answer, request
from tests.doubles.raw import Wire
from tests.doubles.scripts import echoes_frames, holds, upgrades
from tests.doubles.steering import command, edit, obeyed, page, wait_ready, workers
from tests.doubles.waiting import until
from tests.e2e.observed import Observed

MiB = 1 << 20

INI = """
[gateway]
workers = {workers}
max_memory = off
[listener web]
bind = 127.0.0.1:{web}
[route home]
path = = /
respond = 200 home
[route echo]
path = /echo
upstream = echo
[route push]
path = /push
upstream = push
buffer = 1m
max_message = off
[route deaf]
path = /deaf
upstream = deaf
buffer = 1m
max_message = off
[upstream echo]
servers = {echo}
[upstream push]
servers = {push}
[upstream deaf]
servers = {deaf}
"""

FRAME = frames.encode(frames.BINARY, bytes(60_000), mask=b"")


def pushes(wire: Wire) -> None:
    while True:
        wire.send(FRAME)


@pytest.fixture(params=[1, 2])
def observed(start_gateway: StartGateway, serve: Serve, request: pytest.FixtureRequest) -> Iterator[Observed]:
    """A gateway in front of an echo, a server that sends without end, and one that never reads."""
    started = start_gateway(
        INI,
        workers=request.param,
        echo=serve(upgrades(echoes_frames)).address,
        push=serve(upgrades(pushes), timeout=30.0).address,
        deaf=serve(upgrades(holds), receive_buffer=4096).address,
    )
    wait_ready(started)
    found = Observed(started)
    yield found
    found.check()


@pytest.fixture
def gateway(observed: Observed) -> Gateway:
    return observed.gateway


def memory(gateway: Gateway) -> list[dict[str, Any]]:
    return [worker["memory"] for worker in workers(gateway)]


def limit(gateway: Gateway, more: int) -> int:
    """Let each worker have about so many bytes more than it has, and ``more`` below 0 less; the limit of each."""
    found = memory(gateway)
    used = max(one["used"] for one in found)
    # What workers share with their parent counts once, and that is nearly all that they have.
    set_limit(gateway, str(used + more * (len(found) if more > 0 else 1)))
    limits = [one["limit"] for one in memory(gateway)]
    assert all(abs(one - used - more) < 6 * MiB for one in limits), limits
    return max(limits)


def set_limit(gateway: Gateway, value: str) -> None:
    text = (gateway.directory / "wsgate.ini").read_text()
    edit(gateway, next(line for line in text.splitlines() if line.startswith("max_memory")), f"max_memory = {value}")
    obeyed(gateway, "reload")


def lives(wire: Wire) -> bool:
    wire.send(frames.text("still here"))
    return frames.read_frame(wire).payload == b"still here"


def shed(gateway: Gateway) -> int:
    return sum(one["closed"] for one in memory(gateway))


def causes(gateway: Gateway, cause: str) -> list[dict[str, Any]]:
    gateway.signal(signal.SIGUSR1)  # the log is written in batches; reopening it writes at once
    return [record for record in gateway.records() if record["cause"] == cause]


def test_clients_that_keep_too_much_are_closed_and_all_others_go_on(observed: Observed, gateway: Gateway) -> None:
    parent = gateway.pid
    with ExitStack() as stack:
        spared = [stack.enter_context(observed.connect()) for _ in range(4)]
        for wire in spared:
            frames.open_websocket(wire, "/echo")
        pids = {worker["pid"] for worker in workers(gateway)}
        # Where the machine itself has no memory left, the kernel ends a worker, which is replaced.
        assert all(_score(pid) > _score(parent) for pid in pids - {parent}) or _score(parent) == 1000
        each = limit(gateway, 16 * MiB)
        until(lambda: _hogs(observed, stack) and shed(gateway) >= 4, "connections closed for memory", timeout=60.0)
        assert all(lives(wire) for wire in spared)
        until(lambda: all(one["used"] < each for one in memory(gateway)), "memory below the limit")
        assert pids == {worker["pid"] for worker in workers(gateway)} and gateway.pid == parent
        found = until(lambda: causes(gateway, "memory"), "records of those who were closed")
        assert {record["route"] for record in found} == {"push"}
        assert all(lives(wire) for wire in spared)
    until(lambda: all(one["state"] == "enough" for one in memory(gateway)), "enough memory", timeout=60.0)
    assert page(gateway) == "home"
    assert "memory is too short" in gateway.log


def _hogs(observed: Observed, stack: ExitStack) -> bool:
    """Clients that ask for much and read nothing: about a MiB is kept for each.  Those who are refused come again."""
    for _ in range(4):
        wire = stack.enter_context(observed.connect(records=None, receive_buffer=4096))
        wire.send(frames.upgrade_request("/push"))
    return True


def test_a_client_whose_server_does_not_read_gets_its_close(observed: Observed, gateway: Gateway) -> None:
    """1013, whole, and behind what the server had said."""
    with ExitStack() as stack:
        wires = []
        for _ in range(6):
            wires.append(stack.enter_context(observed.connect(timeout=0.5)))
            frames.open_websocket(wires[-1], "/deaf")
        for wire in wires:
            _fill(wire)
        limit(gateway, -16 * MiB)
        told = until(lambda: [wire for wire in wires if _close_code(wire) == 1013], "Close frames", timeout=60.0)
        assert told
    until(lambda: [one for one in causes(gateway, "memory") if one["close_code"] == 1013], "their records")


def _fill(wire: Wire) -> None:
    """Send until nobody takes any more."""
    with suppress(TimeoutError):
        for _ in range(200):
            wire.send(frames.encode(frames.BINARY, bytes(60_000)))


def _close_code(wire: Wire) -> int:
    """The code of the Close that has come; 0: none has."""
    with suppress(OSError):
        if (frame := frames.read_frame(wire)).opcode == frames.CLOSE:
            return frame.close_code
    return 0


def test_new_work_is_refused_until_there_is_memory_again(observed: Observed, gateway: Gateway) -> None:
    with ExitStack() as stack:
        kept = stack.enter_context(observed.connect(records=2))
        kept.send(request("GET", "/"))
        assert read_answer(kept).status == 200
        websocket = stack.enter_context(observed.connect())
        frames.open_websocket(websocket, "/echo")
        limit(gateway, -16 * MiB)
        until(lambda: all(one["state"] != "enough" for one in memory(gateway)), "short memory")
        kept.send(request("GET", "/"))
        answer = read_answer(kept)
        assert (answer.status, answer.get("Retry-After")) == (503, "1")
        kept.expect_eof()
        assert lives(websocket), "who keeps nothing is left alone"
        told = command(gateway, "status").stdout
        assert "memory " in told and ("refusing" in told or "closing" in told), told
        assert [record["status"] for record in causes(gateway, "memory")] == [503]
        set_limit(gateway, "off")
        until(lambda: all(one["state"] == "enough" for one in memory(gateway)), "enough memory")
        assert page(gateway) == "home"
        assert lives(websocket)
    assert gateway.log.count("memory is enough again") == len(memory(gateway))


def _score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
