"""Several processes behind the same sockets: each may die, none may take others along."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection

from tests.conftest import StartGateway
from tests.doubles import frames, processes
from tests.doubles.gateway import Gateway, start
from tests.doubles.http import read_answer, request
from tests.doubles.raw import EndOfStream, Wire
from tests.doubles.raw_tls import client_context, connect_tls
from tests.doubles.steering import edit, obeyed, page, wait_ready, workers
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer

INI = """
[gateway]
workers = 2
close_spread = 100ms
worker_timeout = 4s
[listener web]
bind = 127.0.0.1:{web}
[listener secure]
bind = 127.0.0.1:{secure}
tls = site
[tls site]
certificate = self-signed
[route home]
path = = /
respond = 200 home
[route echo]
path = /echo
upstream = echo
ping_interval = off
[upstream echo]
servers = {echo}
"""


@pytest.fixture
def server() -> Iterator[WebSocketServer]:
    with WebSocketServer() as found:
        yield found


@pytest.fixture
def gateway(start_gateway: StartGateway, server: WebSocketServer) -> Gateway:
    started = start_gateway(INI, echo=server.address)
    wait_ready(started)
    return started


def pids(gateway: Gateway) -> list[int]:
    return [worker["pid"] for worker in workers(gateway)]


def open_many(gateway: Gateway, stack: ExitStack, number: int) -> list[Wire]:
    wires = [stack.enter_context(gateway.connect("web")) for _ in range(number)]
    for wire in wires:
        frames.open_websocket(wire, "/echo")
    return wires


def lives(wire: Wire) -> bool:
    try:
        wire.send(frames.text("still here"))
        return frames.read_frame(wire).payload == b"still here"
    except (OSError, EndOfStream):
        return False


def test_the_parent_carries_no_traffic_and_has_no_thread(gateway: Gateway) -> None:
    with ExitStack() as stack:
        open_many(gateway, stack, 10)
        found = workers(gateway)
        assert sum(worker["relayed"] for worker in found) == 10
        assert gateway.pid not in pids(gateway) and len(set(pids(gateway))) == 2
        assert len(list(Path(f"/proc/{gateway.pid}/task").iterdir())) == 1


def test_a_worker_inherits_nothing_but_what_it_needs(gateway: Gateway) -> None:
    for pid in pids(gateway):
        sockets = [name for name in processes.descriptors(pid) if name.startswith("socket:")]
        # Two listening sockets and the link; the reactor's own pairs are not the parent's.
        parent = {name for name in processes.descriptors(gateway.pid) if name.startswith("socket:")}
        assert len(parent & set(sockets)) == 2, sockets
        assert processes.listening(pid) == {gateway.ports["web"], gateway.ports["secure"]}


def test_a_killed_worker_takes_its_own_connections_only_and_is_replaced(gateway: Gateway) -> None:
    with ExitStack() as stack:
        wires = open_many(gateway, stack, 20)
        victim = max(workers(gateway), key=lambda worker: worker["relayed"])
        os.kill(victim["pid"], signal.SIGKILL)
        assert page(gateway) == "home"
        until(lambda: len(pids(gateway)) == 2 and victim["pid"] not in pids(gateway), "a successor", timeout=10.0)
        assert sum(lives(wire) for wire in wires) == 20 - victim["relayed"]
        until(lambda: sum(worker["relayed"] for worker in workers(gateway)) == 20 - victim["relayed"])
        open_servers = obeyed(gateway, "status")["workers"][0]["upstreams"]["echo"][0]["open"]
        assert open_servers == 20 - victim["relayed"], "the places of a dead worker are free"


def test_a_worker_that_is_told_to_end_says_goodbye(gateway: Gateway) -> None:
    with ExitStack() as stack:
        wires = open_many(gateway, stack, 6)
        victim = max(workers(gateway), key=lambda worker: worker["relayed"])
        os.kill(victim["pid"], signal.SIGTERM)
        until(lambda: victim["pid"] not in pids(gateway) and len(pids(gateway)) == 2, "a successor")
        closed = [wire for wire in wires if not lives(wire)]
        assert len(closed) == victim["relayed"]


def test_a_drained_worker_has_its_successor_at_once(gateway: Gateway) -> None:
    with ExitStack() as stack:
        wires = open_many(gateway, stack, 6)
        victim = max(workers(gateway), key=lambda worker: worker["relayed"])
        obeyed(gateway, "drain", kind="worker", name=str(victim["worker"]), wait=False)
        # Nobody answers the Closes yet, so that the drain goes on.
        until(lambda: sum(not worker["retired"] for worker in workers(gateway)) == 2, "two that accept")
        assert victim["pid"] in pids(gateway)
        until(lambda: sum(not lives(wire) for wire in wires) == victim["relayed"], "its Closes")
    until(lambda: victim["pid"] not in pids(gateway) and len(pids(gateway)) == 2, "the end of the drained one")


def test_a_stopped_worker_is_replaced(gateway: Gateway) -> None:
    victim = pids(gateway)[0]
    os.kill(victim, signal.SIGSTOP)
    until(lambda: victim not in _listed(gateway), "a worker in its place", timeout=60.0)
    assert "does not answer" in gateway.log
    assert page(gateway) == "home"


def _listed(gateway: Gateway) -> list[int]:
    """The workers by the kernel: a stopped one answers no order."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return [int(child) for child in children]


