"""Active probes take servers out and bring them back, of each kind, and flapping stampedes nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection

from tests.conftest import Serve, StartGateway
from tests.doubles.gateway import Gateway
from tests.doubles.http import answer, read_answer, read_request, request
from tests.doubles.ports import free_port
from tests.doubles.raw import Wire, connect
from tests.doubles.waiting import until
from tests.doubles.websocket_peers import WebSocketServer, open_client

INI = """
[listener web]
bind = 127.0.0.1:{web}

[route all]
path = /
upstream = servers

[upstream servers]
servers = {servers}
probe = {probe} interval=50ms timeout=5s rise=2 fall=2
"""


def is_down(gateway: Gateway) -> bool:
    return "is down: " in gateway.log


def status(gateway: Gateway) -> int:
    with gateway.connect("web") as wire:
        wire.send(request("GET", "/", "Connection: close"))
        return read_answer(wire).status


def test_a_closed_port_is_found_without_a_client_and_its_return_too(start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway(INI, servers=f"127.0.0.1:{port}", probe="tcp")
    until(lambda: is_down(gateway), "a server that is down")
    assert status(gateway) == 503
    with WebSocketServer(port=port):
        until(lambda: "is up again" in gateway.log, "a server that is up again")
        with open_client(gateway.url("web")) as client:
            client.send("hello")
            assert client.recv() == "hello"


@pytest.mark.parametrize(
    ("probe", "given", "well"),
    [
        ("http /health", answer(200), True),
        ("http /health", answer(500), False),
        ("http /health status=500", answer(500), True),
        ("http /health body=fine", answer(200, b"all is fine here"), True),
        ("http /health body=fine", answer(200, b"not so well"), False),
        ("http /health method=HEAD", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        ("http /health", b"nonsense\r\n\r\n", False),
    ],
)
def test_http_probes_look_at_the_answer(
    start_gateway: StartGateway, serve: Serve, probe: str, given: bytes, well: bool
) -> None:
    asked: list[str] = []

    def script(wire: Wire) -> None:
        got = read_request(wire)
        asked.append(f"{got.method} {got.target}")
        wire.send(given)

    gateway = start_gateway(INI, servers=serve(script).address, probe=probe)
    until(lambda: len(asked) >= 4, "probes")
    if well:
        assert not is_down(gateway)
    else:
        until(lambda: is_down(gateway), "a server that is down")
    assert set(asked) == {"HEAD /health" if "HEAD" in probe else "GET /health"}


def greeter(connection: ServerConnection) -> None:
    for message in connection:
        connection.send("unasked")
        connection.send(f"welcome {message!r}")


@pytest.mark.parametrize(
    ("probe", "well"),
    [
        ("websocket /", True),
        ("websocket / protocol=chat.v2", True),
        ("websocket / protocol=chat.v3", False),
        ("websocket / send=joe expect=welcome", True),
        ("websocket / send=joe expect=farewell", False),
        ("websocket / within=4s", True),
    ],
)
def test_websocket_probes_open_ping_and_ask(start_gateway: StartGateway, probe: str, well: bool) -> None:
    with WebSocketServer(greeter, subprotocols=["chat.v2"], select_subprotocol=_only_known) as server:
        # One that never gets its answer is waited for as long as a probe may take.
        text = INI if well else INI.replace("timeout=5s", "timeout=1s")
        gateway = start_gateway(text, servers=server.address, probe=probe)
        server.wait_sessions(5 if well else 2)
        if well:
            assert server.sessions[0].wait_over().close_code == 1000
            assert not is_down(gateway)
        else:
            until(lambda: is_down(gateway), "a server that is down")


def _only_known(connection: ServerConnection, offered: object) -> str | None:
    return "chat.v2" if "chat.v2" in list(offered) else None  # type: ignore[call-overload]


def test_a_server_that_answers_pings_no_more_is_down(start_gateway: StartGateway, tmp_path: Path) -> None:
    """A process that is stopped still has its port: only a probe that speaks finds out (row 4 of the faults)."""
    port = free_port()
    code = (
        "from websockets.sync.server import serve\n"
        f"serve(lambda c: [c.send(m) for m in c], '127.0.0.1', {port}).serve_forever()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        until(lambda: _connects(port), "a server")
        gateway = start_gateway(INI.replace("5s", "700ms"), servers=f"127.0.0.1:{port}", probe="websocket /")
        with open_client(gateway.url("web")) as client:
            client.send("hello")
            assert client.recv() == "hello"
        process.send_signal(signal.SIGSTOP)
        until(lambda: is_down(gateway), "a stopped server that is down")
        assert status(gateway) == 503
        process.send_signal(signal.SIGCONT)
        until(lambda: "is up again" in gateway.log, "a server that goes on")
    finally:
        process.kill()
        process.wait()


def _connects(port: int) -> bool:
    try:
        connect(("127.0.0.1", port)).sock.close()
    except OSError:
        return False
    return True


def test_a_server_that_flaps_stays_what_it_was(start_gateway: StartGateway, serve: Serve) -> None:
    """Row 22 of the faults: every other probe fails, and nothing changes."""
    count = 0
    lock = threading.Lock()

    def script(wire: Wire) -> None:
        nonlocal count
        read_request(wire)
        with lock:
            count += 1
            number = count
        wire.send(answer(500 if number % 2 else 200))

    gateway = start_gateway(INI, servers=serve(script).address, probe="http /")
    until(lambda: count >= 12, "probes")
    assert not is_down(gateway)


def test_one_worker_probes_and_all_know(start_gateway: StartGateway, serve: Serve) -> None:
    """Were each worker to probe, a server would see as many probes as there are workers."""
    well = True
    asked: list[float] = []

    def script(wire: Wire) -> None:
        got = read_request(wire)
        if got.target == "/health":
            asked.append(time.monotonic())
        wire.send(answer(200 if well else 500, b"", "Connection: close"))

    text = INI.replace("[listener web]", "[gateway]\nworkers = 3\n\n[listener web]").replace("50ms", "200ms")
    gateway = start_gateway(text, servers=serve(script).address, probe="http /health jitter=0%")
    until(lambda: len(asked) >= 13, "probes")
    assert asked[12] - asked[0] > 1.3, "more than one process's pace, which is 2.4 s"
    assert {status(gateway) for _ in range(12)} == {200}
    well = False
    until(lambda: {status(gateway) for _ in range(12)} == {503}, "all workers knowing")
    well = True
    until(lambda: {status(gateway) for _ in range(12)} == {200}, "all workers knowing")