def test_a_stuck_worker_tells_where_it_was(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "stuck_application.py").write_text(
        "from twisted.internet.protocol import Factory, Protocol\n"
        "class Stuck(Protocol):\n"
        "    def dataReceived(self, data):\n"
        "        while True:\n"
        "            pass\n"
        "factory = Factory.forProtocol(Stuck)\n"
    )
    text = INI.replace("servers = {echo}", "servers = python:stuck_application:factory")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    gateway = start_gateway(text, environment=environment)
    wait_ready(gateway)
    with gateway.connect("web") as wire:
        wire.send(request("GET", "/echo"))
        until(lambda: "was here" in gateway.log, "a dump", timeout=60.0)
        wire.expect_gone()
    assert "stuck_application.py" in gateway.log and "dataReceived" in gateway.log
    until(lambda: len(pids(gateway)) == 2)


def test_workers_that_crash_at_their_start_are_tried_ever_later(start_gateway: StartGateway) -> None:
    text = INI.replace("[gateway]", "[gateway]\naccess_log = {dir}/access.log")
    gateway = start_gateway(text, echo="127.0.0.1:1")
    wait_ready(gateway)
    logs = gateway.directory / "logs"
    logs.mkdir()
    edit(gateway, f"access_log = {gateway.directory}/access.log", f"access_log = {logs}/access.log")
    obeyed(gateway, "reload")
    shutil.rmtree(logs)
    for pid in pids(gateway):
        os.kill(pid, signal.SIGKILL)
    until(lambda: "another one starts in 0.8 s" in gateway.log, "workers that are tried later")
    until(lambda: obeyed(gateway, "status")["workers"] == [], "the moment between two tries")
    logs.mkdir()
    until(lambda: len(pids(gateway)) == 2, "workers that start again", timeout=60.0)
    assert page(gateway) == "home"
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    # The tracebacks of the crashes are meant to be there; the clean end was seen above.
    (gateway.directory / "output.log").write_text("Main loop terminated")


def test_a_limit_of_a_server_holds_for_all_workers_together(start_gateway: StartGateway) -> None:
    most, now, lock = 0, 0, threading.Lock()

    def count(connection: ServerConnection) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        for _ in connection:
            pass
        with lock:
            now -= 1

    with WebSocketServer(count) as server, ExitStack() as stack:
        gateway = start_gateway(INI.replace("{echo}", "{echo} max_conns=3"), echo=server.address)
        wait_ready(gateway)
        wires = [stack.enter_context(gateway.connect("web")) for _ in range(24)]
        for wire in wires:
            wire.send(frames.upgrade_request("/echo"))
        statuses = [read_answer(wire).status for wire in wires]
        assert statuses.count(101) == 3 and statuses.count(503) == 21
        assert most == 3
        stack.close()
        until(lambda: not workers(gateway)[0]["upstreams"]["echo"][0]["open"], "free places")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("option", ["max_connections", "max_connections_per_client", "of the listener"])
def test_connections_of_the_gateway_of_a_listener_and_of_a_client_are_bounded(
    start_gateway: StartGateway, option: str, count: int
) -> None:
    text = INI.replace("workers = 2", f"workers = {count}")
    if option == "of the listener":
        text = text.replace("[listener web]", "[listener web]\nmax_connections = 5")
    else:
        text = text.replace("[gateway]", f"[gateway]\n{option} = 5")
    gateway = start_gateway(text, echo="127.0.0.1:1")
    wait_ready(gateway)
    with ExitStack() as stack:
        wires = [stack.enter_context(gateway.connect("web")) for _ in range(5)]
        for wire in wires:
            wire.send(request("GET", "/"))
            assert read_answer(wire).status == 200
        with gateway.connect("web") as sixth:
            sixth.expect_gone()
        if option == "of the listener":
            with connect_tls(gateway.where("secure"), client_context()) as other:
                other.send(request("GET", "/"))
                assert read_answer(other).status == 200
        if option.endswith("client"):
            with gateway.connect("web", source="127.0.0.2") as other:
                other.send(request("GET", "/"))
                assert read_answer(other).status == 200
    until(lambda: not sum(worker["connections"] for worker in workers(gateway)), "free places")
    assert page(gateway) == "home"


def test_a_session_of_one_worker_resumes_on_all(gateway: Gateway) -> None:
    context = client_context(version=ssl.TLSVersion.TLSv1_3)
    with connect_tls(gateway.where("secure"), context) as first:
        first.send(request("GET", "/"))
        assert read_answer(first).status == 200
        session = first.tls.session
    for _ in range(8):
        with connect_tls(gateway.where("secure"), context, session=session) as wire:
            wire.send(request("GET", "/"))
            assert read_answer(wire).status == 200
            assert wire.tls.session_reused


def test_without_its_parent_a_worker_lets_the_ports_go_and_ends(tmp_path: Path) -> None:
    gateway = start(INI, tmp_path, echo="127.0.0.1:1")
    wait_ready(gateway)
    left = pids(gateway)
    gateway.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "the end of the workers")
    with pytest.raises(ConnectionRefusedError):
        gateway.connect("web")
